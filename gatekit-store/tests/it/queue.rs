//! FIFO order, fences, idempotence, waiters that are gone.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use gatekit_core::ledger::{Acquired, Ledger as _, LockState, WAITER_TTL};
use gatekit_core::{Fence, RunId, code};

use crate::child::dead_process;
use crate::support::*;

#[tokio::test]
async fn a_target_that_nobody_used_is_untouched() {
    let place = Place::new();
    let ledger = place.open();
    assert_eq!(state(&ledger).await, gatekit_core::ledger::TargetState::untouched());
    assert!(ledger.read(&target(), 0, 10).await.unwrap().is_empty());
}

#[test]
fn waiters_in_threads_are_granted_in_order_one_at_a_time_with_rising_fences() {
    let place = Place::new();
    place.open();
    // (run, fence) while inside, and the order of the grants.
    let inside = Arc::new(Mutex::new(None::<RunId>));
    let grants = Arc::new(Mutex::new(Vec::new()));
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let setup = place.open();
    let claims: Vec<_> = (0..12).map(|_| claim()).collect();
    for claim in &claims {
        runtime().block_on(setup.enqueue(claim)).unwrap();
    }
    thread::scope(|scope| {
        // Started last in line first, so that the order is the ledger's doing.
        for claim in claims.iter().rev() {
            let (place, inside, grants) = (&place, &inside, &grants);
            scope.spawn(move || {
                let ledger = place.open();
                runtime().block_on(async {
                    let hold = loop {
                        match ledger.acquire(claim, LEASE).await.unwrap() {
                            Acquired::Granted(hold) => break hold,
                            _ => thread::sleep(Duration::from_millis(3)),
                        }
                    };
                    assert_eq!(inside.lock().unwrap().replace(claim.run), None, "two holders");
                    grants.lock().unwrap().push((claim.run, hold.fence));
                    thread::sleep(Duration::from_millis(2));
                    assert_eq!(inside.lock().unwrap().take(), Some(claim.run));
                    assert!(ledger.release(&hold).await.unwrap());
                });
            });
        }
    });
    let expected: Vec<_> =
        claims.iter().zip(1..).map(|(claim, fence)| (claim.run, Fence(fence))).collect();
    assert_eq!(*grants.lock().unwrap(), expected);
}

#[tokio::test]
async fn enqueue_and_acquire_can_be_repeated() {
    let place = Place::new();
    let (a, b) = (place.open(), place.open());
    let (first, second) = (claim(), claim());
    let ticket = a.enqueue(&first).await.unwrap();
    assert_eq!(b.enqueue(&first).await.unwrap(), ticket);
    assert!(a.enqueue(&second).await.unwrap() > ticket);

    let hold = granted(a.acquire(&first, LEASE).await.unwrap());
    assert_eq!(granted(b.acquire(&first, LEASE).await.unwrap()), hold);
    assert_eq!(a.enqueue(&first).await.unwrap(), ticket, "even once it is granted");
    let shorter = granted(a.acquire(&first, Duration::from_secs(1)).await.unwrap());
    assert_eq!(shorter, hold, "the same hold");
    assert!(state(&a).await.lease_left.unwrap() > LEASE - Duration::from_secs(5));
    assert_eq!(state(&a).await.queue.len(), 1, "a granted run waits no more");

    a.leave(&target(), second.run).await.unwrap();
    a.leave(&target(), second.run).await.unwrap();
    assert!(state(&a).await.queue.is_empty());
    assert_eq!(granted(a.acquire(&first, LEASE).await.unwrap()), hold);
}

#[tokio::test]
async fn a_run_without_a_ticket_is_refused() {
    let place = Place::new();
    let ledger = place.open();
    refused(ledger.acquire(&claim(), LEASE).await, &code::LOCK_NO_TICKET);
    let claim = claim();
    let hold = hold(&ledger, &claim).await;
    assert!(ledger.release(&hold).await.unwrap());
    refused(ledger.acquire(&claim, LEASE).await, &code::LOCK_NO_TICKET);
    assert!(!ledger.release(&hold).await.unwrap(), "a second release changes nothing");
}

