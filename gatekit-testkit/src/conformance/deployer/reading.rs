//! Plan, observe, locate and live write nothing, and give the same answer however often they are asked.

use std::fmt::Debug;

use gatekit_core::Deployer as _;
use serde_json::Value;

use super::bench::{Bench, Run, told};
use super::course::Way;
use super::subject::{DeployerSubject, DeployerWorld, Release, Start};
use crate::conformance::contract::{self, Sentence, broken, holds};
use crate::conformance::drops::{POINTS, dropped_at};

/// Planning, observing, locating and asking what is live write nothing, before the change and after
/// it: a dry run is no more than that.
///
/// # Panics
/// When something was written.
pub async fn reading_writes_nothing<S: DeployerSubject>(subject: &S) {
    let bench = Bench::new(subject, Start::Old).await;
    let run = bench.run(Release::New).await;
    asked_without_trace(&run, None).await;
    let receipt = run.ship().await;
    asked_without_trace(&run, Some(&receipt)).await;
    asked_without_trace(&run, None).await;
}

async fn asked_without_trace<W: DeployerWorld>(run: &Run<'_, W>, receipt: Option<&Value>) {
    let before = run.trace().await;
    let _ = run.planned().await;
    holds!(run.trace().await == before, PLAN, "`plan` wrote");
    run.locate(receipt).await;
    holds!(run.trace().await == before, LOCATE_READS, "`locate` wrote");
    run.live().await;
    holds!(run.trace().await == before, LIVE, "`live` wrote");
    if receipt.is_some() {
        run.poll_on(Way::Forward, receipt).await;
        holds!(run.trace().await == before, OBSERVE, "`observe` wrote");
    }
}

/// Asked again, they give the same answer; a plan has at least the same scope.
///
/// # Panics
/// When they do not.
pub async fn reading_is_repeatable<S: DeployerSubject>(subject: &S) {
    let bench = Bench::new(subject, Start::Old).await;
    let run = bench.run(Release::New).await;
    let (one, two) = (run.planned().await, run.planned().await);
    let other = run.in_another_process().planned().await;
    holds!(one.scope == two.scope, SCOPE, "another scope when it planned again");
    holds!(one.scope == other.scope, SCOPE, "another scope in another process");
    same(contract::LOCATE_READS, run.locate(None).await, run.locate(None).await);
    same(contract::LIVE, run.live().await, run.live().await);
    let receipt = run.ship().await;
    for receipt in [Some(&receipt), None] {
        same(contract::LOCATE_READS, run.locate(receipt).await, run.locate(receipt).await);
    }
    same(contract::LIVE, run.live().await, run.live().await);
    let rollouts = [
        run.poll(Way::Forward, Some(&receipt)).await,
        run.poll(Way::Forward, Some(&receipt)).await,
    ];
    let [one, two] = rollouts.map(|rollout| rollout.map_err(|error| told(&error)));
    same(contract::OBSERVE, one, two);
}

fn same<T: PartialEq + Debug>(sentence: Sentence, one: T, two: T) {
    if one != two {
        broken(sentence, format_args!("{one:?}, and then {two:?}"));
    }
}

/// Dropped wherever they wait and asked again, they give the answer that they would have given.
///
/// # Panics
/// When they do not, or when a dropped call wrote.
pub async fn reading_is_cancel_safe<S: DeployerSubject>(subject: &S) {
    let bench = Bench::new(subject, Start::Old).await;
    let run = bench.run(Release::New).await;
    dropped_reads(&run, None).await;
    let receipt = run.ship().await;
    dropped_reads(&run, Some(&receipt)).await;
}

async fn dropped_reads<W: DeployerWorld>(run: &Run<'_, W>, receipt: Option<&Value>) {
    let plan = || async { run.try_plan().await.map(|planned| planned.scope).map_err(|e| told(&e)) };
    survives_drops(run, contract::PLAN, plan).await;
    let locate = || async { run.try_locate(receipt).await.map_err(|error| told(&error)) };
    survives_drops(run, contract::LOCATE_READS, locate).await;
    let live = || async { run.deployer.live(&run.cx).await.map_err(|error| told(&error)) };
    survives_drops(run, contract::LIVE, live).await;
    if receipt.is_some() {
        let observe = || async { run.poll(Way::Forward, receipt).await.map_err(|e| told(&e)) };
        survives_drops(run, contract::OBSERVE, observe).await;
    }
}

/// Asks, and drops the call at one point after the other where it waits.
pub(crate) async fn survives_drops<W, T, F>(
    run: &Run<'_, W>,
    sentence: Sentence,
    ask: impl Fn() -> F,
) where
    W: DeployerWorld,
    T: PartialEq + Debug,
    F: Future<Output = T>,
{
    let (whole, before) = (ask().await, run.trace().await);
    for point in 1..=POINTS {
        if dropped_at(ask(), point).await.is_some() {
            return;
        }
        let again = ask().await;
        if again != whole {
            let found =
                format_args!("{whole:?}, and {again:?} after a call was dropped where it waited");
            broken(sentence, found);
        }
        if run.trace().await != before {
            broken(sentence, "a call that was dropped where it waited has written");
        }
    }
}
