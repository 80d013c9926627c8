//! Where an answer shows its version, and whether it is the expected one.

use std::fmt;
use std::str::FromStr;

use gatekit_core::{Effect, Error, NextAction, Result};
use reqwest::header::{CONTENT_TYPE, HeaderName};
use serde_json::Value;

use crate::client::Answer;
use crate::code;
use crate::secrets::Secrets;

/// Where an answer shows the version of what answers. In text: `body`, `header:NAME` or
/// `json:POINTER`.
///
/// ```
/// use gatekit_http::VersionFrom;
///
/// let from: VersionFrom = "json:/build/version".parse()?;
/// assert_eq!(from, VersionFrom::JsonPointer("/build/version".into()));
/// assert_eq!("header:X-Version".parse::<VersionFrom>()?.to_string(), "header:x-version");
/// assert!("cookie:v".parse::<VersionFrom>().is_err());
/// # Ok::<(), gatekit_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum VersionFrom {
    /// Somewhere in the body. A dotted number has to stand by itself: `1.4.1` is not shown by
    /// `1.4.10` or `11.4.1`. Anything else counts as a plain substring, so prefer the other two for
    /// exact answers.
    #[default]
    Body,
    /// The value of the header of that name, equal after trimming. All values, when there are
    /// several.
    Header(String),
    /// The value at that JSON pointer (RFC 6901) of the body: an equal string, or an equal whole
    /// number. A decimal number never is, because `1.10` and `1.1` are one number and two versions.
    JsonPointer(String),
}

impl VersionFrom {
    /// Refuses what could never be found, and spells header names in lower case.
    pub(crate) fn checked(self) -> Result<Self> {
        match self {
            Self::Body => Ok(self),
            Self::Header(name) => match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) => Ok(Self::Header(name.as_str().to_owned())),
                Err(_) => Err(refused("is not the name of a header", &name)),
            },
            Self::JsonPointer(pointer) if is_pointer(&pointer) => Ok(Self::JsonPointer(pointer)),
            Self::JsonPointer(pointer) => Err(refused("is not a JSON pointer", &pointer)),
        }
    }
}

/// Whether `text` is a JSON pointer (RFC 6901).
pub(crate) fn is_pointer(text: &str) -> bool {
    let begins = text.is_empty() || text.starts_with('/');
    begins && text.split('~').skip(1).all(|escape| escape.starts_with(['0', '1']))
}

fn refused(why: &str, text: &str) -> Error {
    Error::new(code::SMOKE_VERSION_FROM, format!("`{}` {why}", text.escape_debug()))
        .with_effect(Effect::None)
        .with_next(NextAction::outside(
            "say `body`, `header:X-Version` or `json:/version`, with your own name or pointer",
        ))
}

impl fmt::Display for VersionFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => f.write_str("body"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::JsonPointer(pointer) => write!(f, "json:{pointer}"),
        }
    }
}

impl FromStr for VersionFrom {
    type Err = Error;

    /// # Errors
    /// `smoke.version_from` unless `text` is `body`, `header:` with the name of a header, or `json:`
    /// with a JSON pointer.
    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            None if text == "body" => Ok(Self::Body),
            Some(("header", name)) => Self::Header(name.to_owned()).checked(),
            Some(("json", pointer)) => Self::JsonPointer(pointer.to_owned()).checked(),
            _ => Err(refused("says nowhere to read a version from", text)),
        }
    }
}

/// What an answer says of its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The expected one.
    Expected,
    /// This other one, where the expected one should be.
    Other(String),
    /// Nothing.
    Nothing,
    /// Nothing, and it is no JSON although JSON was asked for.
    NotJson,
    /// It claims to be JSON and cannot be read, so it may well show another one.
    Unreadable,
}

/// The version that has to be seen, and where.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) version: String,
    pub(crate) from: VersionFrom,
}

impl Expected {
    pub(crate) fn new(version: &str, from: VersionFrom) -> Result<Self> {
        let version = version.trim();
        if version.is_empty() {
            return Err(Error::new(code::SMOKE_VERSION_EMPTY, "the expected version is empty")
                .with_effect(Effect::None)
                .with_next(NextAction::outside("give the version that should answer")));
        }
        Ok(Self { version: version.to_owned(), from: from.checked()? })
    }

