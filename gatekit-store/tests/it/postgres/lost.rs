//! Answers that are lost, requests that come late, and servers that go away.

use std::path::Path;
use std::time::{Duration, Instant};

use gatekit_core::ledger::{Ledger as _, LockState};
use gatekit_core::{Effect, Outcome};
use gatekit_peers::{Cluster, Pooler, Programs, Proxy, Way};
use gatekit_store::{PostgresLedger, code};

use super::database::{Database, Via};
use crate::support::*;

async fn behind(database: &Database) -> (Proxy, PostgresLedger) {
    let proxy = Proxy::before(&database.url()).await.unwrap();
    let builder = PostgresLedger::builder(&proxy.url(&database.url()).unwrap()).unwrap();
    let builder = builder.connections(1).call_timeout(Duration::from_millis(400));
    let ledger = builder.patience(Duration::from_secs(3)).build().await.unwrap();
    (proxy, ledger)
}

#[tokio::test]
async fn a_call_whose_answer_was_lost_is_made_once() {
    for via in [Via::Server, Via::Pooler] {
        let database = Database::new(via).await;
        let (proxy, ledger) = behind(&database).await;
        let lose = || proxy.set(Way::LoseAnswer);
        let came = || assert!(proxy.is_through(), "no answer was lost");
        let mine = claim();

        lose();
        let ticket = ledger.enqueue(&mine).await.unwrap();
        came();
        let queue = state(&ledger).await.queue;
        assert_eq!(queue.iter().map(|waiter| waiter.ticket).collect::<Vec<_>>(), [ticket]);

        lose();
        let held = granted(ledger.acquire(&mine, LEASE).await.unwrap());
        came();
        assert_eq!(held.fence, state(&ledger).await.fence, "granted once");

        lose();
        ledger.renew(&held).await.unwrap();
        came();
        for (seq, body) in [(1, applying()), (2, calling()), (3, calling())] {
            lose();
            assert_eq!(append(&ledger, &held, body).await.unwrap(), seq);
            came();
        }
        lose();
        assert_eq!(append(&ledger, &held, closed(Outcome::Released)).await.unwrap(), 4);
        came();
        assert_eq!(verify(&ledger).await.unwrap().seq, 4);

        let next = hold(&ledger, &claim()).await;
        lose();
        assert!(ledger.release(&next).await.unwrap(), "it was this release that freed it");
        came();
        assert!(!ledger.release(&next).await.unwrap());

        let left = claim();
        ledger.enqueue(&left).await.unwrap();
        lose();
        ledger.leave(&left.target, left.run).await.unwrap();
        came();
        assert_eq!(state(&ledger).await.queue, []);

        let mut gone = claim();
        mutating(&ledger, &gone).await;
        database.pass(LEASE * 2).await;
        gone.id = claim().id;
        let before = verify(&ledger).await.unwrap().seq;
        lose();
        let taken = ledger.take_over(&gone, LEASE).await.unwrap();
        came();
        assert_eq!(taken.fence, state(&ledger).await.fence);
        assert_eq!(verify(&ledger).await.unwrap().seq, before + 1, "resumed once");
    }
}

#[tokio::test]
async fn a_request_that_comes_late_does_nothing_twice() {
    let database = Database::new(Via::Server).await;
    let (proxy, ledger) = behind(&database).await;
    let held = mutating(&ledger, &claim()).await;
    let late = Duration::from_millis(900);
    proxy.set(Way::Late(late));
    let began = Instant::now();
    assert_eq!(append(&ledger, &held, calling()).await.unwrap(), 2);
    assert!(began.elapsed() < late && proxy.is_through(), "{:?}", began.elapsed());
    append(&ledger, &held, calling()).await.unwrap();
    // The first attempt reaches the server now.
    tokio::time::sleep(late + Duration::from_millis(500)).await;
    assert_eq!(verify(&ledger).await.unwrap().seq, 3);
}

#[tokio::test]
async fn whether_a_call_may_have_happened_is_told() {
    let database = Database::new(Via::Server).await;
    let (proxy, ledger) = behind(&database).await;
    let held = mutating(&ledger, &claim()).await;
    proxy.set(Way::HalfOpen);
    let error = append(&ledger, &held, calling()).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (&code::LEDGER_UNREACHABLE, Effect::Unknown));
    // Who only looks has done nothing.
    proxy.set(Way::Through);
    state(&ledger).await;
    proxy.set(Way::HalfOpen);
    refused(ledger.state(&target()).await, &code::LEDGER_UNREACHABLE);

    proxy.set(Way::Closed);
    // The first finds its connection closed when it has spoken; the next never speaks.
    append(&ledger, &held, calling()).await.unwrap_err();
    refused(append(&ledger, &held, calling()).await, &code::LEDGER_UNREACHABLE);
    proxy.set(Way::Through);
    assert_eq!(append(&ledger, &held, calling()).await.unwrap(), 2);
}

/// An earlier attempt has happened, whatever the later one is told.
#[tokio::test]
async fn what_may_have_happened_is_not_told_as_undone() {
    let database = Database::new(Via::Server).await;
    let (proxy, ledger) = behind(&database).await;
    append_open(&ledger, claim().run, queued()).await.unwrap();
    proxy.set(Way::LoseAnswer);
    database.set("default_transaction_read_only = on").await;
    let error = append_open(&ledger, claim().run, queued()).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (&code::LEDGER_READ_ONLY, Effect::Unknown));
    assert_eq!(verify(&database.ledger().await).await.unwrap().seq, 2, "it has happened");
}

pub(super) fn programs() -> Programs {
    Programs::find(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers")).unwrap()
}

/// The server crashes and comes back, and so does the pooler, while a holder writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_goes_on_over_a_restart() {
    let mut cluster = Cluster::start(&programs(), &["fsync = on"]).unwrap();
    let mut pooler = Pooler::start(&programs(), &cluster).unwrap();
    let url = format!("{}/postgres?sslmode=disable", pooler.url());
    let ledger = PostgresLedger::builder(&url).unwrap().build().await.unwrap();
    let held = mutating(&ledger, &claim()).await;
    let writes = async {
        let (mut last, began) = (1, Instant::now());
        while began.elapsed() < Duration::from_secs(5) {
            let seq = append(&ledger, &held, calling()).await.unwrap();
            assert_eq!(seq, last + 1, "an entry was lost, or written twice");
            last = seq;
        }
        last
    };
    let restarts = tokio::task::spawn_blocking(move || {
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(400));
            cluster.crash().unwrap();
            cluster.go_on().unwrap();
            std::thread::sleep(Duration::from_millis(400));
            pooler.crash().unwrap();
            pooler.go_on().unwrap();
        }
        (cluster, pooler)
    });
    let (last, servers) = tokio::join!(writes, restarts);
    let _servers = servers.unwrap();
    assert_eq!(verify(&ledger).await.unwrap().seq, last);
    assert_eq!(state(&ledger).await.state, LockState::Mutating);
}
