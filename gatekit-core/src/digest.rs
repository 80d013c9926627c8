//! SHA-256 digests, of bytes and of JSON values in one canonical spelling.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::code;
use crate::error::{Error, Result};

/// A SHA-256 digest, written as 64 lower-case hexadecimal digits, as `sha256sum` prints it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest(String);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The digest of a JSON value, whatever order its keys are in.
    #[must_use]
    pub fn of_json(value: &Value) -> Self {
        let mut text = Vec::new();
        canonical(value, &mut text);
        Self::of(text)
    }

    /// 64 zeros: what stands where there is no digest yet.
    pub(crate) fn zeros() -> Self {
        Self("0".repeat(64))
    }

    /// The 64 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

/// A digest in the making, for content that is read in pieces.
#[derive(Debug, Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `bytes`.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes);
    }

    /// The digest of all that was added.
    #[must_use]
    pub fn finish(self) -> Digest {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        // By hand: formatting takes longer than hashing an entry.
        for (digits, byte) in text.chunks_exact_mut(2).zip(self.0.finalize()) {
            digits[0] = DIGITS[usize::from(byte >> 4)];
            digits[1] = DIGITS[usize::from(byte & 0xf)];
        }
        Digest(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Objects with sorted keys and no white space. `serde_json` sorts by itself only while nobody in
/// the build enables its `preserve_order`; a fingerprint must not hang on that.
fn canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            out.push(b'{');
            for (i, (key, value)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                plain(key, out);
                out.push(b':');
                canonical(value, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                canonical(item, out);
            }
            out.push(b']');
        }
        scalar => plain(scalar, out),
    }
}

/// A key or a scalar. Neither can fail to be written, nor a `Vec` to take it.
fn plain(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, value);
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;

    /// # Errors
    /// `config.digest` unless `text` is 64 lower-case hexadecimal digits.
    fn try_from(text: String) -> Result<Self> {
        // All of them whatever the first ones are, so that they are looked at side by side: a run reads
        // hundreds of digests.
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let digits = <&[u8; 64]>::try_from(text.as_bytes());
        if digits.is_ok_and(|digits| digits.iter().fold(true, |all, byte| all & is_digit(byte))) {
            return Ok(Self(text));
        }
        Err(Error::new(
            code::CONFIG_DIGEST,
            format!("`{}` is not a SHA-256 digest", text.escape_debug()),
        ))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn agrees_with_sha256sum() {
        assert_eq!(
            Digest::of("abc").as_str(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn key_order_does_not_matter_but_values_do() {
        let a: Value = serde_json::from_str(r#"{"x":1,"y":{"b":[1,2],"a":null}}"#).unwrap();
        let b: Value = serde_json::from_str(r#"{"y":{"a":null,"b":[1,2]},"x":1}"#).unwrap();
        assert_eq!(Digest::of_json(&a), Digest::of_json(&b));
        assert_ne!(Digest::of_json(&a), Digest::of_json(&json!({"x": 1})));
        assert_ne!(Digest::of_json(&json!([1, 2])), Digest::of_json(&json!([2, 1])));
    }

    #[test]
    fn only_lower_case_hex_of_full_length_parses() {
        let digest = Digest::of("x");
        assert_eq!(digest.as_str().parse::<Digest>().unwrap(), digest);
        for bad in ["", "abc", &digest.as_str().to_uppercase(), &format!("{digest}0")] {
            assert_eq!(bad.parse::<Digest>().unwrap_err().code(), &code::CONFIG_DIGEST);
        }
    }
}
