//! `locate`, the only judge of success, and `live`.

use gatekit_core::Location;

use super::bench::{Bench, Write};
use super::killing::walk;
use super::subject::{DeployerSubject, DeployerWorld as _, Release, Start, Truth};
use crate::conformance::contract::{self, broken, holds};
use crate::conformance::ration::Death;

/// The target is `Before` before the change and `After` after it, with the receipt and without; and
/// the same object sees it move.
///
/// # Panics
/// When it is not located there, or something else is truly live.
pub async fn it_is_before_and_then_after<S: DeployerSubject>(subject: &S) {
    for start in starts(subject) {
        let bench = Bench::new(subject, start).await;
        let run = bench.run(Release::New).await;
        let location = run.locate(None).await;
        holds!(location == Location::Before, BEFORE, "before anything was written: {location}");
        let receipt = run.ship().await;
        let location = run.locate(None).await;
        holds!(location == Location::After, AFTER_ANY, "without the receipt: {location}");
        run.located_truly(Some(&receipt), "after it was applied").await;
    }
}

/// The ways a world of this subject may begin.
pub(crate) fn starts(subject: &impl DeployerSubject) -> Vec<Start> {
    let mut starts = vec![Start::Old];
    if subject.capability().starts_empty {
        starts.push(Start::Nothing);
    }
    starts
}

/// A wish that already holds, by whomever, is `After` without a receipt.
///
/// # Panics
/// When it is not.
pub async fn what_is_in_place_is_recognised<S: DeployerSubject>(subject: &S) {
    let bench = Bench::new(subject, Start::Old).await;
    let location = bench.run(Release::Old).await.locate(None).await;
    holds!(location == Location::After, AFTER_ANY, "planned anew, what is live is {location}");
    bench.ship(Release::New).await;
    let again = bench.run(Release::New).await;
    let location = again.in_another_process().locate(None).await;
    holds!(location == Location::After, AFTER_ANY, "what another run released is {location}");
}

/// With its receipt a run finds its own effect, and never another run's of the same release.
///
/// # Panics
/// When the effect of another run is `After`.
pub async fn another_runs_effect_is_not_its_own<S: DeployerSubject>(subject: &S) {
    if subject.capability().only_forward {
        return;
    }
    let bench = Bench::new(subject, Start::Old).await;
    let (first, receipt) = bench.ship(Release::New).await;
    bench.ship(Release::Old).await;
    bench.ship(Release::New).await;
    for run in [&first, &first.in_another_process()] {
        let location = run.locate(Some(&receipt)).await;
        holds!(
            location != Location::After,
            AFTER_OWN,
            "`After`, though another run has made the same release live since"
        );
    }
}

/// After somebody else has released, the target is `Elsewhere`, at what is live, with the receipt and
/// without, before the change and after it. For [`Capability::others`](super::Capability).
///
/// # Panics
/// When it is located anywhere else.
pub async fn somebody_elses_release_is_found<S: DeployerSubject>(subject: &S) {
    if !subject.capability().others {
        return;
    }
    for applied in [false, true] {
        let bench = Bench::new(subject, Start::Old).await;
        let run = bench.run(Release::New).await;
        let receipt = if applied { Some(run.ship().await) } else { None };
        bench.world.somebody_else_releases().await;
        for receipt in [receipt.as_ref(), None] {
            let (location, live) = (run.locate(receipt).await, run.live().await);
            let Location::Elsewhere(found) = &location else {
                broken(contract::ELSEWHERE, format_args!("{location} (applied: {applied})"));
            };
            let known = live.as_ref().map(|live| &live.release);
            holds!(known == Some(&found.release), LIVE, "{live:?}, and it is located {location}");
        }
    }
}

/// What is live is another release after the change, and nothing when there is nothing.
///
/// # Panics
/// When it tells anything else.
pub async fn live_tells_what_is_live<S: DeployerSubject>(subject: &S) {
    for start in starts(subject) {
        let bench = Bench::new(subject, start).await;
        let run = bench.run(Release::New).await;
        let before = run.live().await;
        let nothing = bench.start == Truth::Nothing;
        holds!(before.is_none() == nothing, LIVE, "{before:?}, and {:?} is live", bench.start);
        run.ship().await;
        let after = run.live().await;
        let release = |live: &Option<gatekit_core::Live>| live.clone().map(|live| live.release);
        holds!(
            release(&before) != release(&after),
            LIVE,
            "{after:?} before the change and after it"
        );
        let other = run.in_another_process().live().await;
        holds!(other == after, LIVE, "{after:?}, and {other:?} in another process");
    }
}

/// Killed at any permit, the target is never `After` or `Before` unless it truly is, and never
/// somebody else's.
///
/// # Panics
/// When a half-way state is taken for a whole one.
pub async fn a_half_way_state_is_not_taken_for_a_whole_one<S: DeployerSubject>(subject: &S) {
    for permits in walk() {
        let bench = Bench::new(subject, Start::Old).await;
        let run = bench.run(Release::New).await;
        let (_, used_up) = run.begin(Write::Apply, permits, Death::Killed).await;
        if !used_up {
            return;
        }
        let when = format!("killed after {permits} permits");
        let checkpoint = run.checkpoint().await;
        for receipt in [None, checkpoint.as_ref()] {
            run.located_truly(receipt, &when).await;
            run.in_another_process().located_truly(receipt, &when).await;
        }
    }
}
