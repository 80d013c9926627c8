//! URLs that may be shown.

use std::fmt;

use gatekit_core::{Code, Effect, Error, NextAction, Result};
use url::{Position, Url};

use crate::code;

/// The longest URL that is asked. No server promises to read longer ones.
const LONGEST: usize = 4096;

/// An http or https URL without user name, password and fragment. Its query may hold a token, so
/// `Display` and `Debug` print that as `?…`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address(Url);

impl Address {
    /// Reads `text`, which is called `what` in errors: `text` itself may hold a password.
    pub(crate) fn parse(what: &str, text: &str) -> Result<Self> {
        Self::parse_as(what, text, code::SMOKE_URL, code::SMOKE_SECRET_IN_URL)
    }

    /// Reads `text`, and errs with these codes.
    pub(crate) fn parse_as(what: &str, text: &str, malformed: Code, secret: Code) -> Result<Self> {
        let refuse = |why: String| {
            Err(Error::new(malformed.clone(), format!("{what} {why}"))
                .with_effect(Effect::None)
                .with_next(NextAction::outside("give a URL like `https://example.com/health`")))
        };
        let mut url = match Url::parse(text) {
            Ok(url) => url,
            Err(source) => return refuse(format!("is not a URL: {source}")),
        };
        // First of all, because a later error may print the rest.
        if !url.username().is_empty() || url.password().is_some() {
            let message = format!("{what} contains a user name or a password");
            return Err(Error::new(secret, message)
                .with_effect(Effect::None)
                .with_next(NextAction::outside("take what stands before `@` out of the URL")));
        }
        if !matches!(url.scheme(), "http" | "https") {
            return refuse(format!("has the scheme `{}`, not http or https", url.scheme()));
        }
        if url.as_str().len() > LONGEST {
            return refuse(format!("is longer than {LONGEST} bytes"));
        }
        url.set_fragment(None);
        Ok(Self(url))
    }

    /// This base with `path` behind its own path.
    pub(crate) fn join(&self, what: &str, path: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Err(Error::new(code::SMOKE_URL, format!("{what} {why}"))
                .with_context("base", self)
                .with_effect(Effect::None)
                .with_next(NextAction::outside("give a path like `/health`, or a whole URL")))
        };
        if !path.starts_with('/') {
            return refuse("is a path that does not begin with `/`");
        }
        if self.0.query().is_some() {
            return refuse("is a path, and its base has a query");
        }
        let base = self.0[..Position::AfterPath].trim_end_matches('/');
        let joined = Self::parse(what, &format!("{base}{path}"))?;
        // Believed by construction; a path must never choose the host.
        if !joined.same_origin(&self.0) {
            return refuse("is a path that leads away from its base");
        }
        Ok(joined)
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    pub(crate) fn has_query(&self) -> bool {
        self.0.query().is_some()
    }

    /// Whether `other` has the same scheme, host and port.
    pub(crate) fn same_origin(&self, other: &Url) -> bool {
        self.0.origin() == other.origin()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0[..Position::AfterPath])?;
        f.write_str(if self.has_query() { "?…" } else { "" })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_goes_behind_the_path_of_its_base() {
        for (base, path, joined) in [
            ("http://h:1", "/health", "http://h:1/health"),
            ("http://h:1/", "/health", "http://h:1/health"),
            ("http://h/api/", "/v1/x?t=secret", "http://h/api/v1/x?…"),
            ("http://h", "//evil.example/x", "http://h//evil.example/x"),
            ("http://h", "/@evil.example/", "http://h/@evil.example/"),
            ("http://h", "/\\evil.example/", "http://h//evil.example/"),
            ("https://h:8443", "/../x", "https://h:8443/x"),
        ] {
            let base = Address::parse("base", base).unwrap();
            assert_eq!(base.join("check 1", path).unwrap().to_string(), joined, "{path}");
        }
    }

    #[test]
    fn a_path_cannot_choose_the_host() {
        let base = Address::parse("base", "http://h").unwrap();
        for path in ["", "health", "@evil.example/", ".evil.example/", "http://evil.example/"] {
            assert_eq!(base.join("check 1", path).unwrap_err().code(), &code::SMOKE_URL, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_leak(text in "(https?://)?[a-z0-9:@/?#.%\\[\\] é-]{0,40}") {
            if let Ok(address) = Address::parse("check 1", &text) {
                prop_assert!(!address.to_string().contains(['@', '#']) || address.url().path().contains('@'));
            }
        }

        #[test]
        fn a_query_never_shows(
            path in "[a-z/]{0,10}", query in "[^#\\s]{0,20}", fragment in "(#.{0,10})?"
        ) {
            let text = format!("http://h/{path}?CANARY{query}{fragment}");
            let address = Address::parse("check 1", &text).unwrap();
            prop_assert_eq!(address.to_string(), format!("{address:?}"));
            prop_assert!(address.to_string().ends_with("?…"));
            prop_assert!(!address.to_string().contains("CANARY"));
            prop_assert!(address.url().as_str().contains("CANARY"), "it is still asked for");
        }

        #[test]
        fn a_password_is_refused_and_never_shows(
            scheme in "(http|https|ftp|ws)", user in "[a-z]{0,5}", host in "[a-z0-9.:\\[\\]]{0,10}"
        ) {
            let text = format!("{scheme}://{user}:CANARY@{host}/");
            let error = Address::parse("check 1", &text).unwrap_err();
            let shown = format!("{error} {error:?} {:?}", error.to_failure());
            prop_assert!(!shown.contains("CANARY"), "{}", shown);
        }
    }
}
