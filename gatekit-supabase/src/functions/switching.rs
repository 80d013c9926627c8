//! What is bundled first, and then made live by one call.

use std::collections::BTreeMap;

use gatekit_core::{Effect, Error, Location, Result};
use tokio::time::sleep;

use super::change::{FunctionChange, FunctionReceipt, FunctionsReceipt, Standing};
use super::writing::{PAUSES, Writing, cannot_tell, elsewhere, no_checksum};
use crate::management::{Deployed, Status};

/// The call that makes what was bundled live.
const SWITCH: &str = "switch the functions";

impl Writing<'_> {
    /// Finds out whether what is live is made of the files of the change: bundles them once more, which makes
    /// nothing live, and compares. Bundling takes a version: where that is the run's own, it is made the live
    /// one, because the API refuses what is deployed after a version that was taken and left.
    pub(super) async fn identified(
        &self,
        function: &FunctionChange,
        live: &[Deployed],
    ) -> Result<FunctionsReceipt> {
        let slug = &function.slug;
        let found = |live: &[Deployed]| live.iter().find(|it| it.slug == *slug).cloned();
        let before = found(live);
        let told = self.bundled(function).await?;
        let mut pauses = PAUSES.iter();
        loop {
            let live = found(&self.live().await?).filter(|it| it.checksum == told.checksum);
            let item = live.as_ref().map(|it| following(&told, it.verify_jwt));
            let Some((receipt, item)) = item.and_then(|it| Some((FunctionReceipt::new(&it)?, it)))
            else {
                let what = "something was deployed, and it cannot be told whether by this run";
                return Err(cannot_tell(what, slug));
            };
            if live.as_ref().is_some_and(|it| receipt.is(it)) {
                return self.known(function, receipt).await;
            }
            if live != before {
                return Err(cannot_tell("somebody has deployed it meanwhile", slug));
            }
            let permit = self.cx.permit(SWITCH).await?;
            let switched = self.deploy.project.switch(&permit, &[item]).await;
            let Err(failed) = self.noted(Effect::Done, switched) else {
                return self.known(function, receipt).await;
            };
            let pause = self.pause(&mut pauses).filter(|_| failed.error.is_temporary());
            match pause.and_then(|pause| self.in_time(pause, &failed)) {
                Some(pause) => sleep(pause).await,
                None => return Err(failed.error),
            }
        }
    }

    /// Bundles the functions that are not live yet, and then makes all of them live by one call.
    ///
    /// Bundling takes a version of each. Where one cannot be bundled, the others are made live all the same, to
    /// be put back: the API refuses whatever is deployed after a version that was taken and left.
    pub(super) async fn deploy_all(
        &self,
        earlier: Option<&FunctionsReceipt>,
    ) -> Result<FunctionsReceipt> {
        // A file that was changed is found before anything is sent.
        self.change.functions.iter().try_for_each(|it| self.deploy.files_of(it).map(drop))?;
        let mut receipt = earlier.cloned();
        let mut bundled: BTreeMap<&str, Deployed> = BTreeMap::new();
        let mut unbundled = None;
        let mut may_land = false;
        let mut pauses = PAUSES.iter();
        loop {
            // Bundling takes a while, and so does whoever answers nothing.
            let live = self.live().await?;
            let standings = self.change.standings(&live, receipt.as_ref(), &self.deploy.keep)?;
            let standings = standings.regardless_of_pending();
            let is_half = standings.each.iter().any(|(.., it)| matches!(it, Standing::Half(_)));
            match (standings.location(), receipt.clone()) {
                (Location::Between(_), Some(receipt)) if is_half => {
                    return self.seen(receipt).await;
                }
                (Location::After, _) => {
                    self.end()?;
                    return Ok(FunctionsReceipt::of_live(&standings));
                }
                (Location::Before | Location::Between(_), _) => {}
                (other, _) => return Err(elsewhere(&other)),
            }
            let wanting = standings.each.iter().filter(|(.., it)| !it.is_after());
            let wanting: Vec<_> = wanting.map(|(function, ..)| *function).collect();
            let mut lacking = wanting.iter().filter(|it| !bundled.contains_key(&*it.slug));
            if let Some(function) = lacking.next().filter(|_| unbundled.is_none()) {
                match self.bundled(function).await {
                    Ok(told) => drop(bundled.insert(&function.slug, told)),
                    Err(error) => unbundled = Some(error),
                }
                continue;
            }
            let mut next = FunctionsReceipt::of_live(&standings);
            let mut items = Vec::new();
            for function in wanting {
                let Some(told) = bundled.get(&*function.slug) else { continue };
                let item = following(told, Some(function.verify_jwt));
                let mark =
                    FunctionReceipt::new(&item).ok_or_else(|| no_checksum(&function.slug))?;
                self.deploy.keep.note_bundle(&function.source, &mark.checksum)?;
                next.functions.push(mark);
                items.push(item);
            }
            if let Some(error) = unbundled.take_if(|_| items.is_empty()) {
                return Err(error);
            }
            if receipt.as_ref() != Some(&next) {
                self.cx.checkpoint(&next).await?;
            }
            let permit = self.cx.permit(SWITCH).await?;
            self.begin(&items)?;
            let switched = self.deploy.project.switch(&permit, &items).await;
            receipt = Some(next.clone());
            let Err(failed) = self.noted(Effect::Done, switched) else {
                self.end()?;
                return match unbundled {
                    Some(error) => Err(error.with_effect(Effect::Done)),
                    None => self.seen(next).await,
                };
            };
            may_land |= failed.error.effect() != Effect::None && !failed.is_over;
            // The API calls it idempotent, and what is live is read before.
            let pause = self.pause(&mut pauses).filter(|_| failed.error.is_temporary());
            match pause.and_then(|pause| self.in_time(pause, &failed)) {
                Some(pause) => sleep(pause).await,
                None => return self.switched_late(next, failed.error, may_land).await,
            }
        }
    }

    /// Ends a switch that was given up: it may have landed all the same, or may still.
    async fn switched_late(
        &self,
        receipt: FunctionsReceipt,
        error: Error,
        may_land: bool,
    ) -> Result<FunctionsReceipt> {
        if may_land {
            let live = self.landed(Some(&receipt)).await?;
            let standings = self.change.standings(&live, Some(&receipt), &self.deploy.keep)?;
            if standings.location() == Location::After {
                self.end()?;
                return Ok(receipt);
            }
        }
        self.end()?;
        Err(error)
    }

    /// Notes that these functions are about to be live.
    fn begin(&self, items: &[Deployed]) -> Result<()> {
        items.iter().try_for_each(|it| self.deploy.keep.begin(self.change.run, &it.slug))
    }

    /// Notes that it is known what has become of all functions.
    pub(super) fn end(&self) -> Result<()> {
        self.change.slugs().try_for_each(|slug| self.deploy.keep.end(self.change.run, slug))
    }

    /// Bundles a function, which makes nothing live: it may be repeated, and takes a version each time.
    async fn bundled(&self, function: &FunctionChange) -> Result<Deployed> {
        let upload = self.upload(function)?;
        let call = format!("bundle {}", function.slug);
        let mut pauses = PAUSES.iter();
        loop {
            let permit = self.cx.permit(&call).await?;
            let answer = self.deploy.project.bundle(&permit, &upload).await;
            // A version is taken, and nothing of it is live.
            let failed = match self.noted(Effect::Unknown, answer) {
                Ok(told) => return Ok(told),
                Err(failed) => failed,
            };
            let pause = self.pause(&mut pauses).filter(|_| failed.error.is_temporary());
            match pause.and_then(|pause| self.in_time(pause, &failed)) {
                Some(pause) => sleep(pause).await,
                None => return Err(failed.error),
            }
        }
    }
}

/// The function to switch to, as the version that bundling told.
fn following(told: &Deployed, verify_jwt: Option<bool>) -> Deployed {
    Deployed { verify_jwt, status: Status::Active, ..told.clone() }
}
