//! Ctrl-C, SIGKILL, SIGSTOP, two at once: never a false success, never two services, never a lost
//! target. The chosen moments; those that chance chooses are in `chaos`.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::site::{Done, Site, signal};

fn spawn(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn done(child: Child) -> Done {
    Done::of(&child.wait_with_output().unwrap())
}

/// Stops a process, but not inside a transaction of the ledger: nobody could write until it wakes.
fn stop(child: &Child) {
    loop {
        signal("-STOP", child);
        let stat = format!("/proc/{}/stat", child.id());
        while !fs::read_to_string(&stat).unwrap().contains(") T ") {}
        let writes = format!(" WRITE {} ", child.id());
        if !fs::read_to_string("/proc/locks").unwrap().contains(&writes) {
            return;
        }
        signal("-CONT", child);
    }
}

/// Brings a target to rest after its holder was killed: `resume`, else `reconcile`.
fn settle(site: &Site, at: &str) {
    let resumed = site.run(["resume"]);
    if site.status()["state"] == "suspect" {
        let found = site.run(["reconcile"]);
        assert_eq!(found.exit, Some(4), "{at}: {found:?}");
        let back = site.run(["reconcile", "--roll-back", "--reason", "killed"]);
        assert_eq!(back.exit, Some(3), "{at}: {back:?}\nafter {resumed:?}");
    }
}

#[test]
fn a_ship_that_is_killed_right_after_each_kind_of_entry_is_resumed_to_the_truth() {
    let site = Site::new();
    site.ship("v1").expect(0, "released", "");
    for (i, kind) in ["granted", "applying", "calling", "applied", "settled"].iter().enumerate() {
        let version = format!("v{}", i + 2);
        let before = site.run(["log"]).lines.len();
        let mut child = spawn(site.ship_command(&version));
        while site.run(["log"]).lines[before..].iter().all(|line| {
            !line["entry"].as_str().unwrap_or_default().contains(&format!("\"kind\":\"{kind}\""))
        }) {}
        child.kill().unwrap();
        child.wait().unwrap();
        let resumed = site.run(["resume"]);
        assert_eq!((resumed.exit, resumed.outcome()), (Some(0), "released"), "{kind}: {resumed:?}");
        site.assert_true(kind);
        assert_eq!(site.answers().as_deref(), Some(version.as_str()), "{kind}");
    }
}

#[test]
fn a_suspect_target_refuses_ships_until_it_is_settled() {
    let site = Site::new();
    site.ship("v1").expect(0, "released", "");
    let app = site.app("v2");
    fs::write(app.join("ready"), "500 Not Yet").unwrap();
    let mut child = spawn(site.ship_app(&app, "v2"));
    assert!(site.wait_for("settled", &mut child));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(site.status()["state"], "suspect");
    site.ship("v3").expect(4, "stuck", "lock.suspect");
    site.run(["reconcile"]).expect(4, "stuck", "reconcile.undecided");
    let resumed = site.run(["resume"]);
    assert_eq!((resumed.exit, resumed.code()), (Some(3), "verify.failed"), "{resumed:?}");
    site.assert_true("settled");
    assert_eq!(site.answers().as_deref(), Some("v1"));
}

#[test]
fn an_interrupt_at_any_moment_ends_in_the_truth() {
    let site = Site::new();
    site.ship("v1").expect(0, "released", "");
    for (i, millis) in [0, 30, 80, 150, 300, 500, 700].into_iter().enumerate() {
        let name = if i % 2 == 0 { "-INT" } else { "-TERM" };
        let child = spawn(site.ship_command(if i % 2 == 0 { "v2" } else { "v1" }));
        thread::sleep(Duration::from_millis(millis));
        signal(name, &child);
        let output = child.wait_with_output().unwrap();
        let at = format!("{name} after {millis} ms");
        // Before the handlers are installed the signal itself ends the process.
        if output.status.code().is_some() {
            let done = Done::of(&output);
            let fits = matches!(
                (done.exit, done.outcome()),
                (Some(0), "released" | "unchanged")
                    | (Some(3), "rolled_back")
                    | (Some(130), "interrupted")
            );
            assert!(fits, "{at}: {done:?}");
        }
        settle(&site, &at);
        site.assert_true(&at);
    }
}

/// As `nohup` starts it.
#[test]
fn a_signal_that_it_was_started_to_ignore_does_not_interrupt_it() {
    let site = Site::new();
    let ship = site.ship_command("v1");
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap '' HUP; exec "$@""#, "sh"]).arg(ship.get_program());
    command.args(ship.get_args());
    for (name, value) in ship.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut child = spawn(command);
    assert!(site.wait_for("applying", &mut child));
    signal("-HUP", &child);
    done(child).expect(0, "released", "");
}

#[test]
fn two_ships_at_once_take_turns() {
    let site = Site::new();
    site.ship("v0").expect(0, "released", "");
    let children = [spawn(site.ship_command("v1")), spawn(site.ship_command("v2"))];
    let ended = children.map(done);
    for done in &ended {
        let fits =
            matches!((done.exit, done.outcome()), (Some(0), "released") | (Some(1), "superseded"));
        assert!(fits, "{done:?}");
    }
    assert!(ended.iter().any(|done| done.exit == Some(0)));
    let fences: Vec<_> = ended.iter().map(|done| done.report()["fence"].clone()).collect();
    assert_ne!(fences[0], fences[1], "a fence for each");
    site.assert_true("two ships");
}

#[test]
fn a_stopped_holder_is_overtaken_and_does_not_write_when_it_wakes() {
    let site = Site::new();
    site.ship("v1").expect(0, "released", "");
    let app = site.app("v2");
    fs::write(app.join("ready"), "500 Not Yet").unwrap();
    let mut command = site.ship_app(&app, "v2");
    // Long enough for a busy machine to renew it.
    command.args(["--lease", "3s"]);
    let before = site.run(["log"]).lines.len();
    let child = spawn(command);
    while site.run(["log"]).lines[before..]
        .iter()
        .all(|line| !line["entry"].as_str().unwrap_or_default().contains("\"kind\":\"settled\""))
    {
    }
    stop(&child);
    let resumed = site.run(["resume", "--lease", "5s"]);
    assert_eq!((resumed.exit, resumed.code()), (Some(3), "verify.failed"), "{resumed:?}");
    site.assert_true("resumed");
    let (fence, length) = (site.status()["fence"].clone(), site.run(["log"]).lines.len());
    signal("-CONT", &child);
    done(child).expect(4, "stuck", "lock.lost");
    assert_eq!(site.status()["fence"], fence);
    assert_eq!(site.run(["log"]).lines.len(), length, "the zombie wrote into the journal");
    site.assert_true("the zombie is gone");
    assert_eq!(site.answers().as_deref(), Some("v1"));
}

/// A holder that was stopped inside a write goes on with it whenever it wakes: until it cannot, no
/// finding is worth anything, even one that needs no write at all.
#[test]
fn nothing_is_settled_while_an_earlier_holder_is_in_the_middle_of_a_write() {
    let site = Site::new();
    site.ship("v1").expect(0, "released", "");
    let before = site.run(["log"]).lines.len();
    // As a holder that was stopped inside its write: it has the root's lock.
    let lock = File::open(site.root().join("fence.lock")).unwrap();
    lock.lock().unwrap();
    let mut child = spawn(site.ship_command("v2"));
    while site.run(["log"]).lines.len() < before + 4 {}
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(site.status()["state"], "suspect");
    let resume = ["resume", "--deadline", "1s"];
    let confirm = ["reconcile", "--confirm-old", "--reason", "r", "--deadline", "1s"];
    for call in [&resume[..], &confirm[..]] {
        site.run(call).expect(4, "stuck", "release_dir.busy");
        assert_eq!(site.status()["state"], "suspect");
        assert_eq!(site.answers().as_deref(), Some("v1"));
    }
    drop(lock);
    site.run(["resume"]).expect(0, "released", "");
    site.assert_true("resumed");
    assert_eq!(site.answers().as_deref(), Some("v2"));
}
