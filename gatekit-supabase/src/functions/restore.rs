//! `Restore`, the way back to the artefacts that were live.

use async_trait::async_trait;
use gatekit_core::{
    ApplyContext, Effect, Error, Location, Permit, PlanContext, Result, Reversibility, Rollback,
    Rollout,
};
use tokio::time::sleep;

use super::change::{FunctionChange, FunctionsChange, FunctionsReceipt, Standing};
use super::deploy::Deploy;
use super::writing::{PAUSES, Writing, agrees, cannot_tell, elsewhere};
use crate::code;
use crate::management::{Deployed, Failed};

/// Puts the artefacts back that a [`Deploy`] has replaced, byte for byte, as new versions; a function that was
/// not there before is removed.
///
/// The API updates one function at a time: they do not switch together as they did on the way there.
///
/// A change of which an artefact could not be kept is one-way, and refused before anything is written.
/// Functions that somebody else has deployed since are left alone, all of them.
#[derive(Debug, Clone)]
#[must_use = "give it to `.rollback_with`"]
pub struct Restore {
    deploy: Deploy,
}

impl Restore {
    /// The way back of that deploy: with its project, its files, and the folder where artefacts are kept.
    pub fn of(deploy: &Deploy) -> Self {
        Self { deploy: deploy.clone() }
    }

    /// Why a function cannot be put back.
    fn obstacle(&self, function: &FunctionChange) -> Option<String> {
        let before = function.before.as_ref()?;
        let slug = &function.slug;
        let Some(kept) = &before.kept else {
            let why = before.not_kept.as_deref().unwrap_or("nobody knows why");
            return Some(format!("the artefact of `{slug}` could not be kept: {why}"));
        };
        let is_there = self.deploy.keep.has_artefact(kept);
        (!is_there).then(|| format!("the artefact of `{slug}` is not kept any more"))
    }
}

#[async_trait]
impl Rollback<Deploy> for Restore {
    fn reversibility(&self, change: &FunctionsChange) -> Reversibility {
        let obstacle = change.functions.iter().find_map(|it| self.obstacle(it));
        obstacle.map_or(Reversibility::Free, Reversibility::OneWay)
    }

    /// Puts back what is not yet as it was, and reads that it is.
    ///
    /// # Errors
    /// With [`Effect::None`]: `functions.no_way_back`, `functions.not_kept`, and `functions.cannot_tell` when
    /// somebody has removed a function, or nobody knows whose it is that is live. `functions.verify_jwt` when a
    /// function treats tokens otherwise than it did. Otherwise those of [`Deploy`].
    async fn roll_back(
        &self,
        cx: &ApplyContext,
        change: &FunctionsChange,
        receipt: Option<&FunctionsReceipt>,
    ) -> Result<()> {
        let deploy = &self.deploy;
        deploy.is_of_project(change)?;
        if let Some(why) = change.functions.iter().find_map(|it| self.obstacle(it)) {
            return Err(Error::new(code::FUNCTIONS_NO_WAY_BACK, why).with_effect(Effect::None));
        }
        let writing = Writing::new(deploy, cx, change);
        let back = put_back(&writing, receipt).await;
        back.map_err(|error| writing.written.told_with(error))
    }

    async fn observe_back(
        &self,
        cx: &PlanContext,
        change: &FunctionsChange,
        receipt: Option<&FunctionsReceipt>,
    ) -> Result<Rollout> {
        Ok(match self.deploy.where_it_stands(cx, change, receipt).await? {
            Location::Before => Rollout::Settled,
            Location::Elsewhere(live) => Rollout::Superseded { by: live.to_string() },
            other => Rollout::Failed(format!("the functions are {other}")),
        })
    }
}

