//! What people do about a run from outside: they look at what it waits for, approve or reject it,
//! and answer for a gate that blocks it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Engine;
use super::history::{Pending, RunHistory};
use crate::candidate::Candidate;
use crate::code;
use crate::digest::Digest;
use crate::error::{Error, NextAction, Result, Verb};
use crate::gate::Enforcement;
use crate::id::{RunId, StageId, TargetName};
use crate::ledger::{Body, Entry, GatePhase, Guard, Record, StageScope, Word};
use crate::pipeline::Pipeline;
use crate::time::Timestamp;
use crate::verdict::{Finding, Verdict};

/// The longest time that somebody can answer for a gate.
const LONGEST_WAIVER: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a run asks people for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// The target that it is released to.
    pub target: TargetName,
    /// The run.
    pub run: RunId,
    /// Who asked for the release.
    pub requester: String,
    /// What it ships.
    pub candidate: Candidate,
    /// The digest over target, candidate and fingerprint.
    pub intent: Digest,
    /// What it would touch.
    pub scopes: Vec<StageScope>,
    /// The stages that wait, and for what: for a person's word, or for something else.
    pub waiting: Vec<(StageId, Finding)>,
    /// What was said of those since they were asked, and by whom. Whether it binds, and is enough, is
    /// found when the run goes on.
    pub said: Vec<(StageId, Word, String)>,
    /// The gates at which a word counts.
    hears: BTreeSet<StageId>,
    /// The enforced gates that block it.
    blocked: Vec<StageId>,
    over: bool,
}

impl Engine {
    /// What the run `run` asks people for: the stages that waited when they were asked last.
    ///
    /// # Errors
    /// Those of the ledger; `ledger.entry` when there is no such run.
    pub async fn request(&self, target: &TargetName, run: RunId) -> Result<Request> {
        self.request_before(target, run, u64::MAX).await
    }

    /// The runs that wait, newest first, whether parked or in a process: for a person's word
    /// ([`Request::asks`]), or for something else. One from before the newest release is not among them:
    /// nobody goes on with it.
    ///
    /// # Errors
    /// Those of the ledger.
    pub async fn asking(&self, target: &TargetName) -> Result<Vec<Request>> {
        let (mut asking, mut before) = (Vec::new(), None);
        loop {
            let page = self.ledger.read_kind(target, "opened", before, 32).await?;
            let Some(last) = page.last() else { return Ok(asking) };
            before = Some(last.seq);
            for record in page {
                let run = record.decode()?.run;
                let history = RunHistory::read(&*self.ledger, target, run).await?;
                if history.made_a_state() {
                    return Ok(asking);
                }
                let request = self.request(target, run).await?;
                if !request.over && !request.waiting.is_empty() {
                    asking.push(request);
                }
            }
        }
    }

    /// The newest run that has not ended, whether it is under way, parked or left. One from before the
    /// newest release is not looked at: nobody goes on with it.
    ///
    /// # Errors
    /// Those of the ledger.
    pub async fn newest_open(&self, target: &TargetName) -> Result<Option<Pending>> {
        let mut before = None;
        loop {
            let page = self.ledger.read_kind(target, "opened", before, 32).await?;
            let Some(last) = page.last() else { return Ok(None) };
            before = Some(last.seq);
            for record in page {
                let run = record.decode()?.run;
                let history = RunHistory::read(&*self.ledger, target, run).await?;
                if history.closed.is_none() {
                    return Ok(Some(history.pending()));
                } else if history.made_a_state() {
                    return Ok(None);
                }
            }
        }
    }

    /// What it asked for before that entry of the journal.
    async fn request_before(
        &self,
        target: &TargetName,
        run: RunId,
        before: u64,
    ) -> Result<Request> {
        let records = self.ledger.read_run(target, run).await?;
        let mut request = None;
        for record in records.into_iter().take_while(|record| record.seq < before) {
            let entry = record.decode()?;
            match (&mut request, entry.body) {
                (None, Body::Opened { candidate, intent, .. }) => {
                    request = Some(Request {
                        target: target.clone(),
                        run,
                        requester: entry.actor,
                        candidate,
                        intent,
                        scopes: Vec::new(),
                        waiting: Vec::new(),
                        said: Vec::new(),
                        hears: BTreeSet::new(),
                        blocked: Vec::new(),
                        over: false,
                    });
                }
                (Some(request), Body::Approval { stage, word, .. }) => {
                    request.said.push((stage, word, entry.actor));
                }
                (Some(request), body) => request.learn(body),
                (None, _) => {}
            }
        }
        request.ok_or_else(|| {
            let what = format!("there is no run `{run}` of `{target}`");
            Error::new(code::LEDGER_ENTRY, what).with_next(NextAction::verb(Verb::Log, &[]))
        })
    }

