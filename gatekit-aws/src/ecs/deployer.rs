//! `Service` as a deployer.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::{
    ApplyContext, Deployer, Digest, Effect, Error, Go, Live, Location, NextAction, Pause,
    PlanContext, Planned, Result, Rollout, StageId, Verb,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::change::{Before, Change, Receipt, Revision, WayBack, Wished};
use super::definition::{Definition, Role};
use super::image::{Image, assigned};
use super::reading::{Deployment, Mine, Reading, RolloutState};
use super::service::{Service, Wish};
use super::site::{Found, Site};
use crate::call::{if_allowed, patiently};
use crate::code;
use crate::doubt::Doubt;
use crate::operations::{CONTINUE_SERVICE_DEPLOYMENT, REGISTER_TASK_DEFINITION, UPDATE_SERVICE};

/// For how long an update is sent again that did not land.
const PATIENCE: Duration = Duration::from_secs(60);

/// How soon.
const SEND_AGAIN: Duration = Duration::from_secs(2);

#[async_trait]
impl Deployer for Service {
    type Change = Change;
    type Receipt = Receipt;

    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        let wish = match &self.wish {
            // Which image is for the candidate to say.
            Wish::Images(images) => json!({
                "images_of": images.iter().map(|it| &it.container).collect::<Vec<_>>(),
            }),
            Wish::Revision(revision) => json!({ "revision": revision }),
            Wish::Again => json!("again"),
            Wish::Nothing => json!("nothing"),
        };
        let Site { cluster, service, .. } = &self.site;
        let region = self.site.api().region();
        json!({
            "kind": "ecs_service", "region": region, "cluster": cluster, "service": service,
            "wish": wish,
        })
    }

    /// Reads the service and its task definition.
    ///
    /// # Errors
    /// `ecs.no_cluster`, `.no_service`, `.no_revision`, `.controller`, `.container`; `.in_progress` when
    /// another deployment is under way; `.nothing_to_ship`; those of the area `aws`.
    async fn plan(&self, cx: &PlanContext) -> Result<Planned<Change>> {
        let deadline = cx.deadline();
        let reading = self.site.read(deadline).await?.filter(Reading::is_active);
        let reading = reading.ok_or_else(|| self.site.missing())?;
        let primary = self.settled(&reading)?;
        let ran = reading.ran().unwrap_or(primary);
        let definition = self.site.definition(deadline, ran).await?;
        let way_back = self.way_back(deadline, ran, &definition).await?;
        let wish = self.wished(deadline, &definition).await?;
        let Site { cluster, service, .. } = &self.site;
        // Approvals bind to the account and the region, too: another one may have the same names.
        let scope = json!({ "service": reading.arn, "cluster": cluster, "wish": &wish });
        let summary = format!("{cluster}/{service}: {} -> {}", ran.revision, told(&wish));
        let before = Before {
            deployment: primary.id.clone(),
            created_ms: primary.created_ms,
            revision: ran.revision.clone(),
            images: definition.images,
            desired: reading.desired,
        };
        let change = Change { run: cx.run(), service: reading.arn, before, way_back, wish };
        Ok(Planned { change, scope: Digest::of_json(&scope), summary })
    }

    /// Registers the run's revision and updates the service: what of it is not done yet.
    ///
    /// # Errors
    /// With [`Effect::None`], `ecs.elsewhere` when the service was deployed since the plan, `lock.lost`,
    /// and what AWS refuses; `ecs.no_new_deployment`; `ecs.cannot_tell` when the answer to a forced
    /// deployment was lost.
    async fn apply(
        &self,
        cx: &ApplyContext,
        change: &Change,
        earlier: Option<&Receipt>,
    ) -> Result<Receipt> {
        if let Some(earlier) = earlier.filter(|it| it.deployment.is_some()) {
            return match self.site.locate(cx, change, Some(earlier)).await? {
                Location::Elsewhere(live) => Err(elsewhere(&live).with_effect(Effect::Done)),
                Location::Unknown(why) => Err(cannot_tell(why)),
                _ => Ok(earlier.clone()),
            };
        }
        let (mut receipt, was_sent) = match earlier {
            Some(earlier) => (earlier.clone(), true),
            None => self.begin(cx, change).await?,
        };
        let mine = self.deployed(cx, change, &receipt, was_sent).await?;
        receipt.deployment = Some(mine.id.clone());
        receipt.created_ms = mine.created_ms;
        cx.checkpoint(&receipt).await?;
        // Without it the deployment is found by its number later.
        receipt.service_deployment = self.site.find_course(&mine.id).await.ok().flatten();
        Ok(receipt)
    }

    async fn observe(
        &self,
        cx: &PlanContext,
        change: &Change,
        receipt: &Receipt,
    ) -> Result<Rollout> {
        self.site.follow(cx, change, receipt).await
    }

    /// Answers a hook that pauses a blue/green rollout.
    ///
    /// # Errors
    /// `aws.denied` without the permission; `ecs.cannot_tell` when the rollout cannot be found in the
    /// service-deployment API.
    async fn proceed(
        &self,
        cx: &ApplyContext,
        _: &Change,
        receipt: &Receipt,
        pause: &Pause,
        go: Go,
    ) -> Result<()> {
        patiently(cx.deadline(), || async {
            let mut watch = self.site.watch(receipt);
            let course = self.site.course(receipt, &mut watch).await;
            if let Some(mine) = &receipt.deployment {
                self.site.remember(mine, watch);
            }
            let Some(course) = course? else {
                return Err(cannot_tell("the rollout that pauses is not to be found"));
            };
            // Answered before: by a call whose answer was lost, or by somebody else.
            if course.waits_at.as_ref() != Some(&pause.hook) {
                if go == Go::RollBack && !course.goes_back() && course.ended_badly().is_none() {
                    return Err(cannot_tell("the pause was answered, and the rollout goes on"));
                }
                return Ok(());
            }
            let permit = cx.permit(CONTINUE_SERVICE_DEPLOYMENT.action).await?;
            self.site.api().proceed(&permit, &course.arn, &pause.hook, go).await
        })
        .await
    }

    async fn locate(
        &self,
        cx: &PlanContext,
        change: &Change,
        receipt: Option<&Receipt>,
    ) -> Result<Location> {
        self.site.locate(cx, change, receipt).await
    }

    async fn live(&self, cx: &PlanContext) -> Result<Option<Live>> {
        self.site.live(cx.deadline()).await
    }
}

