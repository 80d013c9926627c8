//! The journal: guards, the chain, reading, tampering.

use std::time::Duration;

use gatekit_core::ledger::{Body, ChainVerifier, Entry, GENESIS, Guard, Ledger as _, link};
use gatekit_core::{Outcome, RunId, TargetName, code};

use crate::support::*;

#[tokio::test]
async fn the_stored_string_is_the_one_that_was_hashed() {
    let place = Place::new();
    let ledger = place.open();
    let run = RunId::generate();
    let entry = Entry::new(target(), run, "Zoë \"quoted\"\u{0}\n", None, queued());
    let record = ledger.append(&target(), &entry, Guard::Open).await.unwrap();
    assert_eq!((record.seq, &record.prev), (1, &*GENESIS));
    assert_eq!(record.entry, entry.to_json().unwrap());
    assert_eq!(record.hash, link(&GENESIS, &record.entry));
    let kept = place.open().read(&target(), 0, 10).await.unwrap();
    assert_eq!(kept, std::slice::from_ref(&record));
    assert_eq!(kept[0].decode().unwrap().actor, entry.actor);
    let second = ledger.append(&target(), &entry, Guard::Open).await.unwrap();
    assert_eq!((second.seq, second.prev), (2, record.hash));
}

#[tokio::test]
async fn what_needs_the_lock_is_refused_without_one() {
    let place = Place::new();
    let ledger = place.open();
    let hold = hold(&ledger, &claim()).await;
    for body in [applying(), calling(), closed(Outcome::Released), closed(Outcome::RolledBack)] {
        refused(append_open(&ledger, hold.run, body).await, &code::LEDGER_GUARD);
    }
    append_open(&ledger, hold.run, closed(Outcome::Refused)).await.unwrap();
    assert_eq!(state(&ledger).await.head.seq, 1);
}

#[tokio::test]
async fn an_entry_belongs_to_the_target_the_run_and_the_fence_it_is_written_under() {
    let place = Place::new();
    let ledger = place.open();
    let hold = hold(&ledger, &claim()).await;
    let other = TargetName::new("other").unwrap();
    let entry = Entry::new(other, hold.run, "me", Some(hold.fence), calling());
    refused(ledger.append(&target(), &entry, under(&hold)).await, &code::LEDGER_ENTRY);
    let entry = Entry::new(target(), RunId::generate(), "me", Some(hold.fence), calling());
    refused(ledger.append(&target(), &entry, under(&hold)).await, &code::LEDGER_GUARD);
    let entry = Entry::new(target(), hold.run, "me", Some(hold.fence.next()), calling());
    refused(ledger.append(&target(), &entry, under(&hold)).await, &code::LEDGER_GUARD);
    assert_eq!(state(&ledger).await.head.seq, 0);
}

#[tokio::test]
async fn reads_are_by_place_by_run_and_by_kind() {
    let place = Place::new();
    let ledger = place.open();
    let (a, b) = (RunId::generate(), RunId::generate());
    for run in [a, b, a, b, a] {
        append_open(&ledger, run, queued()).await.unwrap();
    }
    append_open(&ledger, b, Body::Left { why: "w".into() }).await.unwrap();
    for ledger in [ledger, place.open_read_only().unwrap()] {
        let seqs = |records: Vec<gatekit_core::ledger::Record>| -> Vec<u64> {
            records.iter().map(|record| record.seq).collect()
        };
        let target = target();
        assert_eq!(seqs(ledger.read(&target, 0, 2).await.unwrap()), [1, 2]);
        assert_eq!(seqs(ledger.read(&target, 2, 100).await.unwrap()), [3, 4, 5, 6]);
        assert_eq!(seqs(ledger.read(&target, 6, usize::MAX).await.unwrap()), Vec::<u64>::new());
        assert_eq!(seqs(ledger.read(&target, u64::MAX, 5).await.unwrap()), Vec::<u64>::new());
        assert_eq!(seqs(ledger.read_run(&target, a).await.unwrap()), [1, 3, 5]);
        let kind = |kind, before, limit| ledger.read_kind(&target, kind, before, limit);
        assert_eq!(seqs(kind("queued", None, 2).await.unwrap()), [5, 4]);
        assert_eq!(seqs(kind("queued", Some(4), 100).await.unwrap()), [3, 2, 1]);
        assert_eq!(seqs(kind("left", None, 100).await.unwrap()), [6]);
        assert_eq!(seqs(kind("stuck", None, 100).await.unwrap()), Vec::<u64>::new());
        let other = TargetName::new("other").unwrap();
        assert_eq!(seqs(ledger.read_run(&other, a).await.unwrap()), Vec::<u64>::new());
    }
}

