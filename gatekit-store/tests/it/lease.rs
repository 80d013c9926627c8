//! Leases, take-overs and overtaken holders; the processes all live.

use std::time::Duration;

use gatekit_core::ledger::{Acquired, Body, Ledger as _, LockState};
use gatekit_core::{Fence, Outcome, RunId, code};

use crate::support::*;

#[tokio::test]
async fn the_lock_goes_through_its_states() {
    let place = Place::new();
    let ledger = place.open();
    let claim = claim();
    let hold = hold(&ledger, &claim).await;
    assert_eq!(state(&ledger).await.state, LockState::Held);
    append(&ledger, &hold, applying()).await.unwrap();
    append(&ledger, &hold, applying()).await.unwrap();
    let during = state(&ledger).await;
    assert_eq!((during.state, during.run), (LockState::Mutating, Some(claim.run)));
    refused(ledger.release(&hold).await, &code::LOCK_MUTATING);
    append(&ledger, &hold, closed(Outcome::Released)).await.unwrap();
    let after = state(&ledger).await;
    assert_eq!((after.state, after.run, after.holder), (LockState::Free, None, None));
    assert_eq!((after.fence, after.head.seq), (Fence(1), 3), "the fence stays");
    refused(append(&ledger, &hold, calling()).await, &code::LOCK_LOST);
}

#[tokio::test]
async fn giving_up_frees_what_was_not_touched_and_leaves_the_rest_suspect() {
    let place = Place::new();
    let ledger = place.open();
    let untouched = hold(&ledger, &claim()).await;
    append(&ledger, &untouched, Body::Left { why: "w".into() }).await.unwrap();
    assert_eq!(state(&ledger).await.state, LockState::Free);

    let claim = claim();
    let touched = mutating(&ledger, &claim).await;
    append(&ledger, &touched, Body::Left { why: "w".into() }).await.unwrap();
    let left = state(&ledger).await;
    assert_eq!((left.state, left.run), (LockState::Suspect, Some(claim.run)));
    assert_eq!((left.holder, left.lease_left), (None, None));
    let hold = ledger.take_over(&claim, LEASE).await.unwrap();
    assert_eq!(hold.fence, Fence(3), "at once, although the process lives");
}

#[tokio::test]
async fn open_entries_do_nothing_to_the_lock() {
    let place = Place::new();
    let ledger = place.open();
    let claim = claim();
    hold(&ledger, &claim).await;
    append_open(&ledger, claim.run, queued()).await.unwrap();
    append_open(&ledger, RunId::generate(), Body::Left { why: "w".into() }).await.unwrap();
    append_open(&ledger, RunId::generate(), closed(Outcome::Failed)).await.unwrap();
    assert_eq!(state(&ledger).await.state, LockState::Held);
}

#[tokio::test]
async fn a_lapsed_lease_frees_a_held_target() {
    let place = Place::new();
    let (a, b) = (place.open(), place.open());
    let (slow, next) = (claim(), claim());
    let overtaken = hold(&a, &slow).await;
    b.enqueue(&next).await.unwrap();
    place.pass(LEASE - Duration::from_secs(1));
    assert!(matches!(b.acquire(&next, LEASE).await.unwrap(), Acquired::Waiting { .. }));
    place.pass(Duration::from_secs(1));
    let told = state(&b).await;
    assert_eq!((told.state, told.holder), (LockState::Free, None), "told before it is recorded");
    let stored: String =
        place.raw().query_row("SELECT state FROM target", [], |row| row.get(0)).unwrap();
    assert_eq!(stored, "held", "`state` changes nothing");

    let hold = granted(b.acquire(&next, LEASE).await.unwrap());
    assert!(hold.fence > overtaken.fence);
    let before = state(&b).await;
    refused(append(&a, &overtaken, applying()).await, &code::LOCK_LOST);
    refused(a.renew(&overtaken).await, &code::LOCK_LOST);
    assert!(!a.release(&overtaken).await.unwrap());
    assert_eq!(state(&b).await.head, before.head, "no entry");
    assert_eq!(state(&b).await.run, Some(next.run));
}

