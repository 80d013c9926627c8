//! The command line: what is understood, journalled, rebuilt and told.

use std::process::Command;
use std::time::Duration;

use gatekit_core::ledger::{Acquired, Body, Claim, Entry, Guard, Ledger as _};
use gatekit_core::{RunId, StageId, TargetName};
use gatekit_store::SqliteLedger;

use crate::site::{Site, TOKEN, done};

/// One file may be open at a time, as its loader needs: nothing is begun.
#[test]
fn a_machine_without_room_for_a_runtime_is_told_so() {
    let site = Site::new();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 4; exec \"$@\"", "sh"]).arg(site.program().get_program());
    shell.args(["staging", "ship", "--text", "v1", "--output", "json"]);
    shell.env("FILES_TOKEN", TOKEN).current_dir(&site.dir);
    done(shell.output().unwrap()).expect(5, "failed", Some("runtime.start"));
    assert!(site.dir.path().read_dir().unwrap().next().is_none());
}

#[test]
fn what_is_planned_is_not_done() {
    let site = Site::new();
    let line = site.json(&["staging", "plan", "--text", "v1"]).expect(0, "planned", None);
    assert_eq!(line["scopes"][0]["summary"], "write 2 bytes");
    assert_eq!(line["verdicts"].as_array().unwrap().len(), 0, "the gates were not asked");
    assert!(site.dir.path().read_dir().unwrap().next().is_none(), "not even a ledger is made");

    let asked = ["staging", "plan", "--gates", "--text", "a bad one", "--forbid", "bad"];
    let line = site.json(&asked).expect(1, "refused", Some("gate.failed"));
    assert_eq!(line["verdicts"][0]["stage"], "words");
    let people = site.people(&asked);
    assert!(people.stdout.contains("gate words: fail, `bad` is in it"), "{}", people.stdout);
    assert!(site.dir.path().read_dir().unwrap().next().is_none());

    let waits = site.json(&["production", "plan", "--gates", "--text", "v1"]);
    waits.expect(75, "waiting", Some("gate.waiting"));
}

/// It needs neither a ledger nor what a release needs.
#[test]
fn what_only_looks_prints_what_it_sees() {
    let site = Site::new();
    let none = site.json(&["staging", "show"]).expect(5, "failed", Some("files.none"));
    assert_eq!(none["run"], serde_json::Value::Null);
    std::fs::write(site.dir.path().join("staging"), "v1").unwrap();
    let shown = site.json(&["staging", "show", "--times", "2"]);
    assert_eq!((shown.exit, &shown.line()["text"]), (Some(0), &"v1v1".into()));
    assert_eq!(shown.line()["target"], "staging");
    let people = site.people(&["staging", "show"]);
    assert_eq!((people.exit, people.stdout.as_str()), (Some(0), "v1\n"));
    let wrong = site.json(&["staging", "show", "--times", "often"]);
    wrong.expect(2, "usage", Some("usage.command_line"));
    let help = site.people(&["staging", "--help"]).stdout;
    assert!(help.contains("show") && help.contains("Print what is in the file"), "{help}");
    assert_eq!(site.people(&["production", "show"]).exit, Some(2), "it is staging's");
    let files: Vec<_> = site.dir.path().read_dir().unwrap().collect();
    assert_eq!(files.len(), 1, "no ledger is made");
}

#[test]
fn each_pipeline_has_its_own_target_and_arguments_are_rebuilt_from_the_journal() {
    let site = Site::new();
    site.json(&["staging", "ship", "--text", "v1"]).expect(0, "released", None);
    site.json(&["staging", "ship", "--text", "v2"]).expect(0, "released", None);
    assert_eq!(site.text("staging").as_deref(), Some("v2"));
    assert_eq!(site.text("production"), None);
    let status = site.json(&["staging", "status"]).line();
    assert_eq!(status["live"]["version"], "v2");
    let verified = site.json(&["staging", "verify"]);
    assert_eq!((verified.exit, &verified.line()["verified"]), (Some(0), &true.into()));
    std::fs::write(site.dir.path().join("staging"), "by hand").unwrap();
    let verified = site.json(&["staging", "verify"]);
    assert_eq!(verified.line()["code"], "verify.failed");
    assert_eq!(verified.exit, Some(1));
    std::fs::write(site.dir.path().join("staging"), "v2").unwrap();

    let back = site.json(&["staging", "rollback", "--reason", "it is bad"]);
    back.expect(0, "released", None);
    assert_eq!(site.text("staging").as_deref(), Some("v1"));
    let log = site.json(&["staging", "log", "--verify"]).line();
    assert_eq!(log["verified"], true);
}

