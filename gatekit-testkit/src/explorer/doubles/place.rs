//! A place where releases are live, stage by stage, and which knows who wrote them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatekit_core::{Fence, RunId, StageId};

use super::gate::Says;
use crate::explorer::{Truth, Write};

/// What is live in an intruder's release.
pub(super) const THEIRS: &str = "theirs";

/// A place where releases are live: of each stage one, in one or more parts. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Place(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) live: BTreeMap<StageId, Vec<Part>>,
    pub(super) rollouts: BTreeMap<StageId, Progress>,
    pub(super) gates: BTreeMap<StageId, VecDeque<Says>>,
    pub(super) approved: bool,
    /// The newest fence of each stage, which a write must not be older than.
    fences: BTreeMap<StageId, Fence>,
    /// The stages that are no part of a release.
    aside: BTreeSet<StageId>,
    writes: Vec<Write>,
    /// What each part held before its first write since the place was last marked.
    old: BTreeMap<(StageId, usize), String>,
}

/// One part of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) value: String,
    /// The tag that a run left on its write.
    pub(super) by: Option<RunId>,
}

/// How far a rollout is.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// How often it was polled.
    pub(super) polls: usize,
    /// Its pause was answered.
    pub(super) answered: bool,
}

impl Place {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `version` live for a stage, in that many parts, as if it had always been.
    pub fn set(&self, stage: &StageId, version: &str, parts: usize) {
        let part = Part { value: version.to_owned(), by: None };
        self.lock().live.insert(stage.clone(), vec![part; parts]);
    }

    /// Makes a stage no part of a release: what a recovery repairs.
    pub fn set_aside(&self, stage: &StageId) {
        self.lock().aside.insert(stage.clone());
    }

    /// A person approves.
    pub fn approve(&self) {
        self.lock().approved = true;
    }

    /// Whatever was live has died.
    pub fn wipe(&self) {
        for part in self.lock().live.values_mut().flatten() {
            *part = Part { value: "nothing".to_owned(), by: None };
        }
    }

    /// What is live now counts as the old release from now on.
    pub fn mark(&self) {
        self.lock().old.clear();
    }

    /// The writes, without the first `from`.
    #[must_use]
    pub fn writes(&self, from: usize) -> Vec<Write> {
        self.lock().writes.get(from..).unwrap_or_default().to_vec()
    }

    /// What is live, as seen by a run that ships `new`, before one that ships `next`.
    #[must_use]
    pub fn truth(&self, new: &str, next: &str) -> Truth {
        let state = self.lock();
        let released = || state.live.iter().filter(|(stage, _)| !state.aside.contains(*stage));
        let all = |version: &str| {
            released().flat_map(|(_, parts)| parts).all(|part| part.value == version)
        };
        if all(new) {
            return Truth::New;
        }
        if all(next) {
            return Truth::Next;
        }
        let is_old = state.live.iter().all(|(stage, parts)| {
            parts.iter().enumerate().all(|(index, part)| {
                state.old.get(&(stage.clone(), index)).is_none_or(|old| *old == part.value)
            })
        });
        if is_old {
            return Truth::Old;
        }
        let told = |(stage, parts): (&StageId, &Vec<Part>)| {
            let parts: Vec<_> = parts.iter().map(|part| &*part.value).collect();
            format!("{stage} {}", parts.join("+"))
        };
        Truth::Other(state.live.iter().map(told).collect::<Vec<_>>().join(", "))
    }

    /// Somebody else releases over the first stage.
    pub fn intrude(&self) {
        let mut state = self.lock();
        if let Some(parts) = state.live.values_mut().next() {
            parts.fill(Part { value: THEIRS.to_owned(), by: None });
        }
    }

    /// Whether somebody else's release is live for a stage, in part at least.
    #[must_use]
    pub fn is_foreign(&self, stage: &StageId) -> bool {
        let state = self.lock();
        state.live.get(stage).is_some_and(|parts| parts.iter().any(|part| part.value == THEIRS))
    }
}

impl State {
    pub(super) fn parts(&self, stage: &StageId) -> &[Part] {
        self.live.get(stage).map_or(&[], Vec::as_slice)
    }

    /// Shuts out every older fence.
    pub(super) fn fence_off(&mut self, stage: &StageId, fence: Fence) {
        let newest = self.fences.entry(stage.clone()).or_default();
        *newest = fence.max(*newest);
    }

    /// Whether a write under `fence` may still land.
    pub(super) fn admits(&self, stage: &StageId, fence: Fence) -> bool {
        self.fences.get(stage).is_none_or(|newest| fence >= *newest)
    }

    /// Writes one part, on the condition that it still holds `expected` and that the fence is not
    /// overtaken: tells whether it did.
    pub(super) fn write(
        &mut self,
        stage: &StageId,
        index: usize,
        expected: &str,
        part: Part,
        fence: Fence,
    ) -> bool {
        if !self.admits(stage, fence) {
            return false;
        }
        self.fence_off(stage, fence);
        let parts = self.live.get_mut(stage);
        let Some(live) = parts.and_then(|parts| parts.get_mut(index)) else { return false };
        if live.value != expected {
            return false;
        }
        let what = format!("{index}: {} -> {}", live.value, part.value);
        let before = std::mem::replace(live, part);
        self.old.entry((stage.clone(), index)).or_insert(before.value);
        self.log(stage, what, fence);
        true
    }

    /// Notes a write.
    pub(super) fn log(&mut self, stage: &StageId, what: String, fence: Fence) {
        // In these scenes a run makes each of its writes once, and then once back.
        let again = |write: &&Write| write.stage == *stage && write.what == what;
        let last = self.writes.iter().rev().find(|write| write.stage == *stage);
        let wrong = last.filter(again).map(|_| "the same write twice".to_owned());
        self.writes.push(Write { stage: stage.clone(), what, fence: Some(fence), wrong });
    }
}
