//! Which function is to be deployed, and how.

use gatekit_core::{Effect, Error, Result};
use serde_json::{Value, json};

use crate::code;

/// A function of the project, by its slug. What is said here comes before `supabase/config.toml`.
///
/// # Default
/// As `[functions.SLUG]` of `supabase/config.toml` says; else the entrypoint `supabase/functions/SLUG/index.ts`,
/// the import map beside it, and `verify_jwt` as it is; a new function demands a token.
///
/// # Example
/// ```
/// use gatekit_supabase::functions::Function;
///
/// let webhook = Function::new("stripe-webhook")?.with_verify_jwt(false);
/// # Ok::<(), gatekit_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "give it to `Deploy::new`"]
pub struct Function {
    pub(super) slug: String,
    pub(super) import_map: Option<String>,
    pub(super) verify_jwt: Option<bool>,
}

impl Function {
    /// The function of that slug.
    ///
    /// # Errors
    /// `functions.config` when no function can have that slug: a letter, and then letters, digits, `-` and `_`.
    pub fn new(slug: impl Into<String>) -> Result<Self> {
        let slug = slug.into();
        let begins = slug.starts_with(|it: char| it.is_ascii_alphabetic());
        if begins && slug.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_'))
        {
            return Ok(Self { slug, import_map: None, verify_jwt: None });
        }
        let what = format!("`{}` is no slug of a function", slug.escape_debug());
        Err(Error::new(code::FUNCTIONS_CONFIG, what).with_effect(Effect::None))
    }

    /// Uses that import map, by its path in the project.
    pub fn with_import_map(mut self, path: impl Into<String>) -> Self {
        self.import_map = Some(path.into());
        self
    }

    /// Lets it demand a valid JSON web token of who calls it, or not.
    pub fn with_verify_jwt(mut self, verify_jwt: bool) -> Self {
        self.verify_jwt = Some(verify_jwt);
        self
    }

    pub(super) fn describe(&self) -> Value {
        json!({ "slug": self.slug, "import_map": self.import_map, "verify_jwt": self.verify_jwt })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_what_the_api_takes_for_one() {
        for good in ["a", "Hello", "stripe-webhook_2"] {
            assert!(Function::new(good).is_ok(), "{good}");
        }
        for bad in ["", "2a", "_a", "a/b", "a b", "ä", "../a"] {
            let error = Function::new(bad).unwrap_err();
            assert_eq!(error.code().as_str(), "functions.config", "{bad}");
        }
    }
}
