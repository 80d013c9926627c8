//! Shipping, from the opening to the last verification.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::time::Instant;

use super::gates::{Blocker, blocked, is_fresh, not_verified};
use super::run::{Run, Stop};
use crate::candidate::Candidate;
use crate::code;
use crate::deployer::{Location, Planned};
use crate::error::{Error, NextAction, Verb};
use crate::gate::GateSlot;
use crate::id::StageId;
use crate::ledger::{Body, GatePhase, Lineage, Mode, StageScope};
use crate::outcome::{Outcome, RunReport};
use crate::pipeline::{Deploy, Step};
use crate::rollback::Reversibility;

use super::queue::{RECHECK_LIMIT, give_back};

/// The plans of a pipeline's deploys, by stage.
pub(crate) type Plans = BTreeMap<StageId, Planned<Value>>;

/// The gates in sequence, with the moment each was last asked.
pub(crate) type Asked = Vec<(Vec<GateSlot>, Instant)>;

/// How often aged evidence that could not be rechecked in time sends a run back to its gates.
const ADMISSIONS: usize = 3;

/// What became of a look under the lock.
#[derive(Debug)]
enum Rechecked {
    /// Everything holds, and the target is this run's.
    Granted(Plans),
    /// A gate waits, which this process has the patience for, but nobody who holds a lock.
    Waits(Blocker),
    /// It took too long for somebody who holds a lock, or somebody said something meanwhile.
    Again,
}

impl Run {
    /// Opens the run and takes it to its end.
    pub(crate) async fn ship(mut self, candidate: Candidate) -> RunReport {
        let opened = match self.learn(candidate).await {
            Err(error) => Err(self.ledger_stop(error)),
            Ok(()) => self.open(Mode::Ship).await,
        };
        if let Err(stop) = opened {
            return self.unheld(stop).await;
        }
        let end = self.forward().await;
        self.finish(end).await
    }

    pub(crate) async fn open(&self, mode: Mode) -> Result<(), Stop> {
        self.record(Body::Opened {
            mode,
            candidate: self.facts.candidate.clone(),
            fingerprint: self.pipeline.fingerprint().clone(),
            intent: self.facts.intent.clone(),
            arguments: self.settings.arguments.clone(),
            process: self.claim.process.clone(),
        })
        .await
    }

    /// From the gates to the last verification, of a run that has touched nothing yet.
    pub(crate) async fn forward(&mut self) -> Result<Outcome, Stop> {
        let patience = Instant::now() + self.settings.patience;
        let mut tries = 0;
        while tries < ADMISSIONS {
            self.deadline = Instant::now() + self.settings.deadline;
            let plans = self.plan(self.deadline).await?;
            let asked = self.admit(&plans, patience).await?;
            let ticket = self.queue().await?;
            let opened = self.still_open().await?;
            let rechecked = self.recheck(&asked, &plans, opened, ticket, patience).await?;
            if let Rechecked::Granted(plans) = rechecked {
                return self.steps(plans).await;
            }
            give_back(self).await.map_err(|error| self.ledger_stop(error))?;
            match rechecked {
                Rechecked::Waits(blocker) => self.wait_for_people(&blocker, patience).await?,
                _ => tries += 1,
            }
        }
        Err(untouched(Error::new(
            code::GATE_DEADLINE,
            format!(
                "evidence ages faster than it can be rechecked under the lock ({RECHECK_LIMIT:?}), or \
                 people say more about the run each time"
            ),
        )))
    }

    /// Plans every deploy, and refuses what could not be undone.
    pub(crate) async fn plan(&self, deadline: Instant) -> Result<Plans, Stop> {
        let mut plans = Plans::new();
        for deploy in self.pipeline.deploys() {
            self.safe_point()?;
            let stage = deploy.id.clone();
            let cx = self.context(&stage, deadline);
            let planned = match self.ask(&stage, deadline, deploy.deploy.plan(&cx)).await? {
                Ok(planned) => planned,
                Err(error) => return Err(untouched(error)),
            };
            if let Some(error) = one_way(deploy, &planned).map_err(untouched)? {
                return Err(refused(error));
            }
            plans.insert(stage, planned);
        }
        Ok(plans)
    }

