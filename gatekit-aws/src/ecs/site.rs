//! One service, read with patience, and judged by what was read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_ecs::types::{DesiredStatus, Task};
use gatekit_core::{Effect, Error, Live, Location, PlanContext, Result, RunId};
use tokio::time::Instant;

use super::api::Api;
use super::change::{Change, DeploymentId, Receipt, WayBack, Wished};
use super::definition::Definition;
use super::image::{Image, repository_of};
use super::reading::{Deployment, Mine, Reading, Standing};
use super::watch::{GRACE, Watch};
use crate::aws::Aws;
use crate::call::{if_allowed, patiently};
use crate::code;
use crate::digest::parse;

/// How soon a reading that may be stale is made again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A service of a cluster.
#[derive(Debug, Clone)]
pub(super) struct Site {
    aws: Aws,
    pub(super) cluster: String,
    pub(super) service: String,
    watches: Arc<Mutex<BTreeMap<DeploymentId, Watch>>>,
    /// The revision that was judged last: what it says never changes.
    judged: Arc<Mutex<Option<Definition>>>,
    /// Until when reads may be older than what that run has written.
    lag: Arc<Mutex<Option<(RunId, Instant)>>>,
}

impl Site {
    pub(super) fn new(aws: &Aws, cluster: &str, service: &str) -> Self {
        let (cluster, service) = (cluster.to_owned(), service.to_owned());
        let (watches, judged, lag) = (Arc::default(), Arc::default(), Arc::default());
        Self { aws: aws.clone(), cluster, service, watches, judged, lag }
    }

    pub(super) fn aws(&self) -> &Aws {
        &self.aws
    }

    pub(super) fn api(&self) -> &Api {
        self.aws.ecs()
    }

    /// What is remembered of a deployment; until it is given back, nothing is.
    pub(super) fn watch(&self, receipt: &Receipt) -> Watch {
        let course = receipt.service_deployment.clone();
        match &receipt.deployment {
            Some(deployment) => self.watch_of(deployment, course),
            None => Watch::new(course),
        }
    }

    /// The same, by what the deployment is called, and its course where that is known.
    pub(super) fn watch_of(&self, deployment: &DeploymentId, course: Option<String>) -> Watch {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.remove(deployment).unwrap_or_else(|| Watch::new(course))
    }

    pub(super) fn remember(&self, deployment: &DeploymentId, watch: Watch) {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.insert(deployment.clone(), watch);
    }

    /// The run writes: for a while, reads may be older than that.
    pub(super) fn writes(&self, run: RunId) {
        let mut lag = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        *lag = Some((run, Instant::now() + GRACE));
    }

    /// Whether reads may be older than what the run has written.
    pub(super) fn reads_may_lag(&self, run: RunId) -> bool {
        Instant::now() < self.reads_may_lag_until(run)
    }

    /// Until when reads may be older than what the run has written, perhaps in a process that is gone
    /// since the first look of this one.
    fn reads_may_lag_until(&self, run: RunId) -> Instant {
        let mut lag = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lag.filter(|(of, _)| *of == run);
        lag.insert(known.unwrap_or_else(|| (run, Instant::now() + GRACE))).1
    }

    /// Reads the service once; `None` when the cluster has no such service.
    pub(super) async fn read_once(&self) -> Result<Option<Reading>> {
        Ok(self.api().service(&self.cluster, &self.service).await?.map(Reading::of))
    }

    pub(super) async fn read(&self, deadline: Instant) -> Result<Option<Reading>> {
        patiently(deadline, || self.read_once()).await
    }

    pub(super) fn missing(&self) -> Error {
        Error::new(code::NO_SERVICE, "the cluster has no such service")
            .with_effect(Effect::None)
            .with_context("cluster", &self.cluster)
            .with_context("service", &self.service)
    }

    /// Where the service stands: read afresh, and again while what was read may be older than what
    /// this run has begun.
    pub(super) async fn locate(
        &self,
        cx: &PlanContext,
        change: &Change,
        receipt: Option<&Receipt>,
    ) -> Result<Location> {
        self.stand(cx, change, receipt).await.map(|(location, _)| location)
    }

