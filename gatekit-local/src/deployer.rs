//! `ReleaseDir` as a deployer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::{
    ApplyContext, Deployer, Digest, Effect, Error, Live, Location, NextAction, Permit, PlanContext,
    Planned, Result, Rollout, StageId, Verb,
};
use serde_json::{Value, json};

use crate::code;
use crate::error::{Steps, WithEffect as _, blocking, refuse};
use crate::fence::{self, Locked};
use crate::layout::{CURRENT, Layout, PREVIOUS};
use crate::release::{self, ReleaseId};
use crate::release_dir::{ReleaseDir, Wish};
use crate::service::{self, Memory, Record, Service};
use crate::stage::{self, Wanted};
use crate::standing::{ReleaseChange, ReleaseReceipt, Standing, State};
use crate::tree;

/// How soon to look again while a service settles.
const POLL: Duration = Duration::from_millis(100);

#[async_trait]
impl Deployer for ReleaseDir {
    type Change = ReleaseChange;
    type Receipt = ReleaseReceipt;

    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        let root = tree::encode(self.layout.root().as_os_str());
        let wish = match &self.wish {
            Wish::App { start, .. } => json!({ "start": start }),
            Wish::Kept(release) => json!({ "release": release }),
            Wish::Stopped => json!("stopped"),
            Wish::Nothing => json!("nothing"),
        };
        json!({ "kind": "release_dir", "root": root, "wish": wish })
    }

    /// Hashes the directory to ship and reads the root.
    ///
    /// # Errors
    /// Those of [`ReleaseDir::artifact`]; `release_dir.source_changed` when the candidate names an
    /// artifact `app` with another digest; `release_dir.nested` when the root lies in the directory
    /// to ship; `release_dir.no_release` and `.altered` for a kept release;
    /// `release_dir.nothing_to_ship`; `release_dir.platform`; `release_dir.cannot_tell` when nobody can say what runs.
    async fn plan(&self, cx: &PlanContext) -> Result<Planned<ReleaseChange>> {
        fence::same_history(&self.layout, cx.chain())?;
        let (dir, artifact) = (self.clone(), cx.candidate().artifacts.get("app").cloned());
        blocking(move || dir.plan_now(artifact.as_ref())).await.no_effect()
    }

    /// Copies, stops, switches, starts, prunes: what of it is not done yet.
    ///
    /// # Errors
    /// Before the old service is touched, with [`Effect::None`]: those of `plan`,
    /// `release_dir.disk_full`, `release_dir.busy`, `release_dir.elsewhere`, `lock.lost`. After it:
    /// `service.wont_stop`, `service.not_started`, `release_dir.io`, and the same `lock.lost` and
    /// `release_dir.busy` with [`Effect::Done`].
    async fn apply(
        &self,
        cx: &ApplyContext,
        change: &ReleaseChange,
        earlier: Option<&ReleaseReceipt>,
    ) -> Result<ReleaseReceipt> {
        let standing = Standing::read(&self.layout).no_effect()?;
        match standing.locate(&self.layout, change, earlier) {
            Location::After => return Ok(receipt(cx, change, &standing)),
            Location::Elsewhere(live) => return Err(elsewhere(&live)),
            Location::Unknown(why) => return Err(cannot_tell(why)),
            _ => {}
        }
        let wish = &change.wish;
        if let Some(id) = &wish.runs {
            self.stage(cx, change, id).await?;
        }
        let (runs, mut steps) = (standing.service.release(), Steps::default());
        if !matches!(standing.service, Service::Nobody)
            && (runs.is_none() || runs != wish.runs.as_ref())
        {
            steps.step(stop(cx, &self.layout, self.grace).await)?;
        }
        if standing.link != wish.release {
            let previous = change
                .before
                .release
                .clone()
                .filter(|before| wish.release.as_ref() != Some(before));
            let previous = previous.or_else(|| standing.previous.clone());
            let switched = switch(cx, &self.layout, previous.as_ref(), wish.release.as_ref());
            steps.step(switched.await)?;
        }
        if let Some(id) = wish.runs.as_ref().filter(|id| runs != Some(id)) {
            steps.step(start(cx, &self.layout, id, &self.memory).await)?;
        }
        if wish.runs.is_some() {
            self.prune(cx, change).await;
        }
        let standing =
            Standing::read(&self.layout).map_err(|error| error.with_effect(Effect::Done))?;
        Ok(receipt(cx, change, &standing))
    }

    async fn observe(
        &self,
        _: &PlanContext,
        change: &ReleaseChange,
        receipt: &ReleaseReceipt,
    ) -> Result<Rollout> {
        let record = Record::read(&self.layout)?;
        if let (Some(record), Some(token)) = (&record, &receipt.token)
            && record.token != *token
            && record.run != receipt.run
        {
            return Ok(Rollout::Superseded { by: format!("run {}", record.run) });
        }
        settled(&self.layout, change.wish.runs.as_ref(), self.settle, &self.memory)
    }

    /// Writes this run's fence under the root, once nobody writes there.
    ///
    /// # Errors
    /// `release_dir.busy` when somebody still writes at the deadline, `lock.lost`,
    /// `release_dir.other_ledger`, `.corrupt`, `.newer`, `.io`.
    async fn fence_off(&self, cx: &ApplyContext) -> Result<()> {
        begin(cx, &self.layout, "fence off").await.map(|_| ())
    }

    async fn locate(
        &self,
        _: &PlanContext,
        change: &ReleaseChange,
        receipt: Option<&ReleaseReceipt>,
    ) -> Result<Location> {
        Ok(match Standing::read(&self.layout) {
            Ok(standing) => standing.locate(&self.layout, change, receipt),
            Err(error) => Location::Unknown(error.to_string()),
        })
    }

    async fn live(&self, _: &PlanContext) -> Result<Option<Live>> {
        Ok(Standing::read(&self.layout)?.live(&self.layout))
    }
}

