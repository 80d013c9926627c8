//! The target, and what may be wrong with those who write to it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::{Ledger, MemoryLedger};
use gatekit_core::{
    Candidate, Code, Digest, Effect, Error, Live, Permit, Result, RunId, TargetName,
};
use gatekit_testkit::conformance::deployer::{
    Capability, DeployerSubject, DeployerWorld, Release, Start, Trace, Truth,
};

use super::deployer::ToyDeployer;
use super::rollback::ToyRollback;

pub(crate) const CANARY: &str = "CANARY-0a1b";

/// The one thing that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Nothing,
    // Descriptions and secrets.
    IdVaries,
    DescribeVaries,
    DescribeAges,
    DescribeLearns,
    SecretInDescribe,
    SecretInChange,
    SecretInSummary,
    SecretInReceipt,
    SecretInLive,
    SecretInError,
    SecretInProgress,
    SecretInJournal,
    // Reading.
    PlanWrites,
    LocateWrites,
    LiveWrites,
    ObserveWrites,
    ScopeVaries,
    ScopeOfProcess,
    PlanErrs,
    LiveErrs,
    LocateHangs,
    LocateVaries,
    LiveVaries,
    ObserveVaries,
    PlanForgets,
    LocateForgets,
    LiveForgets,
    ObserveForgets,
    // Planning.
    ScopeConstant,
    ScopeOfBefore,
    ChangeInMemory,
    ReceiptInMemory,
    BeforeInMemory,
    // Locating.
    LocateRemembers,
    InPlaceUnseen,
    AfterWithoutEffect,
    BeforeUnseen,
    AfterNeedsReceipt,
    ElsewhereMisnamed,
    AfterForAnyone,
    ElsewhereAsBetween,
    ElsewhereAsBefore,
    LiveRemembers,
    LiveForNothing,
    HalfWayAsBefore,
    HalfWayAsAfter,
    HalfWayAsElsewhere,
    // Applying.
    ApplyErrs,
    AppliesAgain,
    AppliesAgainWithoutReceipt,
    RefusesToRepeat,
    LostIsNone,
    NoPermit,
    OnePermitForAll,
    IgnoresRefusal,
    RenamesRefusal,
    SwallowsRefusal,
    Clobbers,
    LateToldDone,
    StuckHalfWay,
    CheckpointMisleads,
    CheckpointUnreadable,
    CannotTellAndWrites,
    HalfDoneIsNone,
    RefusedIsDone,
    // Rolling out.
    UnderWayForever,
    ObserveErrs,
    SettledForOneProcess,
    FailureAsAfter,
    FailingForever,
    PauseUntold,
    AnswerIgnored,
    AnswerErrs,
    AnswerTwice,
    BackGoesOn,
    // Undoing.
    ReversibilityVaries,
    ReversibilityWrites,
    NeverFree,
    UndoesWhatNeverLanded,
    UndoesNothing,
    UndoNeedsReceipt,
    UndoLeavesNothing,
    UndoneUntrue,
    BackAsBetween,
    UndoErrs,
    UndoesAgain,
    ObserveBackWrites,
    ObserveBackForgets,
    UndoingForever,
    UnsettlesElsewhere,
    UndoesWithoutPermit,
    OnePermitForUndoing,
    UndoIgnoresRefusal,
    UndoRenamesRefusal,
    UndoSwallowsRefusal,
    UndoClobbers,
    UndoClobbersRuns,
    UndoesWholeOnly,
    UndoStuckHalfWay,
    HalfUndoneIsNone,
    LostUndoIsNone,
    FailedNotUndone,
    OneWayIsFree,
    OneWayUndone,
    OneWayToldUndone,
    OneWayWithoutCode,
}

/// A revision that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revision {
    pub(crate) number: u64,
    pub(crate) release: String,
    pub(crate) run: RunId,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) uploaded: BTreeSet<String>,
    pub(crate) live: Option<Revision>,
    /// A revision that waits for an answer before it runs, and the one before it.
    pub(crate) paused: Option<(Revision, Option<Revision>)>,
    pub(crate) revisions: u64,
    pub(crate) effects: u64,
    /// How often the rollout is still told as under way.
    pub(crate) polls: u32,
    /// After how many more writes an answer is lost.
    lose: Option<u64>,
    pub(crate) one_way: bool,
}

