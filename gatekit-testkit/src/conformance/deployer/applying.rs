//! `apply`: repeated, overtaken, without an answer, too late.

use gatekit_core::{Effect, Location, code};

use super::bench::{Bench, told};
use super::killing::honest;
use super::subject::{DeployerSubject, DeployerWorld as _, Release, Start};
use crate::conformance::contract;
use crate::conformance::contract::{broken, holds};

/// Applied again with the same change, with its receipt and without, in the same process and in
/// another one, it makes no second effect. Without the receipt it may say that it cannot tell.
///
/// # Panics
/// When there is a second effect, or another error.
pub async fn applying_again_has_no_second_effect<S: DeployerSubject>(subject: &S) {
    let bench = Bench::new(subject, Start::Old).await;
    let (run, receipt) = bench.ship(Release::New).await;
    let before = run.trace().await;
    for earlier in [Some(&receipt), None] {
        for again in [&run, &run.in_another_process()] {
            let with = if earlier.is_some() { "with" } else { "without" };
            match again.try_apply(earlier).await {
                Ok(receipt) => again.arrived(&receipt).await,
                Err(error) if earlier.is_none() && cannot_tell(&error) => {}
                Err(error) => {
                    broken(
                        contract::APPLY_AGAIN,
                        format_args!("{with} its receipt: {}", told(&error)),
                    );
                }
            }
            let after = again.trace().await;
            holds!(
                after.state == before.state,
                APPLY_AGAIN,
                "{with} its receipt there is a second effect"
            );
        }
    }
    let location = run.locate(Some(&receipt)).await;
    holds!(location == Location::After, APPLY_AGAIN, "with the first receipt: {location}");
}

pub(crate) fn cannot_tell(error: &gatekit_core::Error) -> bool {
    error.code().as_str().ends_with(".cannot_tell")
}

/// A write whose answer was lost is not told as if it had no effect; and applied again, the change
/// finds it, or says that it cannot tell. For [`Capability::loses_answers`](super::Capability).
///
/// # Panics
/// When the error says [`Effect::None`], or there is a second effect.
pub async fn a_lost_answer_is_found_again<S: DeployerSubject>(subject: &S) {
    if !subject.capability().loses_answers {
        return;
    }
    let quiet = Bench::new(subject, Start::Old).await;
    let whole = quiet.run(Release::New).await;
    let receipt = whole.apply().await;
    let writes = whole.permits().await;
    whole.arrived(&receipt).await;
    for after in 0..writes {
        let bench = Bench::new(subject, Start::Old).await;
        let run = bench.run(Release::New).await;
        bench.world.lose_answer(after).await;
        let receipt = match run.try_apply(None).await {
            // It has asked again by itself.
            Ok(receipt) => receipt,
            Err(error) => {
                let lost = format!("the answer to write {after} was lost: {}", told(&error));
                holds!(error.effect() != Effect::None, EFFECT, "{lost}");
                let earlier = run.checkpoint().await;
                run.located_truly(None, &lost).await;
                match run.in_another_process().try_apply(earlier.as_ref()).await {
                    Ok(receipt) => receipt,
                    Err(error) if cannot_tell(&error) => continue,
                    Err(error) => broken(
                        contract::CANNOT_TELL,
                        format_args!("{lost}, again: {}", told(&error)),
                    ),
                }
            }
        };
        run.in_another_process().arrived(&receipt).await;
        let (lost, quiet) = (run.trace().await.effects, whole.trace().await.effects);
        holds!(
            lost == quiet,
            APPLY_AGAIN,
            "{quiet:?} effects, and {lost:?} when the answer to write {after} was lost"
        );
    }
}

/// Every write has its permit in the journal.
///
/// # Panics
/// When the world has seen more than the journal.
pub async fn every_write_has_its_permit<S: DeployerSubject>(subject: &S) {
    let bench = Bench::new(subject, Start::Old).await;
    let run = bench.run(Release::New).await;
    let before = run.trace().await;
    let receipt = run.apply().await;
    let (after, permits) = (run.trace().await, run.permits().await);
    holds!(permits > 0 || before == after, PERMIT, "it wrote, and the journal has no permit of it");
    if let (Some(before), Some(after)) = (before.effects, after.effects) {
        let effects = after.saturating_sub(before);
        holds!(effects <= permits, PERMIT_EACH, "{effects} effects with {permits} permits");
    }
    run.arrived(&receipt).await;
}

/// A run whose fence was overtaken writes nothing, and says so with the code of the permit.
///
/// # Panics
/// When it writes, succeeds, or errs with another code.
pub async fn an_overtaken_fence_writes_nothing<S: DeployerSubject>(subject: &S) {
    let bench = Bench::new(subject, Start::Old).await;
    let (run, other) = (bench.run(Release::New).await, bench.run(Release::Old).await);
    let cx = run.hold().await;
    run.free(&cx).await;
    let overtaken_by = other.hold().await;
    let before = run.trace().await;
    let applied = run.apply_with(&cx, None).await;
    other.free(&overtaken_by).await;
    holds!(
        run.trace().await == before,
        PERMIT_REFUSED,
        "it wrote under a fence that was overtaken"
    );
    match applied {
        Ok(_) => broken(contract::PERMIT_REFUSED, "`apply` succeeded under a fence overtaken"),
        Err(error) => {
            holds!(*error.code() == code::LOCK_LOST, PERMIT_CODE, "{}", told(&error));
            honest(&error, &bench.start, &bench.start, &told(&error));
        }
    }
}

/// A run that is resumed after somebody else has released writes nothing over it, with its receipt or
/// without. For [`Capability::others`](super::Capability).
///
/// # Panics
/// When it writes or succeeds.
pub async fn a_late_apply_clobbers_nobody<S: DeployerSubject>(subject: &S) {
    if !subject.capability().others {
        return;
    }
    let bench = Bench::new(subject, Start::Old).await;
    let (run, receipt) = bench.ship(Release::New).await;
    bench.world.somebody_else_releases().await;
    let before = run.trace().await;
    for earlier in [Some(&receipt), None] {
        let applied = run.in_another_process().try_apply(earlier).await;
        holds!(
            run.trace().await == before,
            APPLY_ELSEWHERE,
            "it wrote over somebody else's release"
        );
        holds!(applied.is_err(), APPLY_ELSEWHERE, "it says that it has applied the change");
    }
}
