//! Writing functions, as carefully as an API without a compare-and-swap allows.

use std::collections::BTreeMap;
use std::time::Duration;

use gatekit_core::{ApplyContext, Effect, Error, Location, NextAction, Result, Verb};
use tokio::time::{Instant, sleep};

use super::change::{FunctionChange, FunctionReceipt, FunctionsChange, FunctionsReceipt, Standing};
use super::deploy::Deploy;
use crate::code;
use crate::management::{Deployed, Failed, Status, Upload};

/// The pauses before a write is tried again that is known to have done nothing or that may be repeated, and
/// before functions are read again that are not yet as they were written.
pub(super) const PAUSES: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// The call that makes what was bundled live.
const SWITCH: &str = "switch the functions";

/// The pause before functions are read again in which something may still land.
const LANDING: Duration = Duration::from_secs(5);

/// A run that may write the functions of a change.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    pub(super) deploy: &'a Deploy,
    pub(super) cx: &'a ApplyContext,
    pub(super) change: &'a FunctionsChange,
}

impl<'a> Writing<'a> {
    /// What is live of the project now.
    pub(super) async fn live(&self) -> Result<Vec<Deployed>> {
        self.deploy.project.functions(self.cx.deadline()).await
    }

    /// Bundles one function and makes it live, in one call that is never sent twice: only where it is known to
    /// have done nothing, and only over what was planned with.
    pub(super) async fn deploy_one(&self, function: &FunctionChange) -> Result<FunctionsReceipt> {
        let (keep, slug) = (&self.deploy.keep, &*function.slug);
        let upload = self.upload(function)?;
        let mut pauses = PAUSES.iter();
        loop {
            let permit = self.cx.permit(&format!("deploy {slug}")).await?;
            keep.begin(self.change.run, slug)?;
            let failed = match self.deploy.project.deploy(&permit, &upload).await {
                Ok(told) => match FunctionReceipt::new(&told) {
                    Some(receipt) => return self.known(function, receipt).await,
                    None => {
                        let error = no_checksum(slug).with_effect(Effect::Unknown);
                        return self.landed_perhaps(function, error, false).await;
                    }
                },
                Err(failed) => failed,
            };
            if failed.error.effect() != Effect::None {
                return self.landed_perhaps(function, failed.error, failed.is_over).await;
            }
            keep.end(self.change.run, slug)?;
            let pause = self.pause(&mut pauses).filter(|_| failed.error.is_temporary());
            let Some(pause) = pause.and_then(|pause| self.in_time(pause, &failed)) else {
                return Err(failed.error);
            };
            sleep(pause).await;
            let live = self.live().await?;
            let location = self.change.standings(&live, None, keep)?.location();
            if location != Location::Before {
                return Err(elsewhere(&location));
            }
        }
    }

    /// What is live, once what a run has begun cannot land any more, or has landed.
    ///
    /// # Errors
    /// `functions.cannot_tell` when the deadline comes before.
    pub(super) async fn landed(&self, receipt: Option<&FunctionsReceipt>) -> Result<Vec<Deployed>> {
        loop {
            let live = self.live().await?;
            let standings = self.change.standings(&live, receipt, &self.deploy.keep)?;
            let pending = standings.each.iter().find(|(.., it)| *it == Standing::Pending);
            let Some((function, ..)) = pending else { return Ok(live) };
            if Instant::now() + LANDING >= self.cx.deadline() {
                return Err(may_land(&function.slug));
            }
            sleep(LANDING).await;
        }
    }

