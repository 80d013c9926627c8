//! A service as it was read, and what that means for a deployment.

use std::collections::BTreeMap;
use std::fmt;

use aws_sdk_ecs::types;
use aws_smithy_types::DateTime;
use gatekit_core::{Live, Location};

use super::change::{Change, DeploymentId, Receipt, Revision, Wished};
use super::definition::has;
use crate::said::said;

/// One reading of a service.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Reading {
    /// The service, by its ARN.
    pub(super) arn: String,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub(super) status: String,
    /// `ECS` unless another one deploys.
    pub(super) controller: String,
    /// `ROLLING`, or one with stages.
    pub(super) strategy: String,
    /// Whether its circuit breaker is on, and rolls back.
    pub(super) rolls_back_by_itself: bool,
    /// The alarms that end a deployment.
    pub(super) alarms: Vec<String>,
    pub(super) desired: i32,
    /// Those that are not gone.
    pub(super) deployments: Vec<Deployment>,
    /// When, and what: the newest first.
    pub(super) events: Vec<(i64, String)>,
}

/// A deployment as the service lists it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Deployment {
    pub(super) id: DeploymentId,
    pub(super) is_primary: bool,
    pub(super) revision: Revision,
    pub(super) rollout: RolloutState,
    pub(super) reason: String,
    pub(super) created_ms: i64,
    pub(super) running: i32,
    pub(super) pending: i32,
    pub(super) desired: i32,
    pub(super) failed: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RolloutState {
    InProgress,
    Completed,
    Failed,
    /// The service says nothing of rollouts, as behind a Classic Load Balancer.
    Untold,
}

