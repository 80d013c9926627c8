//! Processes of this machine that are gone. Of another machine's, nothing is proven.

use gatekit_core::code::{LOCK_HELD, LOCK_NOT_SUSPECT};
use gatekit_core::ledger::{Acquired, Ledger as _, LockState};

use super::database::{Database, Via};
use crate::child::dead_process;
use crate::support::*;

#[tokio::test]
async fn a_dead_holder_of_this_machine_is_found_at_once() {
    let database = Database::new(Via::Server).await;
    let ledger = database.ledger().await;
    let mut dead = claim();
    dead.process = dead_process();
    hold(&ledger, &dead).await;
    assert_eq!(state(&ledger).await.state, LockState::Free, "told as if it had been recorded");
    let next = mutating(&ledger, &dead).await;
    assert_eq!(state(&ledger).await.state, LockState::Suspect);

    let keen = claim();
    ledger.enqueue(&keen).await.unwrap();
    let answer = ledger.acquire(&keen, LEASE).await.unwrap();
    assert!(matches!(answer, Acquired::Suspect { run, .. } if run == dead.run), "{answer:?}");
    let mut resumed = claim();
    resumed.run = dead.run;
    let taken = ledger.take_over(&resumed, LEASE).await.unwrap();
    assert_eq!(taken.fence, next.fence.next());
    let lost = append(&ledger, &next, calling()).await;
    refused(lost, &gatekit_core::code::LOCK_LOST);
}

#[tokio::test]
async fn a_dead_holder_is_taken_over_without_a_claim_between() {
    let database = Database::new(Via::Server).await;
    let ledger = database.ledger().await;
    let mut dead = claim();
    dead.process = dead_process();
    mutating(&ledger, &dead).await;
    let mut resumed = claim();
    resumed.run = dead.run;
    ledger.take_over(&resumed, LEASE).await.unwrap();
}

#[tokio::test]
async fn a_dead_waiter_of_this_machine_is_passed_over() {
    let database = Database::new(Via::Server).await;
    let ledger = database.ledger().await;
    let (mut dead, keen) = (claim(), claim());
    dead.process = dead_process();
    let ticket = ledger.enqueue(&dead).await.unwrap();
    ledger.enqueue(&keen).await.unwrap();
    let held = granted(ledger.acquire(&keen, LEASE).await.unwrap());
    let queue = state(&ledger).await.queue;
    assert_eq!(queue.iter().map(|it| (it.ticket, it.alive)).collect::<Vec<_>>(), [(ticket, false)]);
    ledger.release(&held).await.unwrap();
    // Its run goes on in another process, in the place that it had.
    let mut again = claim();
    again.run = dead.run;
    assert_eq!(ledger.enqueue(&again).await.unwrap(), ticket);
    granted(ledger.acquire(&again, LEASE).await.unwrap());
}

/// A process of another boot may be one of another machine.
#[tokio::test]
async fn a_process_of_another_machine_counts_as_alive_until_its_lease_has_lapsed() {
    let database = Database::new(Via::Server).await;
    let ledger = database.ledger().await;
    let mut far = claim();
    far.process.boot = "another machine".to_owned();
    let held = mutating(&ledger, &far).await;
    let mut resumed = claim();
    resumed.run = far.run;
    refused(ledger.take_over(&resumed, LEASE).await, &LOCK_HELD);
    append(&ledger, &held, calling()).await.unwrap();
    database.pass(LEASE).await;
    ledger.take_over(&resumed, LEASE).await.unwrap();
}

/// What is locked along has a fence of its own, by which nobody knows the holder of the leading target.
#[tokio::test]
async fn a_dead_holder_is_found_from_a_target_that_is_locked_along() {
    let database = Database::new(Via::Server).await;
    let ledger = database.ledger().await;
    // So that the two fences differ.
    let other = lone();
    let own = hold(&ledger, &other).await;
    ledger.release(&own).await.unwrap();
    let mut dead = both();
    dead.process = dead_process();
    mutating(&ledger, &dead).await;
    let mut resumed = lone();
    resumed.run = dead.run;
    let taken = ledger.take_over(&resumed, LEASE);
    let taken = tokio::time::timeout(LEASE / 6, taken).await.expect("it goes on for ever");
    refused(taken, &LOCK_NOT_SUSPECT);
    let mut resumed = claim();
    resumed.run = dead.run;
    ledger.take_over(&resumed, LEASE).await.unwrap();
}

/// Who proves a death too late must not bury whoever holds the target by now.
#[tokio::test]
async fn only_the_holder_that_was_proven_dead_is_buried() {
    let database = Database::new(Via::Server).await;
    let ledger = database.ledger().await;
    let held = hold(&ledger, &claim()).await;
    let raw = database.raw().await;
    for (fence, process) in [("1", "'another'"), ("0", "process")] {
        let sql =
            format!("SELECT gatekit.bury_holder(1, name, {fence}, {process}) FROM gatekit.target");
        raw.batch_execute(&sql).await.unwrap();
        assert_eq!(state(&ledger).await.state, LockState::Held, "{fence} {process}");
    }
    append(&ledger, &held, applying()).await.unwrap();
}