impl Service {
    /// The primary deployment, when this may deploy and no other deployment is under way.
    pub(super) fn settled<'a>(&self, reading: &'a Reading) -> Result<&'a Deployment> {
        if reading.controller != "ECS" {
            let what = format!("the service is deployed by `{}`", reading.controller);
            return Err(Error::new(code::CONTROLLER, what).with_effect(Effect::None));
        }
        let primary = reading.primary().ok_or_else(|| self.site.missing())?;
        let is_under_way = match primary.rollout {
            RolloutState::InProgress => true,
            RolloutState::Untold => !reading.is_steady(primary),
            RolloutState::Completed | RolloutState::Failed => false,
        };
        if is_under_way {
            return Err(Error::new(code::IN_PROGRESS, "another deployment is under way")
                .with_effect(Effect::None)
                .with_context("deployment", primary)
                .with_context("says", &primary.reason));
        }
        Ok(primary)
    }

    /// How to get back to what runs before.
    async fn way_back(
        &self,
        deadline: Instant,
        ran: &Deployment,
        definition: &Definition,
    ) -> Result<WayBack> {
        let is_again = self.wish == Wish::Again;
        if !ran.has_completed() && ran.rollout != RolloutState::Untold {
            return Ok(WayBack::None("no deployment of the service has completed".to_owned()));
        }
        if !definition.is_active {
            let why = format!("{} was deregistered", definition.revision);
            return Ok(WayBack::None(why));
        }
        let by_digest = definition.images.values().all(|it| it.parse::<Image>().is_ok());
        if by_digest && !is_again {
            return Ok(WayBack::Revision);
        }
        let running = self.site.running_images(deadline, &ran.id, definition).await?;
        Ok(running.map_or_else(
            || {
                // Its tags may name something else by then.
                WayBack::None(format!(
                    "it cannot be read which digests the tasks of {} run: that takes \
                     `ecs:ListTasks` and `ecs:DescribeTasks`, and tasks that agree",
                    ran.revision
                ))
            },
            WayBack::Pinned,
        ))
    }

    pub(super) async fn wished(
        &self,
        deadline: Instant,
        definition: &Definition,
    ) -> Result<Wished> {
        Ok(match &self.wish {
            Wish::Images(images) => Wished::Images(assigned(images, &definition.images)?),
            Wish::Revision(name) => Wished::Revision(self.given(deadline, name).await?.revision),
            Wish::Again => Wished::Again,
            Wish::Nothing => {
                let what = "this deployer was made for reading only";
                return Err(Error::new(code::NOTHING_TO_SHIP, what).with_effect(Effect::None));
            }
        })
    }

    /// The revision of that name.
    pub(super) async fn given(&self, deadline: Instant, name: &str) -> Result<Definition> {
        let read = patiently(deadline, || self.site.api().definition(name)).await?;
        read.filter(|it| it.is_active).ok_or_else(|| {
            let what = "there is no active revision of that name";
            Error::new(code::NO_REVISION, what)
                .with_effect(Effect::None)
                .with_context("revision", name)
        })
    }

    /// What is to be deployed, made ready and checkpointed; and whether that may have been deployed
    /// by an interrupted call.
    async fn begin(&self, cx: &ApplyContext, change: &Change) -> Result<(Receipt, bool)> {
        let reading = self.site.read(cx.deadline()).await?.ok_or_else(|| self.site.missing())?;
        let primary = reading.primary().ok_or_else(|| self.site.missing())?;
        let is_touched = primary.id != change.before.deployment;
        let revision = match &change.wish {
            Wished::Revision(revision) => Some(revision.clone()),
            Wished::Again => Some(change.before.revision.clone()),
            Wished::Images(images) if is_touched => {
                self.site.find_own(cx, change, images, Role::Release).await?
            }
            Wished::Images(images) => {
                Some(self.site.own_revision(cx, change, images, Role::Release).await?)
            }
        };
        // The service was deployed since the plan: unless that can only be this run's own doing, it is
        // somebody else's. A forced deployment is not sent before there is a receipt.
        let may_be_mine =
            change.wish != Wished::Again && revision.as_ref() == Some(&primary.revision);
        let revision = revision.filter(|_| !is_touched || may_be_mine);
        let revision = revision.ok_or_else(|| elsewhere(&primary.live()))?;
        let receipt = Receipt::of(revision);
        cx.checkpoint(&receipt).await?;
        Ok((receipt, is_touched))
    }

    /// Updates the service, unless that has been done, and tells the deployment that this began.
    /// `was_sent` is whether an interrupted call may have done it.
    async fn deployed(
        &self,
        cx: &ApplyContext,
        change: &Change,
        receipt: &Receipt,
        was_sent: bool,
    ) -> Result<Deployment> {
        let until = cx.deadline().min(Instant::now() + PATIENCE);
        let mut doubt = Doubt::of_earlier(was_sent);
        loop {
            if doubt.is_cast()
                && let Some(mine) = doubt.of(self.found(cx, change, receipt).await)?
            {
                return Ok(mine);
            }
            // A second one would be a second deployment, if the first is only late.
            if doubt.is_cast() && change.wish == Wished::Again {
                return Err(cannot_tell("its answer was lost, and nothing shows that it landed"));
            }
            match self.update(cx, change, receipt).await {
                Ok(Some(mine)) => return Ok(mine),
                Ok(None) => {
                    let late = doubt.of(self.found(cx, change, receipt).await)?;
                    return late.ok_or_else(|| no_new_deployment(&change.before));
                }
                // Sent again only after a look at whether it landed.
                Err(error) if error.is_temporary() && Instant::now() < until => {
                    doubt.cast(&error);
                    tokio::time::sleep(SEND_AGAIN.mul_f64(0.5 + fastrand::f64())).await;
                }
                Err(error) => return Err(doubt.on(error)),
            }
        }
    }

    /// Sends the update. Tells the deployment that it has begun; `None` when it has begun none.
    async fn update(
        &self,
        cx: &ApplyContext,
        change: &Change,
        receipt: &Receipt,
    ) -> Result<Option<Deployment>> {
        let force = change.wish == Wished::Again;
        let permit = cx.permit(UPDATE_SERVICE.action).await?;
        self.site.writes(cx.run());
        let Site { cluster, service, .. } = &self.site;
        // What is somebody else's since the last look is not overwritten.
        let reading = self.site.read_once().await?.unwrap_or_default();
        if let Some(other) = reading.primary().filter(|it| it.id != change.before.deployment) {
            return match reading.mine(change, Some(receipt)) {
                Mine::Seen(mine) => Ok(Some(mine.clone())),
                Mine::CannotTell(other) => Err(cannot_tell(format!("{other} may be of this run"))),
                Mine::Unseen | Mine::Unsent => Err(elsewhere(&other.live())),
            };
        }
        let api = self.site.api();
        let told = api.update(&permit, cluster, service, &receipt.revision, force).await?;
        let reading = told.map(Reading::of).unwrap_or_default();
        let mine = reading
            .primary()
            .filter(|it| it.id != change.before.deployment && it.revision == receipt.revision);
        Ok(mine.cloned())
    }

    /// The deployment that a call has begun whose answer was lost; `None` when it did not land.
    async fn found(
        &self,
        cx: &ApplyContext,
        change: &Change,
        receipt: &Receipt,
    ) -> Result<Option<Deployment>> {
        match self.site.look_for(cx, change, receipt).await? {
            Found::Mine(mine) => Ok(Some(mine)),
            Found::Nothing => Ok(None),
            Found::CannotTell(other) => {
                Err(cannot_tell(format!("{other} may be of this run, or of somebody else")))
            }
            Found::Other(other) => Err(elsewhere(&other.live()).with_effect(Effect::Unknown)),
        }
    }
}