impl State {
    pub(crate) fn revision(&mut self, release: &str, run: RunId) -> Revision {
        self.revisions += 1;
        Revision { number: self.revisions, release: release.to_owned(), run }
    }
}

/// The target. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Target(Arc<Mutex<State>>);

pub(crate) const LOST: Code = Code::new("toy.lost");

impl Target {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A write; the permit may be missing only where that is what is wrong.
    pub(crate) fn write(&self, _: Option<&Permit>, write: impl FnOnce(&mut State)) -> Result<()> {
        let mut state = self.lock();
        write(&mut state);
        state.effects += 1;
        match state.lose {
            Some(0) => {
                state.lose = None;
                Err(Error::new(LOST, "the connection was reset").with_effect(Effect::Unknown))
            }
            more => {
                state.lose = more.map(|more| more - 1);
                Ok(())
            }
        }
    }
}

pub(crate) fn live(revision: &Revision) -> Live {
    Live::new(format!("{}-{}", revision.release, revision.number), Some(revision.release.clone()))
}

/// Makes worlds with this one thing wrong, with or without pauses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Toy {
    pub(crate) wrong: Wrong,
    pub(crate) pauses: bool,
}

impl Toy {
    pub(crate) fn new(wrong: Wrong) -> Self {
        Self { wrong, pauses: false }
    }

    pub(crate) fn pausing(wrong: Wrong) -> Self {
        Self { wrong, pauses: true }
    }
}

#[async_trait]
impl DeployerSubject for Toy {
    type World = ToyWorld;

    fn capability(&self) -> Capability {
        let capability = Capability::new()
            .starting_empty()
            .with_others()
            .losing_answers()
            .with_failures()
            .with_one_way()
            .with_patience(Duration::from_secs(5));
        if self.pauses { capability.with_pauses() } else { capability }
    }

    async fn world(&self, start: Start) -> ToyWorld {
        let target = Target::default();
        if start == Start::Old {
            let mut state = target.lock();
            state.live = Some(state.revision("old", RunId::generate()));
        }
        let made = Arc::new(AtomicU64::new(0));
        ToyWorld { toy: *self, target, ledger: MemoryLedger::default(), made }
    }
}

#[derive(Debug)]
pub(crate) struct ToyWorld {
    toy: Toy,
    target: Target,
    ledger: MemoryLedger,
    /// How many objects were made: for those that differ by it.
    made: Arc<AtomicU64>,
}

#[async_trait]
impl DeployerWorld for ToyWorld {
    type Deployer = ToyDeployer;
    type Rollback = ToyRollback;

    fn target(&self) -> TargetName {
        TargetName::new("toy/target").unwrap()
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(self.ledger.clone())
    }

    fn candidate(&self, release: Release) -> Candidate {
        Candidate::new().with_version(match release {
            Release::Old => "old",
            Release::New => "new",
            Release::Failing => "failing",
        })
    }

    fn deployer(&self, _: Release) -> ToyDeployer {
        let made = self.made.fetch_add(1, Ordering::SeqCst);
        ToyDeployer::new(self.toy, self.target.clone(), made)
    }

    fn rollback(&self, _: Release) -> ToyRollback {
        let made = self.made.fetch_add(1, Ordering::SeqCst);
        ToyRollback::new(self.toy.wrong, self.target.clone(), made)
    }

    async fn truth(&self) -> Truth {
        let state = self.target.lock();
        match (&state.paused, &state.live) {
            (Some(paused), _) => Truth::Partly(format!("{paused:?} waits")),
            (None, None) => Truth::Nothing,
            (None, Some(revision)) => match revision.release.as_str() {
                "old" => Truth::Old,
                "new" => Truth::New,
                "other" => Truth::Others,
                other => Truth::Partly(format!("`{other}` does not come to life")),
            },
        }
    }

    async fn trace(&self) -> Trace {
        let state = self.target.lock();
        let text = format!("{:?} {:?} {:?}", state.uploaded, state.live, state.paused);
        Trace::of_state(Digest::of(text)).with_effects(state.effects)
    }

    fn secrets(&self) -> Vec<String> {
        vec![CANARY.to_owned()]
    }

    async fn somebody_else_releases(&self) {
        let mut state = self.target.lock();
        state.live = Some(state.revision("other", RunId::generate()));
        state.paused = None;
    }

    async fn lose_answer(&self, after: u64) {
        self.target.lock().lose = Some(after);
    }

    async fn make_one_way(&self) {
        self.target.lock().one_way = true;
    }
}
