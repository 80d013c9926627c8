//! The way back of a service.

use async_trait::async_trait;
use gatekit_core::{
    ApplyContext, Error, Location, PlanContext, Result, Reversibility, Rollback, Rollout,
};

use super::change::{Change, Receipt, Revision, WayBack};
use super::definition::Role;
use super::deployer::{cannot_tell, elsewhere};
use super::follow::POLL_BACK;
use super::reading::{Deployment, Mine, Reading, RolloutState};
use super::service::Service;
use super::site::Site;
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
        let under_way = Rollout::InProgress { poll_after: POLL_BACK };
        Ok(match self.site.locate(cx, change, receipt).await? {
            Location::Before => Rollout::Settled,
            Location::Elsewhere(live) => Rollout::Superseded { by: live.to_string() },
            Location::Unknown(why) => Rollout::Failed(why),
            _ => {
                let Some(reading) = self.site.read_once().await? else { return Ok(under_way) };
                let Some(primary) = reading.primary() else { return Ok(under_way) };
                let is_mine = receipt.is_some_and(|it| it.deployment.as_ref() == Some(&primary.id));
                if primary.rollout == RolloutState::Failed && !is_mine {
                    return Ok(Rollout::Failed(primary.reason.clone()));
                }
                cx.progress(back(&reading, primary));
                under_way
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
        let deadline = cx.deadline();
        match self.site.locate(cx, change, receipt).await? {
            Location::Before => return Ok(()),
            Location::Elsewhere(live) => return Err(elsewhere(&live)),
            Location::Unknown(why) => return Err(cannot_tell(why)),
            _ => {}
        }
        let reading = self.site.read(deadline).await?.ok_or_else(|| self.site.missing())?;
        let primary = reading.primary().ok_or_else(|| self.site.missing())?;
        let is_mine = matches!(reading.mine(change, receipt), Mine::Seen(mine) if mine.is_primary);
        let is_on_its_way = !is_mine
            && primary.rollout != RolloutState::Failed
            && self.site.runs_what_ran(deadline, primary, change).await?;
        // By ECS itself, or by an interrupted call.
        if is_on_its_way {
            return Ok(());
        }
        let is_under_way = primary.rollout == RolloutState::InProgress;
        if is_under_way && self.stop(cx, primary, receipt).await? {
            return Ok(());
        }
        self.update(cx, change, &reading).await
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
        self.site.writes(cx.run());
        match self.site.api().stop(&permit, &arn).await {
            Ok(()) => Ok(true),
            // Not allowed, or over meanwhile.
            Err(error) if goes_without(&error) || *error.code() == code::REFUSED => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn update(&self, cx: &ApplyContext, change: &Change, reading: &Reading) -> Result<()> {
        let revision = self.revision(cx, change).await?;
        // Its deployment has failed: without force, another one is none.
        let force = reading.primary().is_some_and(|it| it.revision == revision);
        let permit = cx.permit(UPDATE_SERVICE.action).await?;
        self.site.writes(cx.run());
        let Site { cluster, service, .. } = &self.site;
        self.site.api().update(&permit, cluster, service, &revision, force).await.map(|_| ())
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
