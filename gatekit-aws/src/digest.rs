//! How registries write a digest.

use gatekit_core::Digest;

/// A digest as registries write it.
pub(crate) fn written(digest: &Digest) -> String {
    format!("sha256:{digest}")
}

/// What [`written`] wrote; `None` when it is of another algorithm, or none.
pub(crate) fn parse(text: &str) -> Option<Digest> {
    text.strip_prefix("sha256:")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_as_they_are_written() {
        let digest = Digest::of("x");
        assert_eq!(parse(&written(&digest)), Some(digest.clone()));
        assert_eq!(parse(digest.as_str()), None);
        assert_eq!(parse("sha512:00"), None);
    }
}
