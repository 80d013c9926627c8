//! What each command does and prints, when nothing goes wrong that it was not asked for.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::site::{Done, PROGRAM, Site};

#[test]
fn the_demonstration_ends_as_told() {
    let output = Command::new(PROGRAM).env_remove("GITHUB_ACTIONS").output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    for told in
        ["Ship v1", "Ship v2", "Ship v3", "Ship v4", "verified: ", "All four ended as told."]
    {
        assert!(stdout.contains(told), "{told}: {stdout}");
    }
    assert_eq!(stdout.matches("\nrolled back: ").count(), 2, "{stdout}");
}

#[test]
fn a_release_is_shipped_told_logged_rolled_back_and_stopped() {
    let site = Site::new();
    let one = site.ship("v1").expect(0, "released", "");
    assert_eq!(one.report()["live"]["version"], "v1");
    assert_eq!(one.report()["v"], 1);
    assert_eq!(one.report()["target"], "local/app");
    site.ship("v1").expect(0, "unchanged", "");
    let two = site.ship("v2").expect(0, "released", "");
    assert!(two.report()["fence"].as_u64() > one.report()["fence"].as_u64());
    assert_eq!(site.answers().as_deref(), Some("v2"));

    let status = site.status();
    assert_eq!(status["live"], two.report()["live"]);
    assert_eq!((&status["state"], &status["queue"]), (&json!("free"), &json!([])));
    assert_eq!(status["fence"], two.report()["fence"]);

    let back = site.run(["rollback", "--reason", "v2 is broken"]).expect(0, "released", "");
    assert_eq!(back.report()["live"], one.report()["live"]);
    assert_eq!(site.answers().as_deref(), Some("v1"));
    site.run(["rollback", "--reason", "further"]).expect(1, "refused", "rollback.nothing");

    let stopped = site.run(["stop"]).expect(0, "released", "");
    assert_eq!(stopped.report()["live"], Value::Null);
    assert_eq!((site.answers(), site.services().len()), (None, 0));
    site.run(["stop"]).expect(0, "unchanged", "");
    site.ship("v1").expect(0, "released", "");
    assert_eq!(site.answers().as_deref(), Some("v1"));
    site.assert_verifies();
}

#[test]
fn a_named_release_can_be_returned_to() {
    let site = Site::new();
    let one = site.ship("v1").expect(0, "released", "");
    site.ship("v2").expect(0, "released", "");
    site.ship("v3").expect(0, "released", "");
    let release = one.report()["live"]["release"].as_str().unwrap().to_owned();
    let back = site.run(["rollback", "--to", &release, "--reason", "why"]);
    assert_eq!(back.expect(0, "released", "").report()["live"]["release"], release);
    assert_eq!(site.answers().as_deref(), Some("v1"));
    site.run(["rollback", "--to", "v9", "--reason", "why"]).expect(
        1,
        "refused",
        "rollback.unknown_release",
    );
}

#[test]
fn every_entry_of_the_log_can_be_checked_with_sha256() {
    let site = Site::new();
    site.ship("v1").expect(0, "released", "");
    let log = site.run(["log"]);
    let mut prev = "0".repeat(64);
    for (i, line) in log.lines.iter().enumerate() {
        let entry = line["entry"].as_str().unwrap();
        let hash: String = Sha256::digest(format!("{prev}{entry}"))
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(line["seq"], i + 1);
        assert_eq!((&line["prev"], &line["hash"]), (&json!(prev), &json!(hash)));
        prev = hash;
    }
    let head = format!("{}:{prev}", log.lines.len());
    assert_eq!(site.run(["log", "--head"]).report()["head"], json!(head));
    site.ship("v2").expect(0, "released", "");
    assert_eq!(site.run(["log", "--verify", "--against", &head]).exit, Some(0));
    let other = format!("{}:{}", log.lines.len(), "0".repeat(64));
    site.run(["log", "--verify", "--against", &other]).expect(4, "stuck", "log.broken");
}