#[tokio::test]
async fn many_connections_append_to_one_chain() {
    let place = Place::new();
    let ledger = place.open();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let ledger = place.open();
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for _ in 0..20 {
                    let run = RunId::generate();
                    runtime.block_on(append_open(&ledger, run, queued())).unwrap();
                }
            });
        }
    });
    assert_eq!(verify(&ledger).await.unwrap().seq, 160);
}

#[tokio::test]
async fn a_dropped_append_happened_in_full_or_not_at_all() {
    let place = Place::new();
    let ledger = place.open();
    for wait in 0..40_u64 {
        let call = append_open(&ledger, RunId::generate(), queued());
        // Dropped when the time is over, wherever it is by then.
        tokio::time::timeout(Duration::from_micros(wait * 50), call).await.ok();
    }
    let after = append_open(&ledger, RunId::generate(), queued()).await.unwrap();
    assert!(after >= 1);
    verify(&ledger).await.unwrap();
}

#[tokio::test]
async fn the_database_itself_forbids_changes_to_the_journal() {
    let place = Place::new();
    let ledger = place.open();
    append_open(&ledger, RunId::generate(), queued()).await.unwrap();
    let hold = hold(&ledger, &claim()).await;
    let raw = place.raw();
    for sql in [
        "UPDATE journal SET entry = 'x'",
        "DELETE FROM journal",
        "UPDATE journal SET seq = seq + 1",
        "UPDATE target SET fence = 0",
        "UPDATE target SET state = 'mine'",
    ] {
        raw.execute(sql, []).expect_err(sql);
    }
    assert_eq!(verify(&ledger).await.unwrap().seq, 1);
    append(&ledger, &hold, calling()).await.unwrap();
}

#[tokio::test]
async fn tampering_past_the_triggers_is_found_and_named() {
    for (sql, blamed) in [
        ("UPDATE journal SET entry = replace(entry, 'somebody', 'nobody') WHERE seq = 3", "3"),
        ("DELETE FROM journal WHERE seq = 2", "2"),
        ("DELETE FROM journal WHERE seq = 5", "5"),
        ("UPDATE journal SET seq = 9 WHERE seq = 5", "5"),
        ("UPDATE journal SET hash = (SELECT hash FROM journal WHERE seq = 1) WHERE seq = 4", "4"),
    ] {
        let place = Place::new();
        let ledger = place.open();
        for _ in 0..5 {
            append_open(&ledger, RunId::generate(), queued()).await.unwrap();
        }
        let exported = verify(&ledger).await.unwrap();
        let raw = place.raw();
        raw.execute_batch("DROP TRIGGER journal_update; DROP TRIGGER journal_delete").unwrap();
        raw.execute(sql, []).unwrap();
        let error = verify(&ledger).await.expect_err(sql);
        assert_eq!(error.code(), &code::LOG_BROKEN, "{sql}");
        assert_eq!(error.to_failure().context[0].1, blamed, "{sql}");
        // A cut tail with a head to match needs the exported one.
        raw.execute_batch(
            "DELETE FROM journal; UPDATE target SET head_seq = 0, head_hash = \
             '0000000000000000000000000000000000000000000000000000000000000000'",
        )
        .unwrap();
        assert_eq!(verify(&ledger).await.unwrap().seq, 0);
        let verifier = ChainVerifier::new(target(), Some(exported));
        assert!(verifier.finish(&state(&ledger).await.head).is_err());
        // And the ledger no longer opens without what was dropped.
        drop(ledger);
        let reopened = place.builder().build();
        refused(reopened, &gatekit_store::code::LEDGER_CORRUPT);
    }
}
