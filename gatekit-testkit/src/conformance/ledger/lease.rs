//! Leases, lapses and overtaken holders; every process lives.

use std::time::Duration;

use gatekit_core::ledger::{Acquired, Hold, LockState};
use gatekit_core::{Outcome, RunId, code};

use super::bench::{Bench, LEASE};
use super::bodies::{applying, calling, closed, left};
use super::check::{granted, must, ok, refused, same};
use super::subject::Subject;

/// A lapsed `held` frees the target: nothing was touched. `state` tells so before it is recorded.
pub async fn a_lapsed_lease_frees_an_untouched_target(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let (slow, next) = (bench.claim(), bench.claim());
    let hold = bench.hold(&slow).await;
    bench.opened.advance(LEASE - Duration::from_secs(10));
    let lasts = "a lease lasts as long as was asked for";
    bench.expect(lasts, LockState::Held, Some(slow.run)).await;
    ok(bench.ledger.enqueue(&next).await);
    let answer = ok(bench.ledger.acquire(&next, LEASE).await);
    must(lasts, matches!(answer, Acquired::Waiting { holder: Some(_), .. }), &answer);
    bench.opened.advance(Duration::from_secs(10));
    let told = bench.state().await;
    same("a lapse that nobody has recorded is told as if it had been", told.state, LockState::Free);
    same(
        "a free target has no holder",
        (told.run, told.holder, told.lease_left),
        (None, None, None),
    );
    let freed = "a lapsed `held` frees the target";
    let next = granted(freed, bench.ledger.acquire(&next, LEASE).await);
    must("a grant has a greater fence", next.fence > hold.fence, &next);
    can_do_nothing(&bench, &hold).await;
}

/// A lapsed `mutating` makes the target suspect: it names its run, has no holder and no lease, and
/// nobody is granted until its own run takes it over and closes.
pub async fn a_lapsed_lease_makes_a_touched_target_suspect(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let (zombie, next) = (bench.claim(), bench.claim());
    let hold = bench.mutating(&zombie).await;
    ok(bench.ledger.enqueue(&next).await);
    bench.opened.advance(LEASE);
    let told = bench.state().await;
    let suspect = "a lapsed `mutating` makes the target suspect, and it names its run";
    same(suspect, (told.state, told.run), (LockState::Suspect, Some(zombie.run)));
    same(
        "a suspect target has no holder and no lease",
        (told.holder, told.lease_left),
        (None, None),
    );
    let nobody = "nobody is granted over a suspect target";
    let (target, run, fence) = (bench.target.clone(), zombie.run, hold.fence);
    let answer = Acquired::Suspect { target, run, fence };
    for _ in 0..3 {
        same(nobody, ok(bench.ledger.acquire(&next, LEASE).await), answer.clone());
        let own = bench.claim_of(zombie.run);
        ok(bench.ledger.enqueue(&own).await);
        same(nobody, ok(bench.ledger.acquire(&own, LEASE).await), answer.clone());
        same(nobody, ok(bench.ledger.acquire(&zombie, LEASE).await), answer.clone());
        bench.opened.advance(LEASE);
    }
    can_do_nothing(&bench, &hold).await;
    bench.expect(nobody, LockState::Suspect, Some(zombie.run)).await;
    let resumed = ok(bench.ledger.take_over(&bench.claim_of(zombie.run), LEASE).await);
    let answer = ok(bench.ledger.acquire(&next, LEASE).await);
    must(
        "a target that was taken over has a holder",
        matches!(answer, Acquired::Waiting { .. }),
        &answer,
    );
    can_do_nothing(&bench, &hold).await;
    ok(bench.append(&resumed, closed(Outcome::RolledBack)).await);
    granted("a target whose run closed is free", bench.ledger.acquire(&next, LEASE).await);
    bench.verify().await;
}

/// A holder that was overtaken, or found to have lapsed, appends, renews and releases nothing.
pub async fn an_overtaken_holder_can_do_nothing(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let mut overtaken = vec![bench.hold(&bench.claim()).await];
    bench.opened.advance(LEASE);
    bench.record_lapse().await;
    can_do_nothing(&bench, &overtaken[0]).await;
    overtaken.push(bench.hold(&bench.claim()).await);
    ok(bench.ledger.release(&overtaken[1]).await);
    overtaken.push(bench.mutating(&bench.claim()).await);
    ok(bench.append(&overtaken[2], closed(Outcome::Released)).await);
    let claim = bench.claim();
    overtaken.push(bench.suspect(&claim).await);
    for _ in 0..2 {
        for hold in &overtaken {
            can_do_nothing(&bench, hold).await;
        }
        overtaken.push(ok(bench.ledger.take_over(&bench.claim_of(claim.run), LEASE).await));
        for hold in &overtaken[..overtaken.len() - 1] {
            can_do_nothing(&bench, hold).await;
        }
        bench.opened.advance(LEASE);
        bench.record_lapse().await;
    }
}

/// Fails unless that hold is over.
async fn can_do_nothing(bench: &Bench, hold: &Hold) {
    let before = bench.state().await;
    for body in [applying(), calling(), left(), closed(Outcome::Released)] {
        let zombie = bench.append(hold, body).await;
        refused("`lock.lost` when the guard does not hold: no entry", zombie, &code::LOCK_LOST);
    }
    let renewed = bench.ledger.renew(hold).await;
    let lost = "`lock.lost` when the run no longer holds the target under that fence";
    refused(lost, renewed, &code::LOCK_LOST);
    let released = ok(bench.ledger.release(hold).await);
    must("release by an overtaken holder changes nothing, and says so", !released, hold);
    let after = bench.state().await;
    let untouched = "an overtaken holder changes nothing";
    same(
        untouched,
        (after.state, after.run, after.fence),
        (before.state, before.run, before.fence),
    );
    same(untouched, after.head, before.head);
}

