//! What of a ledger is moved.

use std::collections::BTreeSet;

use gatekit_core::ledger::{Head, LockState};
use gatekit_core::{Digest, Fence, RunId, TargetName};

/// Everything that a ledger keeps, its journals as far as their heads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inventory {
    /// What tells the ledger from every other one.
    pub(crate) id: String,
    /// Where it was moved to, if it was.
    pub(crate) destination: Option<Destination>,
    pub(crate) targets: Vec<Stock>,
    /// The claims that wait, first in line first.
    pub(crate) queue: Vec<Waiting>,
}

/// Where a ledger is moved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The other ledger, for people.
    pub(crate) place: String,
    /// The name of the move, by which the other ledger is told from a clone of it.
    pub(crate) errand: RunId,
}

/// A target that nobody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stock {
    pub(crate) target: TargetName,
    /// Free or suspect.
    pub(crate) state: LockState,
    pub(crate) fence: Fence,
    pub(crate) run: Option<RunId>,
    pub(crate) head: Head,
    /// Along with which target it was locked last, while that had this fence.
    pub(crate) along: Option<(TargetName, Fence)>,
}

impl Stock {
    /// A target that nobody has ever written to.
    pub(crate) fn untouched(target: TargetName) -> Self {
        let (state, fence) = (LockState::Free, Fence::default());
        Self { target, state, fence, run: None, head: Head::genesis(), along: None }
    }
}

/// A claim that waits, as it is stored: nobody has to understand more of it to carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) leading: TargetName,
    pub(crate) run: RunId,
    pub(crate) claim: String,
    pub(crate) actor: String,
    pub(crate) process: String,
    pub(crate) targets: Vec<TargetName>,
}

impl Inventory {
    /// With every target that somebody waits for, also one that nobody has written to yet.
    pub(crate) fn complete(mut self) -> Self {
        let known: BTreeSet<_> = self.targets.iter().map(|it| it.target.clone()).collect();
        let named: BTreeSet<_> = self.queue.iter().flat_map(Waiting::all).cloned().collect();
        self.targets.extend(named.difference(&known).cloned().map(Stock::untouched));
        self
    }

    /// Tells it from any other contents of the same ledger, wherever that is moved.
    pub(crate) fn digest(&self) -> Digest {
        let mut text = String::new();
        for Stock { target, state, fence, run, head, along } in &self.targets {
            let run = run.map(|run| run.to_string()).unwrap_or_default();
            let along = along.as_ref().map(|(leading, fence)| format!("{leading} {fence}"));
            let along = along.unwrap_or_default();
            let line = [target.as_str(), state.as_str(), &fence.to_string(), &run];
            text.extend([&*line.join(" "), " ", &head.to_string(), " ", &along, "\n"]);
        }
        for Waiting { leading, run, targets, .. } in &self.queue {
            let targets: Vec<_> = targets.iter().map(TargetName::as_str).collect();
            let run = run.to_string();
            text.extend([leading.as_str(), " ", &run, " ", &targets.join(" "), "\n"]);
        }
        Digest::of(text)
    }

    /// How many entries all of its journals have.
    pub(crate) fn entries(&self) -> u64 {
        self.targets.iter().map(|it| it.head.seq).sum()
    }
}

impl Waiting {
    fn all(&self) -> impl Iterator<Item = &TargetName> {
        std::iter::once(&self.leading).chain(&self.targets)
    }
}