    /// Goes on where it is not known whether the call has landed: reads, and never sends it again. Where the API
    /// itself has said that it is over, it does not land later.
    async fn landed_perhaps(
        &self,
        function: &FunctionChange,
        error: Error,
        is_over: bool,
    ) -> Result<FunctionsReceipt> {
        let mut pauses = PAUSES.iter();
        loop {
            let live = self.live().await.map_err(|error| error.with_effect(Effect::Unknown))?;
            let standings = self.change.standings(&live, None, &self.deploy.keep)?;
            let is_pending = |it: &Standing| *it == Standing::Pending;
            if !standings.each.iter().all(|(.., it)| it.is_before() || is_pending(it)) {
                let identified = self.identified(function, &live).await;
                return identified.map_err(|error| clouded(error, Effect::Unknown));
            }
            if let Some(pause) = self.pause(&mut pauses) {
                sleep(pause).await;
                continue;
            }
            // An answer that says no is worth more than the doubt.
            if is_over {
                self.deploy.keep.end(self.change.run, &function.slug)?;
                return Err(error);
            }
            if standings.each.iter().all(|(.., it)| it.is_before()) {
                let what = "no answer came, and the function is as it was";
                let error = cannot_tell(what, &function.slug).with_source(error);
                return Err(error.with_effect(Effect::Unknown));
            }
            if Instant::now() + LANDING >= self.cx.deadline() {
                return Err(may_land(&function.slug).with_source(error));
            }
            sleep(LANDING).await;
        }
    }

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
        let unknown = |error: Error| clouded(error, Effect::Unknown);
        let mut pauses = PAUSES.iter();
        loop {
            // Somebody may have deployed since.
            let live = found(&self.live().await.map_err(unknown)?);
            let is_same = live.is_some() && live == before;
            let live = live.filter(|it| is_same && it.checksum == told.checksum);
            let item = live.map(|it| following(&told, it.verify_jwt));
            let Some((receipt, item)) = item.and_then(|it| Some((FunctionReceipt::new(&it)?, it)))
            else {
                let what = "something was deployed, and it cannot be told whether by this run";
                return Err(unknown(cannot_tell(what, slug)));
            };
            let permit = self.cx.permit(SWITCH).await.map_err(unknown)?;
            let Err(failed) = self.deploy.project.switch(&permit, &[item]).await else {
                return self.known(function, receipt).await;
            };
            let pause = self.pause(&mut pauses).filter(|_| failed.error.is_temporary());
            match pause.and_then(|pause| self.in_time(pause, &failed)) {
                Some(pause) => sleep(pause).await,
                None => return Err(unknown(failed.error)),
            }
        }
    }

    /// Notes what the run has made live.
    async fn known(
        &self,
        function: &FunctionChange,
        receipt: FunctionReceipt,
    ) -> Result<FunctionsReceipt> {
        let keep = &self.deploy.keep;
        let done = |error: Error| error.with_effect(Effect::Done);
        keep.note_bundle(&function.source, &receipt.checksum).map_err(done)?;
        let receipt = FunctionsReceipt { functions: vec![receipt] };
        self.cx.checkpoint(&receipt).await.map_err(done)?;
        keep.end(self.change.run, &function.slug).map_err(done)?;
        self.seen(receipt).await
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
        let (mut doubt, mut may_land) = (Effect::None, false);
        let mut pauses = PAUSES.iter();
        loop {
            // Bundling takes a while, and so does whoever answers nothing.
            let live = self.live().await.map_err(|error| clouded(error, doubt))?;
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
                (other, _) => return Err(clouded(elsewhere(&other), doubt)),
            }
            let wanting = standings.each.iter().filter(|(.., it)| !it.is_after());
            let wanting: Vec<_> = wanting.map(|(function, ..)| *function).collect();
            let mut lacking = wanting.iter().filter(|it| !bundled.contains_key(&*it.slug));
            match lacking.next().filter(|_| unbundled.is_none()) {
                Some(function) => {
                    match self.bundled(function).await {
                        Ok(told) => {
                            // A version is taken, and nothing of it is live.
                            doubt = Effect::Unknown;
                            bundled.insert(&function.slug, told);
                        }
                        Err(error) => unbundled = Some(clouded(error, doubt)),
                    }
                    continue;
                }
                None => {}
            }
            let mut next = FunctionsReceipt::of_live(&standings);
            let mut items = Vec::new();
            for function in wanting {
                let Some(told) = bundled.get(&*function.slug) else { continue };
                let item = following(told, Some(function.verify_jwt));
                let mark = FunctionReceipt::new(&item);
                let mark = mark.ok_or_else(|| clouded(no_checksum(&function.slug), doubt))?;
                let noted = self.deploy.keep.note_bundle(&function.source, &mark.checksum);
                noted.map_err(|error| clouded(error, doubt))?;
                next.functions.push(mark);
                items.push(item);
            }
            if let Some(error) = unbundled.take_if(|_| items.is_empty()) {
                return Err(error);
            }
            if receipt.as_ref() != Some(&next) {
                self.cx.checkpoint(&next).await.map_err(|error| clouded(error, doubt))?;
            }
            let permit = self.cx.permit(SWITCH).await;
            let permit = permit.map_err(|error| clouded(error, doubt))?;
            self.begin(&items).map_err(|error| clouded(error, doubt))?;
            let switched = self.deploy.project.switch(&permit, &items).await;
            receipt = Some(next.clone());
            let Err(failed) = switched else {
                self.end()?;
                return match unbundled {
                    Some(error) => Err(error.with_effect(Effect::Done)),
                    None => self.seen(next).await,
                };
            };
            if failed.error.effect() != Effect::None {
                doubt = Effect::Unknown;
                may_land |= !failed.is_over;
            }
            // The API calls it idempotent, and what is live is read before.
            let pause = self.pause(&mut pauses).filter(|_| failed.error.is_temporary());
            match pause.and_then(|pause| self.in_time(pause, &failed)) {
                Some(pause) => sleep(pause).await,
                None => {
                    return self.switched_late(next, clouded(failed.error, doubt), may_land).await;
                }
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
            let live = self.landed(Some(&receipt)).await;
            let live = live.map_err(|error| clouded(error, Effect::Unknown))?;
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
        let mut slugs = self.change.functions.iter().map(|it| &it.slug);
        slugs.try_for_each(|slug| self.deploy.keep.end(self.change.run, slug))
    }

    /// Bundles a function, which makes nothing live: it may be repeated, and takes a version each time.
    async fn bundled(&self, function: &FunctionChange) -> Result<Deployed> {
        let upload = self.upload(function)?;
        let call = format!("bundle {}", function.slug);
        let mut pauses = PAUSES.iter();
        let mut doubt = Effect::None;
        loop {
            let permit = self.cx.permit(&call).await.map_err(|error| clouded(error, doubt))?;
            let failed = match self.deploy.project.bundle(&permit, &upload).await {
                Ok(told) => return Ok(told),
                Err(failed) => failed,
            };
            if failed.error.effect() != Effect::None {
                doubt = Effect::Unknown;
            }
            let pause = self.pause(&mut pauses).filter(|_| failed.error.is_temporary());
            match pause.and_then(|pause| self.in_time(pause, &failed)) {
                Some(pause) => sleep(pause).await,
                None => return Err(clouded(failed.error, doubt)),
            }
        }
    }

    fn upload(&self, function: &'a FunctionChange) -> Result<Upload<'a>> {
        Ok(Upload {
            slug: &function.slug,
            entrypoint: &function.entrypoint,
            import_map: function.import_map.as_deref(),
            static_patterns: &function.static_patterns,
            verify_jwt: function.verify_jwt,
            files: self.deploy.files_of(function)?,
        })
    }

    /// Reads the functions until they are as they were written: answers may be older than the last write.
    async fn seen(&self, receipt: FunctionsReceipt) -> Result<FunctionsReceipt> {
        let mut pauses = PAUSES.iter();
        loop {
            let live = self.live().await.map_err(|error| error.with_effect(Effect::Unknown))?;
            let standings = self.change.standings(&live, Some(&receipt), &self.deploy.keep)?;
            for (function, live, _) in &standings.each {
                let ours = receipt.of(&function.slug);
                let is_ours = live.is_some_and(|it| FunctionReceipt::new(it).as_ref() == ours);
                if let Some(live) = live.filter(|_| is_ours) {
                    agrees(function.verify_jwt, live)?;
                }
            }
            let is_ours = |it: &Standing| it.is_after() || matches!(it, Standing::Half(_));
            match standings.location() {
                // Whether it is served is for `observe`.
                _ if standings.each.iter().all(|(.., it)| is_ours(it)) => return Ok(receipt),
                Location::Before | Location::Between(_) => {}
                other => return Err(elsewhere(&other).with_effect(Effect::Done)),
            }
            let Some(pause) = self.pause(&mut pauses) else {
                let what = "the API took the deploy, and still tells what was live before";
                return Err(cannot_tell(what, &self.deploy.slugs()).with_effect(Effect::Unknown));
            };
            sleep(pause).await;
        }
    }

    /// The next pause, if there is one.
    pub(super) fn pause<'p>(
        &self,
        pauses: &mut impl Iterator<Item = &'p Duration>,
    ) -> Option<Duration> {
        let pause = pauses.next()?.mul_f64(0.5 + fastrand::f64());
        (Instant::now() + pause < self.cx.deadline()).then_some(pause)
    }

    /// That pause, or the longer one that the API asks for; `None` when there is no time for it.
    pub(super) fn in_time(&self, pause: Duration, failed: &Failed) -> Option<Duration> {
        let pause = pause.checked_add(failed.pause.unwrap_or_default())?;
        let at = Instant::now().checked_add(pause)?;
        (at < self.cx.deadline()).then_some(pause)
    }
}

