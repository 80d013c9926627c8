//! Recovering from a failure that the pipeline knows: repair, then try again.
//!
//! A recovery is journalled as `Recovering` before it begins, which counts it; the repair itself is
//! a deploy like any other. When it is live, the failed deploy is begun anew with an `Applying` of
//! its own, which ends the recovery: what was begun before stays in the list of what is to be
//! undone, in the order in which it was written.

use std::collections::BTreeMap;

use serde_json::Value;

use super::admission::one_way;
use super::history::{Begun, granted};
use super::rollout::Failed;
use super::run::{Run, Stop, described};
use crate::deployer::{Location, Planned};
use crate::error::{Error, Failure, Result};
use crate::id::StageId;
use crate::ledger::{Body, StageScope};
use crate::pipeline::{Deploy, Recovery, Then};

/// The recoveries of a run, by its journal.
#[derive(Debug, Default)]
pub(crate) struct Recoveries {
    /// How often each has begun.
    attempts: BTreeMap<StageId, u32>,
    /// The one that has begun, until the failed deploy is begun anew.
    under_way: Option<Recovering>,
}

/// A recovery that has begun.
#[derive(Debug, Clone)]
pub(crate) struct Recovering {
    /// The deploy that failed.
    pub(crate) stage: StageId,
    /// The repair.
    pub(crate) recovery: StageId,
    pub(crate) then: Then,
    /// How the deploy failed.
    pub(crate) failure: Failure,
}

impl Recoveries {
    /// Whether that stage is the repair of a recovery that has begun.
    pub(crate) fn includes(&self, stage: &StageId) -> bool {
        self.attempts.contains_key(stage)
    }

    fn attempts(&self, recovery: &StageId) -> u32 {
        self.attempts.get(recovery).copied().unwrap_or_default()
    }

    /// A recovery begins: an earlier time of the same one is done with.
    pub(crate) fn begin(&mut self, recovering: Recovering, begun: &mut [Begun]) {
        *self.attempts.entry(recovering.recovery.clone()).or_default() += 1;
        retry(&recovering.recovery, begun);
        self.under_way = Some(recovering);
    }

    /// A deploy is begun anew, if a recovery was under way for it: that ends it. Gives the receipt
    /// with which the same change is applied again.
    pub(crate) fn tried_again(&mut self, stage: &StageId, begun: &mut [Begun]) -> Option<Value> {
        let recovering = self.under_way.take_if(|recovering| recovering.stage == *stage)?;
        let receipt = retry(stage, begun);
        receipt.filter(|_| recovering.then == Then::SameChange)
    }
}

/// The stage's changes so far are no longer what it stands for. Gives the receipt of the newest.
fn retry(stage: &StageId, begun: &mut [Begun]) -> Option<Value> {
    let mut receipt = None;
    for begun in begun.iter_mut().filter(|begun| begun.stage == *stage && !begun.retried) {
        begun.retried = true;
        receipt.clone_from(&begun.receipt);
    }
    receipt
}

impl Run {
    /// Makes a deploy live, and recovers from the failures that the pipeline knows. Tells whether
    /// anything was recovered from.
    pub(crate) async fn deliver(
        &mut self,
        deploy: &Deploy,
        mut planned: Option<Planned<Value>>,
    ) -> Result<bool, Stop> {
        let mut recovered = false;
        loop {
            let mut repair = None;
            // A resumed run may have been cut off in the middle of a recovery.
            if self.recovering(deploy).is_none() {
                match self.roll_out(deploy, planned.take()).await? {
                    Ok(()) => return Ok(recovered),
                    Err(failed) => repair = Some(self.begin_recovery(deploy, failed).await?),
                }
            }
            planned = self.recover(deploy, repair).await?;
            recovered = true;
        }
    }

    fn recovering(&self, deploy: &Deploy) -> Option<&Recovering> {
        self.recoveries.under_way.as_ref().filter(|recovering| recovering.stage == deploy.id)
    }