/// What a reading shows of the deployment that a receipt is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mine<'a> {
    /// It was never asked for.
    Unsent,
    /// It is not listed.
    Unseen,
    Seen(&'a Deployment),
    /// There is one that may be, and may be somebody else's.
    CannotTell(&'a Deployment),
}

/// Where a service stands by a reading.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Standing<'a> {
    Known(Location),
    /// There, if later readings still say so: this one may be older than what is looked for.
    Unless(Location),
    /// It depends on what that deployment runs.
    WithWhatRuns(&'a Deployment),
}

impl Reading {
    pub(super) fn of(told: types::Service) -> Self {
        let controller = told.deployment_controller.map(|it| it.r#type.as_str().to_owned());
        let configuration = told.deployment_configuration;
        let breaker = configuration.as_ref().and_then(|it| it.deployment_circuit_breaker.as_ref());
        let rolls_back_by_itself = breaker.is_some_and(|it| it.enable && it.rollback);
        let alarms = configuration.as_ref().and_then(|it| it.alarms.as_ref());
        let alarms = alarms.filter(|it| it.enable).map(|it| it.alarm_names.clone());
        let strategy = configuration.and_then(|it| it.strategy);
        let events = told.events.unwrap_or_default().into_iter();
        let deployments = told.deployments.unwrap_or_default().into_iter();
        Self {
            arn: told.service_arn.unwrap_or_default(),
            status: told.status.unwrap_or_default(),
            controller: controller.unwrap_or_else(|| "ECS".to_owned()),
            strategy: strategy.map_or_else(|| "ROLLING".to_owned(), |it| it.as_str().to_owned()),
            rolls_back_by_itself,
            alarms: alarms.unwrap_or_default(),
            desired: told.desired_count,
            deployments: deployments.filter_map(Deployment::of).collect(),
            events: events
                .filter_map(|it| Some((millis(it.created_at), said(&it.message?))))
                .collect(),
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.status == "ACTIVE"
    }

    /// The deployment that serves: the last one that has completed. Those before it may linger beside
    /// it, in any order.
    pub(super) fn ran(&self) -> Option<&Deployment> {
        let completed = self.deployments.iter().filter(|it| it.has_completed());
        completed.max_by_key(|it| (it.is_primary, it.created_ms)).or_else(|| self.primary())
    }

    pub(super) fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|it| it.is_primary)
    }

    /// The deployment that the receipt is about.
    pub(super) fn mine(&self, change: &Change, receipt: Option<&Receipt>) -> Mine<'_> {
        let Some(receipt) = receipt else { return Mine::Unsent };
        let found = |is: &dyn Fn(&Deployment) -> bool| self.deployments.iter().find(|it| is(it));
        match &receipt.deployment {
            Some(id) => found(&|it| it.id == *id).map_or(Mine::Unseen, Mine::Seen),
            None => {
                let before = &change.before;
                let new = found(&|it| {
                    it.id != before.deployment
                        && it.created_ms >= before.created_ms
                        && it.revision == receipt.revision
                });
                match (new, &change.wish) {
                    (None, _) => Mine::Unseen,
                    // A revision of the run's own; and whoever else has deployed the very revision that
                    // was asked for made the run's own call do nothing.
                    (Some(it), Wished::Images(_) | Wished::Revision(_)) => Mine::Seen(it),
                    (Some(it), Wished::Again) => Mine::CannotTell(it),
                }
            }
        }
    }

    /// Where the service stands between what was before a change and the deployment of the receipt;
    /// without a receipt, and what is wished for.
    pub(super) fn standing(&self, change: &Change, receipt: Option<&Receipt>) -> Standing<'_> {
        let Some(primary) = self.primary().filter(|_| self.is_active()) else {
            let why = format!("the service is {}, or has no primary deployment", self.status);
            return Standing::Known(Location::Unknown(why));
        };
        if self.arn != change.service {
            let why = format!("the change is of {}, and this is {}", change.service, self.arn);
            return Standing::Known(Location::Unknown(why));
        }
        let is_before = primary.id == change.before.deployment;
        match self.mine(change, receipt) {
            Mine::Seen(mine) if mine.id == primary.id => {
                Standing::Known(self.arrived(mine, Location::After, true))
            }
            Mine::CannotTell(other) => Standing::Known(Location::Unknown(format!(
                "{other} may be of this run, or of somebody else who forced one"
            ))),
            Mine::Unseen => match receipt.and_then(|it| Some((it.deployment.as_ref()?, it))) {
                Some((mine, receipt)) if primary.created_ms <= receipt.created_ms => {
                    Standing::Unless(Location::Unknown(format!(
                        "{mine}, which this run has begun, is not listed; {primary} is"
                    )))
                }
                None if is_before => Standing::Unless(Location::Before),
                _ => Standing::WithWhatRuns(primary),
            },
            Mine::Unsent if is_before => {
                let wished = self.arrived(primary, Location::After, true);
                let holds = self.is_wished(primary, &change.before.images, change);
                let is_there = holds && wished == Location::After;
                Standing::Known(if is_there { wished } else { Location::Before })
            }
            Mine::Unsent | Mine::Seen(_) => Standing::WithWhatRuns(primary),
        }
    }

    /// Whether a deployment of such images is what the change wishes for.
    pub(super) fn is_wished(
        &self,
        deployment: &Deployment,
        images: &BTreeMap<String, String>,
        change: &Change,
    ) -> bool {
        match &change.wish {
            Wished::Images(wished) => has(images, wished),
            Wished::Revision(wished) => *wished == deployment.revision,
            Wished::Again => false,
        }
    }

    /// Where the service stands when that deployment has arrived there: between, while it has not.
    pub(super) fn arrived(
        &self,
        deployment: &Deployment,
        there: Location,
        with_tasks: bool,
    ) -> Location {
        let runs = !with_tasks || (deployment.running > 0 && self.desired > 0);
        match deployment.rollout {
            RolloutState::Completed if runs => there,
            RolloutState::Untold if runs && self.is_steady(deployment) => there,
            RolloutState::Completed => {
                Location::Between(format!("{deployment} has completed, and none of its tasks runs"))
            }
            RolloutState::InProgress | RolloutState::Untold => {
                Location::Between(format!("{deployment} is under way"))
            }
            RolloutState::Failed => {
                Location::Between(format!("{deployment} has failed: {}", deployment.reason))
            }
        }
    }

    /// Whether a deployment has come to rest, where the service says nothing of rollouts: it is alone,
    /// and all of its tasks run.
    pub(super) fn is_steady(&self, deployment: &Deployment) -> bool {
        let alone = self.deployments.iter().all(|it| it.id == deployment.id);
        alone && deployment.running == self.desired && deployment.pending == 0
    }
}