/// Puts back all that is not as it was.
async fn put_back(writing: &Writing<'_>, receipt: Option<&FunctionsReceipt>) -> Result<()> {
    let live = writing.landed(receipt).await?;
    let standings = writing.change.standings(&live, receipt, &writing.deploy.keep)?;
    let found = |wanted: Standing| standings.each.iter().find(|(.., it)| *it == wanted);
    if found(Standing::Elsewhere).is_some() {
        return Ok(());
    }
    if let Some((function, ..)) = found(Standing::Gone) {
        let what = "somebody has removed the function: it is not put back";
        return Err(cannot_tell(what, &function.slug));
    }
    let identified = match found(Standing::Unclear) {
        Some((function, ..)) => Some(writing.identified(function, &live).await?),
        None => None,
    };
    let receipt = identified.as_ref().or(receipt);
    for function in writing.change.functions.iter().rev() {
        Back { writing, function, receipt }.put().await?;
    }
    Ok(())
}

/// The way back of one function.
#[derive(Debug)]
struct Back<'a> {
    writing: &'a Writing<'a>,
    function: &'a FunctionChange,
    receipt: Option<&'a FunctionsReceipt>,
}

impl Back<'_> {
    /// Reads, writes, and reads again, until the function is as it was.
    async fn put(&self) -> Result<()> {
        let (writing, slug) = (self.writing, &self.function.slug);
        // The version that was written over, and what is known of the newest write.
        let mut over = None;
        let mut effect = Effect::None;
        let mut pauses = PAUSES.iter();
        loop {
            let live = writing.live().await?;
            let standings = writing.change.standings(&live, self.receipt, &writing.deploy.keep)?;
            let found = standings.each.iter().find(|(it, ..)| it.slug == *slug);
            let pause = writing.pause(&mut pauses);
            match found {
                Some((.., standing)) if standing.is_before() => {
                    let keep = &writing.deploy.keep;
                    let is_both = standing.is_after();
                    let note = is_both.then(|| keep.note_undone(writing.change.run, slug));
                    return note.unwrap_or(Ok(()));
                }
                Some((_, Some(live), _)) if self.is_restored(live, over) => {
                    let before = self.function.before.as_ref();
                    return before.map_or(Ok(()), |it| agrees(it.verify_jwt, live));
                }
                Some((_, Some(_), Standing::Known { .. } | Standing::Half(_)))
                    if effect == Effect::Done =>
                {
                    let what = "the API took the artefact, and still tells what was live before";
                    let error = cannot_tell(what, slug).with_effect(Effect::Unknown);
                    sleep(pause.ok_or(error)?).await;
                }
                Some((_, Some(live), Standing::Known { .. } | Standing::Half(_))) => {
                    let permit = writing.cx.permit(&format!("put {slug} back")).await?;
                    let written = self.write(&permit).await?;
                    over = over.or(Some(live.version));
                    let Err(failed) = writing.noted(Effect::Done, written) else {
                        effect = Effect::Done;
                        continue;
                    };
                    let pause = pause.filter(|_| failed.error.is_temporary());
                    match pause.and_then(|pause| writing.in_time(pause, &failed)) {
                        Some(pause) => sleep(pause).await,
                        None => return Err(failed.error),
                    }
                }
                _ => return Err(elsewhere(&standings.location())),
            }
        }
    }

    /// Whether the artefact of before is live as another version than the one that was written over: it may
    /// be the artefact that was live there, too.
    fn is_restored(&self, live: &Deployed, over: Option<u64>) -> bool {
        let kept = self.function.before.as_ref().and_then(|it| it.kept.as_ref());
        let is_written = over.is_some_and(|over| over != live.version);
        is_written && kept.is_some() && live.checksum.as_ref() == kept
    }

    /// One write: the outer error is of what is kept.
    async fn write(&self, permit: &Permit) -> Result<Result<(), Failed>> {
        let (project, slug) = (&self.writing.deploy.project, &self.function.slug);
        let Some(before) = &self.function.before else {
            return Ok(project.remove(permit, slug).await);
        };
        let kept = before.kept.as_ref().ok_or_else(|| {
            Error::new(code::FUNCTIONS_NO_WAY_BACK, "the artefact could not be kept")
                .with_effect(Effect::None)
        })?;
        let artefact = self.writing.deploy.keep.artefact(kept)?;
        Ok(project.update(permit, slug, before, (kept, artefact)).await)
    }
}
