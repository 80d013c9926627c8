//! What is done to the tables by hand.

use gatekit_core::code::LOG_BROKEN;
use gatekit_core::ledger::Ledger as _;
use gatekit_store::code;

use super::database::{Database, Via};
use crate::support::*;

#[tokio::test]
async fn the_journal_is_append_only_and_fences_never_go_back() {
    let database = Database::new(Via::Server).await;
    let held = mutating(&database.ledger().await, &claim()).await;
    let raw = database.raw().await;
    for sql in [
        "UPDATE gatekit.journal SET entry = ''",
        "DELETE FROM gatekit.journal",
        "TRUNCATE gatekit.journal",
        "UPDATE gatekit.target SET fence = fence - 1",
    ] {
        let error = raw.batch_execute(sql).await.unwrap_err();
        assert!(error.as_db_error().unwrap().message().contains("a"), "{sql}");
    }
    let ledger = database.ledger().await;
    assert_eq!(verify(&ledger).await.unwrap().seq, 1);
    assert_eq!(state(&ledger).await.fence, held.fence);
}

#[tokio::test]
async fn what_was_altered_past_the_triggers_is_found() {
    for (sql, what) in [
        (
            "UPDATE gatekit.journal SET entry = replace(entry, 'write', 'read') WHERE seq = 2",
            "altered",
        ),
        ("DELETE FROM gatekit.journal WHERE seq = 2", "removed"),
        ("DELETE FROM gatekit.journal WHERE seq = 3", "cut off"),
    ] {
        let database = Database::new(Via::Server).await;
        let ledger = database.ledger().await;
        let held = mutating(&ledger, &claim()).await;
        for _ in 0..2 {
            append(&ledger, &held, calling()).await.unwrap();
        }
        let sql = format!("SET session_replication_role = replica; {sql}");
        database.raw().await.batch_execute(&sql).await.unwrap();
        let error = verify(&ledger).await.unwrap_err();
        assert_eq!(*error.code(), LOG_BROKEN);
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[tokio::test]
async fn a_schema_with_something_missing_is_damaged_and_nothing_is_written() {
    for sql in [
        "DROP FUNCTION gatekit.lock_rows",
        "ALTER TABLE gatekit.target DROP COLUMN fence CASCADE",
        "DROP TABLE gatekit.waiter CASCADE",
        "ALTER TABLE gatekit.target RENAME TO renamed",
    ] {
        let database = Database::new(Via::Server).await;
        let ledger = database.ledger().await;
        append_open(&ledger, claim().run, queued()).await.unwrap();
        database.raw().await.batch_execute(sql).await.unwrap();
        let error = refused(ledger.enqueue(&claim()).await, &code::LEDGER_CORRUPT);
        assert!(error.to_failure().next.iter().any(|next| next.who == "operator"), "{error:?}");
        let count = "SELECT count(*) FROM gatekit.journal";
        let entries: i64 = database.raw().await.query_one(count, &[]).await.unwrap().get(0);
        assert_eq!(entries, 1, "{sql}");
    }
}

#[tokio::test]
async fn a_row_that_no_ledger_writes_is_damaged() {
    for sql in [
        "UPDATE gatekit.target SET process = 'x'",
        "UPDATE gatekit.target SET run = 'x'",
        "UPDATE gatekit.target SET head_hash = 'x'",
        "UPDATE gatekit.target SET fence = 9000000000000000000, head_seq = -1",
    ] {
        let database = Database::new(Via::Server).await;
        let ledger = database.ledger().await;
        mutating(&ledger, &claim()).await;
        database.raw().await.batch_execute(sql).await.unwrap();
        refused(ledger.state(&target()).await, &code::LEDGER_CORRUPT);
    }
}

#[tokio::test]
async fn a_column_of_another_type_is_damaged() {
    let database = Database::new(Via::Server).await;
    let ledger = database.ledger().await;
    append_open(&ledger, claim().run, queued()).await.unwrap();
    let sql = "ALTER TABLE gatekit.journal ALTER entry TYPE bytea USING convert_to(entry, 'UTF8')";
    database.raw().await.batch_execute(sql).await.unwrap();
    refused(ledger.read(&target(), 0, 10).await, &code::LEDGER_CORRUPT);
}
