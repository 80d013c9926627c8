//! The journal in its file: readers, dropped calls, tampering. The rest is in the suite of `conformance`.

use std::time::Duration;

use gatekit_core::ledger::{Body, ChainVerifier, Ledger as _};
use gatekit_core::{RunId, code};
use gatekit_store::SqliteLedger;

use crate::support::*;

#[tokio::test]
async fn a_reader_reads_what_a_writer_reads() {
    let place = Place::new();
    let ledger = place.open();
    let run = RunId::generate();
    for body in [queued(), queued(), Body::Left { why: "w".into() }] {
        append_open(&ledger, run, body).await.unwrap();
    }
    let reader = place.open_read_only().unwrap();
    let target = target();
    let reads = async |ledger: &SqliteLedger| {
        [
            ledger.read(&target, 1, 100).await.unwrap(),
            ledger.read_run(&target, run).await.unwrap(),
            ledger.read_kind(&target, "queued", Some(3), 1).await.unwrap(),
        ]
    };
    let read = reads(&reader).await;
    assert_eq!(read, reads(&ledger).await);
    assert_eq!(read.map(|records| records.len()), [2, 3, 1]);
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
        "UPDATE journal SET place = place + 1",
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
        (
            "UPDATE journal SET entry = replace(entry, 'somebody', 'nobody') WHERE place & 0xffffffffff = 3",
            "3",
        ),
        ("DELETE FROM journal WHERE place & 0xffffffffff = 2", "2"),
        ("DELETE FROM journal WHERE place & 0xffffffffff = 5", "5"),
        ("UPDATE journal SET place = place + 4 WHERE place & 0xffffffffff = 5", "5"),
        (
            "UPDATE journal SET hash = (SELECT hash FROM journal WHERE place & 0xffffffffff = 1) WHERE place & 0xffffffffff = 4",
            "4",
        ),
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