#[tokio::test]
async fn a_waiter_is_told_who_is_ahead_and_who_holds() {
    let place = Place::new();
    let ledger = place.open();
    let (holder, first, second) = (claim(), claim(), claim());
    let held = hold(&ledger, &holder).await;
    for claim in [&first, &second] {
        ledger.enqueue(claim).await.unwrap();
    }
    let Acquired::Waiting { ahead, holder: Some(who) } =
        ledger.acquire(&second, LEASE).await.unwrap()
    else {
        panic!()
    };
    assert_eq!((ahead, who.run, who.pid), (1, holder.run, std::process::id()));
    ledger.release(&held).await.unwrap();
    let answer = ledger.acquire(&second, LEASE).await.unwrap();
    assert_eq!(answer, Acquired::Waiting { ahead: 1, holder: None }, "free, but not its turn");
    granted(ledger.acquire(&first, LEASE).await.unwrap());
}

#[tokio::test]
async fn a_silent_waiter_is_skipped_and_keeps_its_ticket() {
    let place = Place::new();
    let ledger = place.open();
    let (silent, keen) = (claim(), claim());
    let ticket = ledger.enqueue(&silent).await.unwrap();
    ledger.enqueue(&keen).await.unwrap();
    place.pass(WAITER_TTL - Duration::from_secs(1));
    let answer = ledger.acquire(&keen, LEASE).await.unwrap();
    assert!(matches!(answer, Acquired::Waiting { ahead: 1, .. }), "{answer:?}");
    place.pass(Duration::from_secs(2));
    let alive: Vec<_> = state(&ledger).await.queue.iter().map(|waiter| waiter.alive).collect();
    assert_eq!(alive, [false, true]);
    let hold = granted(ledger.acquire(&keen, LEASE).await.unwrap());

    let late = claim();
    ledger.enqueue(&late).await.unwrap();
    ledger.release(&hold).await.unwrap();
    assert_eq!(ledger.enqueue(&silent).await.unwrap(), ticket, "it comes back to its place");
    let answer = ledger.acquire(&late, LEASE).await.unwrap();
    assert!(matches!(answer, Acquired::Waiting { ahead: 1, .. }), "{answer:?}");
    granted(ledger.acquire(&silent, LEASE).await.unwrap());
}

#[tokio::test]
async fn a_waiter_whose_process_died_is_skipped_at_once() {
    let place = Place::new();
    let ledger = place.open();
    let (mut dead, keen) = (claim(), claim());
    dead.process = dead_process();
    ledger.enqueue(&dead).await.unwrap();
    ledger.enqueue(&keen).await.unwrap();
    granted(ledger.acquire(&keen, LEASE).await.unwrap());
    assert_eq!(state(&ledger).await.queue.len(), 1, "it keeps its ticket");
}

#[tokio::test]
async fn a_process_that_cannot_be_seen_counts_as_alive() {
    let place = Place::new();
    let ledger = place.open();
    let mut elsewhere = claim();
    elsewhere.process.namespace = "pid:[1]".to_owned();
    elsewhere.process.pid = 999_999;
    hold(&ledger, &elsewhere).await;
    assert_eq!(state(&ledger).await.state, LockState::Held);
    place.pass(LEASE);
    assert_eq!(state(&ledger).await.state, LockState::Free, "its lease decides");
}

#[tokio::test]
async fn another_handle_works_from_another_thread_and_runtime() {
    let place = Place::new();
    let ledger = place.open();
    let hold = hold(&ledger, &claim()).await;
    let other = ledger.reconnect().await.unwrap();
    let renewed = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(other.renew(&hold))
    });
    renewed.join().unwrap().unwrap();
}

#[tokio::test]
async fn targets_do_not_know_of_each_other() {
    let place = Place::new();
    let ledger = place.open();
    let first = claim();
    let mut second = claim();
    second.target = gatekit_core::TargetName::new("staging/api").unwrap();
    let holds = [hold(&ledger, &first).await, hold(&ledger, &second).await];
    assert_eq!(fences(&holds), [Fence(1), Fence(1)]);
}
