//! What a push changes, and where the database stands.

use std::collections::{BTreeMap, BTreeSet};

use gatekit_core::{Digest, Live, Location};
use serde::{Deserialize, Serialize};

use crate::migrations::files::content::content;
use crate::migrations::files::file::File;
use crate::migrations::files::merge::Applied;
use crate::migrations::history::progress::{Progress, Way};
use crate::migrations::history::{History, in_short};

/// The change of a [`Push`](crate::migrations::Push): the files that are pending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PushChange {
    /// Host and name of the database.
    pub database: String,
    /// What is applied, in this order.
    pub files: Vec<Pending>,
    /// The versions that no file has: they are to be recovered from before anything is applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<String>,
    /// The history before.
    pub before: Before,
}

/// A file that is to be applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pending {
    /// Its version.
    pub version: String,
    /// Its name.
    pub name: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// The digest of what its statements say, however a text is split.
    pub content: Digest,
    /// The digest of the bytes of the file that takes it back, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<Digest>,
}

/// A history, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Before {
    /// How many versions it has.
    pub count: usize,
    /// The newest.
    pub newest: Option<String>,
    /// The digest of them all.
    pub digest: Digest,
}

/// The receipt of a [`Push`](crate::migrations::Push).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PushReceipt {
    /// The versions that are known to be applied.
    pub applied: Vec<String>,
}

impl Pending {
    pub(in crate::migrations) fn of(file: &File) -> Self {
        let texts: Vec<_> = file.statements.iter().map(|it| it.text.as_str()).collect();
        Self {
            version: file.version.clone(),
            name: file.name.clone(),
            digest: file.digest.clone(),
            content: content(&texts),
            down: file.down.as_ref().map(|down| down.digest.clone()),
        }
    }

    /// Whether that row is of this file, by what it says. One that says nothing is of an empty file: no push
    /// writes another, and who added it by hand has applied nothing.
    pub(in crate::migrations) fn is(&self, row: &Applied) -> bool {
        content(row.statements.as_deref().unwrap_or_default()) == self.content
    }
}

impl Before {
    pub(in crate::migrations) fn of<'a>(versions: impl Iterator<Item = &'a str>) -> Self {
        let mut versions: Vec<_> = versions.collect();
        versions.sort_unstable();
        Self {
            count: versions.len(),
            newest: versions.last().map(|it| (*it).to_owned()),
            digest: in_short(&versions),
        }
    }
}

/// A history against a change.
#[derive(Debug)]
pub(in crate::migrations) struct Standing<'a> {
    /// The versions of the change that have a row.
    pub(in crate::migrations) applied: BTreeSet<&'a str>,
    /// The first of them that is of another file.
    instead: Option<&'a Applied>,
    /// The newest of the other rows.
    newest_other: Option<&'a Applied>,
    /// Whether all other rows are those of before.
    is_as_before: bool,
}

impl PushChange {
    pub(in crate::migrations) fn versions(&self) -> Vec<&str> {
        self.files.iter().map(|it| it.version.as_str()).collect()
    }

    /// Where it stands by these rows. Those that are `known` to be of their files are not compared again.
    pub(in crate::migrations) fn standing<'a>(
        &'a self,
        rows: &'a [Applied],
        known: &BTreeSet<&str>,
    ) -> Standing<'a> {
        let files: BTreeMap<_, _> = self.files.iter().map(|it| (it.version.as_str(), it)).collect();
        let is_ours = |row: &&Applied| files.contains_key(row.version.as_str());
        let (ours, others): (Vec<&Applied>, Vec<&Applied>) = rows.iter().partition(is_ours);
        let is_other = |row: &&&Applied| {
            let version = row.version.as_str();
            !known.contains(version) && files.get(version).is_some_and(|file| !file.is(row))
        };
        Standing {
            instead: ours.iter().find(is_other).copied(),
            applied: ours.into_iter().map(|row| row.version.as_str()).collect(),
            is_as_before: Before::of(others.iter().map(|row| row.version.as_str())) == self.before,
            newest_other: others.into_iter().max_by(|a, b| a.version.cmp(&b.version)),
        }
    }

    pub(in crate::migrations) fn locate(&self, history: &History) -> Location {
        let standing = self.standing(&history.rows, &BTreeSet::new());
        if let Some(live) = standing.elsewhere(self) {
            return Location::Elsewhere(live);
        }
        let is_ours = |it: &&Progress| self.files.iter().any(|file| file.version == it.version);
        if let Some(half) = history.underway.iter().find(is_ours) {
            let Progress { version, done, .. } = half;
            let what = match half.way {
                Way::Up => "applied",
                Way::Down => "taken back",
            };
            return Location::Between(format!(
                "{done} statements of migration {version} are {what}, and perhaps one more"
            ));
        }
        if self.files.is_empty() && !self.orphans.is_empty() {
            // Nothing is pending, and yet it is not done: the orphans have to go.
            return match (standing.is_as_before, standing.newest_other) {
                (true, _) => Location::Before,
                (false, Some(row)) => Location::Elsewhere(live(row)),
                (false, None) => Location::Elsewhere(gone()),
            };
        }
        let next = self.files.iter().find(|it| !standing.applied.contains(&*it.version));
        match (standing.applied.len(), next) {
            (_, None) => Location::After,
            (0, Some(_)) => Location::Before,
            (applied, Some(next)) => Location::Between(format!(
                "{applied} of {} files are applied; `{}_{}.sql` is the next",
                self.files.len(),
                next.version,
                next.name
            )),
        }
    }
}

impl Standing<'_> {
    /// What somebody else has applied since the plan.
    pub(in crate::migrations) fn beside(&self) -> Option<Live> {
        self.newest_other.filter(|_| !self.is_as_before).map(live)
    }

    /// What somebody else has applied in the place of the change, or beside a part of it. What comes after
    /// all of it does not undo it.
    pub(in crate::migrations) fn elsewhere(&self, change: &PushChange) -> Option<Live> {
        let is_whole = self.applied.len() == change.files.len();
        let beside = self.beside().filter(|_| !is_whole);
        let is_short = !self.is_as_before && !is_whole && self.newest_other.is_none();
        self.instead.map(live).or(beside).or_else(|| is_short.then(gone))
    }
}

/// A history of which nothing is left.
fn gone() -> Live {
    Live::new("a history that has lost versions", None)
}

/// A row as what is live.
pub(in crate::migrations) fn live(row: &Applied) -> Live {
    Live::new(&row.version, row.name.clone().filter(|it| !it.is_empty()))
}
