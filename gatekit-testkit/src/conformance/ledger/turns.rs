//! Who is first in line.

use std::time::{Duration, Instant};

use gatekit_core::ledger::{Acquired, Claim, WAITER_TTL};

use super::bench::{Bench, LEASE};
use super::check::{granted, must, ok, same};
use super::subject::Subject;

const SECOND: Duration = Duration::from_secs(1);

/// Grants go by ticket; whoever asks out of turn is told how many are ahead and who holds.
pub async fn waiters_are_granted_in_the_order_of_their_tickets(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let holder = bench.claim();
    let mut hold = bench.hold(&holder).await;
    let waiters: Vec<Claim> = (0..5).map(|_| bench.claim()).collect();
    for claim in &waiters {
        ok(bench.ledger.enqueue(claim).await);
    }
    for (turn, winner) in waiters.iter().enumerate() {
        let told = "a waiter is told how many waiters are ahead, and who holds the target";
        for (place, claim) in waiters.iter().enumerate().skip(turn).rev() {
            match ok(bench.ledger.acquire(claim, LEASE).await) {
                Acquired::Waiting { ahead, holder: Some(who) } => {
                    same(told, (ahead, who.run), ((place - turn) as u64, hold.run));
                    same(told, (who.actor, who.pid), (holder.actor.clone(), holder.process.pid));
                }
                other => must(told, false, &other),
            }
        }
        ok(bench.ledger.release(&hold).await);
        for (place, claim) in waiters.iter().enumerate().skip(turn + 1).rev() {
            let answer = ok(bench.ledger.acquire(claim, LEASE).await);
            let expected = Acquired::Waiting { ahead: (place - turn) as u64, holder: None };
            same("nobody is granted before the lowest living ticket", answer, expected);
        }
        let first = "a free target is granted to the lowest ticket";
        hold = granted(first, bench.ledger.acquire(winner, LEASE).await);
    }
}

/// A waiter that stops asking for [`WAITER_TTL`] is skipped; it keeps its ticket and comes back to
/// its place.
pub async fn a_silent_waiter_is_skipped_and_keeps_its_ticket(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let (silent, keen) = (bench.claim(), bench.claim());
    let ticket = ok(bench.ledger.enqueue(&silent).await);
    ok(bench.ledger.enqueue(&keen).await);
    bench.opened.advance(WAITER_TTL - SECOND * 5);
    let answer = ok(bench.ledger.acquire(&keen, LEASE).await);
    let turn = "a waiter that asked within `WAITER_TTL` keeps its turn";
    same(turn, answer, Acquired::Waiting { ahead: 1, holder: None });
    bench.opened.advance(SECOND * 5);
    let alive: Vec<_> = bench.state().await.queue.iter().map(|waiter| waiter.alive).collect();
    same("`state` tells who is still heard of", alive, vec![false, true]);
    let skipped = "a waiter that has not asked within `WAITER_TTL` is skipped";
    let hold = granted(skipped, bench.ledger.acquire(&keen, LEASE).await);

    let late = bench.claim();
    ok(bench.ledger.enqueue(&late).await);
    ok(bench.ledger.release(&hold).await);
    same("a skipped waiter keeps its ticket", ok(bench.ledger.enqueue(&silent).await), ticket);
    let answer = ok(bench.ledger.acquire(&late, LEASE).await);
    let back = "a skipped waiter that asks again is back in its place";
    same(back, answer, Acquired::Waiting { ahead: 1, holder: None });
    granted(back, bench.ledger.acquire(&silent, LEASE).await);
}

/// Asking is the heartbeat: `acquire` and `enqueue` tell the ledger that this waiter still waits.
pub async fn asking_is_the_heartbeat_of_a_waiter(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let (first, second, third) = (bench.claim(), bench.claim(), bench.claim());
    let hold = bench.hold(&bench.claim()).await;
    for claim in [&first, &second, &third] {
        ok(bench.ledger.enqueue(claim).await);
    }
    for _ in 0..4 {
        bench.opened.advance(WAITER_TTL - SECOND * 4);
        ok(bench.ledger.acquire(&first, LEASE).await);
        ok(bench.ledger.enqueue(&second).await);
        ok(bench.ledger.renew(&hold).await);
    }
    let alive: Vec<_> = bench.state().await.queue.iter().map(|waiter| waiter.alive).collect();
    let beats =
        "a waiter that asks within `WAITER_TTL` counts as alive, one that does not is silent";
    same(beats, alive, vec![true, true, false]);
    ok(bench.ledger.release(&hold).await);
    let answer = ok(bench.ledger.acquire(&third, LEASE).await);
    same(
        "those ahead that are alive are counted",
        answer,
        Acquired::Waiting { ahead: 2, holder: None },
    );
}

/// `wait_for_turn` ends after `longest` at the latest, and whoever asks again afterwards gets his turn.
pub async fn a_wait_for_a_turn_ends_in_time(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let (holder, waiter) = (bench.claim(), bench.claim());
    let hold = bench.hold(&holder).await;
    ok(bench.ledger.enqueue(&waiter).await);
    let patience = Duration::from_secs(5);
    let wait = bench.ledger.wait_for_turn(&waiter, Duration::from_millis(50));
    let ended = tokio::time::timeout(patience, wait).await;
    must("`wait_for_turn` waits no longer than `longest`", ended.is_ok(), &patience);

    let other = ok(bench.ledger.reconnect().await);
    let release = async {
        tokio::task::yield_now().await;
        ok(other.release(&hold).await)
    };
    let turn = async {
        loop {
            if let Acquired::Granted(hold) = ok(bench.ledger.acquire(&waiter, LEASE).await) {
                return hold;
            }
            bench.ledger.wait_for_turn(&waiter, Duration::from_millis(500)).await;
        }
    };
    let both = tokio::time::timeout(patience, async { tokio::join!(release, turn) }).await;
    let (released, next) =
        super::check::there("whoever waits and asks again is granted", both.ok());
    must("the holder released the target", released, &next);
    same("the waiter's run is granted", next.run, waiter.run);
}

/// A waiter that waits in `wait_for_turn` stays heard of, however long it is to wait: either its wait
/// ends in time for it to ask again, or the ledger notes by itself that it waits.
///
/// Takes some seconds more than [`WAITER_TTL`], of real time.
pub async fn who_waits_stays_heard_of(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let waiter = bench.claim();
    bench.hold(&bench.claim()).await;
    ok(bench.ledger.enqueue(&waiter).await);
    let waits = async {
        loop {
            let answer = ok(bench.ledger.acquire(&waiter, LEASE).await);
            must("the target is held", matches!(answer, Acquired::Waiting { .. }), &answer);
            bench.ledger.wait_for_turn(&waiter, Duration::from_secs(3600)).await;
        }
    };
    let watches = async {
        let (began, mut looked) = (Instant::now(), Instant::now());
        while began.elapsed() < WAITER_TTL + SECOND * 2 {
            tokio::time::sleep(SECOND / 4).await;
            let queue = bench.state().await.queue;
            let heard = queue.iter().all(|waiter| waiter.alive);
            // A machine that stood still meanwhile may have kept the waiter from asking.
            if looked.elapsed() < SECOND * 2 {
                must("a waiter that waits in `wait_for_turn` stays heard of", heard, &queue);
            }
            looked = Instant::now();
        }
    };
    tokio::select! {
        () = waits => {}
        () = watches => {}
    }
}
