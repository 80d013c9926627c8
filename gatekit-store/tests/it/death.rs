//! Processes that die, and processes that race.

use std::time::Duration;

use gatekit_core::ledger::{Acquired, Body, Ledger, LockState};
use gatekit_core::{Fence, RunId, code};

use crate::child::{actor, dead_process};
use crate::support::*;

#[tokio::test]
async fn a_holder_that_dies_before_it_touched_anything_frees_the_target_at_once() {
    let place = Place::new();
    let ledger = place.open();
    let mut child = actor("hold", &place.path(), None);
    assert_eq!(child.says(), "ready");
    let next = claim();
    ledger.enqueue(&next).await.unwrap();
    let answer = ledger.acquire(&next, LEASE).await.unwrap();
    assert!(matches!(answer, Acquired::Waiting { holder: Some(_), .. }), "{answer:?}");
    child.kill();
    dead(&ledger, LockState::Free).await;
    let hold = granted(ledger.acquire(&next, LEASE).await.unwrap());
    assert_eq!(hold.fence, Fence(2));
}

#[tokio::test]
async fn a_holder_that_dies_in_mid_change_leaves_the_target_suspect_at_once() {
    let place = Place::new();
    let ledger = place.open();
    let run = RunId::generate();
    let mut child = actor("mutate", &place.path(), Some(run));
    assert_eq!(child.says(), "ready");
    let (mut own, next) = (claim(), claim());
    own.run = run;
    ledger.enqueue(&next).await.unwrap();
    assert!(matches!(ledger.acquire(&next, LEASE).await.unwrap(), Acquired::Waiting { .. }));
    refused(ledger.take_over(&own, LEASE).await, &code::LOCK_HELD);

    child.kill();
    dead(&ledger, LockState::Suspect).await;
    refused(ledger.take_over(&next, LEASE).await, &code::LOCK_NOT_SUSPECT);
    let answer = ledger.acquire(&next, LEASE).await.unwrap();
    assert_eq!(answer, Acquired::Suspect { target: target(), run, fence: Fence(1) });
    let suspect = state(&ledger).await;
    assert_eq!((suspect.holder, suspect.lease_left, suspect.run), (None, None, Some(run)));

    let hold = ledger.take_over(&own, LEASE).await.unwrap();
    assert_eq!(hold.fence, Fence(2));
    assert!(matches!(ledger.acquire(&next, LEASE).await.unwrap(), Acquired::Waiting { .. }));
    let records = ledger.read_run(&target(), run).await.unwrap();
    let last = records.last().unwrap().decode().unwrap();
    assert_eq!(last.body, Body::Resumed { old: Fence(1), new: Fence(2) });
    verify(&ledger).await.unwrap();
}