/// A lease that lapsed may be renewed, and written under, while its fence is the newest and nobody
/// has recorded the lapse. `state` records nothing.
pub async fn an_unrecorded_lapse_may_be_renewed(subject: &dyn Subject) {
    let allowed = "renewal is allowed after a lapse while the fence is the newest";
    for touched in [false, true] {
        let bench = Bench::open(subject).await;
        let claim = bench.claim();
        let hold = bench.hold(&claim).await;
        if touched {
            ok(bench.append(&hold, applying()).await);
        }
        let (alive, gone) = match touched {
            true => (LockState::Mutating, (LockState::Suspect, Some(claim.run))),
            false => (LockState::Held, (LockState::Free, None)),
        };
        bench.opened.advance(LEASE * 2);
        bench.expect("a lapse is told before it is recorded", gone.0, gone.1).await;
        ok(bench.append(&hold, calling()).await);
        bench.expect("an append renews nothing", gone.0, gone.1).await;
        ok(bench.ledger.renew(&hold).await);
        bench.expect(allowed, alive, Some(claim.run)).await;
        bench.opened.advance(LEASE * 2);
        bench.expect("a lapse is told before it is recorded", gone.0, gone.1).await;
        let again = granted(
            "the claim that holds the lock is given the same hold again, also after a lapse",
            bench.ledger.acquire(&claim, LEASE).await,
        );
        same("a lapse that nobody recorded does not change the hold", again, hold.clone());
        bench.expect(allowed, alive, Some(claim.run)).await;
    }
}

/// A call that is refused happened not at all: it does not record the lapse that it saw.
pub async fn a_refused_call_records_nothing(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let claim = bench.claim();
    let hold = bench.mutating(&claim).await;
    bench.opened.advance(LEASE);
    let stranger = bench.claim();
    let taken = bench.ledger.take_over(&stranger, LEASE).await;
    refused("only its own run takes a target over", taken, &code::LOCK_NOT_SUSPECT);
    let asked = bench.ledger.acquire(&stranger, LEASE).await;
    refused("a run without a ticket is refused", asked, &code::LOCK_NO_TICKET);
    let ended = bench.append_open(claim.run, left()).await;
    refused("a run that left its target suspect is not ended", ended, &code::LOCK_HELD);
    let unguarded = bench.append_open(claim.run, applying()).await;
    refused("what needs the lock is refused without", unguarded, &code::LEDGER_GUARD);
    ok(bench.ledger.enqueue(&stranger).await);
    ok(bench.ledger.leave(&bench.target, stranger.run).await);
    ok(bench.ledger.renew(&hold).await);
    let nothing = "nothing of a refused call happened: the lapse was not recorded";
    bench.expect(nothing, LockState::Mutating, Some(claim.run)).await;
    same("nothing of a refused call is in the journal", bench.verify().await.len(), 1);
}

/// `renew` makes the lease last `hold.lease` from now.
pub async fn a_renewal_begins_the_lease_anew(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let claim = bench.claim();
    let mut hold = bench.hold(&claim).await;
    let lasts = "`renew` makes the lease last `hold.lease` from now";
    for _ in 0..5 {
        bench.opened.advance(LEASE / 2);
        ok(bench.ledger.renew(&hold).await);
        bench.expect(lasts, LockState::Held, Some(claim.run)).await;
    }
    for lease in [LEASE * 3, LEASE / 2] {
        hold.lease = lease;
        ok(bench.ledger.renew(&hold).await);
        let left = bench.state().await.lease_left.unwrap_or_default();
        must(lasts, left <= lease && left > lease - Duration::from_secs(10), &left);
    }
    bench.opened.advance(LEASE / 2);
    bench.expect(lasts, LockState::Free, None).await;
}

/// `release` gives an untouched target back, once; a touched one ends only with an entry.
pub async fn only_an_untouched_target_is_released(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let hold = bench.hold(&bench.claim()).await;
    must("`release` frees an untouched target", ok(bench.ledger.release(&hold).await), &hold);
    bench.expect("`release`: `held` becomes `free`", LockState::Free, None).await;
    must("a second release changes nothing", !ok(bench.ledger.release(&hold).await), &hold);
    let claim = bench.claim();
    let touched = bench.mutating(&claim).await;
    for lapsed in [false, true] {
        let released = bench.ledger.release(&touched).await;
        refused("`lock.mutating` when the target was touched", released, &code::LOCK_MUTATING);
        let kept = if lapsed { LockState::Suspect } else { LockState::Mutating };
        bench.expect("a refused release changes nothing", kept, Some(claim.run)).await;
        bench.opened.advance(LEASE);
    }
}

/// Neither another run nor another fence than that of the grant is any good.
pub async fn nobody_writes_under_a_fence_it_was_not_given(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let claim = bench.claim();
    let hold = bench.hold(&claim).await;
    let mut forged = hold.clone();
    forged.fence = hold.fence.next();
    can_do_nothing(&bench, &forged).await;
    forged.fence.0 -= 2;
    can_do_nothing(&bench, &forged).await;
    let mut other = hold.clone();
    other.run = RunId::generate();
    can_do_nothing(&bench, &other).await;
    bench.expect("a forged hold changes nothing", LockState::Held, Some(claim.run)).await;
    ok(bench.append(&hold, applying()).await);
}
