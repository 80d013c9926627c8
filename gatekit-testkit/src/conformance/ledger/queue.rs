//! Tickets, grants and fences.

use std::time::Duration;

use gatekit_core::ledger::{Acquired, LockState, TargetState};
use gatekit_core::{Fence, Outcome, RunId, code};

use super::bench::{Bench, LEASE, name};
use super::bodies::{closed, left};
use super::check::{granted, must, ok, refused, same};
use super::subject::Subject;

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// A target that nobody used is untouched, and looking at it changes nothing.
pub async fn a_target_that_nobody_used_is_untouched(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    for _ in 0..2 {
        let untouched = "a target that nobody used is free, with fence 0 and an empty chain";
        same(untouched, bench.state().await, TargetState::untouched());
        let read = ok(bench.ledger.read(&bench.target, 0, 10).await);
        must("a target that nobody used has no records", read.is_empty(), &read);
    }
    let hold = bench.hold(&bench.claim()).await;
    same("the first fence is greater than that of no grant", hold.fence, Fence(1));
}

/// `enqueue` is idempotent: a run keeps the ticket it has, whichever of its claims asks.
pub async fn a_run_keeps_its_ticket(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let other = ok(bench.ledger.reconnect().await);
    let (first, second) = (bench.claim(), bench.claim());
    let ticket = ok(bench.ledger.enqueue(&first).await);
    let later = ok(bench.ledger.enqueue(&second).await);
    must("a later ticket is greater", later > ticket, &(ticket, later));
    let keeps = "idempotent: a run keeps the ticket it has";
    for claim in [first.clone(), bench.claim_of(first.run)] {
        same(keeps, ok(bench.ledger.enqueue(&claim).await), ticket);
        same(keeps, ok(other.enqueue(&claim).await), ticket);
    }
    let queue = bench.state().await.queue;
    let told: Vec<_> = queue.iter().map(|waiter| (waiter.ticket, waiter.run)).collect();
    let expected = vec![(ticket, first.run), (later, second.run)];
    same("the queue tells each waiter once, first in line first", told, expected);
}

/// `lock.no_ticket` when the run is not in the queue.
pub async fn a_run_without_a_ticket_is_refused(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let ticketless = "`lock.no_ticket` when the run is not in the queue";
    let claim = bench.claim();
    let never = bench.ledger.acquire(&claim, LEASE).await;
    refused(ticketless, never, &code::LOCK_NO_TICKET);
    let hold = bench.hold(&claim).await;
    must("an untouched target is released", ok(bench.ledger.release(&hold).await), &hold);
    let used_up = bench.ledger.acquire(&claim, LEASE).await;
    refused("a grant uses the ticket up", used_up, &code::LOCK_NO_TICKET);
    ok(bench.ledger.enqueue(&claim).await);
    ok(bench.ledger.leave(&bench.target, claim.run).await);
    let left = bench.ledger.acquire(&claim, LEASE).await;
    refused(ticketless, left, &code::LOCK_NO_TICKET);
    bench.expect("a refused call changes nothing", LockState::Free, None).await;
}

/// The claim that holds the lock is given the same hold again, its lease begun anew.
pub async fn a_grant_is_repeated_to_its_claim(subject: &dyn Subject) {
    let leases = [LEASE, Duration::new(60, 1_999_999), Duration::from_micros(2_500_250)];
    for lease in leases.into_iter().chain([Duration::MAX]) {
        let bench = Bench::open(subject).await;
        let claim = bench.claim();
        let ticket = ok(bench.ledger.enqueue(&claim).await);
        let hold = granted("a free target is granted", bench.ledger.acquire(&claim, lease).await);
        let cut = lease.saturating_sub(hold.lease);
        let whole = hold.lease <= lease && (cut.as_millis() == 0 || lease == Duration::MAX);
        must("a lease is at most cut to whole milliseconds", whole, &(lease, hold.lease));
        bench.opened.advance(Duration::from_secs(1));
        let same_hold = "the claim that holds the lock is given the same hold again";
        let other = ok(bench.ledger.reconnect().await);
        for handle in [&bench.ledger, &other] {
            let again = handle.acquire(&claim, Duration::from_secs(5)).await;
            same(same_hold, granted(same_hold, again), hold.clone());
        }
        let left = bench.state().await.lease_left.unwrap_or_default();
        let anew = left > hold.lease.min(YEAR).saturating_sub(Duration::from_millis(900));
        must("a repeated grant begins its lease anew", anew, &left);
        let used = ok(bench.ledger.enqueue(&claim).await);
        same("the claim that was granted is told the ticket it used", used, ticket);
        let queue = bench.state().await.queue;
        must("a run that was granted waits no more", queue.is_empty(), &queue);
    }
}

