//! How a ledger comes into being, and who cannot open it.

use std::time::{Duration, Instant};

use gatekit_core::ledger::Ledger as _;
use gatekit_core::{Code, Error, Outcome, Result};
use gatekit_store::{PostgresLedger, code};

use super::database::{Database, Via};
use crate::support::*;

async fn build(url: &str) -> Result<PostgresLedger> {
    let hasty = PostgresLedger::builder(url)?.patience(Duration::from_millis(500));
    hasty.build().await
}

async fn cannot_open(url: &str, code: &Code) -> Error {
    let error = refused(build(url).await, code);
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    error
}

/// What is to be done first.
fn next(error: &Error) -> String {
    format!("{:?}", error.to_failure().next[0])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_make_one_ledger_at_once() {
    for via in [Via::Server, Via::Pooler] {
        let database = Database::empty(via).await;
        let openings: Vec<_> = (0..20)
            .map(|_| {
                let url = database.url();
                tokio::spawn(async move {
                    let ledger = PostgresLedger::builder(&url)?.connections(1).build().await?;
                    hold_and_release(&ledger).await
                })
            })
            .collect();
        for opening in openings {
            opening.await.unwrap().unwrap();
        }
        let state = state(&database.ledger().await).await;
        assert_eq!(state.fence.0, 20);
    }
}

async fn hold_and_release(ledger: &PostgresLedger) -> Result<()> {
    let mine = claim();
    ledger.enqueue(&mine).await?;
    loop {
        if let gatekit_core::ledger::Acquired::Granted(hold) = ledger.acquire(&mine, LEASE).await? {
            return ledger.release(&hold).await.map(drop);
        }
        ledger.wait_for_turn(&mine, LEASE).await;
    }
}

#[tokio::test]
async fn whoever_only_reads_makes_nothing() {
    let database = Database::empty(Via::Server).await;
    let builder = || PostgresLedger::builder(&database.url()).unwrap();
    assert!(builder().build_read_only().await.unwrap().is_none());
    let sql = "SELECT 1 FROM pg_namespace WHERE nspname = 'gatekit'";
    assert!(database.raw().await.query(sql, &[]).await.unwrap().is_empty());

    let ledger = database.ledger().await;
    append_open(&ledger, claim().run, queued()).await.unwrap();
    let reader = builder().build_read_only().await.unwrap().unwrap();
    assert_eq!(verify(&reader).await.unwrap().seq, 1);
    refused(reader.enqueue(&claim()).await, &code::LEDGER_READ_ONLY);
    refused(append_open(&reader, claim().run, queued()).await, &code::LEDGER_READ_ONLY);
    let again = reader.reconnect().await.unwrap();
    refused(again.enqueue(&claim()).await, &code::LEDGER_READ_ONLY);
}

#[tokio::test]
async fn the_ledger_of_a_newer_build_is_read_and_never_written() {
    let database = Database::new(Via::Server).await;
    let ledger = database.ledger().await;
    append_open(&ledger, claim().run, queued()).await.unwrap();
    // As its migration would do it.
    let sql = "COMMENT ON SCHEMA gatekit IS 'gatekit ledger, version 2'; \
               CREATE OR REPLACE FUNCTION gatekit.check_version(theirs integer) RETURNS void \
               LANGUAGE plpgsql AS $$ BEGIN IF theirs <> 2 THEN RAISE EXCEPTION USING \
               ERRCODE = 'GK002', MESSAGE = 'another version', DETAIL = '2'; END IF; END $$";
    database.raw().await.batch_execute(sql).await.unwrap();

    cannot_open(&database.url(), &code::LEDGER_NEWER).await;
    let reader = PostgresLedger::builder(&database.url()).unwrap().build_read_only().await.unwrap();
    assert_eq!(verify(&reader.unwrap()).await.unwrap().seq, 1);
    // Whoever had opened it before writes no more.
    refused(append_open(&ledger, claim().run, queued()).await, &code::LEDGER_NEWER);
    refused(ledger.enqueue(&claim()).await, &code::LEDGER_NEWER);
    assert_eq!(verify(&ledger).await.unwrap().seq, 1);
}

#[tokio::test]
async fn what_is_no_ledger_is_left_alone() {
    let database = Database::empty(Via::Server).await;
    database.raw().await.batch_execute("CREATE SCHEMA gatekit").await.unwrap();
    cannot_open(&database.url(), &code::LEDGER_FOREIGN).await;
    let reader = PostgresLedger::builder(&database.url()).unwrap().build_read_only().await;
    refused(reader, &code::LEDGER_FOREIGN);
}

/// Nobody is sent elsewhere by it, where nothing would be known of what is suspect here.
#[tokio::test]
async fn a_ledger_that_was_restored_without_comments_is_no_stranger() {
    let database = Database::new(Via::Server).await;
    database.raw().await.batch_execute("COMMENT ON SCHEMA gatekit IS NULL").await.unwrap();
    let error = cannot_open(&database.url(), &code::LEDGER_CORRUPT).await;
    let next = next(&error);
    let sql = next.split('`').find(|part| part.starts_with("COMMENT")).unwrap();
    database.raw().await.batch_execute(sql).await.unwrap();
    build(&database.url()).await.unwrap();
}

#[tokio::test]
async fn who_may_not_make_a_ledger_is_told_who_may() {
    let database = Database::empty(Via::Server).await;
    let user = database.role("LOGIN PASSWORD 'sesame'").await;
    let url = database.url().replace("gatekit@", &format!("{user}:sesame@"));
    let error = cannot_open(&url, &code::LEDGER_DENIED).await;
    assert!(next(&error).contains("create schemas"), "{error:?}");
}

/// What is hashed is UTF-8.
#[tokio::test]
async fn a_database_in_another_encoding_is_refused() {
    let options = "ENCODING 'LATIN1' TEMPLATE template0";
    let database = Database::with(Via::Server, options).await;
    let error = cannot_open(&database.url(), &code::LEDGER_FOREIGN).await;
    assert!(error.to_string().contains("LATIN1"), "{error}");
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why() {
    let database = Database::new(Via::Server).await;
    let raw = database.raw().await;
    let user = database.role("LOGIN PASSWORD 'sesame'").await;
    let url = |who: &str| database.url().replace("gatekit@", &format!("{who}@"));

    cannot_open(&url(&format!("{user}:hunter2")), &code::LEDGER_LOGIN).await;
    cannot_open(&url("nobody_of_that_name:hunter2"), &code::LEDGER_LOGIN).await;
    cannot_open(&url(&user), &code::LEDGER_LOGIN).await;
    cannot_open(&database.url().replace("/test_", "/no_test_"), &code::LEDGER_MISSING).await;
    let nowhere = "postgres://u:hunter2@127.0.0.1:1/d?sslmode=disable";
    let error = cannot_open(nowhere, &code::LEDGER_UNREACHABLE).await;
    assert!(error.is_temporary());
    let plain = database.url().replace("?sslmode=disable", "");
    let error = cannot_open(&plain, &code::LEDGER_TLS).await;
    let next = format!("{:?}", error.to_failure().next);
    assert!(next.contains("switch TLS on") && next.contains("sslmode=disable"), "{next}");

    // A pooler has no codes for it.
    let pooled = Database::empty(Via::Pooler).await.url();
    let stranger = pooled.replace("gatekit@", "nobody_of_that_name:hunter2@");
    cannot_open(&stranger, &code::LEDGER_LOGIN).await;

    // Let in: nothing of the ledger shows by what.
    let mut known = PostgresLedger::builder(&url(&format!("{user}:sesame"))).unwrap();
    for shown in [format!("{known:?} {known}"), format!("{:?}", database.ledger().await)] {
        assert!(!shown.contains("sesame"), "{shown}");
    }
    known = known.connections(1);
    let ledger = known.build_read_only().await;
    assert!(!format!("{ledger:?}").contains("sesame"), "{ledger:?}");

    // Without any right.
    let own = url(&format!("{user}:sesame"));
    cannot_open(&own, &code::LEDGER_DENIED).await;

    // One connection is let in, and is in use.
    raw.batch_execute(&format!("ALTER ROLE {user} CONNECTION LIMIT 1")).await.unwrap();
    let _used = tokio_postgres::connect(&own, tokio_postgres::NoTls).await.unwrap();
    let error = cannot_open(&own, &code::LEDGER_BUSY).await;
    assert!(error.is_temporary());
}

#[tokio::test]
async fn a_database_that_may_only_be_read_is_read() {
    let database = Database::new(Via::Server).await;
    let ledger = database.ledger().await;
    append_open(&ledger, claim().run, queued()).await.unwrap();
    database.set("default_transaction_read_only = on").await;
    let ledger = database.ledger().await;
    assert_eq!(verify(&ledger).await.unwrap().seq, 1);
    refused(append_open(&ledger, claim().run, queued()).await, &code::LEDGER_READ_ONLY);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_tried_again() {
    let database = Database::new(Via::Server).await;
    let held = mutating(&database.ledger().await, &claim()).await;
    database.set("statement_timeout = '100ms'").await;
    let ledger = build(&database.url()).await.unwrap();
    let mut raw = database.raw().await;
    let locked = raw.transaction().await.unwrap();
    locked.batch_execute("LOCK TABLE gatekit.target").await.unwrap();
    refused(append(&ledger, &held, calling()).await, &code::LEDGER_BUSY);

    let patient = database.ledger().await;
    let frees = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        locked.rollback().await.unwrap();
    };
    let (appended, ()) = tokio::join!(append(&patient, &held, calling()), frees);
    assert_eq!(appended.unwrap(), 2);
    assert_eq!(verify(&patient).await.unwrap().seq, 2);
}

/// A ledger on a server is durable even where the database's own commits are not.
#[tokio::test]
async fn a_commit_is_on_disk_whatever_the_database_says() {
    let database = Database::new(Via::Server).await;
    database.set("synchronous_commit = off").await;
    let raw = database.raw().await;
    let sql = "CREATE TABLE public.seen (how text); \
               CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
               INSERT INTO public.seen VALUES (current_setting('synchronous_commit')); \
               RETURN NULL; END $$; \
               CREATE CONSTRAINT TRIGGER see AFTER INSERT OR UPDATE ON gatekit.target \
               DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.see()";
    raw.batch_execute(sql).await.unwrap();
    let ledger = database.ledger().await;
    let held = mutating(&ledger, &claim()).await;
    ledger.renew(&held).await.unwrap();
    append(&ledger, &held, calling()).await.unwrap();
    database.pass(LEASE * 2).await;
    let mut taken = claim();
    taken.run = held.run;
    let taken = ledger.take_over(&taken, LEASE).await.unwrap();
    append(&ledger, &taken, closed(Outcome::Released)).await.unwrap();
    let next = hold(&ledger, &claim()).await;
    assert!(ledger.release(&next).await.unwrap());
    let rows = raw.query("SELECT DISTINCT how FROM public.seen", &[]).await.unwrap();
    let seen: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(seen, ["on"]);
}

/// A host that takes connections and says nothing must not keep others from being asked.
#[tokio::test]
async fn a_silent_host_does_not_stand_before_the_others() {
    let database = Database::new(Via::Server).await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap();
    let url = database.url().replace('@', &format!("@{silent},"));
    let builder = || PostgresLedger::builder(&url).unwrap();
    let ledger = builder().call_timeout(Duration::from_secs(2)).build().await.unwrap();
    let again = ledger.reconnect().await.unwrap();
    for ledger in [&ledger as &dyn gatekit_core::ledger::Ledger, &*again] {
        append_open(ledger, claim().run, queued()).await.unwrap();
    }
}

/// Whoever has given up leaves nobody behind who waits for a lock.
#[tokio::test]
async fn a_statement_that_was_given_up_ends() {
    let database = Database::new(Via::Server).await;
    let held = mutating(&database.ledger().await, &claim()).await;
    let builder = PostgresLedger::builder(&database.url()).unwrap();
    let builder = builder.call_timeout(Duration::from_millis(300));
    let ledger = builder.patience(Duration::from_millis(900)).build().await.unwrap();
    let mut raw = database.raw().await;
    let locked = raw.transaction().await.unwrap();
    locked.batch_execute("SELECT 1 FROM gatekit.target FOR UPDATE").await.unwrap();
    append(&ledger, &held, calling()).await.unwrap_err();
    let sql = "SELECT count(*) FROM pg_stat_activity \
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waiting = || async { locked.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) };
    assert!(waiting().await > 0, "nobody ever waited");
    // One after the other.
    let patience = Instant::now() + Duration::from_secs(30);
    while waiting().await > 0 {
        assert!(Instant::now() < patience, "somebody waits for ever");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
