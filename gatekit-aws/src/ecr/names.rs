//! Names in a registry: what is allowed, and how a digest is written.

use gatekit_core::{Effect, Error, Result};
use serde::{Deserialize, Serialize};

use crate::code;

/// The longest tag that registries take.
const LONGEST_TAG: usize = 128;

/// A repository of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The account whose registry it is; that of the caller when it is `None`.
    pub(crate) registry: Option<String>,
    pub(crate) repository: String,
}

impl Place {
    pub(crate) fn new(repository: impl Into<String>) -> Self {
        Self { registry: None, repository: repository.into() }
    }

    /// # Errors
    /// `ecr.config` when no registry or repository can have that name.
    pub(crate) fn check(&self) -> Result<()> {
        let is_part = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|it| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
        };
        if self.repository.len() > 256 || !self.repository.split('/').all(is_part) {
            return Err(unfit("repository", &self.repository));
        }
        match &self.registry {
            Some(id) if id.len() != 12 || !id.bytes().all(|it| it.is_ascii_digit()) => {
                Err(unfit("registry", id))
            }
            _ => Ok(()),
        }
    }
}

/// # Errors
/// `ecr.config` when no image can have that tag.
pub(crate) fn check_tag(tag: &str) -> Result<()> {
    let is_word = |it: u8| it.is_ascii_alphanumeric() || it == b'_';
    let begins = tag.bytes().next().is_some_and(is_word);
    let goes_on = tag.bytes().all(|it| is_word(it) || matches!(it, b'.' | b'-'));
    if begins && goes_on && tag.len() <= LONGEST_TAG { Ok(()) } else { Err(unfit("tag", tag)) }
}

fn unfit(what: &'static str, name: &str) -> Error {
    Error::new(code::ECR_CONFIG, format!("no {what} can have this name"))
        .with_context(what, name.escape_debug())
        .with_effect(Effect::None)
}

/// Whether a name is one of those that `pattern` means, in which `*` stands for anything.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(head) else { return false };
    let mut ends = (0..=name.len()).filter(|at| name.is_char_boundary(*at));
    ends.any(|at| matches(rest, &name[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_ecr_takes() {
        for good in ["myapp", "team/my-app_2.0", "a"] {
            Place::new(good).check().unwrap();
        }
        for bad in ["", "My", "a//b", "/a", "a b", &"x".repeat(257)] {
            assert_eq!(Place::new(bad).check().unwrap_err().code(), &code::ECR_CONFIG, "{bad}");
        }
        for (id, good) in [("123456789012", true), ("12345678901", false), ("12345678901x", false)]
        {
            let place = Place { registry: Some(id.to_owned()), repository: "a".to_owned() };
            assert_eq!(place.check().is_ok(), good, "{id}");
        }
        for (tag, good) in [
            ("production-latest", true),
            ("_x.1", true),
            ("-x", false),
            (".x", false),
            ("", false),
            ("a b", false),
            (&"x".repeat(128), true),
            (&"x".repeat(129), false),
        ] {
            assert_eq!(check_tag(tag).is_ok(), good, "{tag}");
        }
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, is) in [
            ("latest", "latest", true),
            ("latest", "latest-1", false),
            ("prod*", "production-latest", true),
            ("*latest", "production-latest", true),
            ("p*d*n", "production", true),
            ("p*x", "production", false),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern, name), is, "{pattern} {name}");
        }
    }
}
