//! The calls to ECS. Whatever writes asks for a permit.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{
    DeploymentLifecycleHookAction, DesiredStatus, SortOrder, StopServiceDeploymentStopType, Task,
    TaskDefinitionField, TaskDefinitionStatus,
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::SdkConfig;
use gatekit_core::{Go, Permit, Result, RunId};

use super::batch::Batch;
use super::change::{DeploymentId, Receipt, Revision};
use super::course::Course;
use super::definition::{Definition, Role};
use super::image::Image;
use super::names::NAMES;
use crate::call::{failed, lacking, unread};
use crate::operations::{
    CONTINUE_SERVICE_DEPLOYMENT, DESCRIBE_SERVICE_DEPLOYMENTS, DESCRIBE_TASK_DEFINITION,
    DESCRIBE_TASKS, LIST_SERVICE_DEPLOYMENTS, LIST_TASK_DEFINITIONS, LIST_TASKS,
    REGISTER_TASK_DEFINITION, STOP_SERVICE_DEPLOYMENT, UPDATE_SERVICE,
};
use crate::pace::Paces;

/// How many of the newest revisions are looked through for one of this run's own.
const LOOKED_THROUGH: i32 = 10;

/// The most tasks that are described in one call.
const TASKS: usize = 100;

#[derive(Debug)]
pub(crate) struct Api {
    client: Client,
    region: String,
    services: Batch,
    paces: Arc<Paces>,
}

impl Api {
    pub(crate) fn new(config: &SdkConfig, paces: Arc<Paces>) -> Self {
        let client = Client::new(config);
        Self {
            services: Batch::new(client.clone(), Arc::clone(&paces)),
            client,
            region: config.region().map(ToString::to_string).unwrap_or_default(),
            paces,
        }
    }

    /// The region whose services are called.
    pub(super) fn region(&self) -> &str {
        &self.region
    }

    /// `None` when the cluster has no such service.
    pub(super) async fn service(
        &self,
        cluster: &str,
        service: &str,
    ) -> Result<Option<aws_sdk_ecs::types::Service>> {
        self.services.describe(cluster, service).await
    }

    /// A revision by its ARN, or as `FAMILY:NUMBER`; `None` when there is none.
    pub(super) async fn definition(&self, revision: &str) -> Result<Option<Definition>> {
        self.paces.definitions.turn().await;
        let call = self.client.describe_task_definition().task_definition(revision);
        let answer = match call.include(TaskDefinitionField::Tags).send().await {
            Ok(answer) => answer,
            Err(error) if is_no_definition(&error) => return Ok(None),
            Err(error) => return Err(unread(DESCRIBE_TASK_DEFINITION, error, NAMES)),
        };
        let tags = answer.tags.unwrap_or_default();
        let told = answer.task_definition.and_then(|told| Definition::of(told, tags));
        told.map(Some).ok_or_else(|| lacking(DESCRIBE_TASK_DEFINITION, "the task definition"))
    }

    /// The newest active revisions of a family, the newest first.
    pub(super) async fn newest_revisions(&self, family: &str) -> Result<Vec<Revision>> {
        self.paces.definitions.turn().await;
        let call = self.client.list_task_definitions().family_prefix(family);
        let call = call.status(TaskDefinitionStatus::Active).sort(SortOrder::Desc);
        let answer = call.max_results(LOOKED_THROUGH).send().await;
        let answer = answer.map_err(|error| unread(LIST_TASK_DEFINITIONS, error, NAMES))?;
        Ok(answer.task_definition_arns.unwrap_or_default().into_iter().map(Revision).collect())
    }

    /// Registers another revision of that one, with these images, as that run's own.
    pub(super) async fn register(
        &self,
        _: &Permit,
        of: &Definition,
        images: &BTreeMap<String, Image>,
        (run, role): (RunId, Role),
    ) -> Result<Revision> {
        let call = self.client.register_task_definition();
        let call = of.registered_with(call, images, &run.to_string(), role);
        let answer = call.send().await;
        let answer = answer.map_err(|error| failed(REGISTER_TASK_DEFINITION, error, NAMES))?;
        let arn = answer.task_definition.and_then(|it| it.task_definition_arn);
        arn.map(Revision).ok_or_else(|| lacking(REGISTER_TASK_DEFINITION, "the revision"))
    }

    /// Deploys that revision; in a new deployment even if it runs already, when that is forced.
    pub(super) async fn update(
        &self,
        _: &Permit,
        cluster: &str,
        service: &str,
        revision: &Revision,
        force: bool,
    ) -> Result<Option<aws_sdk_ecs::types::Service>> {
        let call = self.client.update_service().cluster(cluster).service(service);
        let call = call.task_definition(&revision.0);
        let call = if force { call.force_new_deployment(true) } else { call };
        let answer = call.send().await;
        Ok(answer.map_err(|error| failed(UPDATE_SERVICE, error, NAMES))?.service)
    }