    /// Says `word` about the stage `stage` of a run that waits for it, or about the only one that
    /// does, and gives the stage. `seen` is what was judged: the word holds for that run alone, and
    /// while that ships and touches what is told there. The actor is that of [`Engine::with_actor`].
    /// Idempotent.
    ///
    /// # Errors
    /// Those of [`Engine::request`]; `approval.nothing` when the run waits for no word, or none on that
    /// stage; `approval.which` when several wait and none is named; `approval.own` for the approval of
    /// who asked for the release; `approval.moved` when the run would touch something else by now;
    /// `approval.too_late` when the run has been granted its target, or has ended, also when that
    /// happened meanwhile: the word is in the journal then, and is heard only if the run gives its
    /// target back before it has touched it.
    pub async fn answer(
        &self,
        seen: &Request,
        stage: Option<&StageId>,
        word: Word,
        comment: impl Into<String>,
    ) -> Result<StageId> {
        let (target, run) = (&seen.target, seen.run);
        let request = self.request(target, run).await?;
        let (stage, finding) = request.stage_in_question(stage)?;
        if request.scope() != seen.scope() {
            let moved = "the run would touch something else by now: look again";
            return Err(Error::new(code::APPROVAL_MOVED, moved)
                .with_context("run", run)
                .with_next(NextAction::verb(Verb::Status, &[])));
        }
        let own = self.settings.actor == request.requester;
        if own && word == Word::Approve && finding.code == code::APPROVAL_WAITING {
            let (run, scope) = (run.to_string(), request.scope());
            let approve = NextAction::verb(Verb::Approve, &[&run, "--scope", scope.short()]);
            return Err(Error::new(code::APPROVAL_OWN, "who asks for a release cannot approve it")
                .with_context("asked for by", &request.requester)
                .with_next(approve.by("somebody else")));
        }
        let body = Body::Approval {
            stage: stage.clone(),
            word,
            intent: request.intent.clone(),
            scope: request.scope(),
            comment: comment.into(),
        };
        let stage = stage.clone();
        let said = self.say(target, run, body).await?;
        self.request_before(target, run, said.seq).await?.still_asks()?;
        Ok(stage)
    }

    /// Answers for the gate `stage`, which blocked `run`: until `lasts` is over, runs that ship the
    /// same candidate through the same pipeline may pass it. Who asked for the release may do that: it
    /// is the way out in an emergency. Recorded with the actor and the reason,
    /// and shown wherever the gate is passed by it. Gives the moment it ends.
    ///
    /// # Errors
    /// Those of [`Engine::request`]; `waiver.nothing` when that gate did not block that run;
    /// `waiver.refused` when it cannot be waived, or the pipeline is another than that of the run;
    /// `config.duration` unless it lasts up to 30 days.
    pub async fn waive(
        &self,
        pipeline: &Pipeline,
        run: RunId,
        stage: &StageId,
        lasts: Duration,
        reason: impl Into<String>,
    ) -> Result<Timestamp> {
        if lasts.is_zero() || lasts > LONGEST_WAIVER {
            return Err(Error::new(code::CONFIG_DURATION, "the waiver is out of range")
                .with_context("lasts", format!("{lasts:?}"))
                .with_context("allowed", "up to 30 days"));
        }
        let target = pipeline.target();
        let request = self.request(target, run).await?;
        if request.candidate.intent(target, pipeline.fingerprint()) != request.intent {
            let other = "the pipeline is not the one that the run began with";
            let same = "waive it with the arguments, the secrets and the build that it began with";
            return Err(Error::new(code::WAIVER_REFUSED, other)
                .with_context("run", run)
                .with_next(NextAction::outside(same)));
        }
        let slot = pipeline.gates.iter().flatten().find(|slot| slot.id == *stage);
        let Some(slot) = slot.filter(|_| request.blocked.contains(stage)) else {
            let blocked = request.blocked.iter().map(StageId::as_str).collect::<Vec<_>>();
            let what = format!("gate `{stage}` did not block the run");
            return Err(Error::new(code::WAIVER_NOTHING, what)
                .with_context("blocked by", blocked.join(", "))
                .with_next(NextAction::verb(Verb::Log, &[])));
        };
        if !slot.gate.may_be_waived() {
            let what = format!("gate `{stage}` cannot be waived");
            return Err(Error::new(code::WAIVER_REFUSED, what));
        }
        let until = Timestamp::now().after(lasts);
        let (stage, reason) = (stage.clone(), reason.into());
        let body = Body::Waiver { stage, intent: request.intent, until, reason };
        self.say(target, run, body).await?;
        Ok(until)
    }

