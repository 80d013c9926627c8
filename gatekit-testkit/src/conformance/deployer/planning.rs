//! What a plan promises: its scope, and a change that holds all there is to know.

use gatekit_core::Location;

use super::bench::{Bench, told};
use super::subject::{DeployerSubject, DeployerWorld as _, Release, Start};
use crate::conformance::contract::{self, broken, holds};

/// Another candidate has another scope, so that no approval of the one is good for the other.
///
/// # Panics
/// When two candidates share a scope.
pub async fn another_candidate_has_another_scope<S: DeployerSubject>(subject: &S) {
    let bench = Bench::new(subject, Start::Old).await;
    let old = bench.run(Release::Old).await.planned().await;
    let new = bench.run(Release::New).await.planned().await;
    holds!(old.scope != new.scope, SCOPE, "the old and the new release have the same scope");
}

/// The scope stays the same when only what is live has moved. For
/// [`Capability::others`](super::Capability) without
/// [`Capability::scope_of_before`](super::Capability).
///
/// # Panics
/// When it does not.
pub async fn the_scope_leaves_out_what_was_there<S: DeployerSubject>(subject: &S) {
    let bench = Bench::new(subject, Start::Old).await;
    if !bench.capability.others || bench.capability.scope_of_before {
        return;
    }
    let run = bench.run(Release::New).await;
    let before = run.planned().await.scope;
    bench.world.somebody_else_releases().await;
    let after = run.planned().await.scope;
    holds!(before == after, SCOPE_BEFORE, "another scope after somebody else released");
}

/// A change and a receipt are all that another process needs to go on at each step.
///
/// # Panics
/// When a process that has nothing else cannot go on.
pub async fn another_process_goes_on_with_change_and_receipt<S: DeployerSubject>(subject: &S) {
    let bench = Bench::new(subject, Start::Old).await;
    let planner = bench.run(Release::New).await;
    let before = planner.in_another_process().locate(None).await;
    holds!(before == Location::Before, CHANGE, "another process located: {before}");
    let receipt = match planner.in_another_process().try_apply(None).await {
        Ok(receipt) => receipt,
        Err(error) => {
            broken(contract::CHANGE, format_args!("another process cannot apply: {}", told(&error)))
        }
    };
    planner.in_another_process().arrived(&receipt).await;
}
