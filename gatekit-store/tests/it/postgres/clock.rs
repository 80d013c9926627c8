//! Clocks that are wrong: the server's, and those of the runners.

use std::time::Duration;

use gatekit_core::ledger::{Acquired, Entry, Guard, Ledger as _, LockState};

use super::database::{Database, Via};
use crate::support::*;

const HOUR: Duration = Duration::from_secs(3600);

/// Sets the server's clock back, for this database.
async fn back(database: &Database, time: Duration) {
    let sql =
        format!("UPDATE public.test_clock SET ahead = ahead - interval '{} s'", time.as_secs());
    database.raw().await.batch_execute(&sql).await.unwrap();
}

/// A process of another machine, of which nothing is proven.
fn far() -> gatekit_core::ledger::Claim {
    let mut far = claim();
    far.process.boot = "another machine".to_owned();
    far
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_nobody_waiting_for_as_long() {
    let database = Database::new(Via::Server).await;
    let ledger = database.ledger().await;
    // One holds it and one waits for it; both are never heard of again.
    hold(&ledger, &far()).await;
    ledger.enqueue(&far()).await.unwrap();
    back(&database, HOUR).await;
    let keen = claim();
    ledger.enqueue(&keen).await.unwrap();
    let answer = ledger.acquire(&keen, LEASE).await.unwrap();
    assert!(matches!(answer, Acquired::Waiting { ahead: 0, .. }), "{answer:?}");
    database.pass(LEASE).await;
    granted(ledger.acquire(&keen, LEASE).await.unwrap());
}

#[tokio::test]
async fn a_clock_that_is_set_back_takes_nothing_from_who_lives() {
    let database = Database::new(Via::Server).await;
    let ledger = database.ledger().await;
    let held = hold(&ledger, &far()).await;
    back(&database, HOUR).await;
    let keen = claim();
    ledger.enqueue(&keen).await.unwrap();
    let answer = ledger.acquire(&keen, LEASE).await.unwrap();
    assert!(matches!(answer, Acquired::Waiting { .. }), "{answer:?}");
    database.pass(LEASE / 2).await;
    ledger.renew(&held).await.unwrap();
    database.pass(LEASE / 2).await;
    append(&ledger, &held, applying()).await.unwrap();
    assert_eq!(state(&ledger).await.state, LockState::Mutating);
}

#[tokio::test]
async fn what_a_runner_takes_for_the_time_decides_nothing() {
    let database = Database::new(Via::Server).await;
    let ledger = database.ledger().await;
    let held = mutating(&ledger, &claim()).await;
    let before = state(&ledger).await.lease_left.unwrap();
    for at in ["1999-01-01T00:00:00Z", "2999-01-01T00:00:00Z"] {
        let mut entry = Entry::new(target(), held.run, "somebody", Some(held.fence), calling());
        entry.at = serde_json::from_value(at.into()).unwrap();
        let lease_left = LEASE / 2;
        let guard = Guard::Holder { run: held.run, fence: held.fence, lease_left };
        ledger.append(&target(), &entry, guard).await.unwrap();
    }
    let left = state(&ledger).await.lease_left.unwrap();
    assert!(left <= before && left > LEASE / 2, "{left:?}");
    let records = ledger.read(&target(), 0, 10).await.unwrap();
    assert_eq!(records.iter().map(|it| it.seq).collect::<Vec<_>>(), [1, 2, 3]);
    verify(&ledger).await.unwrap();
}