    async fn say(&self, target: &TargetName, run: RunId, body: Body) -> Result<Record> {
        let entry = Entry::new(target.clone(), run, &self.settings.actor, None, body);
        self.ledger.append(target, &entry, Guard::Open).await
    }
}

impl Request {
    /// The digest over what it would touch: what a word about it is bound to.
    #[must_use]
    pub fn scope(&self) -> Digest {
        StageScope::of_all(&self.scopes)
    }

    /// The stages that wait for a person's word, and what is asked. None where the run waits for something
    /// else, or was cut off before it asked: then `resume` has it ask. Whether a word still comes in time is
    /// for [`Engine::answer`] to tell.
    pub fn asks(&self) -> impl Iterator<Item = (&StageId, &Finding)> {
        let waiting = self.waiting.iter().filter(|(stage, _)| self.hears.contains(stage));
        waiting.map(|(stage, finding)| (stage, finding))
    }

    fn learn(&mut self, body: Body) {
        match body {
            Body::Planned { scopes, hears } => (self.scopes, self.hears) = (scopes, hears),
            Body::Verdict { stage, phase, enforcement, verdict } => {
                // Asked before the queue, also when the target was granted before and given back.
                self.over &= phase != GatePhase::Admission;
                let before = matches!(phase, GatePhase::Admission | GatePhase::Recheck);
                if before && enforcement == Enforcement::Enforced {
                    self.judged(stage, verdict);
                }
            }
            Body::Granted { .. } | Body::Applying { .. } | Body::Closed { .. } => self.over = true,
            _ => {}
        }
    }

    fn judged(&mut self, stage: StageId, verdict: Verdict) {
        self.waiting.retain(|(waiting, _)| *waiting != stage);
        self.said.retain(|(said, ..)| *said != stage);
        self.blocked.retain(|blocked| *blocked != stage);
        if !verdict.is_pass() {
            self.blocked.push(stage.clone());
        }
        if let Verdict::Wait(finding) = verdict {
            self.waiting.push((stage, finding));
        }
    }

    /// Whether a word about it can still be heard.
    fn still_asks(&self) -> Result<()> {
        if !self.over {
            return Ok(());
        }
        let late = "the run has been granted its target, or has ended: it hears no word now";
        Err(Error::new(code::APPROVAL_TOO_LATE, late)
            .with_context("run", self.run)
            .with_next(NextAction::verb(Verb::Status, &[])))
    }

    /// The stage that a word is about, and what that waits for.
    fn stage_in_question(&self, named: Option<&StageId>) -> Result<(&StageId, &Finding)> {
        self.still_asks()?;
        let asks: Vec<_> = self.asks().collect();
        let stages = || asks.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>().join(", ");
        match (named, asks.as_slice()) {
            (Some(named), asks) => {
                asks.iter().find(|(stage, _)| *stage == named).copied().ok_or_else(|| {
                    let what = format!("the run does not wait for a word on `{named}`");
                    Error::new(code::APPROVAL_NOTHING, what).with_context("waits on", stages())
                })
            }
            (None, [only]) => Ok(*only),
            (None, []) => {
                Err(Error::new(code::APPROVAL_NOTHING, "the run waits for nobody's word")
                    .with_context("run", self.run)
                    .with_next(NextAction::verb(Verb::Log, &[])))
            }
            (None, _) => {
                Err(Error::new(code::APPROVAL_WHICH, "the run waits on several stages: name one")
                    .with_context("waits on", stages()))
            }
        }
    }
}