/// The function to switch to, as the version that bundling told.
fn following(told: &Deployed, verify_jwt: Option<bool>) -> Deployed {
    Deployed { verify_jwt, status: Status::Active, ..told.clone() }
}

/// Sees that a function demands a JSON web token where it is to, and nowhere else.
pub(super) fn agrees(verify_jwt: bool, live: &Deployed) -> Result<()> {
    if live.verify_jwt == Some(verify_jwt) {
        return Ok(());
    }
    let is = live.verify_jwt.map_or_else(|| "not told".to_owned(), |it| it.to_string());
    let what = "the function does not treat JSON web tokens as it was told to";
    Err(Error::new(code::FUNCTIONS_VERIFY_JWT, what)
        .with_effect(Effect::Done)
        .with_context("function", &live.slug)
        .with_context("verify_jwt", is)
        .with_context("wanted", verify_jwt))
}

/// The error of a call that itself did nothing, after others of which that is not known.
pub(super) fn clouded(error: Error, doubt: Effect) -> Error {
    let clean = error.effect() == Effect::None;
    if clean && doubt != Effect::None { error.with_effect(doubt) } else { error }
}

/// The error of a wait for what may still land that the deadline ends.
fn may_land(slug: &str) -> Error {
    cannot_tell("no answer came, and the function may still change", slug)
        .with_effect(Effect::Unknown)
}

fn no_checksum(slug: &str) -> Error {
    Error::new(code::ANSWER, "the management API tells no checksum of what it has bundled")
        .with_effect(Effect::None)
        .with_context("function", slug)
}

pub(super) fn elsewhere(location: &Location) -> Error {
    Error::new(code::FUNCTIONS_ELSEWHERE, "somebody else has deployed since this was planned")
        .with_effect(Effect::None)
        .with_context("found", location)
        .with_next(NextAction::verb(Verb::Status, &[]))
}

pub(super) fn cannot_tell(what: &str, slug: &str) -> Error {
    Error::new(code::FUNCTIONS_CANNOT_TELL, what)
        .with_effect(Effect::None)
        .with_context("function", slug)
        .with_next(NextAction::verb(Verb::Reconcile, &[]))
}
