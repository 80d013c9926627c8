//! Writing functions, as carefully as an API without a compare-and-swap allows.

use std::time::Duration;

use gatekit_core::{ApplyContext, Effect, Error, Location, NextAction, Result, Verb};
use tokio::time::{Instant, sleep};

use super::change::{FunctionChange, FunctionReceipt, FunctionsChange, FunctionsReceipt, Standing};
use super::deploy::Deploy;
use super::written::Written;
use crate::code;
use crate::management::{Deployed, Failed, Upload};

/// The pauses before a write is tried again that is known to have done nothing or that may be repeated, and
/// before functions are read again that are not yet as they were written.
pub(super) const PAUSES: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// The pause before functions are read again in which something may still land.
const LANDING: Duration = Duration::from_secs(5);

/// A run that may write the functions of a change.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    pub(super) deploy: &'a Deploy,
    pub(super) cx: &'a ApplyContext,
    pub(super) change: &'a FunctionsChange,
    pub(super) written: Written,
}

impl<'a> Writing<'a> {
    pub(super) fn new(
        deploy: &'a Deploy,
        cx: &'a ApplyContext,
        change: &'a FunctionsChange,
    ) -> Self {
        Self { deploy, cx, change, written: Written::default() }
    }

    /// Deploys the functions, or finds them deployed.
    ///
    /// # Errors
    /// Those of `Deploy::apply`; what was written before may be told by [`Written`] alone.
    pub(super) async fn apply(
        &self,
        earlier: Option<&FunctionsReceipt>,
    ) -> Result<FunctionsReceipt> {
        let change = self.change;
        // It is made anew.
        change.slugs().try_for_each(|slug| self.deploy.keep.forget_undone(change.run, slug))?;
        let live = self.landed(earlier).await?;
        let standings = change.standings(&live, earlier, &self.deploy.keep)?;
        let unclear = standings.each.iter().find(|(.., it)| *it == Standing::Unclear);
        if let Some((function, ..)) = unclear {
            return self.identified(function, &live).await;
        }
        match standings.location() {
            Location::After => {
                self.end()?;
                return Ok(FunctionsReceipt::of_live(&standings));
            }
            Location::Before | Location::Between(_) => {}
            other => return Err(elsewhere(&other)),
        }
        match (&*change.functions, &*standings.each, earlier) {
            // What was deployed is not what was asked for: another deploy of it would not be, either.
            ([function], [(_, Some(live), Standing::Half(_))], Some(earlier)) => {
                agrees(function.verify_jwt, live).map(|()| earlier.clone())
            }
            ([function], ..) => self.deploy_one(function).await,
            _ => self.deploy_all(earlier).await,
        }
    }

    /// Notes what a call has done: `landed` when it was answered well.
    pub(super) fn noted<T>(
        &self,
        landed: Effect,
        answer: std::result::Result<T, Failed>,
    ) -> std::result::Result<T, Failed> {
        self.written.note(answer.as_ref().map_or_else(|failed| failed.error.effect(), |_| landed));
        answer
    }

    /// What is live of the project now.
    pub(super) async fn live(&self) -> Result<Vec<Deployed>> {
        self.deploy.project.functions(self.change.slugs(), self.cx.deadline()).await
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
            let answer = self.deploy.project.deploy(&permit, &upload).await;
            let failed = match self.noted(Effect::Done, answer) {
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
            let live = self.live().await?;
            let standings = self.change.standings(&live, None, &self.deploy.keep)?;
            let is_pending = |it: &Standing| *it == Standing::Pending;
            if !standings.each.iter().all(|(.., it)| it.is_before() || is_pending(it)) {
                return self.identified(function, &live).await;
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

    /// Notes what the run has made live.
    pub(super) async fn known(
        &self,
        function: &FunctionChange,
        receipt: FunctionReceipt,
    ) -> Result<FunctionsReceipt> {
        let keep = &self.deploy.keep;
        self.written.note(Effect::Done);
        keep.note_bundle(&function.source, &receipt.checksum)?;
        let receipt = FunctionsReceipt { functions: vec![receipt] };
        self.cx.checkpoint(&receipt).await?;
        keep.end(self.change.run, &function.slug)?;
        self.seen(receipt).await
    }

    pub(super) fn upload(&self, function: &'a FunctionChange) -> Result<Upload<'a>> {
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
    pub(super) async fn seen(&self, receipt: FunctionsReceipt) -> Result<FunctionsReceipt> {
        let mut pauses = PAUSES.iter();
        loop {
            let live = self.live().await?;
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

/// The error of a wait for what may still land that the deadline ends.
fn may_land(slug: &str) -> Error {
    cannot_tell("no answer came, and the function may still change", slug)
        .with_effect(Effect::Unknown)
}

pub(super) fn no_checksum(slug: &str) -> Error {
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
