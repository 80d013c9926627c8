//! Every API operation that is called, and what goes without it.

use std::fmt;

/// Whether a release needs an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// It fails without.
    Required,
    /// It goes without, where AWS denies or does not know it: what is then not known is said.
    Optional,
}

/// An operation of the API of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// Its action in a policy, as `ecs:UpdateService`.
    pub action: &'static str,
    /// Whether its users need it.
    pub need: Need,
    /// What it is called for.
    pub purpose: &'static str,
}

impl Operation {
    /// The prefix of the service, as `ecs`.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.action.split_once(':').map_or("", |(service, _)| service)
    }

    /// The name of the operation, as `UpdateService`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.action.split_once(':').map_or(self.action, |(_, name)| name)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action)
    }
}

macro_rules! operations {
    ($($name:ident: $action:literal, $need:ident, $purpose:literal;)+) => {
        $(pub(crate) const $name: &Operation =
            &Operation { action: $action, need: Need::$need, purpose: $purpose };)+
        /// Every operation that this crate calls.
        pub const ALL: &[&Operation] = &[$($name),+];
    };
}

operations! {
    DESCRIBE_SERVICES: "ecs:DescribeServices", Required,
        "to read the service and its deployments";
    DESCRIBE_TASK_DEFINITION: "ecs:DescribeTaskDefinition", Required,
        "to read the images of a revision";
    REGISTER_TASK_DEFINITION: "ecs:RegisterTaskDefinition", Required,
        "to register the revision with the images of the release";
    LIST_TASK_DEFINITIONS: "ecs:ListTaskDefinitions", Optional,
        "to find the revision that an interrupted call registered; without it another one is";
    UPDATE_SERVICE: "ecs:UpdateService", Required,
        "to deploy";
    LIST_SERVICE_DEPLOYMENTS: "ecs:ListServiceDeployments", Optional,
        "to find the run's deployment in the service-deployment API";
    DESCRIBE_SERVICE_DEPLOYMENTS: "ecs:DescribeServiceDeployments", Optional,
        "to read stages, pauses and rollbacks; without it pauses are not seen";
    STOP_SERVICE_DEPLOYMENT: "ecs:StopServiceDeployment", Optional,
        "to roll back what is under way; without it the service is updated to what ran before";
    CONTINUE_SERVICE_DEPLOYMENT: "ecs:ContinueServiceDeployment", Optional,
        "to answer a pause; without it a rollout that pauses fails";
    LIST_TASKS: "ecs:ListTasks", Optional,
        "to find tasks; without it failures are told without their reasons, and a way back to images \
         that are known by tags is refused";
    DESCRIBE_TASKS: "ecs:DescribeTasks", Optional,
        "to read why tasks stopped, and which digests run; without it as without ecs:ListTasks";
    DESCRIBE_ALARMS: "cloudwatch:DescribeAlarms", Required,
        "to read the alarms of a gate; composite ones are shown to who may on all resources alone";
    DESCRIBE_IMAGES: "ecr:DescribeImages", Required,
        "to read which image a tag names";
    BATCH_GET_IMAGE: "ecr:BatchGetImage", Required,
        "to read the manifest of an image";
    PUT_IMAGE: "ecr:PutImage", Required,
        "to point a tag to an image";
    BATCH_DELETE_IMAGE: "ecr:BatchDeleteImage", Optional,
        "to remove a tag that was not there before; without it such a move cannot be undone";
    DESCRIBE_REPOSITORIES: "ecr:DescribeRepositories", Optional,
        "to see beforehand that a tag cannot move; without it that is seen when it is to";
    GET_DOWNLOAD_URL_FOR_LAYER: "ecr:GetDownloadUrlForLayer", Optional,
        "to read for which platform a single image is; without it that is not told";
    DESCRIBE_IMAGE_SCAN_FINDINGS: "ecr:DescribeImageScanFindings", Required,
        "to read what a scan has found in an image";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_listed_once_by_its_action() {
        let mut actions: Vec<_> = ALL.iter().map(|it| it.action).collect();
        assert!(ALL.iter().all(|it| !it.service().is_empty() && !it.name().is_empty()));
        actions.sort_unstable();
        let listed = actions.len();
        actions.dedup();
        assert_eq!(actions.len(), listed);
    }
}
