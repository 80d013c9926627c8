//! What is to be shipped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::digest::Digest;
use crate::id::TargetName;

/// What is to be shipped: a version label, a commit, artifact digests and inputs. Immutable; an
/// explicit argument of every run. It MUST NOT contain secrets: it is journalled.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Candidate {
    /// What people call it, like `1.4.0`. A label: never the proof of what runs.
    pub version: Option<String>,
    /// The commit it was built from.
    pub commit: Option<String>,
    /// The digest of each artifact by name. They make two candidates the same or not.
    pub artifacts: BTreeMap<String, Digest>,
    /// Further inputs by name, like a chosen tag.
    pub inputs: BTreeMap<String, String>,
}

impl Candidate {
    /// A candidate without any content yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Names its version.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Names the commit it was built from.
    #[must_use]
    pub fn with_commit(mut self, commit: impl Into<String>) -> Self {
        self.commit = Some(commit.into());
        self
    }

    /// Adds an artifact.
    #[must_use]
    pub fn with_artifact(mut self, name: impl Into<String>, digest: Digest) -> Self {
        self.artifacts.insert(name.into(), digest);
        self
    }

    /// Adds an input.
    #[must_use]
    pub fn with_input(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.inputs.insert(name.into(), value.into());
        self
    }

    /// The digest over target, candidate and fingerprint that approvals bind to.
    #[must_use]
    pub fn intent(&self, target: &TargetName, fingerprint: &Digest) -> Digest {
        Digest::of_json(&json!({
            "target": target, "candidate": self, "fingerprint": fingerprint,
        }))
    }
}
