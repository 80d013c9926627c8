//! Names and numbers: runs, stages, targets, fences.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::code;
use crate::error::{Error, Result};

/// One attempt to ship one candidate to one target: a UUIDv7, so runs sort by the time they began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(Uuid);

impl RunId {
    /// A new id that no other run has.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

/// Tells one claim to a lock from every other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClaimId(Uuid);

impl ClaimId {
    /// A new id that no other claim has.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for ClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ClaimId {
    type Err = Error;

    /// # Errors
    /// `config.run_id` when `text` is not a UUID.
    fn from_str(text: &str) -> Result<Self> {
        text.parse::<RunId>().map(|RunId(id)| Self(id))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RunId {
    type Err = Error;

    /// # Errors
    /// `config.run_id` when `text` is not a UUID.
    fn from_str(text: &str) -> Result<Self> {
        Uuid::parse_str(text).map(Self).map_err(|source| {
            Error::new(code::CONFIG_RUN_ID, format!("`{text}` is not a run id")).with_source(source)
        })
    }
}

/// Checks the alphabet that target and stage names share, so that both are safe in paths, URLs,
/// shell lines and log lines without quoting.
fn check_name(what: &'static str, text: &str, slashes: bool) -> Result<()> {
    let allowed = |c: &u8| {
        c.is_ascii_alphanumeric()
            || matches!(c, b'-' | b'_' | b'.' | b':')
            || (slashes && *c == b'/')
    };
    let bytes = text.as_bytes();
    let segments_ok = bytes.split(|c| *c == b'/').all(|part| !matches!(part, b"" | b"." | b".."));
    if text.len() <= 200 && segments_ok && bytes.iter().all(allowed) {
        return Ok(());
    }
    Err(Error::new(
        code::CONFIG_NAME,
        format!("{what} `{}` is not a valid name", text.escape_debug()),
    )
    .with_context("allowed", "1 to 200 of a-z A-Z 0-9 - _ . : with `/` between segments"))
}

/// What is released to, by name, like `production/api`. One lock, one queue and one journal chain
/// belong to each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct TargetName(String);

impl TargetName {
    /// A target of that name.
    ///
    /// # Errors
    /// `config.name` unless it is 1 to 200 characters of `a-z A-Z 0-9 - _ . :` in segments
    /// separated by `/`.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        check_name("target", &name, true)?;
        Ok(Self(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id of a gate or a deploy within its pipeline. The user chooses it; it MUST be the same in
/// every process that builds the pipeline, because a resumed run finds its stages by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct StageId(String);

impl StageId {
    /// A stage id of that text.
    ///
    /// # Errors
    /// `config.name` unless it is 1 to 200 characters of `a-z A-Z 0-9 - _ . :` in segments
    /// separated by `/`.
    pub fn new(id: impl Into<String>) -> Result<Self> {
        let id = id.into();
        check_name("stage", &id, true)?;
        Ok(Self(id))
    }

    /// An id of this crate's own, which is known to be valid.
    pub(crate) fn fixed(id: &'static str) -> Self {
        Self(id.to_owned())
    }

    /// The prefix of a group's stages, inside of that of the group around it.
    pub(crate) fn group(around: Option<&Self>, name: &str) -> Result<Self> {
        check_name("group", name, true)?;
        Self(name.to_owned()).within(around)
    }

    /// This id, prefixed by that of the group it stands in.
    pub(crate) fn within(self, group: Option<&Self>) -> Result<Self> {
        group.map_or(Ok(self.clone()), |group| Self::new(format!("{group}/{self}")))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_name {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }
        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}
text_name!(TargetName);
text_name!(StageId);

/// A number per target that grows with every grant of its lock. Every journal entry and every
/// write names it; a write with an overtaken fence is refused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Fence(pub u64);

impl Fence {
    /// The fence of the next grant.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_paths_and_shell_lines() {
        for good in ["production/api", "local/app", "a", "v1.2_x:y-z"] {
            TargetName::new(good).unwrap();
        }
        for bad in ["", "/", "a//b", "../x", "a/..", "a b", "a;b", "é", "a\n", "$(x)", "a/"] {
            let error = TargetName::new(bad).unwrap_err();
            assert_eq!(error.code(), &code::CONFIG_NAME, "{bad:?}");
        }
        assert!(TargetName::new("x".repeat(201)).is_err());
    }

    #[test]
    fn a_deserialised_name_is_checked_too() {
        assert!(serde_json::from_str::<TargetName>("\"../etc\"").is_err());
        assert_eq!(serde_json::to_string(&TargetName::new("a/b").unwrap()).unwrap(), "\"a/b\"");
    }
}
