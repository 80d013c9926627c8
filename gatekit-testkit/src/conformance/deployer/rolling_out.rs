//! Rollouts: they end, they fail, they pause.

use gatekit_core::{Go, Location, Rollout};

use super::bench::{Bench, Run};
use super::course::Way;
use super::subject::{DeployerSubject, DeployerWorld, Release, Start, Truth};
use crate::conformance::contract::{self, broken, holds};

/// A rollout ends within the patience, and stays ended.
///
/// # Panics
/// When it is told as under way forever, or does not settle.
pub async fn a_rollout_ends<S: DeployerSubject>(subject: &S) {
    let bench = Bench::new(subject, Start::Old).await;
    let run = bench.run(Release::New).await;
    let receipt = run.apply().await;
    run.arrived(&receipt).await;
    for run in [&run, &run.in_another_process()] {
        let again = run.observe(&receipt).await;
        holds!(again == Rollout::Settled, SETTLED, "it had settled, and then {again:?}");
    }
}

/// A release that never comes to life is not `After`, and its rollout ends. For
/// [`Capability::fails`](super::Capability).
///
/// # Panics
/// When it is `After`, or told as under way forever.
pub async fn a_release_that_fails_is_no_success<S: DeployerSubject>(subject: &S) {
    if !subject.capability().fails {
        return;
    }
    let bench = Bench::new(subject, Start::Old).await;
    let run = bench.run(Release::Failing).await;
    let Ok(receipt) = run.try_apply(None).await else {
        run.located_truly(None, "after `apply` of a release that fails").await;
        return;
    };
    run.observe(&receipt).await;
    for receipt in [Some(&receipt), None] {
        for run in [&run, &run.in_another_process()] {
            let location = run.locate(receipt).await;
            let truth = bench.world.truth().await;
            holds!(location != Location::After, LOCATE, "`After`, and {truth:?} is live");
        }
    }
}

/// A pause waits for its answer, and can be answered twice: told to go on, the rollout settles; told
/// to roll back, the wish does not become live. For [`Capability::pauses`](super::Capability).
///
/// # Panics
/// When a pause is not reported, or not answered so.
pub async fn a_pause_is_answered<S: DeployerSubject>(subject: &S) {
    if !subject.capability().pauses {
        return;
    }
    let bench = Bench::new(subject, Start::Old).await;
    let run = bench.run(Release::New).await;
    let receipt = run.apply().await;
    answered_twice(&run, &receipt, Go::Continue).await;
    run.arrived(&receipt).await;

    let bench = Bench::new(subject, Start::Old).await;
    let run = bench.run(Release::New).await;
    let receipt = run.apply().await;
    answered_twice(&run, &receipt, Go::RollBack).await;
    let rollout = run.poll_on(Way::Forward, Some(&receipt)).await;
    let (truth, location) = (bench.world.truth().await, run.locate(Some(&receipt)).await);
    let found = format!("{rollout:?}, {location}, and {truth:?} is live");
    holds!(!matches!(rollout, Rollout::Paused(_)), PROCEED, "{found}");
    holds!(truth != Truth::New && location != Location::After, PROCEED_BACK, "{found}");
}

async fn answered_twice<W: DeployerWorld>(run: &Run<'_, W>, receipt: &serde_json::Value, go: Go) {
    let Rollout::Paused(pause) = run.poll_on(Way::Forward, Some(receipt)).await else {
        broken(contract::OBSERVE, "a rollout that pauses did not tell so");
    };
    let truth = run.bench.world.truth().await;
    holds!(truth != Truth::New, PROCEED, "{truth:?} is live before the pause was answered");
    run.answer(receipt, &pause, go).await;
    let once = run.trace().await;
    run.in_another_process().answer(receipt, &pause, go).await;
    holds!(run.trace().await.state == once.state, PROCEED, "the same answer had a second effect");
}
