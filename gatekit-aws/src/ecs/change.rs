//! What a release to a service changes, and what it leaves to be known by.

use std::collections::BTreeMap;
use std::fmt;

use gatekit_core::RunId;
use serde::{Deserialize, Serialize};

use super::image::Image;

/// The id of a deployment, as `ecs-svc/1234567890123456789`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeploymentId(pub(super) String);

/// A revision of a task definition, by its ARN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub(super) String);

impl DeploymentId {
    /// The number by which the service-deployment API knows it. Undocumented; Terraform relies on it.
    pub(super) fn number(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl Revision {
    /// Its number in its family: one that is registered later has a greater one.
    pub(super) fn number(&self) -> Option<u64> {
        self.0.rsplit(':').next()?.parse().ok()
    }

    /// The family it belongs to.
    pub(super) fn family(&self) -> &str {
        let name = self.0.rsplit('/').next().unwrap_or(&self.0);
        name.split(':').next().unwrap_or(name)
    }
}

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Revision {
    /// Family and number, as people know it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.rsplit('/').next().unwrap_or(&self.0))
    }
}

/// The change of a [`Service`](super::Service).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// The run that planned it: what it registers is tagged with it.
    pub run: RunId,
    /// The service, by its ARN: another account or region may have one of the same name.
    pub service: String,
    /// What ran when the change was planned.
    pub before: Before,
    /// How to get back to that.
    pub way_back: WayBack,
    /// What is to run.
    pub wish: Wished,
}

/// What runs before a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Before {
    /// The primary deployment.
    pub deployment: DeploymentId,
    /// When that was created by the clock of ECS, in milliseconds since 1970.
    pub created_ms: i64,
    /// Its revision; where that deployment had failed, the revision of the last one that completed.
    pub revision: Revision,
    /// The images of its containers, as the revision has them.
    pub images: BTreeMap<String, String>,
    /// How many tasks were desired.
    pub desired: i32,
}

/// How to get back to what ran before a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WayBack {
    /// By deploying its revision.
    Revision,
    /// By a revision of the same with these images, by container: its own images are known by tags,
    /// which may name something else by then; these are the digests that ran.
    Pinned(BTreeMap<String, Image>),
    /// There is none, and why.
    None(String),
}

/// What is to run after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Wished {
    /// The revision of before with these images, by container.
    Images(BTreeMap<String, Image>),
    /// That revision.
    Revision(Revision),
    /// The revision of before, in a new deployment.
    Again,
}

/// The receipt of a [`Service`](super::Service).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Receipt {
    /// The revision that is deployed: this run's own, or the one that was given.
    pub revision: Revision,
    /// The deployment that this run has begun; `None` when its call may have been made, and no answer
    /// has come yet.
    pub deployment: Option<DeploymentId>,
    /// The deployment in the service-deployment API, where that told it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_deployment: Option<String>,
    /// When the deployment was created by the clock of ECS, in milliseconds since 1970.
    #[serde(default)]
    pub created_ms: i64,
}