/// Another claim of the run that holds the lock waits like anybody else, because two processes must
/// never share a fence.
pub async fn two_claims_never_share_a_fence(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let first = bench.claim();
    let second = bench.claim_of(first.run);
    let hold = bench.hold(&first).await;
    let unqueued = bench.ledger.acquire(&second, LEASE).await;
    let waits = "another claim of the same run waits like anybody else";
    refused(waits, unqueued, &code::LOCK_NO_TICKET);
    ok(bench.ledger.enqueue(&second).await);
    let answer = ok(bench.ledger.acquire(&second, LEASE).await);
    must(waits, matches!(answer, Acquired::Waiting { ahead: 0, holder: Some(_) }), &answer);
    ok(bench.append(&hold, closed(Outcome::Refused)).await);
    let next = granted("a free target is granted", bench.ledger.acquire(&second, LEASE).await);
    let grows = "every grant has a fence of its own, greater than any before";
    must(grows, next.fence > hold.fence, &next);
    let stale = bench.append(&hold, left()).await;
    refused("a fence ends with its hold, also for its own run", stale, &code::LOCK_LOST);
}

/// `leave` gives the place in the queue up, is idempotent, and takes no lock away.
pub async fn leaving_gives_the_place_up(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let (holder, waiter) = (bench.claim(), bench.claim());
    ok(bench.ledger.leave(&bench.target, waiter.run).await);
    let hold = bench.hold(&holder).await;
    let ticket = ok(bench.ledger.enqueue(&waiter).await);
    for _ in 0..2 {
        ok(bench.ledger.leave(&bench.target, waiter.run).await);
        let queue = bench.state().await.queue;
        must("`leave` gives the place in the queue up", queue.is_empty(), &queue);
    }
    ok(bench.ledger.leave(&bench.target, holder.run).await);
    let kept = "`leave` takes no lock away";
    bench.expect(kept, LockState::Held, Some(holder.run)).await;
    ok(bench.ledger.renew(&hold).await);
    let again = ok(bench.ledger.enqueue(&waiter).await);
    must("a ticket is never given out twice", again > ticket, &(ticket, again));
}

/// A fence grows with every grant, whatever ended the one before.
pub async fn fences_grow_over_everything(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let mut fences = vec![bench.state().await.fence];
    let mut grown = |fence: Fence| {
        let grows = "every grant has a fence of its own, greater than any before";
        must(grows, fences.iter().all(|&before| before < fence), &(&fences, fence));
        fences.push(fence);
    };
    for _ in 0..2 {
        let released = bench.hold(&bench.claim()).await;
        grown(released.fence);
        ok(bench.ledger.release(&released).await);
        let closing = bench.mutating(&bench.claim()).await;
        grown(closing.fence);
        ok(bench.append(&closing, closed(Outcome::Released)).await);
        let giving_up = bench.hold(&bench.claim()).await;
        grown(giving_up.fence);
        ok(bench.append(&giving_up, left()).await);
        grown(bench.hold(&bench.claim()).await.fence);
        bench.opened.advance(LEASE);
        let claim = bench.claim();
        grown(bench.suspect(&claim).await.fence);
        for _ in 0..2 {
            let resumed = bench.claim_of(claim.run);
            grown(ok(bench.ledger.take_over(&resumed, LEASE).await).fence);
            bench.opened.advance(LEASE);
        }
        let last = ok(bench.ledger.take_over(&bench.claim_of(claim.run), LEASE).await);
        grown(last.fence);
        ok(bench.append(&last, closed(Outcome::RolledBack)).await);
        same("the newest fence stays when the lock is free", bench.state().await.fence, last.fence);
    }
    bench.verify().await;
}

/// Every name that [`TargetName`](gatekit_core::TargetName) allows is a target of its own: one lock,
/// one queue and one chain each.
pub async fn every_legal_name_is_a_target_of_its_own(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let long = "x".repeat(200);
    let names = ["a", "A", "a/b", "a.b", "a-b", "a_b", "axb", "a:b", "0", "...", "a/b/c", &long];
    let mut holds = Vec::new();
    for text in names {
        let mut claim = bench.claim();
        claim.target = name(text);
        ok(bench.ledger.enqueue(&claim).await);
        let alone = "targets do not know of each other: one lock each";
        let hold = granted(alone, bench.ledger.acquire(&claim, LEASE).await);
        same("each target counts its own fences", hold.fence, Fence(1));
        let record = ok(bench.append(&hold, closed(Outcome::Refused)).await);
        same("each target has a chain of its own", record.seq, 1);
        ok(bench.ledger.enqueue(&claim).await);
        holds.push(granted(alone, bench.ledger.acquire(&claim, LEASE).await));
    }
    for hold in holds {
        let state = ok(bench.ledger.state(&hold.target).await);
        let told = (state.run, state.fence, state.head.seq);
        same("the state of a target is its own", told, (Some(hold.run), hold.fence, 1));
        let found = ok(bench.ledger.read_run(&hold.target, hold.run).await);
        same("a target's records are its own", found.len(), 1);
        let none = ok(bench.ledger.read_run(&hold.target, RunId::generate()).await);
        must("a run that wrote nothing has no records", none.is_empty(), &none);
    }
}