/// Waits until the kernel has done what `kill` asked for.
async fn dead(ledger: &dyn Ledger, expected: LockState) {
    for _ in 0..1000 {
        if state(ledger).await.state == expected {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("the lock stays {:?}", state(ledger).await.state);
}

#[tokio::test]
async fn a_holder_is_not_taken_for_dead_while_it_lives() {
    let place = Place::new();
    let ledger = place.open();
    let mut child = actor("mutate", &place.path(), None);
    assert_eq!(child.says(), "ready");
    let next = claim();
    ledger.enqueue(&next).await.unwrap();
    for _ in 0..20 {
        ledger.acquire(&next, LEASE).await.unwrap();
    }
    assert_eq!(state(&ledger).await.state, LockState::Mutating);
}

#[tokio::test]
async fn the_suspicion_survives_a_reboot_and_so_does_the_queue() {
    let place = Place::new();
    let ledger = place.open();
    let (claim, waiter) = (claim(), claim());
    let hold = mutating(&ledger, &claim).await;
    let ticket = ledger.enqueue(&waiter).await.unwrap();
    // As if it had all been written before the machine came up.
    let raw = place.raw();
    let here = gatekit_core::process::boot_id();
    for sql in [
        "UPDATE target SET process = replace(process, ?1, 'another-boot'), end_boot = 'another-boot'",
        "UPDATE waiter SET process = replace(process, ?1, 'another-boot'), heard_boot = 'another-boot'",
    ] {
        assert_eq!(raw.execute(sql, [&here]).unwrap(), 1);
    }
    let told = state(&ledger).await;
    assert_eq!((told.state, told.run), (LockState::Suspect, Some(claim.run)));
    assert!(!told.queue[0].alive);
    assert_eq!(ledger.enqueue(&waiter).await.unwrap(), ticket);
    assert!(state(&ledger).await.queue[0].alive);
    assert_eq!(ledger.take_over(&claim, LEASE).await.unwrap().fence, hold.fence.next());
}

#[tokio::test]
async fn a_lease_of_another_boot_has_lapsed_even_when_the_process_cannot_be_told() {
    let place = Place::new();
    let ledger = place.open();
    let mut elsewhere = claim();
    elsewhere.process.boot.clear();
    hold(&ledger, &elsewhere).await;
    assert_eq!(state(&ledger).await.state, LockState::Held);
    place.raw().execute("UPDATE target SET end_boot = 'another-boot'", []).unwrap();
    assert_eq!(state(&ledger).await.state, LockState::Free);
}

#[tokio::test]
async fn a_dead_process_holds_nothing_even_under_a_long_lease() {
    let place = Place::new();
    let ledger = place.open();
    let mut gone = claim();
    gone.process = dead_process();
    ledger.enqueue(&gone).await.unwrap();
    // Its own request is answered, and the next look finds it gone.
    ledger.acquire(&gone, Duration::from_secs(86_400)).await.unwrap();
    assert_eq!(state(&ledger).await.state, LockState::Free);
}

#[tokio::test]
async fn an_append_that_is_killed_happened_in_full_or_not_at_all() {
    let place = Place::new();
    let ledger = place.open();
    for round in 0..8_u64 {
        let run = RunId::generate();
        let mut child = actor("append", &place.path(), Some(run));
        let said = (0..=round).map(|_| child.says()).last().unwrap();
        std::thread::sleep(Duration::from_micros(700 * round));
        child.kill();
        dead(&ledger, LockState::Suspect).await;

        let fresh = place.open();
        let head = verify(&fresh).await.unwrap();
        assert!(head.seq >= said.parse().unwrap(), "an answered append was lost");
        let mut claim = claim();
        claim.run = run;
        let hold = fresh.take_over(&claim, LEASE).await.unwrap();
        append(&fresh, &hold, closed(gatekit_core::Outcome::RolledBack)).await.unwrap();
    }
    assert_eq!(verify(&ledger).await.unwrap(), state(&ledger).await.head);
}

#[tokio::test]
async fn twenty_processes_create_one_ledger_at_once() {
    let place = Place::new();
    let path = place.dir.path().join("deep/er/ledger.db");
    let mut children: Vec<_> = (0..20).map(|_| actor("create", &path, None)).collect();
    for child in &mut children {
        assert_eq!(child.says(), "ok");
        assert!(child.wait());
    }
    let raw = rusqlite::Connection::open(path).unwrap();
    let ids: i64 = raw.query_row("SELECT count(*) FROM meta", [], |row| row.get(0)).unwrap();
    let mode: String = raw.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!((ids, mode.as_str()), (1, "wal"));
}

#[test]
fn forty_threads_create_one_ledger_at_once() {
    for _ in 0..15 {
        let place = Place::new();
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| place.open());
            }
        });
    }
}

#[tokio::test]
async fn processes_compete_and_every_fence_is_given_once() {
    let place = Place::new();
    let ledger = place.open();
    let mut children: Vec<_> = (0..8).map(|_| actor("compete", &place.path(), None)).collect();
    let mut fences: Vec<u64> =
        children.iter_mut().map(|child| child.says().parse().unwrap()).collect();
    fences.sort_unstable();
    assert_eq!(fences, (1..=8).collect::<Vec<_>>());
    // Between two `closed` there is one `applying`: nobody was in the middle of another's change.
    let records = ledger.read(&target(), 0, 100).await.unwrap();
    for pair in records.chunks(2) {
        let pair: Vec<_> = pair.iter().map(|record| record.decode().unwrap()).collect();
        assert_eq!((pair[0].run, pair[0].body.kind()), (pair[1].run, "applying"));
        assert_eq!(pair[1].body.kind(), "closed");
    }
    verify(&ledger).await.unwrap();
}
