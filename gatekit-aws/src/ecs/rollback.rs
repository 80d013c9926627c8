//! The way back of a service.

use async_trait::async_trait;
use gatekit_core::{
    ApplyContext, Error, Location, PlanContext, Result, Reversibility, Rollback, Rollout,
};

use super::change::{Change, Receipt, Revision, WayBack, Wished};
use super::definition::Role;
use super::deployer::{cannot_tell, elsewhere};
use super::reading::{Deployment, Mine, Reading, RolloutState};
use super::service::Service;
use super::site::Site;
use super::watch::FREQUENT;
use crate::call::{goes_without, patiently};
use crate::code;
use crate::operations::{STOP_SERVICE_DEPLOYMENT, UPDATE_SERVICE};

/// Returns a service to what ran before the change.
///
/// A deployment that is under way is stopped, and ECS itself goes back; after that, and where this
/// caller may not stop it, the service is updated to the revision of before. If the images of that
/// revision are known by tags, a revision with the digests that ran is registered for it, because
/// tags may name something else by then.
///
/// It is refused before anything is touched where there is no way back: nothing has ever completed,
/// the revision was deregistered, or, for a forced deployment, it cannot be read which digests run.
///
/// # Example
/// See [`Service`].
#[derive(Debug, Clone)]
#[must_use = "give it to a pipeline"]
pub struct PreviousRevision {
    site: Site,
}

impl PreviousRevision {
    /// The way back of that service.
    pub fn of(service: &Service) -> Self {
        Self { site: service.site.clone() }
    }
}

#[async_trait]
impl Rollback<Service> for PreviousRevision {
    fn reversibility(&self, change: &Change) -> Reversibility {
        match &change.way_back {
            WayBack::Revision | WayBack::Pinned(_) => Reversibility::Free,
            WayBack::None(why) => Reversibility::OneWay(why.clone()),
        }
    }

    /// Stops the deployment, or updates the service to what ran before: unless that is under way.
    ///
    /// # Errors
    /// `ecs.elsewhere` with [`Effect::None`](gatekit_core::Effect) when somebody else's release is
    /// there; `ecs.cannot_tell`; `ecs.no_way_back`; `lock.lost`; what AWS refuses.
    async fn roll_back(
        &self,
        cx: &ApplyContext,
        change: &Change,
        receipt: Option<&Receipt>,
    ) -> Result<()> {
        if let WayBack::None(why) = &change.way_back {
            return Err(Error::new(code::NO_WAY_BACK, "the change cannot be undone")
                .with_effect(gatekit_core::Effect::None)
                .with_context("why", why));
        }
        // Each try looks first, and both calls may be made twice.
        patiently(cx.deadline(), || self.go_back(cx, change, receipt)).await
    }

    async fn observe_back(
        &self,
        cx: &PlanContext,
        change: &Change,
        receipt: Option<&Receipt>,
    ) -> Result<Rollout> {
        let (location, reading) = self.site.stand(cx, change, receipt).await?;
        Ok(match location {
            Location::Before => Rollout::Settled,
            Location::Elsewhere(live) => Rollout::Superseded { by: live.to_string() },
            Location::Unknown(why) => Rollout::Failed(why),
            _ => {
                let reading = reading.unwrap_or_default();
                let Some(primary) = reading.primary() else {
                    return Ok(Rollout::InProgress { poll_after: FREQUENT });
                };
                let is_mine = receipt.is_some_and(|it| it.deployment.as_ref() == Some(&primary.id));
                let is_over =
                    matches!(primary.rollout, RolloutState::Failed | RolloutState::Completed);
                if primary.rollout == RolloutState::Failed && !is_mine {
                    return Ok(Rollout::Failed(primary.reason.clone()));
                }
                if is_mine && is_over && !self.site.reads_may_lag(cx.run()) {
                    let why = format!("{primary} is primary still, and nothing goes back");
                    return Ok(Rollout::Failed(why));
                }
                if let Some(hook) = self.waits_at(&reading, primary).await {
                    let why = format!(
                        "the way back waits at the hook `{hook}`: continue it, then `resume`"
                    );
                    return Ok(Rollout::Failed(why));
                }
                cx.progress(back(&reading, primary));
                let mut watch = self.site.watch_of(&primary.id, None);
                watch.saw(primary);
                let poll_after = watch.poll_after();
                self.site.remember(&primary.id, watch);
                Rollout::InProgress { poll_after }
            }
        })
    }
}