impl ReleaseDir {
    fn plan_now(&self, artifact: Option<&Digest>) -> Result<Planned<ReleaseChange>> {
        let standing = Standing::read(&self.layout)?;
        if let Service::Unknown(why) = standing.service {
            return Err(cannot_tell(why));
        }
        let before = standing.state();
        let (wish, tree) = match &self.wish {
            Wish::App { dir, start } => {
                check_nesting(dir, self.layout.root())?;
                let tree = tree::read(dir, None)?.digest();
                if let Some(wanted) = artifact.filter(|wanted| **wanted != tree) {
                    return Err(stage::source_changed(dir, wanted, &tree));
                }
                (running(ReleaseId::new(&tree, start)), Some(tree))
            }
            Wish::Kept(id) => {
                stage::check_kept(&self.layout, id)?;
                (running(id.clone()), None)
            }
            Wish::Stopped => (State { release: before.release.clone(), runs: None }, None),
            Wish::Nothing => {
                return Err(refuse(
                    code::NOTHING_TO_SHIP,
                    "this deployer was made for reading only",
                ));
            }
        };
        if wish.runs.is_some() && !cfg!(target_os = "linux") {
            return Err(refuse(code::PLATFORM, "a service can be managed on Linux only"));
        }
        // For a stop the release is part of the before-state, not of what is touched.
        let scope = json!({
            "root": tree::encode(self.layout.root().as_os_str()), "runs": &wish.runs,
        });
        let summary = format!("{}: {before} -> {wish}", self.layout.root().display());
        let previous = standing.previous;
        Ok(Planned {
            change: ReleaseChange { before, previous, wish, tree },
            scope: Digest::of_json(&scope),
            summary,
        })
    }

    async fn stage(&self, cx: &ApplyContext, change: &ReleaseChange, id: &ReleaseId) -> Result<()> {
        let Some(tree) = change.tree.clone() else {
            let (layout, id) = (self.layout.clone(), id.clone());
            return blocking(move || stage::check_kept(&layout, &id).map(|_| ())).await.no_effect();
        };
        let Wish::App { dir, start } = self.wish.clone() else {
            return Err(refuse(
                code::NOTHING_TO_SHIP,
                "the change ships a directory, which this deployer has not",
            ));
        };
        if ReleaseId::new(&tree, &start) != *id {
            return Err(refuse(
                code::SOURCE_CHANGED,
                "the change was planned with another start command",
            )
            .with_next(NextAction::outside("resume with the start command of that run")));
        }
        let (permit, locked) = begin(cx, &self.layout, "stage release").await?;
        let (layout, id, version) = (self.layout.clone(), id.clone(), self.version.clone());
        blocking(move || {
            let runs = Service::look(&layout).no_effect()?.release() == Some(&id);
            let version = version.as_deref();
            let wanted = Wanted { id: &id, tree: &tree, start: &start, version };
            stage::stage(&layout, &permit, &locked, &dir, &wanted, runs)
        })
        .await
    }

    /// Old releases are only clutter: that they could not be removed is told, and no failure.
    async fn prune(&self, cx: &ApplyContext, change: &ReleaseChange) {
        let pruned = async {
            let (permit, locked) = begin(cx, &self.layout, "prune releases").await?;
            let (layout, change, keep) = (self.layout.clone(), change.clone(), self.keep);
            blocking(move || {
                let State { release: before, runs } = &change.before;
                let spare = [before, runs, &change.wish.release, &change.wish.runs];
                let spare: Vec<_> = spare.into_iter().chain([&change.previous]).flatten().collect();
                stage::prune(&layout, &permit, &locked, keep, &spare)
            })
            .await
        };
        match pruned.await {
            Ok(0) => {}
            Ok(removed) => cx.progress(format!("removed {removed} old releases")),
            Err(error) => cx.progress(format!("old releases were not removed: {error}")),
        }
    }
}

