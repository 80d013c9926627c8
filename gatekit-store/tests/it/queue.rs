//! The queue across connections and processes; the rest of it is in the suite of `conformance`.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use gatekit_core::ledger::{Acquired, Ledger as _};
use gatekit_core::{Fence, RunId};

use crate::child::dead_process;
use crate::support::*;

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
