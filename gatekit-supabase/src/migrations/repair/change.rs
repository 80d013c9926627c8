//! What a repair changes, and where the history stands against it.

use std::collections::{BTreeMap, BTreeSet};

use gatekit_core::{Digest, Live, Location};
use serde::{Deserialize, Serialize};

use super::rows::{Row, Seen};

/// What a repair says of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// That they are not applied: their rows are removed.
    Reverted,
    /// That they are applied: each has a row that says what its file does.
    Applied,
}

impl Status {
    /// The word for it, as the command lines have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reverted => "reverted",
            Self::Applied => "applied",
        }
    }
}

/// The change of a [`Repair`](super::Repair).
///
/// The rows before are in it by their digests: what a statement says may be a secret, and a journal goes to
/// many. Their text is kept in the database that it comes from, in the transaction of the repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RepairChange {
    /// Host and name of the database.
    pub database: String,
    /// The id under which the rows before are kept.
    pub repair: String,
    /// What the repair says of the versions.
    pub status: Status,
    /// The versions, in order.
    pub rows: Vec<RowChange>,
}

/// The row of one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RowChange {
    /// The version.
    pub version: String,
    /// The row before, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<RowBefore>,
    /// The row that is wished, unless it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<RowWish>,
    /// What was looked up when it was planned, to prove that it is applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proof: Vec<String>,
}

/// A row of the history, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RowBefore {
    /// The name of its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The first words of its statements, without what strings say; `None` when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statements: Option<Vec<String>>,
    /// Its columns.
    pub columns: BTreeSet<String>,
    /// The digest of these columns.
    pub digest: Digest,
}

/// A row that is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RowWish {
    /// The name of its file.
    pub name: String,
    /// The digest of the bytes of that file.
    pub file: Digest,
    /// The digest of what its statements say, however a text is split.
    pub content: Digest,
}

/// The receipt of a [`Repair`](super::Repair).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RepairReceipt {
    /// What was looked up under the lock, to prove what is said to be applied.
    pub proof: Vec<String>,
}

impl RowChange {
    fn is_before(&self, row: Option<&Row>) -> bool {
        match (&self.before, row) {
            (None, None) => true,
            (Some(before), Some(row)) => {
                // What the table has got since, says nothing of this row yet.
                let has = |column: &str| before.columns.contains(column);
                let is_empty = (has("name") || row.name.is_none())
                    && (has("statements") || row.statements.is_none());
                is_empty && row.digest_of(&before.columns).as_ref() == Some(&before.digest)
            }
            _ => false,
        }
    }

    fn is_wished(&self, row: Option<&Row>) -> bool {
        match (&self.wish, row) {
            (None, None) => true,
            (Some(wish), Some(row)) => {
                row.name.as_deref() == Some(&*wish.name) && row.content() == wish.content
            }
            _ => false,
        }
    }
}

impl RepairChange {
    /// The versions.
    pub(super) fn versions(&self) -> Vec<String> {
        self.rows.iter().map(|it| it.version.clone()).collect()
    }

    /// Whether all rows are as before.
    pub(super) fn is_before(&self, seen: &Seen) -> bool {
        self.rows.iter().all(|it| it.is_before(seen.rows.get(&it.version)))
    }

    /// Whether all rows are as wished.
    pub(super) fn is_wished(&self, seen: &Seen) -> bool {
        self.rows.iter().all(|it| it.is_wished(seen.rows.get(&it.version)))
    }

    /// Whether this repair is the newest of all its versions.
    pub(super) fn is_ours(&self, seen: &Seen) -> bool {
        self.rows.iter().all(|it| seen.repairs.get(&it.version) == Some(&self.repair))
    }

    /// Those that are as wished, and were not so before.
    pub(super) fn landed<'a>(&'a self, seen: &'a Seen) -> impl Iterator<Item = &'a RowChange> {
        self.rows.iter().filter(|it| {
            let row = seen.rows.get(&it.version);
            it.is_wished(row) && !it.is_before(row)
        })
    }

    /// Where the history stands. With `is_own` it is after the change only if this repair has made it so.
    pub(super) fn locate(&self, seen: &Seen, is_own: bool) -> Location {
        let somebody = || Location::Elsewhere(seen.live());
        if self.is_wished(seen) {
            return if !is_own || self.is_ours(seen) { Location::After } else { somebody() };
        }
        if self.is_before(seen) {
            return Location::Before;
        }
        let (mut wished, mut other) = (Vec::new(), false);
        for item in &self.rows {
            let row = seen.rows.get(&item.version);
            if item.is_wished(row) {
                wished.push(item.version.as_str());
            } else {
                other |= !item.is_before(row);
            }
        }
        if other {
            return somebody();
        }
        let (status, all) = (self.status.as_str(), self.rows.len());
        Location::Between(format!(
            "{} of {all} rows are as {status}: {}",
            wished.len(),
            wished.join(", ")
        ))
    }
}

impl Seen {
    /// What is live: the newest row.
    pub(super) fn live(&self) -> Live {
        self.newest.clone().unwrap_or_else(|| Live::new("a history without versions", None))
    }
}

/// The rows before, of which a scope is made.
pub(super) fn befores(rows: &[RowChange]) -> BTreeMap<&str, Option<&Digest>> {
    rows.iter().map(|it| (it.version.as_str(), it.before.as_ref().map(|it| &it.digest))).collect()
}
