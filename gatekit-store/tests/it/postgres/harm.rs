//! What is done to the tables by hand, and to the disk under them.

use gatekit_core::code::LOG_BROKEN;
use gatekit_core::ledger::{Ledger as _, LockState};
use gatekit_peers::Cluster;
use gatekit_store::{PostgresLedger, code};

use super::database::{Database, Via};
use super::lost::programs;
use crate::mount::Mount;
use crate::support::*;

#[tokio::test]
async fn the_journal_is_append_only_and_fences_never_go_back() {
    let database = Database::new(Via::Server).await;
    let held = mutating(&database.ledger().await, &claim()).await;
    let raw = database.raw().await;
    for (sql, why) in [
        ("UPDATE gatekit.journal SET entry = ''", "the journal is append-only"),
        ("DELETE FROM gatekit.journal", "the journal is append-only"),
        ("TRUNCATE gatekit.journal", "the journal is append-only"),
        ("UPDATE gatekit.target SET fence = fence - 1", "a fence never goes back"),
    ] {
        let error = raw.batch_execute(sql).await.unwrap_err();
        assert_eq!(error.as_db_error().unwrap().message(), why, "{sql}");
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
        "ALTER TABLE gatekit.journal SET SCHEMA public; DROP SCHEMA gatekit CASCADE; \
         CREATE SCHEMA gatekit; ALTER TABLE public.journal SET SCHEMA gatekit",
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

/// A double of the disk: it says what the server says then (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
#[tokio::test]
async fn a_full_disk_is_told_and_nothing_is_half_done() {
    let database = Database::new(Via::Server).await;
    let ledger = database.ledger().await;
    let held = hold(&ledger, &claim()).await;
    let sql = "CREATE FUNCTION public.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
               RAISE EXCEPTION USING ERRCODE = 'disk_full', MESSAGE = 'no space left'; END $$; \
               CREATE TRIGGER \"full\" AFTER INSERT ON gatekit.journal \
               FOR EACH ROW EXECUTE FUNCTION public.full()";
    database.raw().await.batch_execute(sql).await.unwrap();
    refused(append(&ledger, &held, applying()).await, &code::LEDGER_FULL);
    assert_eq!(state(&ledger).await.state, LockState::Held, "not touched either");
    database.raw().await.batch_execute("DROP FUNCTION public.full CASCADE").await.unwrap();
    assert_eq!(append(&ledger, &held, applying()).await.unwrap(), 1);
    assert_eq!(verify(&ledger).await.unwrap().seq, 1);
}

/// In addition to the test above, which runs everywhere.
#[tokio::test]
async fn a_server_whose_disk_is_full_goes_on_when_there_is_room_again() {
    let Some(mount) = Mount::new("size=160m") else { return };
    let settings = ["wal_level = minimal", "max_wal_senders = 0", "max_wal_size = 32MB"];
    let cluster = Cluster::start_in(mount.path(), &programs(), &settings).unwrap();
    let url = format!("{}/postgres?sslmode=disable", cluster.url());
    let ledger = PostgresLedger::builder(&url).unwrap().build().await.unwrap();
    let held = mutating(&ledger, &claim()).await;
    let filler = mount.path().join("filler");
    let full = std::io::copy(&mut std::io::repeat(0), &mut std::fs::File::create(&filler).unwrap());
    assert!(full.is_err(), "no end of the disk");
    let mut last = 1;
    let error = loop {
        match append(&ledger, &held, calling()).await {
            Ok(seq) => last = seq,
            Err(error) => break error,
        }
        assert!(last < 100_000, "no end of the disk");
    };
    refused(Err::<(), _>(error), &code::LEDGER_FULL);
    assert_eq!(verify(&ledger).await.unwrap().seq, last);
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(append(&ledger, &held, calling()).await.unwrap(), last + 1);
    assert_eq!(verify(&ledger).await.unwrap().seq, last + 1);
}
