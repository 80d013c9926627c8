//! Resuming and reconciling: a suspect target is taken over for its own run.

use gatekit_core::code;
use gatekit_core::ledger::{Body, LockState};

use super::bench::{Bench, LEASE};
use super::bodies::{left, stuck};
use super::check::{must, ok, refused, same, there};
use super::subject::Subject;

/// Only its own run takes a suspect target over: under a new fence, as `mutating`, with an entry
/// `resumed` in the same transaction.
pub async fn only_its_own_run_takes_a_suspect_target_over(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let claim = bench.claim();
    let not = "`lock.not_suspect` when the target is not suspect because of that run";
    let held = "`lock.held` while a holder is alive and its lease has not lapsed";
    refused(not, bench.ledger.take_over(&claim, LEASE).await, &code::LOCK_NOT_SUSPECT);
    let hold = bench.hold(&claim).await;
    for touch in [true, false] {
        for asker in [claim.clone(), bench.claim_of(claim.run), bench.claim()] {
            let error =
                refused(held, bench.ledger.take_over(&asker, LEASE).await, &code::LOCK_HELD);
            must("a lease that lapses later is worth a retry", error.is_temporary(), &error);
        }
        if touch {
            ok(bench.append(&hold, super::bodies::applying()).await);
        }
    }
    let resumer = bench.claim_of(claim.run);
    ok(bench.ledger.enqueue(&resumer).await);
    bench.opened.advance(LEASE);
    refused(not, bench.ledger.take_over(&bench.claim(), LEASE).await, &code::LOCK_NOT_SUSPECT);
    let before = bench.state().await;
    let taken = ok(bench.ledger.take_over(&resumer, LEASE).await);
    must("a take-over has a new fence, greater than any before", taken.fence > hold.fence, &taken);
    let state = bench.state().await;
    let mutating = "a take-over leads to `mutating`, under the new fence";
    let told = (state.state, state.run, state.fence);
    same(mutating, told, (LockState::Mutating, Some(claim.run), taken.fence));
    must("a take-over takes the run's ticket back", state.queue.is_empty(), &state.queue);

    let records = bench.verify().await;
    let entry = "a take-over appends an entry `resumed` in the same transaction";
    same(entry, records.len() as u64, before.head.seq + 1);
    let last = ok(there(entry, records.last()).decode());
    same(entry, last.body, Body::Resumed { old: hold.fence, new: taken.fence });
    same("`resumed` is written under the new fence", last.fence, Some(taken.fence));
    same(
        "`resumed` names its run and who acts",
        (last.run, last.actor),
        (claim.run, resumer.actor),
    );
}

/// The claim that took a target over is given the same hold again, without a second entry; another
/// claim of the same run is not.
pub async fn a_take_over_is_repeated_to_its_claim(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let claim = bench.claim();
    bench.suspect(&claim).await;
    let resumer = bench.claim_of(claim.run);
    let hold = ok(bench.ledger.take_over(&resumer, LEASE).await);
    let entries = bench.verify().await.len();
    let again = "a take-over that is repeated by the same claim gives the same hold";
    let other = ok(bench.ledger.reconnect().await);
    same(again, ok(other.take_over(&resumer, LEASE / 2).await), hold.clone());
    bench.opened.advance(LEASE / 2);
    same(again, ok(bench.ledger.take_over(&resumer, LEASE).await), hold.clone());
    bench.opened.advance(LEASE / 2);
    bench
        .expect("a repeated take-over begins its lease anew", LockState::Mutating, Some(claim.run))
        .await;
    same("a repeated take-over appends nothing", bench.verify().await.len(), entries);
    let held = "two processes never share a fence, also by taking over";
    for stranger in [claim.clone(), bench.claim_of(claim.run)] {
        let taken = bench.ledger.take_over(&stranger, LEASE).await;
        refused(held, taken, &code::LOCK_HELD);
    }
    bench.opened.advance(LEASE / 2);
    let next = ok(bench.ledger.take_over(&claim, LEASE).await);
    must("a second take-over has a fence of its own", next.fence > hold.fence, &next);
}

/// A run that gave up leaves its target suspect at once, to be taken over at once, although every
/// process lives and no lease has lapsed.
pub async fn a_target_that_was_given_up_is_taken_over_at_once(subject: &dyn Subject) {
    for body in [left(), stuck()] {
        let bench = Bench::open(subject).await;
        let claim = bench.claim();
        let hold = bench.mutating(&claim).await;
        ok(bench.append(&hold, body).await);
        let given_up = "a holder that gives up a touched target leaves it suspect";
        bench.expect(given_up, LockState::Suspect, Some(claim.run)).await;
        let taken = ok(bench.ledger.take_over(&bench.claim_of(claim.run), LEASE).await);
        must("a take-over has a new fence", taken.fence > hold.fence, &taken);
    }
}
