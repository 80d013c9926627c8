//! Hand-over: who waits is woken, in its turn, whatever becomes of the others.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use gatekit_core::ledger::{Acquired, Claim, Hold, Ledger, LockState, WAITER_TTL};
use gatekit_core::{Fence, RunId, code};
use gatekit_store::SqliteLedger;

use crate::child::{Actor, actor};
use crate::support::*;

/// Longer than any test may take: a wait that ends before was ended.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// No waiter asks again by itself within this time.
const BEFORE_ANY_BEAT: Duration = Duration::from_secs(3);

/// Waits and asks until it is told something else than to wait, as it was before.
pub(crate) async fn turn(ledger: &dyn Ledger, claim: &Claim) -> Acquired {
    loop {
        ledger.wait_for_turn(claim, LONG).await;
        match ledger.acquire(claim, LEASE).await.unwrap() {
            Acquired::Waiting { .. } => {}
            answer => return answer,
        }
    }
}

pub(crate) async fn waits(ledger: &dyn Ledger, claim: &Claim) {
    ledger.enqueue(claim).await.unwrap();
    let answer = ledger.acquire(claim, LEASE).await.unwrap();
    assert!(matches!(answer, Acquired::Waiting { .. }), "{answer:?}");
}

/// Tries it a few times: only a machine that is very slow needs a second one. Without the wake-up
/// none would do, because no beat comes as early.
pub(crate) async fn sooner_than_a_beat(mut attempt: impl AsyncFnMut() -> Duration) {
    let mut took = Vec::new();
    for _ in 0..5 {
        took.push(attempt().await);
        if took.last() < Some(&BEFORE_ANY_BEAT) {
            return;
        }
    }
    panic!("never before a beat: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_in_line_is_woken_by_whoever_frees_the_target() {
    let place = Place::new();
    let (ours, theirs) = (place.open(), place.open());
    let mut held = hold(&ours, &claim()).await;
    sooner_than_a_beat(async || {
        let next = claim();
        waits(&theirs, &next).await;
        let (begun, waiter) = (Instant::now(), theirs.clone());
        let woken = tokio::spawn(async move { granted(turn(&waiter, &next).await) });
        assert!(ours.release(&held).await.unwrap());
        held = woken.await.unwrap();
        begun.elapsed()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_in_line_is_woken_by_the_entry_that_frees_the_target() {
    let place = Place::new();
    let (ours, theirs) = (place.open(), place.open());
    let mut held = hold(&ours, &claim()).await;
    sooner_than_a_beat(async || {
        let next = claim();
        append(&ours, &held, applying()).await.unwrap();
        waits(&theirs, &next).await;
        let (begun, waiter) = (Instant::now(), theirs.clone());
        let woken = tokio::spawn(async move { granted(turn(&waiter, &next).await) });
        append(&ours, &held, closed(gatekit_core::Outcome::Released)).await.unwrap();
        held = woken.await.unwrap();
        begun.elapsed()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_waiter_learns_that_the_target_became_suspect_one_after_the_other() {
    let place = Place::new();
    let ledger = place.open();
    sooner_than_a_beat(async || {
        let holder = claim();
        let held = mutating(&ledger, &holder).await;
        let waiters: Vec<_> = std::iter::repeat_with(claim).take(10).collect();
        let mut ends = Vec::new();
        for waiter in waiters {
            let handle = place.open();
            waits(&handle, &waiter).await;
            ends.push(tokio::spawn(async move {
                let answer = turn(&handle, &waiter).await;
                assert!(matches!(answer, Acquired::Suspect { .. }), "{answer:?}");
                handle.leave(&target(), waiter.run).await.unwrap();
            }));
        }
        let begun = Instant::now();
        append(&ledger, &held, gatekit_core::ledger::Body::Left { why: "w".into() }).await.unwrap();
        for end in ends {
            end.await.unwrap();
        }
        let took = begun.elapsed();
        let hold = ledger.take_over(&holder, LEASE).await.unwrap();
        append(&ledger, &hold, closed(gatekit_core::Outcome::RolledBack)).await.unwrap();
        took
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_in_line_finds_a_killed_holder_by_itself() {
    let place = Place::new();
    let ledger = place.open();
    sooner_than_a_beat(async || {
        let mut holder = actor("hold", &place.path(), None);
        assert_eq!(holder.says(), "ready");
        let next = claim();
        waits(&ledger, &next).await;
        let (begun, waiter) = (Instant::now(), ledger.clone());
        let woken = tokio::spawn(async move { granted(turn(&waiter, &next).await) });
        holder.kill();
        let hold = woken.await.unwrap();
        let took = begun.elapsed();
        assert!(ledger.release(&hold).await.unwrap());
        took
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_moves_up_to_the_head_watches_the_new_holder() {
    let place = Place::new();
    let (first, second) = (place.open(), place.open());
    sooner_than_a_beat(async || {
        let held = hold(&first, &claim()).await;
        let mut middle = actor("turn", &place.path(), None);
        assert_eq!(middle.says(), "waits");
        let last = claim();
        waits(&second, &last).await;
        let before = heard(&place, &last);
        let (waiter, waits) = (second.clone(), last.clone());
        let woken = tokio::spawn(async move { granted(turn(&waiter, &waits).await) });
        let begun = Instant::now();
        assert!(first.release(&held).await.unwrap());
        middle.says();
        while heard(&place, &last) == before {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        middle.kill();
        let hold = woken.await.unwrap();
        let took = begun.elapsed();
        assert!(second.release(&hold).await.unwrap());
        took
    })
    .await;
}

/// When a waiter was last heard of.
fn heard(place: &Place, claim: &Claim) -> i64 {
    let sql = "SELECT heard_millis FROM waiter WHERE run = ?1";
    place.raw().query_row(sql, [claim.run.to_string()], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_waiter_at_the_head_keeps_nobody_waiting() {
    let place = Place::new();
    let (ours, theirs) = (place.open(), place.open());
    sooner_than_a_beat(async || {
        let held = hold(&ours, &claim()).await;
        let mut head = actor("turn", &place.path(), None);
        assert_eq!(head.says(), "waits");
        let next = claim();
        waits(&theirs, &next).await;
        head.kill();
        gone(&ours).await;
        let (begun, waiter) = (Instant::now(), theirs.clone());
        let woken = tokio::spawn(async move { granted(turn(&waiter, &next).await) });
        assert!(ours.release(&held).await.unwrap());
        let hold = woken.await.unwrap();
        let took = begun.elapsed();
        assert!(theirs.release(&hold).await.unwrap());
        took
    })
    .await;
}

/// Waits until the kernel has done what `kill` asked for.
async fn gone(ledger: &SqliteLedger) {
    while state(ledger).await.queue.first().is_some_and(|first| first.alive) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_stops_asking_is_skipped_and_keeps_its_ticket() {
    let place = Place::new();
    let (ours, theirs) = (place.open(), place.open());
    let held = hold(&ours, &claim()).await;
    // As good as stopped: its process lives, but nobody asks for it.
    let (stopped, next) = (claim(), claim());
    waits(&ours, &stopped).await;
    waits(&theirs, &next).await;
    let waiter = theirs.clone();
    let woken = tokio::spawn(async move { granted(turn(&waiter, &next).await) });
    assert!(ours.release(&held).await.unwrap());
    place.pass(WAITER_TTL);
    let hold = woken.await.unwrap();
    let queue = state(&ours).await.queue;
    assert_eq!((queue.len(), queue[0].run, queue[0].alive), (1, stopped.run, false));
    assert!(theirs.release(&hold).await.unwrap());
    granted(ours.acquire(&stopped, LEASE).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_stays_heard_of_and_who_has_stopped_waiting_does_not() {
    let place = Place::new();
    let ledger = place.open();
    hold(&ledger, &claim()).await;
    let (keen, weary) = (claim(), claim());
    waits(&ledger, &keen).await;
    waits(&ledger, &weary).await;
    let wait = tokio::spawn({
        let (ledger, keen) = (ledger.clone(), keen.clone());
        async move { turn(&ledger, &keen).await }
    });
    ledger.wait_for_turn(&weary, Duration::from_millis(1)).await;
    let before = [heard(&place, &keen), heard(&place, &weary)];
    for _ in 0..2 {
        let last = heard(&place, &keen);
        while heard(&place, &keen) == last {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert!(heard(&place, &keen) > before[0]);
    assert_eq!(heard(&place, &weary), before[1]);
    wait.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_that_never_arrives_is_made_up_for_by_the_beat() {
    let place = Place::new();
    let (ours, theirs) = (place.open(), place.open());
    // Nobody can be rung, as in other network namespaces.
    place
        .raw()
        .execute_batch(
            "CREATE TRIGGER deaf AFTER UPDATE ON waiter BEGIN
             UPDATE waiter SET port = NULL WHERE ticket = new.ticket; END;",
        )
        .unwrap();
    let held = hold(&ours, &claim()).await;
    let next = claim();
    waits(&theirs, &next).await;
    let waiter = theirs.clone();
    let woken = tokio::spawn(async move { granted(turn(&waiter, &next).await) });
    assert!(ours.release(&held).await.unwrap());
    assert_eq!(woken.await.unwrap().fence, Fence(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_rings_give_nobody_a_turn() {
    let place = Place::new();
    let (ours, theirs) = (place.open(), place.open());
    let held = hold(&ours, &claim()).await;
    let (next, hasty) = (claim(), claim());
    waits(&ours, &next).await;
    waits(&theirs, &hasty).await;
    let waiter = theirs.clone();
    let (hasty_run, wait) = (hasty.run, hasty.clone());
    let woken = tokio::spawn(async move { granted(turn(&waiter, &wait).await) });
    let port: u16 = place
        .raw()
        .query_row("SELECT port FROM waiter WHERE run = ?1", [hasty.run.to_string()], |row| {
            row.get(0)
        })
        .unwrap();
    let forger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..2000 {
        for datagram in [hasty.id.to_string(), next.id.to_string(), "?".repeat(2000), String::new()]
        {
            forger.send_to(datagram.as_bytes(), ("127.0.0.1", port)).unwrap();
        }
    }
    assert!(ours.release(&held).await.unwrap());
    assert_eq!(state(&ours).await.state, LockState::Free, "it is the turn of another");
    let hold = granted(ours.acquire(&next, LEASE).await.unwrap());
    assert!(ours.release(&hold).await.unwrap());
    assert_eq!(woken.await.unwrap().run, hasty_run);
}

#[tokio::test]
async fn a_wait_takes_nothing_by_itself() {
    let place = Place::new();
    let (ours, theirs) = (place.open(), place.open());
    let held = hold(&ours, &claim()).await;
    let next = claim();
    waits(&theirs, &next).await;
    let freed = async { ours.release(&held).await.unwrap() };
    tokio::join!(freed, theirs.wait_for_turn(&next, LONG));
    let free = state(&ours).await;
    assert_eq!((free.state, free.fence, free.queue.len()), (LockState::Free, held.fence, 1));
    granted(theirs.acquire(&next, LEASE).await.unwrap());
}

#[tokio::test]
async fn a_wait_without_a_ticket_or_before_the_first_question_just_ends() {
    let place = Place::new();
    let ledger = place.open();
    let nobody = claim();
    refused(ledger.acquire(&nobody, LEASE).await, &code::LOCK_NO_TICKET);
    ledger.wait_for_turn(&nobody, Duration::from_millis(1)).await;
    ledger.enqueue(&nobody).await.unwrap();
    ledger.wait_for_turn(&nobody, Duration::from_millis(1)).await;
    let reader = place.open_read_only().unwrap();
    reader.wait_for_turn(&nobody, Duration::from_millis(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_whose_ticket_was_taken_away_is_told_so() {
    let place = Place::new();
    let (ours, theirs) = (place.open(), place.open());
    hold(&ours, &claim()).await;
    let lost = claim();
    waits(&theirs, &lost).await;
    ours.leave(&target(), lost.run).await.unwrap();
    theirs.wait_for_turn(&lost, LONG).await;
    refused(theirs.acquire(&lost, LEASE).await, &code::LOCK_NO_TICKET);
}

#[tokio::test]
async fn waiting_needs_no_runtime_with_io() {
    let place = Place::new();
    let waited = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let ledger = place.open();
            let held: Hold = hold(&ledger, &claim()).await;
            let next = claim();
            waits(&ledger, &next).await;
            let freed = async { ledger.release(&held).await.unwrap() };
            let (_, hold) = tokio::join!(freed, turn(&ledger, &next));
            granted(hold);
        });
    });
    waited.join().unwrap();
}

/// The listener of a handle ends with it: otherwise a service would collect threads.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_handle_that_is_dropped_leaves_no_thread() {
    let threads = || {
        std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
            .filter(|name| name.starts_with("gatekit-listen"))
            .count()
    };
    let place = Place::new();
    let holder = place.open();
    hold(&holder, &claim()).await;
    let ledger = place.open();
    let next = claim();
    waits(&ledger, &next).await;
    ledger.wait_for_turn(&next, Duration::from_millis(1)).await;
    // It gives itself its name.
    while threads() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(ledger);
    while threads() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_are_granted_in_the_order_of_their_tickets_one_at_a_time() {
    const PROCESSES: usize = 16;
    let place = Place::new();
    let ledger = place.open();
    let held = hold(&ledger, &claim()).await;
    let runs: Vec<_> = std::iter::repeat_with(RunId::generate).take(PROCESSES).collect();
    let mut waiters: Vec<Actor> = Vec::new();
    for run in &runs {
        let mut waiter = actor("turns", &place.path(), Some(*run));
        assert_eq!(waiter.says(), "waits");
        waiters.push(waiter);
    }
    assert!(ledger.release(&held).await.unwrap());
    for (at, waiter) in waiters.iter_mut().enumerate() {
        assert_eq!(waiter.says(), (at + 2).to_string(), "the fence of its grant");
        assert!(waiter.wait());
    }
    // Between two `closed` there is one `applying`: nobody was in the middle of another's change.
    let records = ledger.read(&target(), 0, 1000).await.unwrap();
    let entries: Vec<_> = records.iter().map(|record| record.decode().unwrap()).collect();
    assert_eq!(entries.len(), 2 * PROCESSES);
    for (run, pair) in runs.iter().zip(entries.chunks(2)) {
        let kinds = pair.iter().map(|entry| (entry.run, entry.body.kind()));
        assert_eq!(kinds.collect::<Vec<_>>(), [(*run, "applying"), (*run, "closed")]);
    }
    verify(&ledger).await.unwrap();
}
