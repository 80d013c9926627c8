//! A standby, which may only be read, and which takes over when the server dies.

use std::time::Duration;

use gatekit_core::Outcome;
use gatekit_core::ledger::{Ledger as _, LockState};
use gatekit_peers::Cluster;
use gatekit_store::{PostgresLedger, code};
use tokio_postgres::NoTls;

use super::lost::programs;
use crate::support::*;

fn url(server: &Cluster) -> String {
    format!("{}/postgres?sslmode=disable", server.url())
}

async fn sql(server: &Cluster, sql: &str) {
    let (client, connection) = tokio_postgres::connect(&url(server), NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
}

/// A server that answers when its standby has it too, and that standby.
async fn pair() -> (Cluster, Cluster) {
    let server = Cluster::start(&programs(), &[]).unwrap();
    let standby = server.standby().unwrap();
    let settings = "ALTER SYSTEM SET synchronous_standby_names = '*'";
    sql(&server, settings).await;
    sql(&server, "ALTER SYSTEM SET synchronous_commit = 'remote_apply'").await;
    sql(&server, "SELECT pg_reload_conf()").await;
    (server, standby)
}

#[tokio::test]
async fn a_standby_is_read_and_never_written() {
    let (server, standby) = pair().await;
    let ledger = PostgresLedger::builder(&url(&server)).unwrap().build().await.unwrap();
    let held = mutating(&ledger, &claim()).await;
    let reader = PostgresLedger::builder(&url(&standby)).unwrap().build_read_only();
    let reader = reader.await.unwrap().unwrap();
    assert_eq!(verify(&reader).await.unwrap().seq, 1);
    assert_eq!(state(&reader).await.state, LockState::Mutating);
    let standby = PostgresLedger::builder(&url(&standby)).unwrap().build().await.unwrap();
    refused(standby.enqueue(&claim()).await, &code::LEDGER_READ_ONLY);
    refused(append(&standby, &held, calling()).await, &code::LEDGER_READ_ONLY);
    assert_eq!(append(&ledger, &held, calling()).await.unwrap(), 2);
}

/// By what is behind, nothing is decided.
#[tokio::test]
async fn who_decides_by_what_is_read_asks_no_standby() {
    let (server, standby) = pair().await;
    let open = |url: &str| PostgresLedger::builder(url).unwrap();
    open(&url(&server)).build().await.unwrap();
    refused(open(&url(&standby)).build_current().await, &code::LEDGER_READ_ONLY);
    let reader = open(&url(&standby)).build_read_only().await.unwrap().unwrap();
    assert!(reader.is_standby().await.unwrap());
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", standby.port(), server.port());
    let both = format!("postgres://gatekit@{hosts}/postgres?sslmode=disable");
    for reader in [open(&both), open(&url(&server))] {
        let reader = reader.build_current().await.unwrap().unwrap();
        assert!(!reader.is_standby().await.unwrap());
    }
}

/// Whichever comes first in the URL.
#[tokio::test]
async fn who_writes_asks_the_host_that_may_be_written() {
    let (server, standby) = pair().await;
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", standby.port(), server.port());
    let both = format!("postgres://gatekit@{hosts}/postgres?sslmode=disable");
    let ledger = PostgresLedger::builder(&both).unwrap().build().await.unwrap();
    append_open(&ledger, claim().run, queued()).await.unwrap();
    assert_eq!(verify(&ledger).await.unwrap().seq, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_goes_on_over_a_failover() {
    let (mut server, standby) = pair().await;
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", server.port(), standby.port());
    let both = format!("postgres://gatekit@{hosts}/postgres?sslmode=disable");
    let ledger = PostgresLedger::builder(&both).unwrap().build().await.unwrap();
    let held = mutating(&ledger, &claim()).await;
    server.crash().unwrap();
    let promoted = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        sql(&standby, "SELECT pg_promote()").await;
        sql(&standby, "ALTER SYSTEM RESET ALL").await;
        sql(&standby, "SELECT pg_reload_conf()").await;
    };
    let (appended, ()) = tokio::join!(append(&ledger, &held, calling()), promoted);
    assert_eq!(appended.unwrap(), 2);
    append(&ledger, &held, closed(Outcome::Released)).await.unwrap();
    assert_eq!(verify(&ledger).await.unwrap().seq, 3);
    assert_eq!(state(&ledger).await.state, LockState::Free);
}