    /// Asks every gate before the queue, and waits for those that say so while there is patience.
    async fn admit(&mut self, plans: &Plans, patience: Instant) -> Result<Asked, Stop> {
        let mut asked = Asked::new();
        if !self.pipeline.gates.is_empty() {
            self.hear(plans).await?;
        }
        for set in self.pipeline.gates.clone() {
            let at = loop {
                let at = Instant::now();
                let answer = self.ask_set(&set, GatePhase::Admission, self.deadline).await?;
                let Some(blocker) = answer else { break at };
                if !blocker.waits() || at >= patience {
                    return Err(self.stop_for(blocker).await?);
                }
                self.wait_for_people(&blocker, patience).await?;
                self.hear(plans).await?;
                self.deadline = Instant::now() + self.settings.deadline;
            };
            asked.push((set, at));
        }
        Ok(asked)
    }

    /// Under the lock: lineage, every plan again, and last aged evidence again, so that no plan is
    /// between an answer and the first deploy.
    async fn recheck(
        &mut self,
        asked: &Asked,
        before: &Plans,
        opened: u64,
        ticket: u64,
        patience: Instant,
    ) -> Result<Rechecked, Stop> {
        self.learn_what_changed().await.map_err(|error| self.ledger_stop(error))?;
        let lineage = self.lineage(opened)?;
        let plans = self.plan(self.deadline).await?;
        let scopes = scopes(&plans);
        if let Some(changed) = changed(&scopes, &self::scopes(before)) {
            return Err(refused(changed));
        }
        let limit = Instant::now() + RECHECK_LIMIT;
        if !asked.is_empty() {
            self.hear(&plans).await?;
        }
        for (set, at) in asked {
            let ages = |slot: &GateSlot| {
                !is_fresh(slot.gate.fresh_for(), *at) || self.hearing.waived.contains(&slot.id)
            };
            let aged: Vec<_> = set.iter().filter(|slot| ages(slot)).cloned().collect();
            if aged.is_empty() {
                continue;
            }
            let blocker = self.ask_set(&aged, GatePhase::Recheck, limit).await?;
            if Instant::now() >= limit {
                return Ok(Rechecked::Again);
            }
            match blocker {
                Some(blocker) if blocker.waits() && Instant::now() < patience => {
                    return Ok(Rechecked::Waits(blocker));
                }
                Some(blocker) => return Err(self.stop_for(blocker).await?),
                None => {}
            }
        }
        let also = self.also();
        self.record(Body::Granted { ticket, lineage, scopes: scopes.clone(), also }).await?;
        // From this entry on it is too late for a word about the run. One that came just before it has
        // to be heard.
        if !asked.is_empty() && self.somebody_spoke().await? {
            return Ok(Rechecked::Again);
        }
        self.point_along().await?;
        self.scopes = Some(scopes);
        Ok(Rechecked::Granted(plans))
    }

    /// What a gate that blocks means for a run that has touched nothing.
    async fn stop_for(&self, blocker: Blocker) -> Result<Stop, Stop> {
        let error = blocked(&blocker.stage, &blocker.verdict);
        if !blocker.waits() {
            return Ok(refused(self.with_waiver(&blocker.stage, error)));
        }
        self.ask_people().await?;
        Ok(Stop::Park(Some(blocker.stage), error))
    }

    /// Tells how somebody may answer for the gate instead, where that is allowed.
    fn with_waiver(&self, stage: &StageId, error: Error) -> Error {
        let slots = self.pipeline.gates.iter().flatten();
        if !slots.into_iter().any(|slot| slot.id == *stage && slot.gate.may_be_waived()) {
            return error;
        }
        let (run, stage) = (self.id().to_string(), stage.as_str());
        let words = [&*run, "--stage", stage, "--for", "TIME", "--reason", "TEXT"];
        error.with_next(NextAction::verb(Verb::Waive, &words).by("operator"))
    }

