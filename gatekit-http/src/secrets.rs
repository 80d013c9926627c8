//! What must never be shown, although a server may send it back.

use secrecy::{ExposeSecret as _, SecretString};

/// Shorter texts than this are no secrets anybody could keep, and stand everywhere.
const SHORTEST: usize = 4;

/// What stands in the place of a text that repeats a secret.
const WITHHELD: &str = "(withheld: it repeats a secret)";

/// Values of request headers, and each of their words: of `Bearer abc` a server may repeat `abc`.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<SecretString>);

impl Secrets {
    pub(crate) fn add(&mut self, value: &SecretString) {
        let text = value.expose_secret();
        let parts = std::iter::once(text.trim()).chain(text.split_ascii_whitespace());
        self.0.extend(parts.filter(|part| part.len() >= SHORTEST).map(SecretString::from));
    }

    /// Whether any of them stands in `bytes`, in whatever case: a host name is lower-cased.
    pub(crate) fn are_in(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|secret| {
            let secret = secret.expose_secret().as_bytes();
            bytes.windows(secret.len()).any(|window| window.eq_ignore_ascii_case(secret))
        })
    }

    /// `text`, unless it repeats a secret.
    pub(crate) fn without<'a>(&self, text: &'a str) -> &'a str {
        if self.are_in(text.as_bytes()) { WITHHELD } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_whole_in_parts_and_in_any_case() {
        let mut secrets = Secrets::default();
        secrets.add(&SecretString::from("Bearer hunter2hunter2"));
        for text in ["Bearer hunter2hunter2", "x-hunter2hunter2", "http://HUNTER2hunter2.example"] {
            assert_eq!(secrets.without(text), WITHHELD, "{text}");
        }
        assert_eq!(secrets.without("hunter2"), "hunter2");
    }

    #[test]
    fn what_is_too_short_to_be_a_secret_withholds_nothing() {
        let mut secrets = Secrets::default();
        secrets.add(&SecretString::from("1"));
        secrets.add(&SecretString::from(""));
        assert_eq!(secrets.without("status 101"), "status 101");
    }
}