impl Deployment {
    fn of(told: types::Deployment) -> Option<Self> {
        let rollout = match told.rollout_state.as_ref().map(types::DeploymentRolloutState::as_str) {
            Some("COMPLETED") => RolloutState::Completed,
            Some("FAILED") => RolloutState::Failed,
            // A state that this version does not know is not an end.
            Some(_) => RolloutState::InProgress,
            None => RolloutState::Untold,
        };
        Some(Self {
            id: DeploymentId(told.id?),
            is_primary: told.status.as_deref() == Some("PRIMARY"),
            revision: Revision(told.task_definition?),
            rollout,
            reason: said(&told.rollout_state_reason.unwrap_or_default()),
            created_ms: millis(told.created_at),
            running: told.running_count,
            pending: told.pending_count,
            desired: told.desired_count,
            failed: told.failed_tasks,
        })
    }

    /// Whether ECS says that it brings back what ran before. The words are not documented.
    pub(super) fn rolls_back(&self) -> bool {
        self.reason.contains("rolling back")
    }

    pub(super) fn has_completed(&self) -> bool {
        self.rollout == RolloutState::Completed
    }

    pub(super) fn live(&self) -> Live {
        Live::new(self.revision.to_string(), None)
    }
}

impl fmt::Display for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.id, self.revision)
    }
}

fn millis(at: Option<DateTime>) -> i64 {
    at.and_then(|at| at.to_millis().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(
        id: &str,
        is_primary: bool,
        rollout: RolloutState,
        created_ms: i64,
    ) -> Deployment {
        Deployment {
            id: DeploymentId(id.to_owned()),
            is_primary,
            revision: Revision(format!("arn:aws:ecs:r:1:task-definition/web:{created_ms}")),
            rollout,
            reason: String::new(),
            created_ms,
            running: 1,
            pending: 0,
            desired: 1,
            failed: 0,
        }
    }

    /// A way back would lead to one that only lingers.
    #[test]
    fn what_serves_is_the_last_that_has_completed_in_whatever_order_they_are_told() {
        use RolloutState::{Completed, Failed};
        let ran = |told: &[Deployment]| {
            let reading = Reading { deployments: told.to_vec(), ..Reading::default() };
            reading.ran().map(|it| it.id.0.clone())
        };
        let old = deployment("old", false, Completed, 1);
        let middle = deployment("middle", false, Completed, 2);
        let good = deployment("primary", true, Completed, 3);
        let bad = deployment("primary", true, Failed, 3);
        for told in [[&old, &middle, &good], [&good, &middle, &old]] {
            assert_eq!(ran(&told.map(Clone::clone)).as_deref(), Some("primary"));
        }
        for told in [[&old, &middle, &bad], [&bad, &middle, &old]] {
            assert_eq!(ran(&told.map(Clone::clone)).as_deref(), Some("middle"));
        }
        assert_eq!(ran(&[bad]).as_deref(), Some("primary"), "nothing has completed");
    }

    /// Its names may be the same in another account.
    #[test]
    fn a_service_of_another_account_tells_nothing_of_a_change() {
        let change: Change = serde_json::from_value(serde_json::json!({
            "run": gatekit_core::RunId::generate(),
            "service": "arn:aws:ecs:r:1:service/demo/web",
            "before": { "deployment": "ecs-svc/1", "created_ms": 1, "revision": "web:1",
                        "images": {}, "desired": 1 },
            "way_back": "revision",
            "wish": "again",
        }))
        .unwrap();
        let service = |account: u8| Reading {
            arn: format!("arn:aws:ecs:r:{account}:service/demo/web"),
            status: "ACTIVE".to_owned(),
            desired: 1,
            deployments: vec![deployment("ecs-svc/1", true, RolloutState::Completed, 1)],
            ..Reading::default()
        };
        let stands = |account| match service(account).standing(&change, None) {
            Standing::Known(location) => location,
            other => panic!("{other:?}"),
        };
        assert_eq!(stands(1), Location::Before);
        assert!(matches!(stands(2), Location::Unknown(why) if why.contains("r:2:service")));
    }
}
