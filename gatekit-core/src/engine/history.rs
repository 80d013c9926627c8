//! What the journal tells: how far a run came, and which releases are in effect.

use std::collections::BTreeSet;

use serde_json::Value;

use super::recovery::{Recoveries, Recovering};
use crate::candidate::Candidate;
use crate::code;
use crate::context::LastRelease;
use crate::deployer::Live;
use crate::digest::Digest;
use crate::error::{Error, Failure, NextAction, Result};
use crate::id::{RunId, StageId, TargetName};
use crate::ledger::refusal::with_its_pipeline;
use crate::ledger::{Body, Entry, Ledger, LockState, Mode, Record, StageScope};
use crate::outcome::Outcome;
use crate::process::{Liveness, ProcessIdentity};
use crate::time::Timestamp;
use crate::verdict::Verdict;

/// A deploy that a run began, or found in place.
#[derive(Debug, Clone)]
pub(crate) struct Begun {
    pub(crate) stage: StageId,
    /// The run that made the change: another one when a rollback undoes it.
    pub(crate) of: RunId,
    pub(crate) change: Value,
    pub(crate) receipt: Option<Value>,
    pub(crate) settled: bool,
    /// Found in place: this run wrote nothing for it, so there is nothing to undo.
    pub(crate) already: bool,
    /// The hook of a pause at which the pipeline's gates did not let it go on.
    pub(crate) rejected: Option<String>,
    /// It repairs something for a deploy that failed.
    pub(crate) recovery: bool,
    /// The stage is begun anew, in the same run, after a recovery: this change is no longer what it
    /// stands for, but has to be undone too.
    pub(crate) retried: bool,
    pub(crate) undone: bool,
}

impl Begun {
    pub(crate) fn new(stage: StageId, of: RunId, change: Value) -> Self {
        Self {
            stage,
            of,
            change,
            receipt: None,
            settled: false,
            already: false,
            rejected: None,
            recovery: false,
            retried: false,
            undone: false,
        }
    }

    /// Whether it must be live for the run to be a release. What a recovery repaired may have been
    /// overwritten by the deploy it was made for.
    pub(crate) fn counts(&self) -> bool {
        !(self.retried || self.recovery && self.settled)
    }

    /// Marks the newest change of that stage and run that is not undone yet: the newest goes first.
    pub(crate) fn mark_undone(all: &mut [Self], stage: &StageId, of: RunId) {
        let mut newest = all.iter_mut().rev();
        if let Some(begun) = newest.find(|it| it.stage == *stage && it.of == of && !it.undone) {
            begun.undone = true;
        }
    }
}

/// How far a run came, by its own entries.
#[derive(Debug)]
pub(crate) struct RunHistory {
    pub(crate) run: RunId,
    pub(crate) opened: u64,
    /// Who opened it.
    pub(crate) requester: String,
    pub(crate) mode: Mode,
    pub(crate) candidate: Candidate,
    pub(crate) fingerprint: Digest,
    pub(crate) arguments: Value,
    pub(crate) scopes: Option<Vec<StageScope>>,
    /// The targets that were locked along.
    pub(crate) also: BTreeSet<TargetName>,
    pub(crate) begun: Vec<Begun>,
    /// Whether it may have changed the target.
    pub(crate) touched: bool,
    /// The deploys that it found in place: there is no change to undo.
    pub(crate) already: BTreeSet<StageId>,
    pub(crate) recoveries: Recoveries,
    /// What it undid, in that order.
    pub(crate) undone: Vec<(StageId, RunId)>,
    /// How a deploy of it failed last.
    failed: Option<Failure>,
    pub(crate) unwinding: Option<Failure>,
    pub(crate) closed: Option<(Outcome, Option<Live>)>,
    /// Which process carries the run; `None` when it is parked or left.
    carrier: Option<ProcessIdentity>,
    facts: Vec<(StageId, Value)>,
    /// When its last entry was written, up to its end.
    last_at: Timestamp,
}

impl RunHistory {
    /// Reads a run's history.
    ///
    /// # Errors
    /// Those of the ledger; `ledger.entry` when an entry cannot be read; `resume.elsewhere` when
    /// the run is of another target; `resume.newer` when there are entries of a kind that only a newer build knows.
    pub(crate) async fn read(ledger: &dyn Ledger, target: &TargetName, run: RunId) -> Result<Self> {
        Self::replay(run, &ledger.read_run(target, run).await?)
    }

