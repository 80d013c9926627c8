//! Hand-over where a claim names several targets: who waits is woken, in whichever queue it stands.

use std::time::{Duration, Instant};

use gatekit_core::ledger::{Claim, Ledger as _};
use gatekit_store::SqliteLedger;

use crate::child::actor;
use crate::support::*;
use crate::turns::{sooner_than_a_beat, turn, waits};

/// The waiter waits and is granted; gives how long that takes from when `wakes` begins.
async fn woken_by(ledger: &SqliteLedger, waiter: &Claim, wakes: impl AsyncFnOnce()) -> Duration {
    waits(ledger, waiter).await;
    let (handle, claim) = (ledger.clone(), waiter.clone());
    let woken = tokio::spawn(async move { granted(turn(&handle, &claim).await) });
    let begun = Instant::now();
    wakes().await;
    let hold = woken.await.unwrap();
    let took = begun.elapsed();
    assert!(ledger.release(&hold).await.unwrap());
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_wakes_who_waits_for_what_was_locked_along() {
    let place = Place::new();
    let (ours, theirs) = (place.open(), place.open());
    sooner_than_a_beat(async || {
        let held = hold(&ours, &both()).await;
        woken_by(&theirs, &lone(), async || assert!(ours.release(&held).await.unwrap())).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_entry_that_ends_a_run_wakes_who_waits_for_what_was_locked_along() {
    let place = Place::new();
    let (ours, theirs) = (place.open(), place.open());
    sooner_than_a_beat(async || {
        let held = mutating(&ours, &both()).await;
        let close = async || {
            append(&ours, &held, closed(gatekit_core::Outcome::Released)).await.unwrap();
        };
        woken_by(&theirs, &lone(), close).await
    })
    .await;
}

/// The second target is free all the while; its queue has a head that waits for the first.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_leaves_or_dies_or_claims_less_wakes_who_stands_behind_it() {
    let place = Place::new();
    let (ours, theirs) = (place.open(), place.open());
    let held = hold(&ours, &claim()).await;
    sooner_than_a_beat(async || {
        let head = both();
        waits(&ours, &head).await;
        let leaves = async || ours.leave(&target(), head.run).await.unwrap();
        woken_by(&theirs, &lone(), leaves).await
    })
    .await;
    sooner_than_a_beat(async || {
        let mut head = actor("turn both", &place.path(), None);
        assert_eq!(head.says(), "waits");
        woken_by(&theirs, &lone(), async || head.kill()).await
    })
    .await;
    sooner_than_a_beat(async || {
        let head = both();
        waits(&ours, &head).await;
        let mut narrow = claim();
        narrow.run = head.run;
        let narrows = async || assert!(ours.enqueue(&narrow).await.is_ok());
        let took = woken_by(&theirs, &lone(), narrows).await;
        ours.leave(&target(), head.run).await.unwrap();
        took
    })
    .await;
    assert!(ours.release(&held).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_claims_several_watches_the_holder_of_any() {
    let place = Place::new();
    let ledger = place.open();
    for holds in ["hold", "hold second"] {
        sooner_than_a_beat(async || {
            let mut holder = actor(holds, &place.path(), None);
            assert_eq!(holder.says(), "ready");
            woken_by(&ledger, &both(), async || holder.kill()).await
        })
        .await;
    }
}

/// The head of two queues is granted, and dies: in each queue the next one watches it.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_moves_up_to_a_head_watches_the_new_holder_of_several() {
    let place = Place::new();
    let (ours, theirs) = (place.open(), place.open());
    for next in [claim as fn() -> Claim, lone] {
        sooner_than_a_beat(async || {
            let held = hold(&ours, &claim()).await;
            let mut middle = actor("turn both", &place.path(), None);
            assert_eq!(middle.says(), "waits");
            woken_by(&theirs, &next(), async || {
                assert!(ours.release(&held).await.unwrap());
                middle.says();
                // Long enough for the next in line to learn whom to watch.
                tokio::time::sleep(Duration::from_millis(300)).await;
                middle.kill();
            })
            .await
        })
        .await;
    }
}