#[test]
fn a_secret_is_asked_for_again_and_is_in_no_file_and_no_output() {
    let site = Site::new();
    let words = ["staging", "ship", "--text", "v1", "--token", TOKEN];
    let shipped = done(site.program().env_remove("FILES_TOKEN").args(words).output().unwrap());
    assert_eq!(shipped.exit, Some(0), "{}", shipped.stderr);
    let mut without = site.program();
    without.env_remove("FILES_TOKEN").args(["--output", "json", "staging"]);
    let rollback = ["rollback", "--reason", "x"];
    let refused = done(without.args(rollback).output().unwrap());
    let refused_line = refused.line();
    refused.expect(2, "usage", Some("usage.secret"));
    assert!(refused_line["next"][0]["command"].as_str().unwrap().contains("--token"));

    // Who holds the target is told without it.
    let mut status = site.program();
    let status = status.env_remove("FILES_TOKEN").args(["staging", "status", "--output", "json"]);
    let status = done(status.output().unwrap());
    assert_eq!((status.exit, &status.line()["state"]), (Some(0), &"free".into()));
    assert_eq!(status.line()["code"], "usage.secret");

    let verify = ["staging", "verify", "--token", TOKEN, "--output", "json"];
    let given = done(site.program().env_remove("FILES_TOKEN").args(verify).output().unwrap());
    assert_eq!((given.exit, &given.line()["verified"]), (Some(0), &true.into()));

    let log = site.json(&["staging", "log"]);
    for said in [&shipped.stdout, &shipped.stderr, &log.stdout, &given.stdout, &given.stderr] {
        assert!(!said.contains(TOKEN), "{said}");
    }
    for file in site.dir.path().read_dir().unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes()));
    }
}

#[test]
fn what_a_builder_refuses_is_an_error_of_usage_that_leaves_no_trace() {
    let site = Site::new();
    for words in [
        &["staging", "ship", "--text", "v1", "--token", "wrong"][..],
        &["staging", "ship", "--text", "v1", "--ledger", "redis://x"],
    ] {
        let line = site.json(words).line();
        assert_eq!((&line["outcome"], &line["exit"]), (&"usage".into(), &2.into()), "{line}");
        assert!(!line["next"].as_array().unwrap().is_empty());
    }
    for words in [
        &["staging", "shp"][..],
        &["staging", "ship"],
        &["staging"],
        &["nowhere", "ship"],
        &["staging", "ship", "--text", "v1", "--target", "a//b"],
    ] {
        let done = site.json(words);
        assert_eq!(done.exit, Some(2), "{words:?}");
        assert_eq!(done.line()["code"], "usage.command_line", "{words:?}");
        assert!(!done.stderr.is_empty() && !done.stderr.contains("panicked"), "{}", done.stderr);
    }
    assert!(site.dir.path().read_dir().unwrap().next().is_none());
}

#[test]
fn suggested_commands_name_the_same_place() {
    let site = Site::new();
    let elsewhere = site.dir.path().join("some where");
    std::fs::create_dir(&elsewhere).unwrap();
    let dir = elsewhere.to_str().unwrap();
    let never = site.json(&["staging", "status", "--dir", dir, "--target", "other"]).line();
    let next = never["next"][0]["command"].as_str().unwrap();
    // The token is in the environment.
    assert_eq!(next, format!("files staging ship --text TEXT --dir '{dir}' --target other"));
    let mut bare = site.program();
    bare.env_remove("FILES_TOKEN").args(["staging", "status", "--output", "json"]);
    let never = done(bare.output().unwrap()).line();
    assert_eq!(never["next"][0]["command"], "files staging ship --text TEXT --token TOKEN");
}