    fn replay(run: RunId, records: &[Record]) -> Result<Self> {
        let unopened = || {
            Error::new(code::LEDGER_ENTRY, format!("run `{run}` does not begin with its opening"))
        };
        let (first, rest) = records.split_first().ok_or_else(unopened)?;
        let Entry { at, actor, body, .. } = first.decode()?;
        let (mode, candidate, fingerprint, arguments, process) = match body {
            Body::Opened { mode, candidate, fingerprint, arguments, process, .. } => {
                (mode, candidate, fingerprint, arguments, process)
            }
            Body::LockedAlong { with, .. } => {
                let what =
                    format!("run `{run}` is one of `{with}`, which locked this target along");
                return Err(Error::new(code::RESUME_ELSEWHERE, what)
                    .with_context("target", &with)
                    .with_next(with_its_pipeline(&with)));
            }
            _ => return Err(unopened()),
        };
        let mut history = Self {
            run,
            opened: first.seq,
            requester: actor,
            mode,
            candidate,
            fingerprint,
            arguments,
            scopes: None,
            also: BTreeSet::new(),
            begun: Vec::new(),
            touched: false,
            already: BTreeSet::new(),
            recoveries: Recoveries::default(),
            undone: Vec::new(),
            failed: None,
            unwinding: None,
            closed: None,
            carrier: Some(process),
            facts: Vec::new(),
            last_at: at,
        };
        for record in rest {
            let entry = record.decode()?;
            if history.closed.is_none() {
                history.last_at = entry.at;
            }
            history.apply(record.seq, entry.body)?;
        }
        Ok(history)
    }

    fn apply(&mut self, seq: u64, body: Body) -> Result<()> {
        match body {
            Body::Continued { process } => self.carrier = Some(process),
            Body::Parked { .. } | Body::Left { .. } => self.carrier = None,
            Body::Granted { scopes, also, .. } => {
                self.scopes = Some(scopes);
                self.also = also.into_keys().collect();
            }
            Body::Applying { stage, change } => {
                self.touched = true;
                let again = self.recoveries.tried_again(&stage, &mut self.begun);
                let mut begun = Begun::new(stage, self.run, change);
                begun.recovery = self.recoveries.includes(&begun.stage);
                begun.receipt = again;
                self.begun.push(begun);
            }
            Body::Checkpoint { stage, receipt } | Body::Applied { stage, receipt } => {
                if let Some(begun) = self.find(&stage) {
                    begun.receipt = Some(receipt);
                }
            }
            Body::Settled { stage, already: false } => {
                if let Some(begun) = self.find(&stage) {
                    begun.settled = true;
                }
            }
            Body::Answered { stage, pause, went_on: false } => {
                if let Some(begun) = self.find(&stage) {
                    begun.rejected = Some(pause.hook);
                }
            }
            Body::Settled { stage, already: true } => {
                self.recoveries.tried_again(&stage, &mut self.begun);
                self.already.insert(stage);
            }
            Body::StageFailed { failure, .. } => self.failed = Some(failure),
            Body::Recovering { stage, recovery, then, scope, .. } => {
                let Some(failure) = self.failed.clone() else {
                    let what = format!("a recovery of `{stage}` begins before it failed");
                    return Err(Error::new(code::LEDGER_ENTRY, what).with_context("entry", seq));
                };
                let recovering = Recovering { stage, recovery, then, failure };
                self.recoveries.begin(recovering, &mut self.begun);
                granted(&mut self.scopes, scope);
            }
            Body::Unwinding { cause } => self.unwinding = Some(cause),
            // What a rollback undoes was begun by other runs.
            Body::RollingBack { .. } => self.touched = true,
            Body::RolledBack { stage, of } => {
                Begun::mark_undone(&mut self.begun, &stage, of);
                self.undone.push((stage, of));
            }
            Body::Verdict { stage, verdict: Verdict::Pass(proof), .. } => {
                let facts = proof.evidence().iter().map(|evidence| evidence.facts().clone());
                self.facts.extend(facts.map(|facts| (stage.clone(), facts)));
            }
            // Two processes may have gone on with one run: the first end is the end.
            Body::Closed { outcome, live, .. } if self.closed.is_none() => {
                self.closed = Some((outcome, live));
            }
            Body::Unknown => {
                return Err(Error::new(
                    code::RESUME_NEWER,
                    "the journal has an entry that only a newer build understands",
                )
                .with_context("run", self.run)
                .with_context("entry", seq)
                .with_next(NextAction::outside("use the build that wrote it, or a newer one")));
            }
            _ => {}
        }
        Ok(())
    }

