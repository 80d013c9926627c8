//! `roll_back`: from wherever the change stands, back to where it began.

use gatekit_core::{Effect, Location, Reversibility, code};

use crate::conformance::contract::{self, broken, holds};
use crate::conformance::deployer::{
    Bench, DeployerSubject, DeployerWorld as _, Release, Start, Write, honest, starts, told, walk,
};
use crate::conformance::ration::Death;

/// Undoing a change that was never begun writes nothing, and the target is `Before`.
///
/// # Panics
/// When it writes or fails.
pub async fn undoing_what_never_landed_harms_nothing<S: DeployerSubject>(subject: &S) {
    for start in starts(subject) {
        let bench = Bench::new(subject, start).await;
        let run = bench.run(Release::New).await;
        let before = run.trace().await;
        run.undo(None).await;
        let found = "it wrote, though nothing had landed";
        holds!(run.trace().await == before, ROLL_BACK, "{found}");
    }
}

/// What was applied is undone, with its receipt and without, in the same process and in another one:
/// the target is `Before`, and what was live before truly is, also when that is nothing.
///
/// # Panics
/// When it does not end there.
pub async fn undoing_ends_where_it_began<S: DeployerSubject>(subject: &S) {
    for start in starts(subject) {
        for with_receipt in [true, false] {
            let bench = Bench::new(subject, start).await;
            let (run, receipt) = bench.ship(Release::New).await;
            let receipt = with_receipt.then_some(&receipt);
            let run = if with_receipt { run } else { run.in_another_process() };
            run.undo(receipt).await;
            run.in_another_process().returned(receipt).await;
        }
    }
}

/// Undone twice, there is no second effect.
///
/// # Panics
/// When there is, or when it fails.
pub async fn undoing_twice_harms_nothing<S: DeployerSubject>(subject: &S) {
    let bench = Bench::new(subject, Start::Old).await;
    let (run, receipt) = bench.ship(Release::New).await;
    run.undo(Some(&receipt)).await;
    let once = run.trace().await;
    for receipt in [Some(&receipt), None] {
        for run in [&run, &run.in_another_process()] {
            run.undo(receipt).await;
            holds!(run.trace().await == once, ROLL_BACK, "undone again, it wrote again");
        }
    }
}

/// Somebody else's release is not touched, with the receipt and without, whether the change had landed
/// or not. For [`Capability::others`](crate::conformance::deployer::Capability).
///
/// # Panics
/// When it was written over.
pub async fn somebody_elses_release_is_not_touched<S: DeployerSubject>(subject: &S) {
    if !subject.capability().others {
        return;
    }
    for applied in [true, false] {
        let bench = Bench::new(subject, Start::Old).await;
        let run = bench.run(Release::New).await;
        let receipt = if applied { Some(run.ship().await) } else { None };
        bench.world.somebody_else_releases().await;
        let before = run.trace().await;
        for receipt in [receipt.as_ref(), None] {
            // Whether it errs is its own choice: the target is not where it should be anyway.
            let _ = run.try_roll_back(receipt).await;
            let truth = bench.world.truth().await;
            holds!(
                run.trace().await == before,
                ROLL_BACK_ELSEWHERE,
                "it wrote over somebody else's release, and {truth:?} is live (applied: {applied})"
            );
        }
    }
}

/// Another run's release of the same candidate is somebody else's too: with its receipt a run leaves
/// it alone.
///
/// # Panics
/// When it was written over.
pub async fn another_runs_release_is_not_touched<S: DeployerSubject>(subject: &S) {
    if subject.capability().only_forward {
        return;
    }
    let bench = Bench::new(subject, Start::Old).await;
    let (run, receipt) = bench.ship(Release::New).await;
    bench.ship(Release::Old).await;
    bench.ship(Release::New).await;
    let before = run.trace().await;
    if matches!(run.locate(Some(&receipt)).await, Location::Elsewhere(_)) {
        let _ = run.try_roll_back(Some(&receipt)).await;
        let found = "it wrote over what another run has released since";
        holds!(run.trace().await == before, ROLL_BACK_ELSEWHERE, "{found}");
    }
}

/// A run whose fence was overtaken undoes nothing, and says so with the code of the permit.
///
/// # Panics
/// When it writes, succeeds, or errs with another code.
pub async fn an_overtaken_fence_undoes_nothing<S: DeployerSubject>(subject: &S) {
    let bench = Bench::new(subject, Start::Old).await;
    let (run, receipt) = bench.ship(Release::New).await;
    let other = bench.run(Release::New).await;
    let cx = run.hold().await;
    run.free(&cx).await;
    let overtaken_by = other.hold().await;
    let before = run.trace().await;
    let undone = run.roll_back_with(&cx, Some(&receipt)).await;
    other.free(&overtaken_by).await;
    holds!(
        run.trace().await == before,
        PERMIT_REFUSED,
        "it undid under a fence that was overtaken"
    );
    match undone {
        Ok(()) => broken(contract::PERMIT_REFUSED, "it succeeded under a fence overtaken"),
        Err(error) => {
            holds!(*error.code() == code::LOCK_LOST, PERMIT_CODE, "{}", told(&error));
            let truth = bench.world.truth().await;
            honest(&error, &truth, &truth, &told(&error));
        }
    }
}

