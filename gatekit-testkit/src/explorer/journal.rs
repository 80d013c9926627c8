//! What the journal must say, whatever went wrong.

use std::collections::BTreeMap;

use gatekit_core::ledger::{
    Body, ChainVerifier, Decision, Entry, GatePhase, Ledger, LockState, Mode, TargetState,
};
use gatekit_core::testing::StageKind;
use gatekit_core::{
    Enforcement, Location, Outcome, Result, RunId, StageId, TargetName, Verdict, code,
};
use serde_json::Value;

/// The journal of a target, and the state of its lock.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) entries: Vec<Entry>,
    pub(super) state: TargetState,
    /// Those of the targets that are locked along.
    along: BTreeMap<TargetName, Self>,
}

impl Journal {
    pub(super) fn new<'a>(along: impl IntoIterator<Item = &'a TargetName>) -> Self {
        let along = along.into_iter().map(|name| (name.clone(), Self::new([]))).collect();
        Self { entries: Vec::new(), state: TargetState::untouched(), along }
    }

    /// The target, and those that are locked along.
    pub(super) fn targets(&self, target: &TargetName) -> Vec<TargetName> {
        std::iter::once(target).chain(self.along.keys()).cloned().collect()
    }

    pub(super) fn states_along(&self) -> impl Iterator<Item = (&TargetName, LockState)> {
        self.along.iter().map(|(name, along)| (name, along.state.state))
    }

    /// Reads what is new.
    pub(super) async fn read(&mut self, ledger: &dyn Ledger, target: &TargetName) -> Result<()> {
        self.state = ledger.state(target).await?;
        let after = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        for record in ledger.read(target, after, usize::MAX).await? {
            self.entries.push(record.decode()?);
        }
        for (name, along) in &mut self.along {
            Box::pin(along.read(ledger, name)).await?;
        }
        Ok(())
    }

    /// Design §8.10: the chain is whole.
    pub(super) async fn verify(ledger: &dyn Ledger, target: &TargetName) -> Result<()> {
        let state = ledger.state(target).await?;
        let mut verifier = ChainVerifier::new(target.clone(), None);
        for record in ledger.read(target, 0, usize::MAX).await? {
            verifier.push(&record)?;
        }
        verifier.finish(&state.head).map(drop)
    }

    /// The entries of a run, each with its place.
    pub(super) fn of(&self, run: RunId) -> impl DoubleEndedIterator<Item = (usize, &Body)> {
        let entries = self.entries.iter().enumerate();
        entries.filter(move |(_, entry)| entry.run == run).map(|(at, entry)| (at, &entry.body))
    }

    fn last(&self, run: RunId, found: impl Fn(&Body) -> bool) -> Option<usize> {
        self.of(run).rev().find(|(_, body)| found(body)).map(|(at, _)| at)
    }

    pub(super) fn is_opened(&self, run: RunId) -> bool {
        self.of(run).next().is_some()
    }

    /// How the run ended: its first end is its end.
    pub(super) fn closed(&self, run: RunId) -> Option<Outcome> {
        self.of(run).find_map(|(_, body)| match body {
            Body::Closed { outcome, .. } => Some(*outcome),
            _ => None,
        })
    }

    pub(super) fn is_touched(&self, run: RunId) -> bool {
        self.last(run, |body| matches!(body, Body::Applying { .. } | Body::RollingBack { .. }))
            .is_some()
    }

    /// Whether another run was released after this one was opened, which has touched nothing.
    pub(super) fn is_overtaken(&self, run: RunId) -> bool {
        let since = self.entries.iter().skip_while(|entry| entry.run != run);
        let released =
            |entry: &Entry| matches!(entry.body, Body::Closed { outcome: Outcome::Released, .. });
        !self.is_touched(run) && since.filter(|entry| entry.run != run).any(released)
    }

    pub(super) fn has_written(&self, run: RunId) -> bool {
        self.last(run, |body| matches!(body, Body::Calling { .. })).is_some()
    }

    /// Whether a person decided that the run is not to go on.
    pub(super) fn was_given_up(&self, run: RunId) -> bool {
        self.last(run, |body| {
            matches!(body, Body::Reconciled { decision, .. }
                if matches!(decision, Decision::ConfirmOld | Decision::RollBack))
        })
        .is_some()
    }

    /// Whether an enforced gate did not pass in what was journalled after the first `from` entries.
    pub(super) fn was_blocked(&self, from: usize) -> bool {
        self.entries.iter().skip(from).any(|entry| {
            matches!(&entry.body, Body::Verdict { enforcement: Enforcement::Enforced, verdict, .. }
                if !verdict.is_pass())
        })
    }

    /// Design §8.4: what a run has begun is settled, undone, or keeps the target from everybody else.
    pub(super) fn check_kept(&self, run: RunId) -> Vec<String> {
        if !self.is_touched(run) {
            return Vec::new();
        }
        let kept = self.state.run == Some(run)
            && matches!(self.state.state, LockState::Mutating | LockState::Suspect);
        let strays = |(_, along): &(&TargetName, &Self)| {
            (along.state.state, along.state.run) != (self.state.state, self.state.run)
        };
        match self.closed(run) {
            None if !kept => {
                let state = self.state.state.as_str();
                vec![format!("the run has begun a deploy, and the target is {state}")]
            }
            None if self.along.iter().any(|along| strays(&along)) => {
                let states = self.states_along().map(|(name, state)| (name, state.as_str()));
                let states: Vec<_> = states.collect();
                vec![format!("the run has begun a deploy, and what is locked along is {states:?}")]
            }
            Some(Outcome::Released | Outcome::RolledBack | Outcome::Overridden) | None => {
                Vec::new()
            }
            Some(other) => vec![format!("a run that has begun a deploy ended {}", other.as_str())],
        }
    }

    /// Design §8.1 and §8.4: what the end of a run says is what its entries before it say.
    pub(super) fn check_end(&self, run: RunId, stages: &[(StageId, StageKind)]) -> Vec<String> {
        let mut wrong = self.check_admitted(run, stages);
        wrong.extend(self.check_order(run));
        wrong.extend(self.check_over(run));
        wrong.extend(self.check_pointed(run));
        let (mut receipt, mut unwinding) = (false, false);
        for (_, body) in self.of(run) {
            match body {
                Body::Applying { .. } => receipt = false,
                Body::Checkpoint { .. } | Body::Applied { .. } => receipt = true,
                Body::Settled { stage, already: false } if !receipt => {
                    wrong
                        .push(format!("`{stage}` is settled, and nobody knows whose effect it is"));
                }
                Body::StageFailed { stage, failure, location: Location::After, .. }
                    if receipt && failure.code != code::DEPLOY_PAUSE_REJECTED =>
                {
                    wrong.push(format!("`{stage}` failed, and is live"));
                }
                _ => {}
            }
            match body {
                Body::Unwinding { .. } => unwinding = true,
                // A person may decide that it stays.
                Body::Reconciled { .. } => unwinding = false,
                Body::Applying { .. }
                | Body::Settled { .. }
                | Body::Verdict { phase: GatePhase::Verify, .. }
                    if unwinding =>
                {
                    wrong.push(format!("`{}` in the course of unwinding", body.kind()));
                }
                _ => {}
            }
        }
        match self.closed(run) {
            Some(Outcome::Released) if self.returns(run) => self.check_undone(run, &mut wrong),
            Some(outcome @ (Outcome::Released | Outcome::Unchanged)) => {
                self.check_released(run, stages, outcome, &mut wrong);
            }
            Some(Outcome::RolledBack) => self.check_undone(run, &mut wrong),
            _ => {}
        }
        wrong
    }

    fn found(&self, run: RunId, wanted: Decision, at: &Location) -> bool {
        self.last(run, |body| {
            matches!(body, Body::Reconciled { decision, found, .. }
                if *decision == wanted && found.iter().all(|(_, location)| location == at))
        })
        .is_some()
    }

    fn check_released(
        &self,
        run: RunId,
        stages: &[(StageId, StageKind)],
        outcome: Outcome,
        wrong: &mut Vec<String>,
    ) {
        let adopted = self.found(run, Decision::Adopt, &Location::After);
        let mut last_write = 0;
        for (stage, kind) in stages {
            match kind {
                StageKind::Deploy(_) => {
                    // Not by its permits: a takeover may ask for one to shut the old holder out.
                    let wrote = self.last(run, |body| match body {
                        Body::Applying { stage: of, .. }
                        | Body::Applied { stage: of, .. }
                        | Body::Answered { stage: of, .. } => of == stage,
                        _ => false,
                    });
                    last_write = last_write.max(wrote.unwrap_or_default());
                    let settled = self.last(
                        run,
                        |body| matches!(body, Body::Settled { stage: of, .. } if of == stage),
                    );
                    if settled <= wrote && !adopted {
                        wrong.push(format!("{} without a settled `{stage}`", outcome.as_str()));
                    }
                    if self.is_rejected(run, stage) {
                        wrong.push(format!("{}, and `{stage}` was rejected", outcome.as_str()));
                    }
                }
                StageKind::Gate(GatePhase::Verify, Enforcement::Enforced) => {
                    let verdict =
                        self.of(run).rev().find_map(|(at, body)| match body {
                            Body::Verdict {
                                stage: of, phase: GatePhase::Verify, verdict, ..
                            } if of == stage => Some((at, verdict)),
                            _ => None,
                        });
                    match verdict {
                        Some((at, Verdict::Pass(_))) if at > last_write => {}
                        _ => wrong.push(format!("{} without `{stage}`", outcome.as_str())),
                    }
                }
                _ => {}
            }
        }
    }

    /// What a run undoes of its own, it undoes with the newest receipt that it has journalled.
    pub(super) fn check_receipts(&self, run: RunId) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut receipts: BTreeMap<&StageId, Vec<Option<&Value>>> = BTreeMap::new();
        for (_, body) in self.of(run) {
            match body {
                Body::Applying { stage, .. } => receipts.entry(stage).or_default().push(None),
                Body::Checkpoint { stage, receipt } | Body::Applied { stage, receipt } => {
                    if let Some(newest) = receipts.entry(stage).or_default().last_mut() {
                        *newest = Some(receipt);
                    }
                }
                Body::RollingBack { stage, of, receipt, .. } if *of == run => {
                    // Of a deploy that was begun anew there are several changes.
                    let known = receipts.get(stage).map(Vec::as_slice);
                    if matches!(known, Some([one]) if *one != receipt.as_ref()) {
                        wrong.push(format!("`{stage}` is undone with {receipt:?}"));
                    }
                }
                _ => {}
            }
        }
        wrong
    }

    /// The chain of each target that is locked along tells where the run's entries are, before the
    /// run touches anything, and again whenever a process takes it over.
    fn check_pointed(&self, run: RunId) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut entered = 0;
        for (at, body) in self.of(run) {
            match body {
                Body::Granted { .. } | Body::Resumed { .. } => entered = at,
                Body::Applying { .. } | Body::RollingBack { .. } | Body::Calling { .. } => {
                    for (name, along) in &self.along {
                        let since = |seq: u64| (entered as u64 + 1..=at as u64).contains(&seq);
                        let mut bodies = along.of(run).map(|(_, body)| body);
                        if !bodies.any(|body| {
                            matches!(body, Body::LockedAlong { head, .. } if since(head.seq))
                        }) {
                            let kind = body.kind();
                            wrong.push(format!("`{kind}`, of which `{name}` was not told"));
                        }
                    }
                }
                _ => {}
            }
        }
        wrong
    }

    /// Whether the run returns to an earlier release.
    fn returns(&self, run: RunId) -> bool {
        self.last(run, |body| matches!(body, Body::Opened { mode: Mode::RollBack { .. }, .. }))
            .is_some()
    }

    fn check_undone(&self, run: RunId, wrong: &mut Vec<String>) {
        if self.found(run, Decision::ConfirmOld, &Location::Before)
            || self.found(run, Decision::ConfirmOld, &Location::After)
        {
            return;
        }
        let mut undone: BTreeMap<&StageId, bool> = BTreeMap::new();
        for (_, body) in self.of(run) {
            match body {
                Body::Applying { stage, .. } | Body::RollingBack { stage, .. } => {
                    undone.insert(stage, false);
                }
                Body::RolledBack { stage, .. } => drop(undone.insert(stage, true)),
                _ => {}
            }
        }
        for (stage, _) in undone.into_iter().filter(|(_, undone)| !undone) {
            wrong.push(format!("`{stage}` is not undone"));
        }
    }

    /// The kinds of the entries, for people.
    pub(super) fn told(&self) -> String {
        let told = |entry: &Entry| match &entry.body {
            Body::Closed { outcome, .. } => format!("closed:{}", outcome.as_str()),
            Body::Reconciled { decision, .. } => format!("reconciled:{decision:?}"),
            body => body.kind().to_owned(),
        };
        self.entries.iter().map(told).collect::<Vec<_>>().join(" ")
    }
}
