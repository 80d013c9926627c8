//! A deployment as the service-deployment API tells it.

use aws_sdk_ecs::types;
use gatekit_core::Rollout;

use crate::said::said;

/// One reading of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Course {
    pub(super) arn: String,
    /// Whose it is: the ARN of the service revision that it brings.
    pub(super) revision: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) stage: Option<String>,
    /// A hook that waits for an answer.
    pub(super) waits_at: Option<String>,
    /// Why it is rolled back.
    pub(super) rolls_back: Option<String>,
    /// The alarms that fired.
    pub(super) alarms: Vec<String>,
    /// How much of the production traffic it has, in percent.
    pub(super) weight: Option<f64>,
}

impl Course {
    pub(super) fn of(told: types::ServiceDeployment) -> Self {
        let target = told.target_service_revision;
        let waiting = |it: &types::DeploymentLifecycleHookDetail| {
            it.status.as_ref().is_some_and(|status| status.as_str() == "AWAITING_ACTION")
        };
        let hooks = told.lifecycle_hook_details.unwrap_or_default();
        let waits_at = hooks.into_iter().find(waiting).and_then(|it| it.hook_id);
        Self {
            arn: told.service_deployment_arn.unwrap_or_default(),
            status: told.status.map(|it| it.as_str().to_owned()).unwrap_or_default(),
            reason: said(&told.status_reason.unwrap_or_default()),
            stage: told.lifecycle_stage.map(|it| it.as_str().to_owned()),
            waits_at,
            rolls_back: told.rollback.map(|it| said(&it.reason.unwrap_or_default())),
            alarms: told.alarms.and_then(|it| it.triggered_alarm_names).unwrap_or_default(),
            weight: target.as_ref().and_then(|it| it.requested_production_traffic_weight),
            revision: target.and_then(|it| it.arn).unwrap_or_default(),
        }
    }

    /// How it ended, other than well: whether it ended well is for the service to show.
    pub(super) fn ended_badly(&self) -> Option<Rollout> {
        Some(match &*self.status {
            "STOPPED" => Rollout::Failed(self.why("the deployment was stopped")),
            "ROLLBACK_FAILED" => Rollout::Failed(self.why("its rollback has failed as well")),
            "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS" | "ROLLBACK_SUCCESSFUL" => {
                Rollout::RolledBack { by: "ECS".to_owned(), why: self.why("it does not say why") }
            }
            _ => return None,
        })
    }

    /// Whether it is not over: the service may say earlier that its tasks are where they should be.
    pub(super) fn goes_on(&self) -> bool {
        matches!(&*self.status, "PENDING" | "IN_PROGRESS" | "STOP_REQUESTED")
    }

    /// Whether it can still be stopped, by what the API documents.
    pub(super) fn can_be_stopped(&self) -> bool {
        matches!(&*self.status, "PENDING" | "IN_PROGRESS")
    }

    /// Whether it goes back, or has gone back, by itself or because it was asked to.
    pub(super) fn goes_back(&self) -> bool {
        matches!(
            &*self.status,
            "STOP_REQUESTED"
                | "ROLLBACK_REQUESTED"
                | "ROLLBACK_IN_PROGRESS"
                | "ROLLBACK_SUCCESSFUL"
        )
    }

    fn why(&self, otherwise: &str) -> String {
        let mut why: Vec<&str> =
            [self.rolls_back.as_deref().unwrap_or_default(), &self.reason].into();
        let alarms = match &*self.alarms {
            [] => String::new(),
            alarms => format!("alarms: {}", alarms.join(", ")),
        };
        why.push(&alarms);
        why.retain(|it| !it.is_empty());
        why.dedup();
        if why.is_empty() { otherwise.to_owned() } else { why.join("; ") }
    }
}