    /// The same, with the reading that says so.
    pub(super) async fn stand(
        &self,
        cx: &PlanContext,
        change: &Change,
        receipt: Option<&Receipt>,
    ) -> Result<(Location, Option<Reading>)> {
        let deadline = cx.deadline();
        let until = self.reads_may_lag_until(cx.run()).min(deadline);
        let settled_until = (Instant::now() + GRACE).min(deadline);
        loop {
            let Some(reading) = self.read(deadline).await? else {
                if Instant::now() + LOOK_AGAIN >= until {
                    let why = "the cluster has no such service".to_owned();
                    return Ok((Location::Unknown(why), None));
                }
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            };
            let (location, until) = match reading.standing(change, receipt) {
                Standing::WithWhatRuns(primary) => {
                    let location = self.judge(deadline, &reading, primary, change, receipt).await?;
                    return Ok((location, Some(reading)));
                }
                // It was seen to be over: this is older than that.
                Standing::Known(location @ Location::Between(_)) if self.has_settled(receipt) => {
                    (location, settled_until)
                }
                Standing::Known(location) => return Ok((location, Some(reading))),
                Standing::Unless(location) => (location, until),
            };
            if Instant::now() + LOOK_AGAIN >= until {
                return Ok((location, Some(reading)));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Whether the deployment of the receipt was seen to be over, and well.
    fn has_settled(&self, receipt: Option<&Receipt>) -> bool {
        let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let id = receipt.and_then(|it| it.deployment.as_ref());
        id.and_then(|id| watches.get(id)).is_some_and(|it| it.has_settled)
    }

    /// Where the service stands when a deployment is primary that is neither the one of before nor
    /// that of the receipt.
    async fn judge(
        &self,
        deadline: Instant,
        reading: &Reading,
        primary: &Deployment,
        change: &Change,
        receipt: Option<&Receipt>,
    ) -> Result<Location> {
        let definition = self.known_definition(deadline, primary).await?;
        if receipt.is_none() && reading.is_wished(primary, &definition.images, change) {
            return Ok(reading.arrived(primary, Location::After, true));
        }
        match self.is_before(deadline, primary, &definition, change).await? {
            Some(true) => Ok(reading.arrived(
                primary,
                Location::Before,
                change.before.desired > 0 && reading.desired > 0,
            )),
            Some(false) => Ok(Location::Elsewhere(primary.live())),
            None => Ok(Location::Unknown(format!(
                "{primary} has the revision of before, and it cannot be read whether it runs the \
                 same images"
            ))),
        }
    }

    /// Whether a deployment brings back what ran before the change.
    pub(super) async fn runs_what_ran(
        &self,
        deadline: Instant,
        deployment: &Deployment,
        change: &Change,
    ) -> Result<bool> {
        let definition = self.definition(deadline, deployment).await?;
        let is_before = self.is_before(deadline, deployment, &definition, change).await?;
        Ok(is_before == Some(true))
    }

    /// Whether a deployment runs what ran before the change; `None` when that cannot be read.
    async fn is_before(
        &self,
        deadline: Instant,
        deployment: &Deployment,
        definition: &Definition,
        change: &Change,
    ) -> Result<Option<bool>> {
        let images = match &change.way_back {
            WayBack::Pinned(images) => Some(images),
            WayBack::Revision | WayBack::None(_) => None,
        };
        let before = &change.before.revision;
        if deployment.revision != *before {
            let leads_back = images.is_some_and(|it| definition.leads_back_to(before, it));
            return Ok(Some(leads_back));
        }
        // ECS itself goes back to the digests that ran. Whoever else deploys that revision gets what
        // its tags name now; and what has completed can be looked at.
        if deployment.rolls_back() && !deployment.has_completed() {
            return Ok(Some(true));
        }
        let running = match images {
            Some(_) => self.running_images(deadline, &deployment.id, definition).await?,
            None => None,
        };
        let by_digest = change.before.images.values().all(|it| it.parse::<Image>().is_ok());
        Ok(match (running, images) {
            (Some(running), Some(images)) => Some(running == *images),
            (None, None) if by_digest && change.wish != Wished::Again => Some(true),
            _ => None,
        })
    }

    pub(super) async fn definition(
        &self,
        deadline: Instant,
        of: &Deployment,
    ) -> Result<Definition> {
        let name = &of.revision.0;
        let read = patiently(deadline, || self.api().definition(name)).await?;
        read.ok_or_else(|| {
            Error::new(code::NO_REVISION, "the revision that is deployed is no more")
                .with_effect(Effect::None)
                .with_context("revision", &of.revision)
        })
    }

    /// The same, without another call for the one that was read last: whether it is still active may have
    /// changed since.
    async fn known_definition(&self, deadline: Instant, of: &Deployment) -> Result<Definition> {
        let judged = || self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        let known = judged().clone().filter(|it| it.revision == of.revision);
        if let Some(known) = known {
            return Ok(known);
        }
        let read = self.definition(deadline, of).await?;
        *judged() = Some(read.clone());
        Ok(read)
    }

    /// The images that the tasks of a deployment run, by container; `None` when not every container's
    /// can be read, or they differ from task to task.
    pub(super) async fn running_images(
        &self,
        deadline: Instant,
        deployment: &DeploymentId,
        definition: &Definition,
    ) -> Result<Option<BTreeMap<String, Image>>> {
        let tasks = patiently(deadline, || self.tasks(DesiredStatus::Running)).await?;
        let mine = |it: &&Task| it.started_by() == Some(&deployment.0);
        let mut running = BTreeMap::new();
        for container in tasks.iter().flatten().filter(mine).flat_map(Task::containers) {
            let (Some(name), Some(digest)) = (container.name(), container.image_digest()) else {
                continue;
            };
            let Some(reference) = definition.images.get(name) else { continue };
            let Some(digest) = parse(digest) else { return Ok(None) };
            let image = Image::new(repository_of(reference), digest)?;
            if running.insert(name.to_owned(), image.clone()).is_some_and(|other| other != image) {
                return Ok(None);
            }
        }
        let is_whole = definition.images.keys().all(|name| running.contains_key(name));
        Ok(Some(running).filter(|_| is_whole))
    }

    /// The service's tasks of that status, as many as one call tells; `None` when this caller may not
    /// ask.
    async fn tasks(&self, status: DesiredStatus) -> Result<Option<Vec<Task>>> {
        let listed = self.api().list_tasks(&self.cluster, &self.service, status).await;
        let Some(arns) = if_allowed(listed)? else { return Ok(None) };
        if_allowed(self.api().tasks(&self.cluster, arns).await)
    }

    /// What the deployment that this run has begun is called in the service-deployment API; `None`
    /// where that cannot be asked, and while it does not list it.
    pub(super) async fn find_course(&self, mine: &DeploymentId) -> Result<Option<String>> {
        let found = self.api().find_course(&self.cluster, &self.service, mine).await;
        Ok(if_allowed(found)?.flatten())
    }

    /// Whether the service-deployment API can be asked.
    pub(super) async fn list_courses(&self) -> Result<()> {
        let none = DeploymentId(String::new());
        self.api().find_course(&self.cluster, &self.service, &none).await.map(|_| ())
    }

    /// Whether it can be asked which tasks stopped.
    pub(super) async fn list_stopped(&self) -> Result<()> {
        let status = DesiredStatus::Stopped;
        self.api().list_tasks(&self.cluster, &self.service, status).await.map(|_| ())
    }

    pub(super) async fn live(&self, deadline: Instant) -> Result<Option<Live>> {
        let reading = self.read(deadline).await?.ok_or_else(|| self.missing())?;
        let runs = |it: &&Deployment| it.running > 0;
        // While a rollout is under way, what runs is what has completed.
        let completed = reading.deployments.iter().filter(runs);
        let Some(live) = completed.min_by_key(|it| (!it.has_completed(), !it.is_primary)) else {
            return Ok(None);
        };
        Ok(Some(Live::new(self.definition(deadline, live).await?.known_as(), None)))
    }

    /// Looks for the deployment that a call may have begun, for as long as reads may lag.
    pub(super) async fn look_for(
        &self,
        cx: &PlanContext,
        change: &Change,
        receipt: &Receipt,
    ) -> Result<Found> {
        let until = self.reads_may_lag_until(cx.run()).min(cx.deadline());
        loop {
            if let Some(reading) = self.read(cx.deadline()).await? {
                match reading.mine(change, Some(receipt)) {
                    Mine::Seen(mine) => return Ok(Found::Mine(mine.clone())),
                    Mine::CannotTell(other) => return Ok(Found::CannotTell(other.clone())),
                    Mine::Unseen | Mine::Unsent => {}
                }
                let other = reading.primary().filter(|it| it.id != change.before.deployment);
                if let Some(other) = other {
                    return Ok(Found::Other(other.clone()));
                }
            }
            if Instant::now() + LOOK_AGAIN >= until {
                return Ok(Found::Nothing);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// What was found of a deployment that may have been begun.
#[derive(Debug)]
pub(super) enum Found {
    Mine(Deployment),
    CannotTell(Deployment),
    /// Somebody else's, in its place.
    Other(Deployment),
    /// What ran before is primary still.
    Nothing,
}
