//! What the answers have to say, beside their version.

use gatekit_core::{Code, Effect, Error, NextAction, Result};
use regex::bytes::Regex;
use serde_json::{Value, json};

use crate::code;
use crate::secrets::Secrets;
use crate::version::{clip, is_pointer};

/// What every answer has to say.
#[derive(Debug, Default)]
pub(crate) struct Expectations {
    bodies: Vec<Regex>,
    values: Vec<(String, Value)>,
}

/// An expectation that an answer does not meet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unmet {
    pub(crate) code: Code,
    pub(crate) seen: String,
    /// Whether the answer could be read, and says no.
    pub(crate) is_no: bool,
}

impl Expectations {
    pub(crate) fn body(&mut self, pattern: &str) -> Result<()> {
        let pattern = Regex::new(pattern).map_err(|source| {
            Error::new(code::SMOKE_PATTERN, "the pattern for the body is refused")
                .with_effect(Effect::None)
                .with_source(source)
                .with_next(NextAction::outside("give a regular expression of the `regex` crate"))
        })?;
        self.bodies.push(pattern);
        Ok(())
    }

    pub(crate) fn value(&mut self, pointer: String, value: Value) -> Result<()> {
        if !is_pointer(&pointer) {
            let message = format!("`{}` is not a JSON pointer", pointer.escape_debug());
            return Err(Error::new(code::SMOKE_POINTER, message)
                .with_effect(Effect::None)
                .with_next(NextAction::outside("give a pointer like `/status`")));
        }
        self.values.push((pointer, value));
        Ok(())
    }

    /// Whether no body has to be looked at.
    pub(crate) fn is_empty(&self) -> bool {
        self.bodies.is_empty() && self.values.is_empty()
    }

    pub(crate) fn describe(&self) -> Value {
        let bodies: Vec<_> = self.bodies.iter().map(Regex::as_str).collect();
        let values: Vec<_> =
            self.values.iter().map(|(at, is)| json!({"pointer": at, "is": is})).collect();
        json!({"body": bodies, "json": values})
    }

    /// The first expectation that `body` does not meet.
    pub(crate) fn unmet(&self, body: &[u8], secrets: &Secrets) -> Option<Unmet> {
        if let Some(pattern) = self.bodies.iter().find(|pattern| !pattern.is_match(body)) {
            let seen = format!("a body that does not match `{}`", clip(pattern.as_str()));
            return Some(Unmet { code: code::SMOKE_BODY, seen, is_no: true });
        }
        if self.values.is_empty() {
            return None;
        }
        let Ok(json) = serde_json::from_slice::<Value>(body) else {
            let seen = "a body that is not JSON".to_owned();
            return Some(Unmet { code: code::SMOKE_JSON, seen, is_no: false });
        };
        self.values.iter().find_map(|(pointer, expected)| {
            let found = json.pointer(pointer);
            if found == Some(expected) {
                return None;
            }
            let found = match found {
                None => "nothing".to_owned(),
                Some(Value::Array(_)) => "a list".to_owned(),
                Some(Value::Object(_)) => "an object".to_owned(),
                Some(scalar) => format!("`{}`", clip(secrets.without(&scalar.to_string()))),
            };
            let expected = clip(&expected.to_string());
            let seen = format!("{found} at `{}`, not `{expected}`", clip(pointer));
            Some(Unmet { code: code::SMOKE_JSON_VALUE, seen, is_no: true })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::SecretString;

    use super::*;

    fn of_value(pointer: &str, value: impl Into<Value>) -> Expectations {
        let mut expectations = Expectations::default();
        expectations.value(pointer.to_owned(), value.into()).unwrap();
        expectations
    }

    fn seen(expectations: &Expectations, body: &str) -> Option<(String, bool)> {
        let unmet = expectations.unmet(body.as_bytes(), &Secrets::default());
        unmet.map(|unmet| (unmet.seen, unmet.is_no))
    }

    #[test]
    fn a_value_has_to_be_equal_and_of_the_same_kind() {
        let ok = of_value("/status", "ok");
        assert_eq!(seen(&ok, r#"{"status":"ok"}"#), None);
        for (body, found) in [
            (r#"{"status":"degraded"}"#, "`\\\"degraded\\\"` at"),
            (r#"{"status":true}"#, "`true` at"),
            (r#"{"status":["ok"]}"#, "a list at"),
            (r#"{"status":{"ok":1}}"#, "an object at"),
            ("{}", "nothing at"),
        ] {
            let (seen, is_no) = seen(&ok, body).unwrap();
            assert!(is_no && seen.starts_with(found), "{seen}");
        }
        let (text, is_no) = seen(&ok, "<html>").unwrap();
        assert!(!is_no && text.contains("not JSON"), "{text}");
        assert_eq!(seen(&of_value("", json!({"a": [1]})), r#"{"a":[1]}"#), None);
        assert!(seen(&of_value("/n", 1), r#"{"n":1.0}"#).is_some());
    }

    #[test]
    fn a_pattern_is_searched_for_in_bytes_also_when_they_are_no_text() {
        let mut expectations = Expectations::default();
        expectations.body("(?i)all systems\\s+go").unwrap();
        let found = |body: &[u8]| expectations.unmet(body, &Secrets::default()).is_none();
        assert!(found(b"\xff\xfe All Systems\n go\xff"));
        assert!(!found(b"all systems stop"));
        for bad in ["(", "a{999999999}", "(?:a{1000}){1000}"] {
            let error = Expectations::default().body(bad).unwrap_err();
            assert_eq!(error.code(), &code::SMOKE_PATTERN, "{bad}");
        }
    }

    #[test]
    fn a_value_that_repeats_a_secret_is_not_repeated_again() {
        let mut secrets = Secrets::default();
        secrets.add(&SecretString::from("CANARY-1"));
        let unmet = of_value("/you", "x").unmet(br#"{"you":"sent CANARY-1"}"#, &secrets).unwrap();
        assert!(!unmet.seen.contains("CANARY"), "{unmet:?}");
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut expectations = of_value("/a/0", 1);
            expectations.body("^\\{").unwrap();
            expectations.unmet(&body, &Secrets::default());
        }
    }
}