#[test]
fn help_teaches_and_every_shell_can_complete() {
    let site = Site::new();
    for verb in [
        "plan",
        "ship",
        "status",
        "log",
        "rollback",
        "resume",
        "reconcile",
        "approve",
        "reject",
        "waive",
        "verify",
    ] {
        let help = site.people(&["staging", verb, "--help"]);
        assert_eq!(help.exit, Some(0));
        assert!(help.stdout.contains("Usage: files staging"), "{}", help.stdout);
        let (_, examples) = help.stdout.split_once("\nExample").unwrap_or_else(|| panic!("{verb}"));
        assert!(examples.contains(&format!("\n  files staging {verb}")), "{examples}");
        let runs = ["ship", "rollback", "resume", "reconcile"].contains(&verb);
        assert_eq!(examples.contains("Exit codes:"), runs, "{examples}");
        if ["ship", "resume"].contains(&verb) {
            assert!(help.stdout.contains("for 24h unless"), "{}", help.stdout);
        }
        if ["ship", "plan"].contains(&verb) {
            assert!(examples.contains("--text TEXT"), "{examples}");
        }
    }
    let top = site.people(&["--help"]);
    assert!(top.stdout.contains("Exit codes:") && top.stdout.contains("production"));
    assert!(top.stdout.contains("\n  files staging ship --text TEXT\n"), "{}", top.stdout);
    for shell in ["bash", "zsh", "fish"] {
        let script = site.people(&["completions", shell]);
        assert_eq!(script.exit, Some(0));
        assert!(script.stdout.contains("files") && script.stdout.contains("staging"), "{shell}");
    }
    assert_eq!(site.people(&["--version"]).stdout.trim(), "files 0.1.0");
}

#[test]
fn piped_output_has_no_control_characters() {
    let site = Site::new();
    let shipped = site.people(&["staging", "ship", "--text", "v1"]);
    assert_eq!(shipped.exit, Some(0));
    assert!(shipped.stderr.contains("file: applying"), "{}", shipped.stderr);
    for said in [&shipped.stdout, &shipped.stderr] {
        assert!(said.chars().all(|c| c == '\n' || !c.is_control()), "{said:?}");
    }
}

#[test]
fn no_pipeline_ships_to_the_target_of_another() {
    let site = Site::new();
    let words = ["staging", "ship", "--text", "unapproved", "--target", "production"];
    let refused = site.json(&words);
    assert_eq!(
        (refused.exit, refused.line()["code"].as_str()),
        (Some(2), Some("usage.command_line"))
    );
    assert_eq!(site.text("production"), None);
}

#[test]
fn what_others_said_cannot_move_the_cursor_of_who_reads_it() {
    let site = Site::new();
    let forged = "eve\u{1b}[2K\rforged";
    let ship = ["production", "ship", "--text", "v\u{1b}[2J", "--actor", forged];
    let mut said = site.people(&ship);
    said.stdout += &site.people(&["production", "status"]).stdout;
    said.stdout += &site.people(&["production", "log"]).stdout;
    assert!(said.stdout.contains("forged"), "{}", said.stdout);
    for text in [&said.stdout, &said.stderr] {
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }
}

#[test]
fn what_is_not_known_is_not_told_as_nothing() {
    let site = Site::new();
    site.json(&["staging", "ship", "--text", "v1"]).expect(0, "released", None);
    let alone = site.people(&["staging", "rollback", "--reason", "x"]);
    assert_eq!(alone.exit, Some(1));
    assert!(!alone.stdout.contains("nothing runs"), "{}", alone.stdout);
    // There is nothing to resume, with a secret or without.
    let mut resume = site.program();
    resume.env_remove("FILES_TOKEN").args(["staging", "resume", "--output", "json"]);
    done(resume.output().unwrap()).expect(0, "unchanged", Some("resume.nothing"));
    let mut resume = site.program();
    let resume =
        done(resume.env_remove("FILES_TOKEN").args(["staging", "resume"]).output().unwrap());
    assert!(!resume.stdout.contains("nothing runs"), "{}", resume.stdout);
    let gone = ["staging", "log", "--verify", "--ledger", "sqlite:/nonexistent/typo.db"];
    assert_eq!(site.json(&gone).line()["code"], "usage.ledger");
}