    /// Plans the repair for a deploy that failed, and journals that the recovery begins. Refuses
    /// what the pipeline has no recovery for, and what is not to be tried again.
    async fn begin_recovery(
        &mut self,
        deploy: &Deploy,
        failed: Failed,
    ) -> Result<Planned<Value>, Stop> {
        self.safe_point()?;
        let Failed { failure, location } = failed;
        let recovery = self.choose(deploy, &failure)?;
        let (repair, then) = (&recovery.repair, recovery.then);
        if !may_try_again(then, &location) {
            let why = format!("the failed deploy is {location}: it is not tried again");
            return Err(unrecovered(failure, &repair.id, why));
        }
        let cx = self.context(&repair.id, self.deadline);
        let planned = self.ask(&repair.id, self.deadline, repair.deploy.plan(&cx)).await?;
        let planned = planned.and_then(|planned| match one_way(repair, &planned)? {
            Some(error) => Err(error),
            None => Ok(planned),
        });
        let planned = match planned {
            Ok(planned) => planned,
            Err(error) => {
                return Err(unrecovered(failure, &repair.id, described(&error.to_failure())));
            }
        };
        let scope = StageScope::new(repair.id.clone(), planned.scope.clone(), &*planned.summary);
        self.record(Body::Recovering {
            stage: deploy.id.clone(),
            recovery: repair.id.clone(),
            attempt: self.recoveries.attempts(&repair.id) + 1,
            then,
            scope: scope.clone(),
        })
        .await?;
        let (stage, recovery) = (deploy.id.clone(), repair.id.clone());
        self.recoveries.begin(Recovering { stage, recovery, then, failure }, &mut self.begun);
        granted(&mut self.scopes, scope);
        Ok(planned)
    }

    /// The recovery for a failure: the first that is not used up.
    fn choose(&self, deploy: &Deploy, failure: &Failure) -> Result<Recovery, Stop> {
        let mut used_up = None;
        for recovery in &self.pipeline.recoveries {
            if recovery.on != failure.code || !recovery.of.contains(&deploy.id) {
                continue;
            }
            if self.recoveries.attempts(&recovery.repair.id) < recovery.at_most {
                return Ok(recovery.clone());
            }
            used_up = Some(recovery);
        }
        let failure = failure.clone();
        Err(match used_up {
            None => Stop::Broken(failure.into()),
            Some(Recovery { repair, at_most, .. }) => {
                let why = format!("it has run as often as it may in one run: {at_most}");
                unrecovered(failure, &repair.id, why)
            }
        })
    }

    /// Deploys the repair, or goes on with it, and gets the failed deploy ready for another try.
    /// Gives its new plan, if it has one.
    async fn recover(
        &mut self,
        deploy: &Deploy,
        planned: Option<Planned<Value>>,
    ) -> Result<Option<Planned<Value>>, Stop> {
        let Some(recovering) = self.recovering(deploy).cloned() else { return Ok(None) };
        let Recovering { recovery, then, failure, .. } = recovering;
        let Some(repair) = self.pipeline.deploy(&recovery).cloned() else {
            return Err(unrecovered(
                failure,
                &recovery,
                "the pipeline has no such recovery any more",
            ));
        };
        match self.roll_out(&repair, planned).await {
            Ok(Ok(())) => {}
            Ok(Err(failed)) => {
                return Err(unrecovered(failure, &recovery, described(&failed.failure)));
            }
            Err(Stop::Broken(error)) => {
                return Err(unrecovered(failure, &recovery, described(&error.to_failure())));
            }
            Err(stop) => return Err(stop),
        }
        self.safe_point()?;
        let Some(index) = self.current(&deploy.id) else {
            self.recoveries.under_way = None;
            return Ok(None);
        };
        match then {
            Then::Replan => {
                // Its before-state may have been moved by the repair, but nothing of the change that
                // is given up may have landed late.
                let location = self.locate(deploy, &self.begun[index]).await?;
                if !matches!(location, Location::Before | Location::Elsewhere(_)) {
                    let why = format!("afterwards the failed deploy is {location}");
                    return Err(unrecovered(failure, &recovery, why));
                }
                let planned = self.plan_again(deploy).await?;
                self.recoveries.tried_again(&deploy.id, &mut self.begun);
                Ok(Some(planned))
            }
            Then::SameChange => {
                let change = self.begun[index].change.clone();
                let stage = deploy.id.clone();
                self.record(Body::Applying { stage: stage.clone(), change: change.clone() })
                    .await?;
                let receipt = self.recoveries.tried_again(&stage, &mut self.begun);
                self.begun.push(Begun { receipt, ..Begun::new(stage, self.id(), change) });
                Ok(None)
            }
        }
    }
}

/// Whether a failed deploy may be tried again. What is elsewhere is somebody else's release, and
/// what nobody can place is left to unwinding, which stops there.
fn may_try_again(then: Then, location: &Location) -> bool {
    match (then, location) {
        (_, Location::Before) => true,
        (Then::SameChange, Location::Between(_) | Location::After) => true,
        (Then::Replan | Then::SameChange, _) => false,
    }
}

/// The failure of the deploy stays the failure of the run, with the reason why it was not recovered
/// from.
fn unrecovered(failure: Failure, recovery: &StageId, why: impl AsRef<str>) -> Stop {
    let why = format!("`{recovery}`: {}", why.as_ref());
    Stop::Broken(Error::from(failure).with_context("not recovered", why))
}
