//! What an entry needs of the lock, and does to it.

use gatekit_core::ledger::{Body, LockEffect, LockState};
use gatekit_core::{Outcome, RunId, code};

use super::bench::{Bench, name};
use super::bodies::{applying, bodies, calling, closed, left};
use super::check::{must, ok, refused, same};
use super::subject::Subject;

/// Every entry of the holder does to the lock exactly what [`Body::lock_effect`] says, from `held` and
/// from `mutating`.
pub async fn every_entry_does_to_the_lock_what_its_kind_says(subject: &dyn Subject) {
    let mut bench = Bench::open(subject).await;
    for (i, body) in bodies().into_iter().enumerate() {
        for touched in [false, true] {
            bench.target = name(&format!("{}/{i}/{touched}", body.kind()));
            let claim = bench.claim();
            let hold = bench.hold(&claim).await;
            if touched {
                ok(bench.append(&hold, applying()).await);
            }
            ok(bench.append(&hold, body.clone()).await);
            let (state, run) = match (body.lock_effect(), touched) {
                (LockEffect::None, false) => (LockState::Held, Some(claim.run)),
                (LockEffect::None, true) | (LockEffect::Touch, _) => {
                    (LockState::Mutating, Some(claim.run))
                }
                (LockEffect::GiveUp, true) => (LockState::Suspect, Some(claim.run)),
                _ => (LockState::Free, None),
            };
            let sentence = format!("{body:?} does {:?} to the lock", body.lock_effect());
            bench.expect(&sentence, state, run).await;
            same("an entry leaves the fence alone", bench.state().await.fence, hold.fence);
            let goes_on = matches!(state, LockState::Held | LockState::Mutating);
            match bench.append(&hold, calling()).await {
                Ok(record) => must("a hold ends with its lock", goes_on, &record),
                lost if !goes_on => {
                    refused("a hold ends with its lock", lost, &code::LOCK_LOST);
                }
                lost => drop(ok(lost)),
            }
        }
    }
}

/// Kinds that [`Body::is_open`] names are appended without the lock, all others are refused with
/// `ledger.guard` and leave no trace.
pub async fn only_open_kinds_need_no_lock(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let mut entries = 0;
    for body in bodies() {
        let open = body.is_open();
        let answer = bench.append_open(RunId::generate(), body.clone()).await;
        if open {
            entries += 1;
            same("an open entry is appended", ok(answer).seq, entries);
        } else {
            let sentence = format!("`ledger.guard` when {body:?} comes without the lock");
            refused(&sentence, answer, &code::LEDGER_GUARD);
        }
        same("a refused entry leaves no trace", bench.state().await.head.seq, entries);
    }
    same(
        "the chain has what was appended, and no more",
        bench.verify().await.len() as u64,
        entries,
    );
}

/// What is appended without the lock does nothing to it, whatever its kind does under the lock.
pub async fn open_entries_do_nothing_to_the_lock(subject: &dyn Subject) {
    let mut bench = Bench::open(subject).await;
    let open = || bodies().into_iter().filter(Body::is_open);
    let nothing = "an entry that comes without the lock does nothing to it";
    for (i, state) in [LockState::Held, LockState::Mutating, LockState::Suspect].iter().enumerate()
    {
        bench.target = name(&format!("target-{i}"));
        let claim = bench.claim();
        let hold = bench.hold(&claim).await;
        if *state != LockState::Held {
            ok(bench.append(&hold, applying()).await);
        }
        if *state == LockState::Suspect {
            ok(bench.append(&hold, left()).await);
        }
        for body in open() {
            ok(bench.append_open(RunId::generate(), body.clone()).await);
            bench.expect(nothing, *state, Some(claim.run)).await;
            if !body.ends_run() {
                ok(bench.append_open(claim.run, body).await);
                bench.expect(nothing, *state, Some(claim.run)).await;
            }
        }
    }
}

/// `lock.held` when an entry that ends its run ([`Body::ends_run`]) comes without the lock although
/// that run has it, or left the target suspect. Any other run may end.
pub async fn an_entry_that_ends_its_run_needs_the_lock_while_the_run_has_it(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let claim = bench.claim();
    let ending = || bodies().into_iter().filter(|body| body.is_open() && body.ends_run());
    must("several open kinds end a run", ending().count() > 2, &ending().count());
    let hold = bench.hold(&claim).await;
    for step in [None, Some(applying()), Some(left())] {
        if let Some(body) = step {
            ok(bench.append(&hold, body).await);
        }
        let before = bench.state().await;
        for body in ending() {
            let sentence = format!("`lock.held` when {body:?} comes behind the back of its holder");
            refused(&sentence, bench.append_open(claim.run, body).await, &code::LOCK_HELD);
        }
        let after = bench.state().await;
        same(
            "a refused entry changes nothing",
            (after.state, after.head),
            (before.state, before.head),
        );
    }
    for body in ending() {
        ok(bench.append_open(RunId::generate(), body).await);
    }
    let taken = ok(bench.ledger.take_over(&claim, super::bench::LEASE).await);
    ok(bench.append(&taken, closed(Outcome::RolledBack)).await);
    for body in ending() {
        ok(bench.append_open(claim.run, body).await);
    }
}
