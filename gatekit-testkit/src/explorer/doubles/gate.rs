//! A gate that says what it is told, or what it sees.

use async_trait::async_trait;
use gatekit_core::{
    Code, Evidence, Finding, Freshness, Gate, PlanContext, Result, StageId, Verdict,
};
use serde_json::{Value, json};

use super::place::Place;

/// What a [`FakeGate`] says when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Says {
    /// Pass.
    Pass,
    /// Fail.
    Fail,
    /// It cannot tell.
    Inconclusive,
    /// Not yet.
    Wait,
}

/// A gate of a [`Place`].
///
/// # Default
/// Passes, and its evidence never ages.
#[derive(Debug, Clone)]
pub struct FakeGate {
    id: StageId,
    place: Place,
    looks: bool,
    only: Option<&'static str>,
    ages: bool,
    approval: bool,
}

impl FakeGate {
    /// A gate of that id.
    #[must_use]
    pub fn new(id: StageId, place: &Place) -> Self {
        Self { id, place: place.clone(), looks: false, only: None, ages: false, approval: false }
    }

    /// Says one thing after the other, in whatever process, and the last again and again.
    #[must_use]
    pub fn says(self, says: impl IntoIterator<Item = Says>) -> Self {
        let says = says.into_iter().collect();
        self.place.lock().gates.entry(self.id.clone()).or_insert(says);
        self
    }

    /// Passes only while the candidate's version is live, whole, at every stage it deploys.
    #[must_use]
    pub const fn looking(mut self) -> Self {
        self.looks = true;
        self
    }

    /// Says so of candidates of that version only, and passes all others.
    #[must_use]
    pub const fn of(mut self, version: &'static str) -> Self {
        self.only = Some(version);
        self
    }

    /// Waits until the place is approved of: see [`Place::approve`].
    #[must_use]
    pub const fn waiting(mut self) -> Self {
        self.approval = true;
        self
    }

    /// Has evidence that ages at once.
    #[must_use]
    pub const fn ageing(mut self) -> Self {
        self.ages = true;
        self
    }

    fn answer(&self, cx: &PlanContext) -> Says {
        let version = cx.candidate().version.as_deref();
        if self.only.is_some() && version != self.only {
            return Says::Pass;
        }
        let mut state = self.place.lock();
        if self.approval {
            return if state.approved { Says::Pass } else { Says::Wait };
        }
        if self.looks {
            let live = |part: &super::place::Part| Some(&*part.value) == version;
            // The stages deploy one after the other: what is not there yet is not looked at.
            let seen = state.live.values().any(|parts| parts.iter().all(live));
            return if seen { Says::Pass } else { Says::Fail };
        }
        let Some(says) = state.gates.get_mut(&self.id) else { return Says::Pass };
        let said = if says.len() > 1 { says.pop_front() } else { says.front().copied() };
        said.unwrap_or(Says::Pass)
    }
}

#[async_trait]
impl Gate for FakeGate {
    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        json!({"is": "fake"})
    }

    fn fresh_for(&self) -> Freshness {
        if self.ages { Freshness::Immediate } else { Freshness::BoundToCandidate }
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        let finding = || Finding::new(Code::new("fake.finding"), "it was told so");
        Ok(match self.answer(cx) {
            Says::Pass => Verdict::pass([Evidence::read("fake", b"seen", json!({}))]),
            Says::Fail => Verdict::Fail(finding()),
            Says::Inconclusive => Verdict::Inconclusive(finding()),
            Says::Wait => Verdict::Wait(finding()),
        })
    }
}