    /// How the candidate stands to what was released last, by the order in which the ledger saw them
    /// begin. An older one is not shipped over a newer one.
    fn lineage(&self, opened: u64) -> Result<Lineage, Stop> {
        let Some(last) = &self.facts.last_release else { return Ok(Lineage::Unknown) };
        if last.candidate == self.facts.candidate {
            return Ok(Lineage::Same);
        }
        if last.opened < opened {
            return Ok(Lineage::Newer);
        }
        let superseded = Error::new(
            code::LINEAGE_OLDER,
            "a run that began after this one has been released: its candidate stays",
        )
        .with_context("released by", last.run)
        .with_next(NextAction::verb(Verb::Status, &[]))
        .with_next(NextAction::outside("ship again, if this candidate is the one you want live"));
        Err(Stop::End(Outcome::Superseded, superseded))
    }

    /// Deploys and verifies, step by step; then asks once more where everything stands.
    pub(crate) async fn steps(&mut self, mut plans: Plans) -> Result<Outcome, Stop> {
        for step in self.pipeline.steps.clone() {
            self.safe_point()?;
            match step {
                Step::Deploy(deploy) => {
                    let planned = plans.remove(&deploy.id);
                    if self.deliver(&deploy, planned).await? {
                        // What was repaired may be the before-state of what comes next.
                        plans.clear();
                    }
                }
                Step::Verify(set) => {
                    if let Err(cause) = self.judge(&set, GatePhase::Verify).await? {
                        return Err(self.broken(not_verified(&cause)));
                    }
                }
            }
        }
        self.safe_point()?;
        for begun in self.begun.iter().filter(|begun| begun.counts()) {
            let Some(deploy) = self.pipeline.deploy(&begun.stage) else { continue };
            let location = self.locate(deploy, begun).await?;
            if location != Location::After {
                return Err(self.broken(super::rollout::not_live(&begun.stage, &location)));
            }
        }
        let wrote = self.begun.iter().any(|begun| !begun.already);
        Ok(if wrote { Outcome::Released } else { Outcome::Unchanged })
    }

    /// A failure, which is unwound once the target was touched and a refusal before.
    pub(crate) fn broken(&self, error: Error) -> Stop {
        if self.touched() { Stop::Broken(error) } else { Stop::End(Outcome::Refused, error) }
    }
}

pub(crate) fn scopes(plans: &Plans) -> Vec<StageScope> {
    plans
        .iter()
        .map(|(stage, plan)| StageScope::new(stage.clone(), plan.scope.clone(), &*plan.summary))
        .collect()
}

/// Why a change may not be begun: it could not be undone, and its pipeline does not say that it need
/// not be.
pub(crate) fn one_way(deploy: &Deploy, planned: &Planned<Value>) -> Result<Option<Error>, Error> {
    if deploy.irreversible.is_some() {
        return Ok(None);
    }
    Ok(match deploy.deploy.reversibility(&deploy.id, &planned.change)? {
        Reversibility::Free => None,
        Reversibility::OneWay(why) | Reversibility::Unknown(why) => {
            let what = format!("deploy `{}` could not be undone", deploy.id);
            Some(Error::new(code::ROLLBACK_ONE_WAY, what).with_context("why", why))
        }
    })
}

/// What differs between two plans' scopes.
pub(crate) fn changed(now: &[StageScope], before: &[StageScope]) -> Option<Error> {
    let moved = now.iter().find(|scope| {
        !before.iter().any(|other| other.stage == scope.stage && other.scope == scope.scope)
    })?;
    Some(
        Error::new(
            code::PLAN_CHANGED,
            format!("deploy `{}` would touch something else than what was checked", moved.stage),
        )
        .with_context("now", &moved.summary)
        .with_next(NextAction::verb(Verb::Ship, &[])),
    )
}

fn untouched(error: Error) -> Stop {
    Stop::End(Outcome::Failed, error)
}

fn refused(error: Error) -> Stop {
    Stop::End(Outcome::Refused, error)
}