#[tokio::test]
async fn a_lapsed_lease_makes_a_touched_target_suspect_and_its_zombie_is_refused() {
    let place = Place::new();
    let (a, b) = (place.open(), place.open());
    let (zombie, next) = (claim(), claim());
    let overtaken = mutating(&a, &zombie).await;
    refused(b.take_over(&zombie, LEASE).await, &code::LOCK_HELD);
    b.enqueue(&next).await.unwrap();
    place.pass(LEASE);
    let told = state(&b).await;
    assert_eq!((told.state, told.run), (LockState::Suspect, Some(zombie.run)));
    let answer = b.acquire(&next, LEASE).await;
    // It was silent for longer than a waiter may be; asking brings it back.
    let suspect = Acquired::Suspect { run: zombie.run, fence: overtaken.fence };
    assert_eq!(answer.unwrap(), suspect);

    // The suspicion is recorded now: the old holder is out, though its fence is still the newest.
    let error = refused(a.renew(&overtaken).await, &code::LOCK_LOST);
    let failure = error.to_failure();
    assert!(failure.context.iter().any(|(name, value)| name == "state" && value == "suspect"));
    refused(append(&a, &overtaken, closed(Outcome::Released)).await, &code::LOCK_LOST);
    assert!(!a.release(&overtaken).await.unwrap());

    refused(b.take_over(&next, LEASE).await, &code::LOCK_NOT_SUSPECT);
    let hold = b.take_over(&zombie, LEASE).await.unwrap();
    assert_eq!(hold.fence, overtaken.fence.next());
    assert_eq!(state(&b).await.state, LockState::Mutating);
    let last = b.read_run(&target(), zombie.run).await.unwrap().pop().unwrap();
    let entry = last.decode().unwrap();
    assert_eq!(entry.body, Body::Resumed { old: overtaken.fence, new: hold.fence });
    assert_eq!(entry.fence, Some(hold.fence));

    refused(append(&a, &overtaken, calling()).await, &code::LOCK_LOST);
    assert!(!a.release(&overtaken).await.unwrap());
    append(&b, &hold, closed(Outcome::RolledBack)).await.unwrap();
    granted(b.acquire(&next, LEASE).await.unwrap());
    verify(&b).await.unwrap();
}

#[tokio::test]
async fn nobody_is_taken_over_while_the_lease_lasts() {
    let place = Place::new();
    let ledger = place.open();
    let claim = claim();
    refused(ledger.take_over(&claim, LEASE).await, &code::LOCK_NOT_SUSPECT);
    let hold = hold(&ledger, &claim).await;
    let error = refused(ledger.take_over(&claim, LEASE).await, &code::LOCK_HELD);
    assert!(error.is_temporary());
    append(&ledger, &hold, applying()).await.unwrap();
    refused(ledger.take_over(&claim, LEASE).await, &code::LOCK_HELD);
    append(&ledger, &hold, calling()).await.unwrap();
}

#[tokio::test]
async fn a_lapsed_lease_that_nobody_noticed_may_be_renewed_and_written_under() {
    let place = Place::new();
    let ledger = place.open();
    let hold = mutating(&ledger, &claim()).await;
    place.pass(LEASE * 2);
    append(&ledger, &hold, calling()).await.unwrap();
    let needed = LEASE / 3;
    let short = append_with(&ledger, &hold, calling(), needed).await;
    assert!(refused(short, &code::LOCK_LEASE_SHORT).is_temporary());
    assert_eq!(state(&ledger).await.head.seq, 2, "no entry");
    ledger.renew(&hold).await.unwrap();
    assert_eq!(state(&ledger).await.state, LockState::Mutating);
    append_with(&ledger, &hold, calling(), needed).await.unwrap();
    place.pass(LEASE - needed + Duration::from_millis(1));
    refused(append_with(&ledger, &hold, calling(), needed).await, &code::LOCK_LEASE_SHORT);
}

#[tokio::test]
async fn a_run_cannot_write_under_a_fence_it_was_never_given() {
    let place = Place::new();
    let ledger = place.open();
    let mut forged = hold(&ledger, &claim()).await;
    forged.fence = forged.fence.next();
    refused(append(&ledger, &forged, calling()).await, &code::LOCK_LOST);
    let mut other = forged.clone();
    (other.fence, other.run) = (Fence(1), gatekit_core::RunId::generate());
    refused(append(&ledger, &other, calling()).await, &code::LOCK_LOST);
    refused(ledger.renew(&other).await, &code::LOCK_LOST);
    assert!(!ledger.release(&other).await.unwrap());
    assert_eq!(state(&ledger).await.head.seq, 0);
}