    fn find(&mut self, stage: &StageId) -> Option<&mut Begun> {
        self.begun.iter_mut().rev().find(|begun| begun.stage == *stage)
    }
}

/// The releases in effect, newest first: what was released and not rolled back since.
#[derive(Debug)]
pub(crate) struct Releases {
    /// When the run that made the newest state of things was opened: a ship or a rollback.
    pub(crate) newest_opened: u64,
    /// The hash of the target's last `closed` entry.
    pub(crate) newest_closed: Option<Digest>,
    pub(crate) stack: Vec<RunHistory>,
    /// When the newest of them, or a return to it, ended: what a run made live was made so then, at the
    /// latest.
    since: Option<Timestamp>,
    /// What tells of what is live, newest first, down to the last run that released.
    tellings: Vec<Telling>,
}

/// The end of a run that tells of what is live.
#[derive(Debug)]
enum Telling {
    /// It released, or returned to an older release.
    Released(Timestamp),
    /// It failed, and what was live before it was brought back.
    Restored(Timestamp),
    /// It found its candidate live.
    Found(RunId),
    /// A person freed the target whatever was live.
    Freed,
}

impl Telling {
    fn of(entry: &Entry, outcome: Outcome) -> Option<Self> {
        match outcome {
            Outcome::Released => Some(Self::Released(entry.at)),
            Outcome::RolledBack => Some(Self::Restored(entry.at)),
            Outcome::Unchanged => Some(Self::Found(entry.run)),
            Outcome::Overridden => Some(Self::Freed),
            _ => None,
        }
    }
}

impl Releases {
    /// Reads at most `limit` releases.
    pub(crate) async fn read(
        ledger: &dyn Ledger,
        target: &TargetName,
        limit: usize,
    ) -> Result<Self> {
        let mut releases = Self {
            newest_opened: 0,
            newest_closed: None,
            stack: Vec::new(),
            since: None,
            tellings: Vec::new(),
        };
        let mut released = false;
        let mut undone = BTreeSet::new();
        let mut before = None;
        // The last few are enough for most; a long stretch of failed runs costs more.
        let mut size = 4;
        loop {
            let page = ledger.read_kind(target, "closed", before, size).await?;
            size = 32;
            let Some(last) = page.last() else { return Ok(releases) };
            before = Some(last.seq);
            if releases.newest_closed.is_none() {
                releases.newest_closed = page.first().map(|record| record.hash.clone());
            }
            for record in page {
                let entry = record.decode()?;
                let Body::Closed { outcome, .. } = entry.body else { continue };
                if matches!(outcome, Outcome::Released | Outcome::RolledBack) {
                    releases.since.get_or_insert(entry.at);
                }
                if !released {
                    releases.tellings.extend(Telling::of(&entry, outcome));
                }
                if outcome != Outcome::Released || undone.contains(&entry.run) {
                    continue;
                }
                released = true;
                let history = RunHistory::read(ledger, target, entry.run).await?;
                releases.newest_opened = releases.newest_opened.max(history.opened);
                match &history.mode {
                    Mode::Ship => releases.stack.push(history),
                    Mode::RollBack { undo, .. } => undone.extend(undo.iter().copied()),
                }
                if releases.stack.len() >= limit {
                    return Ok(releases);
                }
            }
        }
    }

    /// The newest, as stages are told of it.
    pub(crate) fn last(&self) -> Option<LastRelease> {
        let since = |ended| self.since.filter(|since| *since > ended).unwrap_or(ended);
        self.stack.first().map(|history| self.told(history, since(history.last_at)))
    }

