//! The way back to the release before.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::{ApplyContext, Location, PlanContext, Result, Reversibility, Rollback, Rollout};

use crate::deployer::{cannot_tell, settled, start, stop, switch};
use crate::error::{Steps, WithEffect as _};
use crate::layout::Layout;
use crate::release;
use crate::release_dir::ReleaseDir;
use crate::service::{Memory, Service};
use crate::standing::{ReleaseChange, ReleaseReceipt, Standing};

/// Returns to what was there before: the links, and the process if there was one. The old service
/// starts anew, in the same files with the same command.
///
/// Correct from every half-way state, and idempotent. An old service that still runs is not touched.
/// Free as long as the release before is under the root; pruning spares it.
///
/// # Example
/// ```
/// use gatekit_local::{PreviousRelease, ReleaseDir};
///
/// let deployer = ReleaseDir::new("/srv/app", "build/out", "exec ./server")?;
/// let rollback = PreviousRelease::of(&deployer);
/// # Ok::<(), gatekit_core::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to `.rollback_with`"]
pub struct PreviousRelease {
    layout: Layout,
    grace: Duration,
    settle: Duration,
    memory: Arc<Memory>,
}

impl PreviousRelease {
    /// The rollback for that deployer, with its root, grace and settling time.
    pub fn of(deployer: &ReleaseDir) -> Self {
        Self {
            layout: deployer.layout.clone(),
            grace: deployer.grace,
            settle: deployer.settle,
            memory: Arc::clone(&deployer.memory),
        }
    }
}

#[async_trait]
impl Rollback<ReleaseDir> for PreviousRelease {
    fn reversibility(&self, change: &ReleaseChange) -> Reversibility {
        for id in [&change.before.release, &change.before.runs].into_iter().flatten() {
            match release::find(&self.layout, id) {
                Ok(Some(_)) => {}
                Ok(None) => return Reversibility::OneWay(format!("release `{id}` was pruned")),
                Err(error) => return Reversibility::Unknown(error.to_string()),
            }
        }
        Reversibility::Free
    }

    /// Stops what was not there, switches the links back, starts what was.
    ///
    /// # Errors
    /// With [`Effect::None`](gatekit_core::Effect): `release_dir.no_release`,
    /// `release_dir.cannot_tell`, `release_dir.busy`, `lock.lost`; the last two with
    /// [`Effect::Done`](gatekit_core::Effect) once something was undone. Otherwise
    /// `service.wont_stop`, `service.not_started`, `release_dir.io`.
    async fn roll_back(
        &self,
        cx: &ApplyContext,
        change: &ReleaseChange,
        receipt: Option<&ReleaseReceipt>,
    ) -> Result<()> {
        let layout = &self.layout;
        let standing = Standing::read(layout).no_effect()?;
        match standing.locate(layout, change, receipt) {
            Location::Before | Location::Elsewhere(_) => return Ok(()),
            Location::Unknown(why) => return Err(cannot_tell(why)),
            _ => {}
        }
        let before = &change.before;
        if standing.is(before) {
            return Ok(());
        }
        // What cannot be restored is found out while the new service still runs.
        for id in [&before.release, &before.runs].into_iter().flatten() {
            release::get(layout, id).no_effect()?;
        }
        let (runs, mut steps) = (standing.service.release(), Steps::default());
        let keeps = runs.is_some() && runs == before.runs.as_ref();
        if !keeps && !matches!(standing.service, Service::Nobody) {
            steps.step(stop(cx, layout, self.grace).await)?;
        }
        if standing.link != before.release || standing.previous != change.previous {
            let switched = switch(cx, layout, change.previous.as_ref(), before.release.as_ref());
            steps.step(switched.await)?;
        }
        if let Some(id) = before.runs.as_ref().filter(|_| !keeps) {
            steps.step(start(cx, layout, id, &self.memory).await)?;
        }
        Ok(())
    }

    async fn observe_back(
        &self,
        _: &PlanContext,
        change: &ReleaseChange,
        _: Option<&ReleaseReceipt>,
    ) -> Result<Rollout> {
        settled(&self.layout, change.before.runs.as_ref(), self.settle, &self.memory)
    }
}