    /// The ARN of a deployment in the service-deployment API; `None` while that does not list it.
    ///
    /// The two are matched by the number of the deployment, which is in the ARN of its service
    /// revision: undocumented, and relied on by Terraform. Without a match the service has to tell all.
    pub(super) async fn find_course(
        &self,
        cluster: &str,
        service: &str,
        deployment: &DeploymentId,
    ) -> Result<Option<String>> {
        self.paces.service_deployments.turn().await;
        let call = self.client.list_service_deployments().cluster(cluster).service(service);
        let answer = call.send().await;
        let answer = answer.map_err(|error| unread(LIST_SERVICE_DEPLOYMENTS, error, NAMES))?;
        let listed = answer.service_deployments.unwrap_or_default().into_iter();
        let mut mine = listed.filter(|it| {
            let revision = it.target_service_revision_arn.as_deref().unwrap_or_default();
            revision.contains(deployment.number())
        });
        Ok(mine.next().and_then(|it| it.service_deployment_arn))
    }

    /// `None` when there is none of that ARN.
    pub(super) async fn course(&self, arn: &str) -> Result<Option<Course>> {
        self.paces.service_deployments.turn().await;
        let call = self.client.describe_service_deployments().service_deployment_arns(arn);
        let answer = call.send().await;
        let answer = answer.map_err(|error| unread(DESCRIBE_SERVICE_DEPLOYMENTS, error, NAMES))?;
        Ok(answer.service_deployments.unwrap_or_default().into_iter().next().map(Course::of))
    }

    /// Stops a deployment, and has ECS go back to what ran before it.
    pub(super) async fn stop(&self, _: &Permit, arn: &str) -> Result<()> {
        let call = self.client.stop_service_deployment().service_deployment_arn(arn);
        let answer = call.stop_type(StopServiceDeploymentStopType::Rollback).send().await;
        answer.map(|_| ()).map_err(|error| failed(STOP_SERVICE_DEPLOYMENT, error, NAMES))
    }

    /// Answers a hook that waits.
    pub(super) async fn proceed(&self, _: &Permit, arn: &str, hook: &str, go: Go) -> Result<()> {
        let action = match go {
            Go::Continue => DeploymentLifecycleHookAction::Continue,
            Go::RollBack => DeploymentLifecycleHookAction::Rollback,
        };
        let call = self.client.continue_service_deployment().service_deployment_arn(arn);
        let answer = call.hook_id(hook).action(action).send().await;
        answer.map(|_| ()).map_err(|error| failed(CONTINUE_SERVICE_DEPLOYMENT, error, NAMES))
    }

    /// The ARNs of the service's tasks of that status, at most a hundred.
    pub(super) async fn list_tasks(
        &self,
        cluster: &str,
        service: &str,
        status: DesiredStatus,
    ) -> Result<Vec<String>> {
        self.paces.cluster_resources.turn().await;
        let call = self.client.list_tasks().cluster(cluster).service_name(service);
        let answer = call.desired_status(status).send().await;
        let answer = answer.map_err(|error| unread(LIST_TASKS, error, NAMES))?;
        Ok(answer.task_arns.unwrap_or_default())
    }

    /// At most a hundred of them.
    pub(super) async fn tasks(&self, cluster: &str, mut arns: Vec<String>) -> Result<Vec<Task>> {
        arns.truncate(TASKS);
        if arns.is_empty() {
            return Ok(Vec::new());
        }
        self.paces.cluster_resources.turn().await;
        let answer =
            self.client.describe_tasks().cluster(cluster).set_tasks(Some(arns)).send().await;
        let answer = answer.map_err(|error| unread(DESCRIBE_TASKS, error, NAMES))?;
        Ok(answer.tasks.unwrap_or_default())
    }
}

/// ECS calls an unknown revision the client's fault, and has no name for it.
fn is_no_definition<E: ProvideErrorMetadata, R>(
    error: &aws_smithy_runtime_api::client::result::SdkError<E, R>,
) -> bool {
    let told = error.as_service_error().map(ProvideErrorMetadata::meta);
    told.is_some_and(|it| {
        it.code() == Some("ClientException")
            && it.message().is_some_and(|says| says.contains("Unable to describe task definition"))
    })
}

impl Receipt {
    /// What is known before the call that begins the deployment.
    pub(super) const fn of(revision: Revision) -> Self {
        Self { revision, deployment: None, service_deployment: None, created_ms: 0 }
    }
}