/// A path that is mistyped must not look as if all were well.
#[test]
fn a_ledger_that_was_named_and_does_not_exist_is_told_by_every_verb_that_reads_it() {
    let site = Site::new();
    site.json(&["staging", "ship", "--text", "v1"]).expect(0, "released", None);
    let run = "01a1fd96-aaa4-7242-be7c-2df40fa5626e";
    let waive = ["waive", "--stage", "words", "--for", "1h", "--reason", "why"];
    for (words, exit, code) in [
        (&["resume"][..], 0, "resume.nothing"),
        (&["resume", run], 2, "usage.no_run"),
        (&["reconcile"], 0, "reconcile.nothing"),
        (&["status"], 0, "status.never_shipped"),
        (&["rollback", "--reason", "why"], 1, "rollback.nothing"),
        (&["approve"], 1, "approval.nothing"),
        (&["reject", run], 1, "approval.nothing"),
        (&waive, 2, "usage.no_run"),
        (&["verify"], 2, "usage.never_shipped"),
        (&["log", "--verify"], 2, "usage.ledger"),
    ] {
        let words = [&["staging"], words, &["--ledger", "sqlite:gone/typo.db"]].concat();
        let done = site.json(&words);
        let line = done.line();
        assert_eq!((done.exit, line["code"].as_str()), (Some(exit), Some(code)), "{words:?}");
        assert!(line.to_string().contains("gone/typo.db"), "{words:?}: {line:#}");
        let people = site.people(&words);
        assert_eq!(people.exit, Some(exit), "{words:?}");
        let told = "there is no ledger at `gone/typo.db`";
        assert!(people.stderr.contains(told), "{words:?}: {}", people.stderr);
        if words[1] == "status" {
            assert!(people.stdout.contains(told), "{}", people.stdout);
            assert_eq!(line["missing_ledger"], "gone/typo.db");
        }
        // Here is one, and where nobody named any there need not be any.
        let here = [&words[..words.len() - 1], &["sqlite:ledger.db"]].concat();
        for words in [&here[..], &words[..words.len() - 2]] {
            let there = site.people(words);
            assert!(!there.stderr.contains("no ledger"), "{words:?}: {}", there.stderr);
        }
    }
    for verb in [&["log"][..], &["log", "--head"]] {
        let mut log = site.program();
        let log = log.args(["staging"]).args(verb).env("GATEKIT_LEDGER", "sqlite:typo.db");
        let log = done(log.output().unwrap());
        assert_eq!(log.exit, Some(0));
        assert!(log.stderr.contains("there is no ledger at `typo.db`"), "{}", log.stderr);
    }
    let plan = ["staging", "plan", "--text", "v2", "--ledger", "sqlite:new.db"];
    assert!(!site.people(&plan).stderr.contains("no ledger"), "a ship would make it");
    assert!(!site.dir.path().join("typo.db").exists());
}

#[test]
fn help_tells_no_value_of_the_environment() {
    let site = Site::new();
    for verb in ["ship", "plan", "resume", "status", "verify"] {
        let help = site.people(&["staging", verb, "--help"]);
        assert!(!help.stdout.contains(TOKEN), "{}", help.stdout);
    }
}

/// Leaves `target` suspect by a run of another one, which has locked it along; gives that run.
fn left_along(site: &Site, target: &str) -> RunId {
    let ledger =
        SqliteLedger::builder(site.dir.path().join("ledger.db")).durable(true).build().unwrap();
    let (leading, along) = ["files/shop", target].map(|name| TargetName::new(name).unwrap()).into();
    let claim = Claim::new(leading.clone(), RunId::generate(), "bob").along([along]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        ledger.enqueue(&claim).await.unwrap();
        let lease = Duration::from_secs(60);
        let Acquired::Granted(hold) = ledger.acquire(&claim, lease).await.unwrap() else {
            panic!()
        };
        let stage = StageId::new("write").unwrap();
        for body in [Body::Applying { stage, change: 1.into() }, Body::Left { why: "why".into() }] {
            let entry = Entry::new(leading.clone(), claim.run, "bob", Some(hold.fence), body);
            let guard =
                Guard::Holder { run: claim.run, fence: hold.fence, lease_left: Duration::ZERO };
            ledger.append(&leading, &entry, guard).await.unwrap();
        }
    });
    claim.run
}