    /// What `answer` shows, without what repeats one of the `secrets`.
    pub(crate) fn look(&self, answer: &Answer, secrets: &Secrets) -> Shown {
        let other = |text: &str| Shown::Other(clip(secrets.without(text)));
        match &self.from {
            VersionFrom::Body if contains(&answer.body, &self.version) => Shown::Expected,
            VersionFrom::Body => Shown::Nothing,
            VersionFrom::Header(name) => {
                let mut shown = Shown::Nothing;
                for value in answer.headers.get_all(name.as_str()) {
                    let value = String::from_utf8_lossy(value.as_bytes());
                    if value.trim() != self.version {
                        return other(value.trim());
                    }
                    shown = Shown::Expected;
                }
                shown
            }
            VersionFrom::JsonPointer(pointer) => {
                let Ok(json) = serde_json::from_slice::<Value>(&answer.body) else {
                    let claims = answer.headers.get(CONTENT_TYPE).is_some_and(|value| {
                        value.as_bytes().to_ascii_lowercase().windows(4).any(|w| w == b"json")
                    });
                    return if claims && !answer.body.is_empty() {
                        Shown::Unreadable
                    } else {
                        Shown::NotJson
                    };
                };
                match json.pointer(pointer) {
                    None => Shown::Nothing,
                    Some(Value::String(text)) if *text == self.version => Shown::Expected,
                    Some(Value::Number(n))
                        if (n.is_u64() || n.is_i64()) && n.to_string() == self.version =>
                    {
                        Shown::Expected
                    }
                    Some(Value::String(text)) => other(text),
                    Some(value @ (Value::Number(_) | Value::Bool(_) | Value::Null)) => {
                        other(&value.to_string())
                    }
                    Some(Value::Array(_)) => Shown::Other("a list".to_owned()),
                    Some(Value::Object(_)) => Shown::Other("an object".to_owned()),
                }
            }
        }
    }
}

/// A text from outside, short and without control characters.
pub(crate) fn clip(text: &str) -> String {
    let mut clipped: String = text.chars().take(100).flat_map(char::escape_debug).collect();
    if text.chars().nth(100).is_some() {
        clipped.push('…');
    }
    clipped
}

/// Whether `body` contains `version`; a dotted number only where the number neither begins earlier
/// nor goes on.
fn contains(body: &[u8], version: &str) -> bool {
    let version = version.as_bytes();
    let digit = |b: Option<&u8>| b.is_some_and(u8::is_ascii_digit);
    let dotted = version.windows(3).any(|w| digit(w.first()) && w[1] == b'.' && digit(w.last()));
    body.windows(version.len()).enumerate().any(|(at, window)| {
        if window != version {
            return false;
        }
        let (before, after) = (&body[..at], &body[at + version.len()..]);
        let begins_earlier = digit(version.first())
            && match before {
                [.., digit, b'.'] => digit.is_ascii_digit(),
                [.., last] => last.is_ascii_digit(),
                [] => false,
            };
        let goes_on = digit(version.last())
            && match after {
                [b'.', digit, ..] => digit.is_ascii_digit(),
                [first, ..] => first.is_ascii_digit(),
                [] => false,
            };
        !dotted || (!begins_earlier && !goes_on)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_dotted_number_stands_by_itself() {
        for body in
            ["1.4.1", "v1.4.1", "api-1.4.1.", "{\"v\":\"1.4.1\"}", "1.4.10 1.4.1", "1.4.1-rc1"]
        {
            assert!(contains(body.as_bytes(), "1.4.1"), "{body}");
        }
        for body in ["", "1.4", "1.4.10", "11.4.1", "2.1.4.1", "1.4.1.2", "1x4.1"] {
            assert!(!contains(body.as_bytes(), "1.4.1"), "{body}");
        }
        assert!(contains(b"commit abc12345def", "abc1234"), "a short commit is a plain substring");
    }

    #[test]
    fn texts_from_outside_are_short_and_printable() {
        assert_eq!(clip("a\u{1b}[31m\n"), "a\\u{1b}[31m\\n");
        assert!(clip(&"é".repeat(5000)).len() < 300);
    }

    #[test]
    fn what_cannot_be_found_is_refused() {
        for bad in [
            "",
            "Body",
            "body:",
            "header",
            "header:",
            "header:a b",
            "header:é",
            "json",
            "json:x",
            "json:/~2",
            "json:/a~",
        ] {
            let error = bad.parse::<VersionFrom>().unwrap_err();
            assert_eq!(error.code(), &code::SMOKE_VERSION_FROM, "{bad}");
        }
        assert!(VersionFrom::Header("a\r\nb: c".into()).checked().is_err());
    }

    proptest! {
        #[test]
        fn what_is_read_is_printed_back(text in "(body|header:[a-zA-Z0-9-]{1,12}|json:(/[^~]{0,5}(~0|~1)?){0,3}|.{0,12})") {
            if let Ok(from) = text.parse::<VersionFrom>() {
                prop_assert_eq!(from.to_string().parse::<VersionFrom>().unwrap(), from.clone());
                prop_assert!(from.to_string().eq_ignore_ascii_case(&text));
            }
        }

        #[test]
        fn the_body_rule_never_finds_what_is_not_there(body in "[0-9.v]{0,20}", version in "[0-9v][0-9.]{0,6}") {
            if contains(body.as_bytes(), &version) {
                prop_assert!(body.contains(&version));
            }
        }
    }
}