#[test]
fn what_does_not_verify_is_rolled_back_and_the_old_release_serves() {
    let site = Site::new();
    let app = site.app("v1");
    fs::write(app.join("ready"), "503 No").unwrap();
    let first = Done::of(&site.ship_app(&app, "v1").output().unwrap());
    let first = first.expect(3, "rolled_back", "verify.failed");
    assert_eq!(first.report()["live"], Value::Null, "before the first release nothing is live");
    assert!(site.services().is_empty());
    site.ship("v2").expect(0, "released", "");
    let app = site.app("v3");
    // The very same content would be `v2` itself, and unchanged.
    fs::write(app.join("version"), "v2").unwrap();
    fs::write(app.join("notes"), "built from the wrong branch").unwrap();
    let third = Done::of(&site.ship_app(&app, "v3").output().unwrap());
    let third = third.expect(3, "rolled_back", "verify.failed");
    assert_eq!(third.report()["live"]["version"], "v2");
    assert_eq!((site.answers().as_deref(), site.services().len()), (Some("v2"), 1));
}

#[test]
fn events_are_lines_that_say_what_they_are() {
    let site = Site::new();
    let done = site.ship("v1");
    let (report, events) = done.lines.split_last().unwrap();
    assert_eq!(report["outcome"], "released");
    let kinds: Vec<_> = events
        .iter()
        .filter(|event| event["event"]["type"] == "step")
        .map(|event| event["event"]["entry"]["body"]["kind"].as_str().unwrap())
        .collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"opened"), Some(&"closed")));
    assert!(events.iter().all(|event| event["v"] == 1));
}

#[test]
fn a_shared_ledger_knows_under_which_root_a_target_is_released() {
    let site = Site::new();
    let ledger = format!("sqlite:{}", site.path("shared.db").display());
    let mut ship = site.ship_command("v1");
    ship.args(["--ledger", &ledger]);
    Done::of(&ship.output().unwrap()).expect(0, "released", "");
    for verb in [
        &["status"][..],
        &["stop"],
        &["resume"],
        &["rollback", "--reason", "why"],
        &["reconcile", "--roll-back", "--reason", "why"],
    ] {
        let mut command = Command::new(PROGRAM);
        command.args(verb).args(["--output", "json", "--ledger", &ledger, "--root"]);
        let done = Done::of(&command.arg(site.path("other")).output().unwrap());
        done.expect(2, "usage", "usage.root");
    }
    assert_eq!(site.answers().as_deref(), Some("v1"));
    let done = site.run(["stop", "--ledger", &ledger]);
    done.expect(0, "released", "");
}

#[test]
fn a_query_that_may_be_a_secret_reaches_neither_journal_nor_output() {
    let site = Site::new();
    site.ship("v1").expect(0, "released", "");
    let mut ship = site.ship_command("v2");
    let output = ship.args(["--check", &site.url("/ready?token=canary-7c1d")]).output().unwrap();
    let said = [output.stdout.clone(), output.stderr.clone()].concat();
    assert!(!String::from_utf8_lossy(&said).contains("canary-7c1d"));
    Done::of(&output).expect(2, "usage", "usage.query");
    assert_eq!(site.answers().as_deref(), Some("v1"));
}

#[test]
fn a_root_whose_ledger_is_lost_is_refused_before_it_is_touched() {
    let site = Site::new();
    for version in ["v1", "v2"] {
        site.ship(version).expect(0, "released", "");
    }
    for file in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        // The side files may be gone already.
        let _ = fs::remove_file(site.root().join(file));
    }
    for _ in 0..4 {
        // However often: a new ledger's fences never count against the old one's.
        site.ship("v3").expect(5, "failed", "release_dir.other_ledger");
        assert_eq!(site.status()["state"], "free");
    }
    assert_eq!(site.answers().as_deref(), Some("v2"));
    assert_eq!(site.status()["live"]["version"], "v2", "what runs is told all the same");
    fs::remove_file(site.root().join("fence.json")).unwrap();
    site.ship("v3").expect(0, "released", "");
}
