//! A ledger that is moved to a server while the target goes on being released to.

use std::env;
use std::process::{Child, Command, Stdio};

use gatekit_core::RunId;
use serde_json::json;
use tokio_postgres::NoTls;

use crate::site::{Done, PROGRAM, Site};

/// A database of its own, whose password is never shown.
struct Database {
    name: String,
}

fn server() -> String {
    env::var("GATEKIT_TEST_POSTGRES")
        .unwrap_or_else(|_| panic!("run the tests by `cargo xtask test`, which starts a server"))
}

fn execute(sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("{}/postgres", server());
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
    });
}

impl Database {
    fn new() -> Self {
        let name = format!("test_{}", RunId::generate().to_string().replace('-', ""));
        execute(&format!("CREATE DATABASE {name}"));
        Self { name }
    }

    fn url(&self) -> String {
        let server = server().replace("gatekit@", "gatekit:hunter2@");
        format!("{server}/{}?sslmode=disable", self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

fn copy(site: &Site, to: &Database) -> Done {
    let output = site.command(["ledger", "copy", "sqlite:", &to.url()]).output().unwrap();
    let done = Done::of(&output);
    assert!(!format!("{done:?}").contains("hunter2"), "{done:?}");
    done
}

fn there(mut command: Command, database: &Database) -> Done {
    Done::of(&command.env("GATEKIT_LEDGER", database.url()).output().unwrap())
}

fn spawn(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn releases_go_on_from_the_ledger_that_was_copied_and_nowhere_else() {
    let (site, database) = (Site::new(), Database::new());
    let one = site.ship("v1").expect(0, "released", "");
    site.ship("v2").expect(0, "released", "");
    let before = site.status();

    let copied = copy(&site, &database).expect(0, "copied", "");
    let target = &copied.report()["targets"][0];
    assert_eq!((&target["target"], &target["state"]), (&json!("local/app"), &json!("free")));
    assert_eq!((&target["fence"], &copied.report()["already"]), (&before["fence"], &json!(false)));
    let entries = site.run(["log"]).lines.len();
    assert_eq!(target["entries"], entries);

    // What was the ledger tells so, and releases nothing.
    let to = copied.report()["to"].as_str().unwrap();
    let shut = site.ship("v3").expect(1, "refused", "ledger.moved");
    assert!(shut.report()["next"].to_string().contains(&format!("--ledger {to}")), "{shut:?}");
    let shut = site.run(["rollback", "--reason", "why"]);
    shut.expect(1, "refused", "ledger.moved");
    assert_eq!(site.status()["moved_to"], to);
    for verb in [&["status"][..], &["log"], &["log", "--verify"], &["verify"]] {
        let told = site.run(verb);
        assert_eq!(told.exit, Some(0), "{told:?}");
        assert!(told.stderr.contains(&format!("was moved to {to}")), "{told:?}");
    }

    let status = there(site.command(["status"]), &database);
    for same in ["live", "fence", "state", "queue", "run"] {
        assert_eq!(status.report()[same], before[same], "{same}");
    }
    let head = target["head"].as_str().unwrap();
    let verified = there(site.command(["log", "--verify", "--against", head]), &database);
    assert_eq!(verified.report()["head"], head);
    there(site.ship_command("v2"), &database).expect(0, "unchanged", "");
    let three = there(site.ship_command("v3"), &database).expect(0, "released", "");
    assert!(three.report()["fence"].as_u64() > before["fence"].as_u64(), "{three:?}");
    assert_eq!(site.answers().as_deref(), Some("v3"));
    for version in ["v2", "v1"] {
        let back = there(site.command(["rollback", "--reason", "why"]), &database);
        assert_eq!(back.expect(0, "released", "").report()["live"]["version"], version);
        assert_eq!(site.answers().as_deref(), Some(version));
    }
    let live = there(site.command(["status"]), &database).report()["live"].clone();
    assert_eq!(live["release"], one.report()["live"]["release"]);

    let again = copy(&site, &database).expect(0, "copied", "");
    assert_eq!((&again.report()["already"], &again.report()["targets"][0]), (&json!(true), target));
    there(site.command(["stop"]), &database).expect(0, "released", "");
}

/// A run of `v2` that was killed, and is passed by nobody before that.
fn killed_under_way() -> (Site, Database, String) {
    for _ in 0..5 {
        let (site, database) = (Site::new(), Database::new());
        site.ship("v1").expect(0, "released", "");
        let mut child = spawn(site.ship_command("v2"));
        assert!(site.wait_for("applying", &mut child));
        let copied = copy(&site, &database);
        let run = site.status()["run"].as_str().map(str::to_owned);
        child.kill().unwrap();
        child.wait().unwrap();
        // On a busy machine it may have come to its end first; then its journal says so.
        if site.status()["live"]["version"] == "v2" {
            continue;
        }
        let (refused, run) = (copied.expect(1, "refused", "ledger.in_use"), run.unwrap());
        assert!(refused.report()["message"].as_str().unwrap().contains(&run), "{refused:?}");
        return (site, database, run);
    }
    panic!("five runs were over before they were killed");
}

#[test]
fn a_run_under_way_is_not_passed_by_and_one_that_was_killed_is_resumed_on_the_server() {
    let (site, database, run) = killed_under_way();

    let left = site.status();
    let copied = copy(&site, &database).expect(0, "copied", "");
    let target = &copied.report()["targets"][0];
    assert_eq!((&target["state"], &target["run"]), (&json!("suspect"), &json!(run)));
    let shut = there(site.ship_command("v3"), &database);
    shut.expect(4, "stuck", "lock.suspect");
    let resumed = there(site.command(["resume"]), &database).expect(0, "released", "");
    assert_eq!(resumed.report()["run"], run);
    assert!(resumed.report()["fence"].as_u64() > left["fence"].as_u64(), "{resumed:?}");
    assert_eq!(site.answers().as_deref(), Some("v2"));
    there(site.command(["stop"]), &database).expect(0, "released", "");
}

#[test]
fn it_goes_from_a_file_to_a_server_alone() {
    let (site, database) = (Site::new(), Database::new());
    let url = database.url();
    for words in [["sqlite:a", "sqlite:b"], [&*url, "sqlite:a"], [&*url, &*url], ["a", &*url]] {
        let done = site.run(["ledger", "copy", words[0], words[1]]);
        assert!(!format!("{done:?}").contains("hunter2"), "{done:?}");
        done.expect(2, "usage", "usage.ledger");
    }
    site.run(["ledger", "copy", "sqlite:gone.db", &url]).expect(2, "usage", "ledger.missing");
    site.run(["ledger"]).expect(2, "usage", "usage.command_line");
    site.run(["ledger", "copy", "sqlite:"]).expect(2, "usage", "usage.command_line");
    let nowhere = "postgres://me:hunter2@127.0.0.1:1/db?sslmode=disable";
    site.ship("v1").expect(0, "released", "");
    let done = site.run(["ledger", "copy", "sqlite:", nowhere]);
    let done = done.expect(5, "failed", "ledger.unreachable");
    assert!(done.report()["target"].is_null(), "{done:?}");
    site.ship("v2").expect(0, "released", "");
    // The file is closed then, and it is not known whether all of it has arrived.
    assert_eq!(copy(&site, &database).exit, Some(0));
    let done = site.run(["ledger", "copy", "sqlite:", nowhere]);
    done.expect(4, "stuck", "ledger.unreachable");
}

/// It outlives the call, and anybody on the machine who is that user can read what it was given.
#[test]
fn a_service_is_not_given_the_ledger_of_whoever_ships() {
    let (site, database) = (Site::new(), Database::new());
    there(site.ship_command("v1"), &database).expect(0, "released", "");
    let services = site.services();
    assert!(!services.is_empty());
    for pid in services {
        let given = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        let given = String::from_utf8_lossy(&given);
        assert!(given.contains("GATEKIT_RELEASE="), "{given}");
        assert!(!given.contains("hunter2"), "{given}");
    }
}

#[test]
fn people_are_told_what_was_copied_target_by_target() {
    let (site, database) = (Site::new(), Database::new());
    site.ship("v1").expect(0, "released", "");
    let told = || {
        let mut command = Command::new(PROGRAM);
        command.args(["ledger", "copy", "sqlite:", &database.url()]);
        let output = command.arg("--root").arg(site.root()).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = told();
    let head = there(site.command(["log", "--head"]), &database).report()["head"].clone();
    for part in ["copied: 1 target with ", "local/app: ", "free", "fence 1", head.as_str().unwrap()]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.lines().last().unwrap().contains("--ledger postgres://"), "{text}");
    assert!(!text.contains("hunter2"));
    assert!(told().starts_with("copied before: "));
}