#[test]
fn who_would_settle_a_target_that_was_locked_along_is_sent_to_the_one_it_was_locked_with() {
    let site = Site::new();
    let shipped = site.json(&["staging", "ship", "--text", "v1"]).expect(0, "released", None);
    let run = left_along(&site, shipped["target"].as_str().unwrap()).to_string();
    let calls: [&[&str]; 5] = [
        &["staging", "ship", "--text", "v2"],
        &["staging", "plan", "--text", "v2"],
        &["staging", "resume"],
        &["staging", "reconcile"],
        &["staging", "reconcile", "--override", "--reason", "why"],
    ];
    for call in calls {
        let line = site.json(call).expect(4, "stuck", Some("lock.suspect"));
        let next = line["next"].to_string();
        assert!(next.contains("files/shop"), "{call:?}: {next}");
    }
    let line = site.json(&["staging", "status"]).line();
    let told = (&line["state"], &line["run"], &line["along_with"]);
    assert_eq!(told, (&"suspect".into(), &run.into(), &"files/shop".into()));
    assert!(line["next"].to_string().contains("files/shop"), "{line}");
    let people = site.people(&["staging", "status"]);
    assert!(people.stdout.contains("along with files/shop"), "{}", people.stdout);
    assert_eq!(site.text("staging").as_deref(), Some("v1"));
}

#[test]
fn a_run_of_another_pipeline_is_gone_on_with_by_that() {
    let site = Site::new();
    let ship = ["staging", "ship", "--text", "odd", "--doubt", "odd", "--target", "other"];
    let run = site.json(&ship).expect(75, "waiting", Some("gate.waiting"))["run"].clone();
    let run = run.as_str().unwrap();
    for words in [&["resume"][..], &["resume", run], &["status"]] {
        let call = [&["production"], words, &["--target", "other"]].concat();
        let line = site.json(&call).line();
        assert_eq!(line["code"], "config.arguments", "{line:#}");
        let message = line["message"].as_str().unwrap();
        assert!(message.contains("another pipeline") && message.contains("staging"), "{message}");
        let next = line["next"].as_array().unwrap();
        let own = format!("files staging {} --target other", words.join(" "));
        assert!(next.iter().any(|next| next["command"] == own.as_str()), "{line:#}");
    }
    site.json(&["staging", "resume", run, "--target", "other"]).expect(
        75,
        "waiting",
        Some("gate.waiting"),
    );
}

#[test]
fn what_cannot_be_told_after_a_first_ship_that_was_refused_comes_with_a_way_on() {
    let site = Site::new();
    let bad = ["staging", "ship", "--text", "a bad one", "--forbid", "bad"];
    site.json(&bad).expect(1, "refused", Some("gate.failed"));
    let status = site.json(&["staging", "status"]).line();
    assert_eq!(status["code"], "config.arguments");
    assert_eq!(status["next"][0]["command"], "files staging ship --text TEXT");
    let people = site.people(&["staging", "status"]).stdout;
    assert!(people.ends_with("  next: files staging ship --text TEXT\n"), "{people}");
}

/// Whatever the pipelines: it has no name of one before it.
#[test]
fn a_ledger_is_copied_by_the_program_as_a_whole() {
    let site = Site::new();
    let done = site.json(&["ledger", "copy", "sqlite:a", "sqlite:b"]);
    done.expect(2, "usage", Some("usage.ledger"));
    let done = site.json(&["ledger", "copy", "sqlite:", "postgres://me@localhost/db"]);
    done.expect(2, "usage", Some("ledger.missing"));
    site.json(&["production", "ledger"]).expect(2, "usage", Some("usage.command_line"));
    let help = site.people(&["ledger", "copy", "--help"]).stdout;
    for told in ["<FROM> <TO>", "files ledger copy sqlite: postgres://", "closed for good"] {
        assert!(help.contains(told), "{told}: {help}");
    }
}