impl PreviousRevision {
    async fn go_back(
        &self,
        cx: &ApplyContext,
        change: &Change,
        receipt: Option<&Receipt>,
    ) -> Result<()> {
        let (location, reading) = self.site.stand(cx, change, receipt).await?;
        match location {
            Location::Before => return Ok(()),
            Location::Elsewhere(live) => return Err(elsewhere(&live)),
            Location::Unknown(why) => return Err(cannot_tell(why)),
            _ => {}
        }
        let reading = reading.ok_or_else(|| self.site.missing())?;
        let primary = reading.primary().ok_or_else(|| self.site.missing())?;
        let is_mine = matches!(reading.mine(change, receipt), Mine::Seen(mine) if mine.is_primary);
        let deadline = cx.deadline();
        let is_on_its_way = !is_mine
            && primary.rollout != RolloutState::Failed
            && self.site.runs_what_ran(deadline, primary, change).await?;
        // By ECS itself, or by an interrupted call.
        if is_on_its_way {
            return Ok(());
        }
        if receipt.is_none() {
            self.is_of_the_run(cx, primary, change).await?;
        }
        let is_under_way = primary.rollout == RolloutState::InProgress;
        if is_under_way && self.stop(cx, primary, receipt).await? {
            return Ok(());
        }
        self.update(cx, change, primary).await
    }

    /// Errs when a deployment of the wished images is not of the run that planned the change. Nothing
    /// is deployed before there is a receipt: without one, the release is that of another run, or of
    /// somebody else.
    async fn is_of_the_run(
        &self,
        cx: &ApplyContext,
        primary: &Deployment,
        change: &Change,
    ) -> Result<()> {
        let definition = self.site.definition(cx.deadline(), primary).await?;
        let before = &change.before.revision;
        let is_ours = definition.is_of(change.run, Role::Release, before);
        match change.wish {
            Wished::Images(_) if !is_ours => Err(elsewhere(&primary.live())),
            _ => Ok(()),
        }
    }

    /// The hook at which a deployment waits, where its service has any and that can be asked.
    async fn waits_at(&self, reading: &Reading, primary: &Deployment) -> Option<String> {
        if reading.strategy == "ROLLING" {
            return None;
        }
        let arn = self.site.find_course(&primary.id).await.ok().flatten()?;
        self.site.api().course(&arn).await.ok().flatten()?.waits_at
    }

    /// Has ECS stop a deployment and go back; tells whether it does.
    async fn stop(
        &self,
        cx: &ApplyContext,
        mine: &Deployment,
        receipt: Option<&Receipt>,
    ) -> Result<bool> {
        let known = receipt.and_then(|it| it.service_deployment.clone());
        let arn = match known {
            Some(arn) => Some(arn),
            None => self.site.find_course(&mine.id).await?,
        };
        let Some(arn) = arn else { return Ok(false) };
        match self.site.api().course(&arn).await {
            Ok(Some(course)) if course.goes_back() => return Ok(true),
            Ok(Some(course)) if course.can_be_stopped() => {}
            Ok(_) => return Ok(false),
            Err(error) if goes_without(&error) => {}
            Err(error) => return Err(error),
        }
        let permit = cx.permit(STOP_SERVICE_DEPLOYMENT.action).await?;
        self.is_still(mine).await?;
        self.site.writes(cx.run());
        match self.site.api().stop(&permit, &arn).await {
            Ok(()) => Ok(true),
            // Not allowed, or over meanwhile.
            Err(error) if goes_without(&error) || *error.code() == code::REFUSED => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn update(&self, cx: &ApplyContext, change: &Change, primary: &Deployment) -> Result<()> {
        let revision = self.revision(cx, change).await?;
        // Its deployment has failed: without force, another one is none.
        let force = primary.revision == revision;
        let permit = cx.permit(UPDATE_SERVICE.action).await?;
        self.is_still(primary).await?;
        self.site.writes(cx.run());
        let Site { cluster, service, .. } = &self.site;
        self.site.api().update(&permit, cluster, service, &revision, force).await.map(|_| ())
    }

    /// Errs when another deployment has become the primary one since it was judged: that is judged
    /// anew.
    async fn is_still(&self, primary: &Deployment) -> Result<()> {
        let reading = self.site.read_once().await?.unwrap_or_default();
        match reading.primary() {
            Some(now) if now.id != primary.id => Err(elsewhere(&now.live()).retry_later()),
            _ => Ok(()),
        }
    }

    async fn revision(&self, cx: &ApplyContext, change: &Change) -> Result<Revision> {
        match &change.way_back {
            WayBack::Pinned(images) => {
                self.site.own_revision(cx, change, images, Role::WayBack).await
            }
            WayBack::Revision | WayBack::None(_) => Ok(change.before.revision.clone()),
        }
    }
}

fn back(reading: &Reading, primary: &Deployment) -> String {
    let (running, desired) = (primary.running, reading.desired);
    format!("back to {}: {running} of {desired} tasks run", primary.revision)
}