    /// What is live by the journal, and since when: the newest release, or another that a run has found
    /// there since. `Err` says why the journal does not tell.
    pub(crate) async fn live(
        &self,
        ledger: &dyn Ledger,
        target: &TargetName,
    ) -> Result<Result<Option<LastRelease>, &'static str>> {
        let mut live = Ok(None);
        for telling in self.tellings.iter().rev() {
            live = match (telling, live) {
                (Telling::Released(at), _) => {
                    Ok(self.last().map(|last| LastRelease { live_since: *at, ..last }))
                }
                (Telling::Restored(at), Ok(Some(was))) => {
                    Ok(Some(LastRelease { live_since: *at, ..was }))
                }
                (Telling::Restored(_), unknown) => unknown,
                (Telling::Freed, _) => Err("was freed whatever is live on it"),
                (Telling::Found(run), was) => {
                    // Read only for who asks: every run looks for the last release.
                    let found = RunHistory::read(ledger, target, *run).await?;
                    let same =
                        |was: &LastRelease| was.candidate.artifacts == found.candidate.artifacts;
                    match was {
                        Ok(Some(was)) if same(&was) => Ok(Some(was)),
                        _ => Ok(Some(self.told(&found, found.last_at))),
                    }
                }
            };
        }
        Ok(live)
    }

    fn told(&self, history: &RunHistory, live_since: Timestamp) -> LastRelease {
        LastRelease {
            run: history.run,
            candidate: history.candidate.clone(),
            live: history.live(),
            facts: history.facts.clone(),
            live_since,
            opened: self.newest_opened,
        }
    }
}

impl RunHistory {
    /// Whether what is live since then is of this run's making: what waits from before is over.
    pub(crate) fn made_a_state(&self) -> bool {
        let outcome = self.closed.as_ref().map(|(outcome, _)| *outcome);
        matches!(outcome, Some(Outcome::Released | Outcome::Unchanged | Outcome::Overridden))
    }

    /// What was live when the run ended.
    pub(crate) fn live(&self) -> Option<Live> {
        self.closed.as_ref().and_then(|(_, live)| live.clone())
    }

    /// Whether a person means this release by `name`: its id, its version, or the run's id.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let live = self.live();
        live.as_ref()
            .is_some_and(|live| live.release == name || live.version.as_deref() == Some(name))
            || self.run.to_string() == name
    }
}

/// A run that `resume` would go on with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pending {
    /// The run.
    pub run: RunId,
    /// The arguments it was opened with, to rebuild its pipeline from.
    pub arguments: Value,
    /// Whether it may have changed the target.
    pub touched: bool,
}

/// Which run `resume` and `reconcile` are about: the one that left the target suspect, else the
/// newest that neither ended nor is under way, unless something was released since.
pub(crate) async fn pending(ledger: &dyn Ledger, target: &TargetName) -> Result<Option<Pending>> {
    let state = ledger.state(target).await?;
    if state.along_with.is_some() && state.state == LockState::Suspect {
        // Nothing of its own can go on before that is settled where it belongs.
        return Ok(None);
    }
    if let Some(run) = state.run.filter(|_| state.along_with.is_none()) {
        let history = RunHistory::read(ledger, target, run).await?;
        return Ok(Some(history.pending()));
    }
    let under_way: BTreeSet<_> =
        state.queue.iter().filter(|waiter| waiter.alive).map(|waiter| waiter.run).collect();
    let mut before = None;
    loop {
        let page = ledger.read_kind(target, "opened", before, 32).await?;
        let Some(last) = page.last() else { return Ok(None) };
        before = Some(last.seq);
        for record in page {
            let run = record.decode()?.run;
            let history = RunHistory::read(ledger, target, run).await?;
            match history.closed {
                None if !under_way.contains(&run) && !history.is_carried() => {
                    return Ok(Some(history.pending()));
                }
                _ if history.made_a_state() => return Ok(None),
                _ => {}
            }
        }
    }
}

impl RunHistory {
    /// Whether a process that lives is at work on it: also one that plans, or asks its gates.
    fn is_carried(&self) -> bool {
        self.carrier.as_ref().is_some_and(|process| process.liveness() == Liveness::Alive)
    }

    pub(crate) fn pending(&self) -> Pending {
        Pending { run: self.run, arguments: self.arguments.clone(), touched: self.touched }
    }
}

/// Adds what a stage will touch to what was granted.
pub(crate) fn granted(scopes: &mut Option<Vec<StageScope>>, scope: StageScope) {
    let scopes = scopes.get_or_insert_default();
    scopes.retain(|other| other.stage != scope.stage);
    scopes.push(scope);
}
