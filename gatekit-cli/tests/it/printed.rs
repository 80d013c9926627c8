//! What is printed: for whom, whether it got there, and what it must not say.

use std::fs::OpenOptions;
use std::process::Stdio;

use gatekit_core::TargetName;
use gatekit_core::ledger::{ChainVerifier, Head, Record};

use crate::site::{Site, done};

#[test]
fn json_says_exactly_what_was_said_and_every_hash_is_that_of_its_entry() {
    let site = Site::new();
    let said = "eve ##[error]gone \u{7f}\u{9b}2J";
    site.json(&["staging", "ship", "--text", said, "--actor", said]);
    let log = site.json(&["staging", "log"]);
    assert!(log.stdout.lines().count() > 4);
    let target = TargetName::new("staging").unwrap();
    let mut verifier = ChainVerifier::new(target, None);
    let (mut head, mut actors) = (Head::genesis(), Vec::new());
    for line in log.stdout.lines() {
        let record: Record = serde_json::from_str(line).unwrap();
        verifier.push(&record).unwrap();
        actors.push(record.decode().unwrap().actor);
        head = Head { seq: record.seq, hash: record.hash };
    }
    verifier.finish(&head).unwrap();
    assert!(actors.iter().all(|actor| actor == said), "{actors:?}");

    let shipped = site.json(&["staging", "ship", "--text", "v2", "--actor", said]);
    let status = site.json(&["staging", "status"]);
    for output in [&log.stdout, &shipped.stdout, &status.stdout] {
        let wild = |c: char| c != '\n' && c.is_control();
        assert!(!output.contains("##[") && !output.contains(wild), "{output:?}");
    }
    let asked = site.json(&["production", "ship", "--text", said, "--actor", said]).line();
    assert_eq!(asked["outcome"], "waiting");
    let asking = site.json(&["production", "status"]).line();
    assert_eq!(asking["asking"][0]["requester"], said);
}

#[test]
fn nothing_is_verified_where_there_is_nothing() {
    let site = Site::new();
    let verify = ["staging", "log", "--verify"];
    let head = format!("3:{}", Head::genesis().hash);
    let gone = site.json(&verify).expect_code(2, "usage.ledger");
    assert!(gone["message"].as_str().unwrap().contains("nothing was verified"), "{gone}");
    assert!(gone["message"].as_str().unwrap().contains("./ledger.db"), "{gone}");
    assert!(site.people(&verify).stderr.contains("next: "));
    site.json(&[&verify[..], &["--against", &head]].concat()).expect_code(4, "log.broken");

    site.json(&["staging", "ship", "--text", "v1"]).expect(0, "released", None);
    let mistyped = [&verify[..], &["--target", "stagging"]].concat();
    let never = site.json(&mistyped).expect_code(2, "usage.never_shipped");
    assert!(never["message"].as_str().unwrap().contains("nothing was verified"), "{never}");
    assert!(!never["next"].as_array().unwrap().is_empty());
    let against = [&mistyped[..], &["--against", &head]].concat();
    site.json(&against).expect_code(4, "log.broken");
    let head = site.people(&["staging", "log", "--head"]).stdout;
    let against = [&verify[..], &["--against", head.trim()]].concat();
    assert_eq!(site.json(&against).exit, Some(0));
}

#[test]
fn what_a_command_line_says_commands_neither_a_terminal_nor_a_runner() {
    let site = Site::new();
    for forged in ["\n::error::forged", "\n\u{1b}[2K\r##[error]forged"] {
        for (words, help) in [
            (&["staging", forged][..], "files staging --help"),
            (&["staging", "ship", forged], "files staging ship --help"),
            (&[forged], "files --help"),
        ] {
            let refused = site.people(words);
            assert_eq!(refused.exit, Some(2));
            assert!(refused.stderr.contains("forged"), "{}", refused.stderr);
            assert!(refused.stderr.chars().all(|c| c == '\n' || !c.is_control()), "{refused:?}");
            assert!(!refused.stderr.lines().any(|line| line.starts_with("::")), "{refused:?}");
            assert!(!refused.stderr.contains("##["), "{refused:?}");
            assert_eq!(
                refused.stderr.lines().last(),
                Some(&*format!("  next: {help}")),
                "{refused:?}"
            );
        }
    }
}

#[test]
fn a_command_line_that_misses_something_is_told_in_one_line_and_with_a_way_on() {
    let site = Site::new();
    let line = site.json(&["staging", "ship"]).expect_code(2, "usage.command_line");
    let missing = "the following required arguments were not provided: --text <TEXT>";
    assert_eq!(line["message"], missing);
    let line = site.json(&["staging"]).expect_code(2, "usage.command_line");
    assert!(line["message"].as_str().unwrap().contains("requires a subcommand"), "{line}");
    for actor in ["", " "] {
        let words = ["staging", "status", "--actor", actor];
        site.json(&words).expect_code(2, "usage.command_line");
        let mut status = site.program();
        status.args(["staging", "status", "--output", "json"]).env("GATEKIT_ACTOR", actor);
        done(status.output().unwrap()).expect_code(2, "usage.command_line");
    }
    let other = ["staging", "status", "--target", "production"];
    let people = site.people(&other);
    assert_eq!(people.exit, Some(2));
    let next = people.stderr.lines().last();
    assert_eq!(next, Some("  next: files production status"), "{people:?}");
    assert!(people.stderr.contains("[usage.command_line]"), "{people:?}");
}

#[test]
fn what_could_not_be_printed_is_an_error_of_a_verb_that_only_prints() {
    let site = Site::new();
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let into = |words: &[&str], out: Stdio| {
        let output = site.program().args(words).stdout(out).stderr(Stdio::piped()).spawn();
        done(output.unwrap().wait_with_output().unwrap())
    };
    let shipped = into(&["staging", "ship", "--text", "v1"], full().into());
    assert_eq!(shipped.exit, Some(0), "{}", shipped.stderr);
    assert!(shipped.stderr.contains("warning: ") && shipped.stderr.contains("[output.write]"));
    assert_eq!(site.text("staging").as_deref(), Some("v1"));
    for words in [
        &["staging", "status"][..],
        &["staging", "status", "--output", "json"],
        &["staging", "log"],
        &["staging", "log", "--output", "json"],
        &["staging", "log", "--verify"],
        &["staging", "plan", "--text", "v2"],
        &["staging", "verify"],
        &["staging", "show"],
        &["completions", "bash"],
        &["--help"],
        &["staging", "ship", "--help"],
    ] {
        let lost = into(words, full().into());
        assert_eq!(lost.exit, Some(5), "{words:?}: {}", lost.stderr);
        assert!(lost.stderr.contains("[output.write]"), "{words:?}: {}", lost.stderr);
        // A reader that has gone away has read what it wanted.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let gone = into(words, writer.into());
        assert_eq!(gone.exit, Some(0), "{words:?}: {}", gone.stderr);
        assert!(!gone.stderr.contains("output.write"), "{words:?}: {}", gone.stderr);
    }
}