/// Every write of the undoing has its permit in the journal.
///
/// # Panics
/// When the world has seen more than the journal.
pub async fn every_undoing_write_has_its_permit<S: DeployerSubject>(subject: &S) {
    let bench = Bench::new(subject, Start::Old).await;
    let (run, receipt) = bench.ship(Release::New).await;
    let (before, had) = (run.trace().await, run.permits().await);
    run.undo(Some(&receipt)).await;
    let (after, permits) = (run.trace().await, run.permits().await - had);
    holds!(permits > 0 || before == after, PERMIT, "it undid, and the journal has no permit of it");
    if let (Some(before), Some(after)) = (before.effects, after.effects) {
        let effects = after.saturating_sub(before);
        holds!(effects <= permits, PERMIT_EACH, "{effects} effects with {permits} permits");
    }
}

/// Wherever `apply` was killed, what landed is undone, with the last checkpoint and without.
///
/// # Panics
/// When it does not end `Before`.
pub async fn what_landed_in_part_is_undone<S: DeployerSubject>(subject: &S) {
    for start in starts(subject) {
        for permits in walk() {
            let bench = Bench::new(subject, start).await;
            let run = bench.run(Release::New).await;
            if !run.begin(Write::Apply, permits, Death::Killed).await.1 {
                break;
            }
            // Every second time as an engine does that has found no checkpoint.
            let checkpoint = run.checkpoint().await.filter(|_| permits % 2 == 0);
            run.in_another_process().undo(checkpoint.as_ref()).await;
        }
    }
}

/// Killed at any permit of its own and called again, the undoing ends `Before`; an error on the way
/// has a code and tells the truth about what was written.
///
/// # Panics
/// When it does not.
pub async fn undoing_goes_on_wherever_it_was_killed<S: DeployerSubject>(subject: &S) {
    for death in [Death::Killed, Death::Overtaken] {
        for permits in walk() {
            let bench = Bench::new(subject, Start::Old).await;
            let (run, receipt) = bench.ship(Release::New).await;
            let before = bench.world.truth().await;
            let write = Write::RollBack(Some(receipt.clone()));
            let (ended, used_up) = run.begin(write, permits, death).await;
            if !used_up {
                break;
            }
            let when = format!("{death:?} after {permits} permits");
            if let Some(Err(error)) = ended {
                let when = format!("{when}: {}", told(&error));
                holds!(error.code().area() == "lock", PERMIT_CODE, "{when}");
                honest(&error, &before, &bench.world.truth().await, &when);
            }
            run.located_truly(None, &when).await;
            run.in_another_process().undo((permits % 2 == 0).then_some(&receipt)).await;
        }
    }
}

/// A write of `apply` or of the undoing whose answer was lost is undone all the same. For
/// [`Capability::loses_answers`](crate::conformance::deployer::Capability).
///
/// # Panics
/// When it does not end `Before`.
pub async fn a_lost_answer_is_undone<S: DeployerSubject>(subject: &S) {
    if !subject.capability().loses_answers {
        return;
    }
    let quiet = Bench::new(subject, Start::Old).await;
    let whole = quiet.run(Release::New).await;
    let receipt = whole.apply().await;
    let forward = whole.permits().await;
    whole.arrived(&receipt).await;
    let there = whole.permits().await;
    whole.undo(Some(&receipt)).await;
    let back = whole.permits().await - there;
    for after in 0..forward {
        let bench = Bench::new(subject, Start::Old).await;
        let run = bench.run(Release::New).await;
        bench.world.lose_answer(after).await;
        let receipt = run.try_apply(None).await.ok();
        run.in_another_process().undo(receipt.as_ref()).await;
    }
    for after in 0..back {
        let bench = Bench::new(subject, Start::Old).await;
        let (run, receipt) = bench.ship(Release::New).await;
        bench.world.lose_answer(after).await;
        if let Err(error) = run.try_roll_back(Some(&receipt)).await {
            let lost = format!("the answer to write {after} was lost: {}", told(&error));
            holds!(error.effect() != Effect::None, EFFECT, "{lost}");
        }
        run.in_another_process().undo(Some(&receipt)).await;
    }
}

/// A release that never came to life is undone. For
/// [`Capability::fails`](crate::conformance::deployer::Capability).
///
/// # Panics
/// When it does not end `Before`.
pub async fn a_failed_release_is_undone<S: DeployerSubject>(subject: &S) {
    if !subject.capability().fails {
        return;
    }
    let bench = Bench::new(subject, Start::Old).await;
    let run = bench.run(Release::Failing).await;
    let receipt = run.try_apply(None).await.ok();
    if let Some(receipt) = &receipt {
        run.observe(receipt).await;
    }
    run.undo(receipt.as_ref()).await;
}

/// A change that cannot be undone is not called free, and not undone: nothing is written. For
/// [`Capability::one_way`](crate::conformance::deployer::Capability).
///
/// # Panics
/// When it is called free, was written to, or is told as undone.
pub async fn a_one_way_change_is_not_undone<S: DeployerSubject>(subject: &S) {
    if !subject.capability().one_way {
        return;
    }
    let bench = Bench::new(subject, Start::Old).await;
    let (run, receipt) = bench.ship(Release::New).await;
    bench.world.make_one_way().await;
    let before = run.trace().await;
    for run in [&run, &run.in_another_process()] {
        let back = run.reversibility();
        holds!(back != Reversibility::Free, REVERSIBILITY, "{back:?}, and there is no way back");
        let undone = run.try_roll_back(Some(&receipt)).await;
        holds!(run.trace().await == before, ROLL_BACK_ONE_WAY, "it wrote");
        match undone {
            Ok(()) => broken(contract::ROLL_BACK_ONE_WAY, "it says that it has undone it"),
            Err(error) => {
                let truth = bench.world.truth().await;
                honest(&error, &truth, &truth, &told(&error));
            }
        }
    }
}