impl Site {
    /// This run's own revision with these images, for that role, when an interrupted call has
    /// registered it.
    pub(super) async fn find_own(
        &self,
        cx: &PlanContext,
        change: &Change,
        images: &BTreeMap<String, Image>,
        role: Role,
    ) -> Result<Option<Revision>> {
        let deadline = cx.deadline();
        let before = &change.before.revision;
        let family = before.family();
        let listed = patiently(deadline, || self.api().newest_revisions(family)).await;
        let mut newer = if_allowed(listed)?.unwrap_or_default();
        // It was registered after the plan.
        newer.retain(|it| it.number() > before.number());
        for revision in newer {
            let known = patiently(deadline, || self.api().definition(&revision.0)).await?;
            if let Some(own) =
                known.filter(|it| it.is_of(change.run, role, before) && it.has(images))
            {
                return Ok(Some(own.revision));
            }
        }
        Ok(None)
    }

    /// This run's own revision with these images, for that role: registered unless it is there. Two
    /// would do no harm: only what is checkpointed is deployed.
    pub(super) async fn own_revision(
        &self,
        cx: &ApplyContext,
        change: &Change,
        images: &BTreeMap<String, Image>,
        role: Role,
    ) -> Result<Revision> {
        let before = &change.before.revision;
        let of = patiently(cx.deadline(), || self.api().definition(&before.0)).await?;
        let of = of.ok_or_else(|| {
            Error::new(code::NO_REVISION, "the revision that ran before is no more")
                .with_effect(Effect::None)
                .with_context("revision", before)
        })?;
        patiently(cx.deadline(), || async {
            if let Some(own) = self.find_own(cx, change, images, role).await? {
                return Ok(own);
            }
            let permit = cx.permit(REGISTER_TASK_DEFINITION.action).await?;
            self.api().register(&permit, &of, images, (change.run, role)).await
        })
        .await
    }
}

fn told(wish: &Wished) -> String {
    match wish {
        Wished::Images(images) => {
            let each =
                images.iter().map(|(name, image)| format!("{name} {}", image.digest().short()));
            each.collect::<Vec<_>>().join(", ")
        }
        Wished::Revision(revision) => revision.to_string(),
        Wished::Again => "the same in a new deployment".to_owned(),
    }
}

pub(super) fn elsewhere(live: &Live) -> Error {
    Error::new(code::ELSEWHERE, "another release is on the service, and it is not touched")
        .with_effect(Effect::None)
        .with_context("live", live)
        .with_next(NextAction::verb(Verb::Status, &[]))
}

fn no_new_deployment(before: &Before) -> Error {
    Error::new(code::NO_NEW_DEPLOYMENT, "the update was accepted, and began no deployment")
        .with_effect(Effect::None)
        .with_context("primary", &before.deployment)
}

pub(super) fn cannot_tell(why: impl Into<String>) -> Error {
    Error::new(code::CANNOT_TELL, "it cannot be told what the call did")
        .with_context("why", why.into())
        .with_next(NextAction::verb(Verb::Reconcile, &[]))
}
