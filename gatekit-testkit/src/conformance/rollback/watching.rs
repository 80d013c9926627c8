//! `reversibility` and `observe_back` write nothing, and give the same answer however often asked.

use gatekit_core::{Reversibility, Rollout};

use crate::conformance::contract::{self, holds};
use crate::conformance::deployer::{
    Bench, DeployerSubject, Release, Start, Way, starts, survives_drops, told,
};

/// Whether a change can be undone is the same in every process, and asking writes nothing. The change
/// of a subject is free.
///
/// # Panics
/// When it is not.
pub async fn reversibility_is_told_without_writing<S: DeployerSubject>(subject: &S) {
    for start in starts(subject) {
        let bench = Bench::new(subject, start).await;
        let run = bench.run(Release::New).await;
        let before = run.trace().await;
        let planned = run.reversibility();
        holds!(planned == Reversibility::Free, REVERSIBILITY, "{planned:?}, and it can be undone");
        holds!(run.trace().await == before, REVERSIBILITY, "it wrote");
        run.ship().await;
        let before = run.trace().await;
        for run in [&run, &run.in_another_process()] {
            for _ in 0..2 {
                let again = run.reversibility();
                holds!(again == planned, REVERSIBILITY, "{planned:?}, and then {again:?}");
            }
        }
        holds!(run.trace().await == before, REVERSIBILITY, "it wrote");
    }
}

/// Watching the undoing writes nothing, ends, stays ended, and survives being dropped.
///
/// # Panics
/// When it does not.
pub async fn watching_the_undoing_writes_nothing<S: DeployerSubject>(subject: &S) {
    let bench = Bench::new(subject, Start::Old).await;
    let (run, receipt) = bench.ship(Release::New).await;
    run.undo(Some(&receipt)).await;
    let before = run.trace().await;
    for receipt in [Some(&receipt), None] {
        for run in [&run, &run.in_another_process()] {
            let again = run.poll_on(Way::Back, receipt).await;
            holds!(again == Rollout::Settled, OBSERVE_BACK, "it had settled, and then {again:?}");
            let ask = || async { run.poll(Way::Back, receipt).await.map_err(|e| told(&e)) };
            survives_drops(run, contract::OBSERVE_BACK, ask).await;
        }
    }
    holds!(run.trace().await == before, OBSERVE_BACK, "it wrote");
}
