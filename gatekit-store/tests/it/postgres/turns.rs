//! How soon waiters learn that their turn has come.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gatekit_core::ledger::{Acquired, Ledger as _};

use super::database::{Database, Via};
use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiters_take_turns_in_the_order_of_their_tickets() {
    for via in [Via::Server, Via::Pooler] {
        let database = Database::new(via).await;
        let shared = database.ledger().await;
        let first = hold(&shared, &claim()).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiters = Vec::new();
        for at in 0..12 {
            // Half of them in one process, as it were.
            let ledger = if at % 2 == 0 { shared.clone() } else { database.ledger().await };
            let mine = claim();
            let ticket = ledger.enqueue(&mine).await.unwrap();
            let order = Arc::clone(&order);
            waiters.push(tokio::spawn(async move {
                loop {
                    match ledger.acquire(&mine, LEASE).await.unwrap() {
                        Acquired::Granted(hold) => {
                            order.lock().unwrap().push(ticket);
                            return assert!(ledger.release(&hold).await.unwrap());
                        }
                        _ => ledger.wait_for_turn(&mine, LEASE).await,
                    }
                }
            }));
        }
        // Some ask in between how many are ahead, and know it better than others then.
        tokio::time::sleep(Duration::from_secs(4)).await;
        let began = Instant::now();
        shared.release(&first).await.unwrap();
        for waiter in waiters {
            waiter.await.unwrap();
        }
        // One that is overlooked asks by itself after 20 s or more.
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        let order = order.lock().unwrap().clone();
        assert!(order.is_sorted() && order.len() == 12, "{order:?}");
    }
}

#[tokio::test]
async fn the_first_in_line_is_woken_when_a_holder_of_this_machine_dies() {
    let database = Database::new(Via::Server).await;
    let ledger = database.ledger().await;
    let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
    let mut holder = claim();
    holder.process = gatekit_core::process::ProcessIdentity::of(child.id()).unwrap();
    hold(&ledger, &holder).await;
    let keen = claim();
    ledger.enqueue(&keen).await.unwrap();
    let answer = ledger.acquire(&keen, LEASE).await.unwrap();
    assert!(matches!(answer, Acquired::Waiting { ahead: 0, .. }), "{answer:?}");
    let dies = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        Instant::now()
    };
    let ((), died) = tokio::join!(ledger.wait_for_turn(&keen, LEASE), dies);
    assert!(died.elapsed() < Duration::from_secs(3), "{:?}", died.elapsed());
    granted(ledger.acquire(&keen, LEASE).await.unwrap());
}

/// A take-over and a claim lock the same two rows: neither waits for the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_take_over_and_a_claim_do_not_wait_for_each_other() {
    let database = Database::new(Via::Server).await;
    let (ledger, other) = (database.ledger().await, database.ledger().await);
    // What is locked along comes first in the order in which rows are locked.
    let first = lone();
    let held = hold(&ledger, &first).await;
    ledger.release(&held).await.unwrap();
    let mut gone = both();
    gone.process.boot = "another machine".to_owned();
    mutating(&ledger, &gone).await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let claims = tokio::spawn(async move {
        let keen = lone();
        other.enqueue(&keen).await.unwrap();
        loop {
            other.acquire(&keen, LEASE).await.unwrap();
        }
    });
    for _ in 0..100 {
        database.pass(LEASE * 2).await;
        gone.id = both().id;
        ledger.take_over(&gone, LEASE).await.unwrap();
    }
    claims.abort();
    // The server counts what a session tells it now and then.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let count: i64 = database.raw().await.query_one(deadlocks, &[]).await.unwrap().get(0);
    assert_eq!(count, 0);
}
