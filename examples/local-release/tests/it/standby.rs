//! A ledger on a server whose standby is behind.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use gatekit_peers::{Cluster, Programs};
use tokio_postgres::NoTls;

use crate::site::{Done, PROGRAM, Site};

fn execute(server: &Cluster, sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("{}/postgres", server.url());
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
    });
}

/// The call with that ledger, in the place of the site's own.
fn by(ledger: &str, site: &Site, verb: &str) -> Done {
    let mut command = Command::new(PROGRAM);
    command.args([verb, "--root"]).arg(site.root()).args(["--ledger", ledger, "--output", "json"]);
    Done::of(&command.env_remove("GATEKIT_LEDGER").stdin(Stdio::null()).output().unwrap())
}

fn wait_until(holds: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < patience, "it does not come to that");
        thread::sleep(Duration::from_millis(100));
    }
}

/// What is behind would say that there is nothing to do, of a target that was left suspect.
#[test]
fn nothing_is_decided_by_what_a_standby_says() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let programs = Programs::find(&folder).unwrap();
    let server = Cluster::start(&programs, &[]).unwrap();
    let standby = server.standby().unwrap();
    let url = |hosts: &str| format!("postgres://gatekit@{hosts}/postgres?sslmode=disable");
    let (first, second) = (standby.port(), server.port());
    let both = url(&format!("127.0.0.1:{first},127.0.0.1:{second}"));
    let behind = url(&format!("127.0.0.1:{first}"));
    let site = Site::new().with_ledger(both.clone());
    site.ship("v1").expect(0, "released", "");
    let fence = site.status()["fence"].clone();
    wait_until(|| by(&behind, &site, "status").report()["fence"] == fence);
    execute(&standby, "SELECT pg_wal_replay_pause()");

    // It fails its checks for a while: long enough to be killed in them.
    let app = site.app("v2");
    fs::write(app.join("ready"), "500 Not Yet").unwrap();
    let mut ship = site.ship_app(&app, "v2").stdout(Stdio::null()).spawn().unwrap();
    wait_until(|| site.status()["state"] == "mutating");
    ship.kill().unwrap();
    ship.wait().unwrap();

    // It may be looked at, and it is said from where.
    let seen = by(&behind, &site, "status");
    let told = (seen.exit, &seen.report()["state"], &seen.report()["standby"]);
    assert_eq!(told, (Some(0), &"free".into(), &true.into()));
    assert!(seen.stderr.contains("which may be behind"), "{seen:?}");
    assert_eq!(site.status()["state"], "suspect");
    assert_eq!(site.status()["standby"], serde_json::Value::Null);
    for verb in ["resume", "reconcile", "verify"] {
        by(&behind, &site, verb).expect(5, "failed", "ledger.read_only");
    }
    site.run(["reconcile"]).expect(4, "stuck", "reconcile.undecided");
    let settled = site.run(["resume"]);
    assert_eq!((settled.exit, settled.outcome()), (Some(3), "rolled_back"), "{settled:?}");
    site.assert_true("after the standby was asked");
    assert_eq!(site.answers().as_deref(), Some("v1"));
}