fn running(id: ReleaseId) -> State {
    State { release: Some(id.clone()), runs: Some(id) }
}

fn receipt(cx: &ApplyContext, change: &ReleaseChange, standing: &Standing) -> ReleaseReceipt {
    let token = match &standing.service {
        Service::Runs(record, _) => Some(record.token.clone()),
        _ => None,
    };
    let stopped = standing.started.clone().filter(|_| token.is_none());
    ReleaseReceipt { release: change.wish.release.clone(), token, run: cx.run(), stopped }
}

/// A permit for one write, and the root's lock under its fence.
pub(crate) async fn begin(
    cx: &ApplyContext,
    layout: &Layout,
    call: &str,
) -> Result<(Permit, Locked)> {
    let permit = cx.permit(call).await?;
    let locked = fence::lock(layout, &permit, cx.deadline()).await?;
    Ok((permit, locked))
}

pub(crate) async fn stop(cx: &ApplyContext, layout: &Layout, grace: Duration) -> Result<()> {
    let (permit, locked) = begin(cx, layout, "stop service").await?;
    service::stop(layout, &permit, &locked, grace).await
}

pub(crate) async fn switch(
    cx: &ApplyContext,
    layout: &Layout,
    previous: Option<&ReleaseId>,
    current: Option<&ReleaseId>,
) -> Result<()> {
    let (permit, _locked) = begin(cx, layout, "switch link").await?;
    // In this order: once `current` is switched the whole step is done.
    layout.set_link(&permit, PREVIOUS, previous)?;
    layout.set_link(&permit, CURRENT, current)
}

pub(crate) async fn start(
    cx: &ApplyContext,
    layout: &Layout,
    id: &ReleaseId,
    memory: &Arc<Memory>,
) -> Result<String> {
    let (permit, locked) = begin(cx, layout, "start service").await?;
    let (layout, id, memory) = (layout.clone(), id.clone(), Arc::clone(memory));
    blocking(move || {
        let release = release::get(&layout, &id)?;
        service::start(&layout, &permit, &locked, &release, &memory)
    })
    .await
}

/// How a start, or the lack of one, is getting on.
pub(crate) fn settled(
    layout: &Layout,
    wish: Option<&ReleaseId>,
    settle: Duration,
    memory: &Memory,
) -> Result<Rollout> {
    let service = Service::look(layout)?;
    let Some(wish) = wish else {
        return Ok(match service {
            Service::Nobody => Rollout::Settled,
            _ => Rollout::Failed("a process of the service is still there".to_owned()),
        });
    };
    let log = layout.log(wish);
    Ok(match service {
        Service::Runs(record, leader) if record.release == *wish => {
            if memory.age(&record.token, &leader) < settle {
                Rollout::InProgress { poll_after: POLL }
            } else {
                Rollout::Settled
            }
        }
        Service::Runs(record, _) => {
            Rollout::Failed(format!("`{}` runs instead of `{wish}`", record.release))
        }
        Service::Nobody => {
            let token = Record::read(layout)?.map(|record| record.token);
            let exit = token.and_then(|token| memory.exit(&token));
            let exit = exit.map(|exit| format!(" ({exit})")).unwrap_or_default();
            Rollout::Failed(format!("the start command ended at once{exit}: see {}", log.display()))
        }
        Service::Leftovers(pids) => Rollout::Failed(format!(
            "the start command ended and left {} processes behind, it must stay in the foreground: \
             see {}",
            pids.len(),
            log.display()
        )),
        Service::Unknown(why) => Rollout::Failed(why),
    })
}

/// A root inside of what is copied into it would be copied into itself.
fn check_nesting(dir: &Path, root: &Path) -> Result<()> {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    // The root itself may not be there yet, but some directory above it is.
    let above =
        root.ancestors().find_map(|above| above.canonicalize().ok().map(|real| (above, real)));
    let real = match above {
        Some((above, real)) => {
            root.strip_prefix(above).map_or(real.clone(), |rest| real.join(rest))
        }
        None => root.to_owned(),
    };
    if !real.starts_with(&dir) {
        return Ok(());
    }
    Err(refuse(code::NESTED, "the root lies inside the directory to ship")
        .with_context("root", root.display())
        .with_context("app_dir", dir.display())
        .with_next(NextAction::outside("choose a root outside of it")))
}

pub(crate) fn elsewhere(live: &Live) -> Error {
    refuse(code::ELSEWHERE, format!("somebody else's release is live: {live}"))
        .with_next(NextAction::verb(Verb::Status, &[]))
}

pub(crate) fn cannot_tell(why: String) -> Error {
    refuse(code::CANNOT_TELL, why)
        .with_next(NextAction::outside("look at the root on the machine it is on, and repair it"))
        .with_next(NextAction::verb(Verb::Reconcile, &[]))
}
