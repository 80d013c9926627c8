//! What people say about a run: approvals, rejections, waivers.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::site::{Site, done};

const SHIP: [&str; 4] = ["production", "ship", "--text", "v1"];

#[test]
fn a_run_parks_is_approved_by_another_and_resumes_elsewhere() {
    let site = Site::new();
    let parked = site.json(&SHIP).expect(75, "waiting", Some("gate.waiting"));
    let run = parked["run"].as_str().unwrap().to_owned();
    let next = parked["next"][0]["command"].as_str().unwrap().to_owned();
    let (approve, scope) = next.split_once(" --scope ").unwrap();
    assert_eq!(approve, format!("files production approve {run}"));
    for (other, exit, code) in [
        ("0123456789ab", 1, "approval.moved"),
        (&scope[..11], 2, "usage.command_line"),
        ("not twelve digits", 2, "usage.command_line"),
    ] {
        let words = ["production", "approve", &run, "--actor", "bob", "--scope", other];
        site.json(&words).expect_code(exit, code);
    }
    let status = site.json(&["production", "status"]).line();
    assert_eq!(status["asking"][0]["run"], run.as_str());
    assert_eq!(status["asking"][0]["requester"], "ann");

    let own = site.json(&["production", "approve"]);
    own.expect(1, "refused", Some("approval.own"));
    site.json(&["production", "resume"]).expect(75, "waiting", Some("gate.waiting"));
    let words: Vec<_> = next.split(' ').skip(1).chain(["--actor", "bob"]).collect();
    for word in ["approve", "reject"] {
        let nobody = ["production", word, "01a1fd96-aaa4-7242-be7c-2df40fa5626e"];
        site.json(&nobody).expect(2, "usage", Some("usage.no_run"));
    }
    let approved = site.json(&words).expect(0, "approved", None);
    assert_eq!((&approved["run"], &approved["stage"]), (&run.as_str().into(), &"approval".into()));
    assert_eq!(site.text("production"), None, "an approval ships nothing by itself");
    // It waits still, and it is told that somebody has spoken.
    let status = site.json(&["production", "status"]).line();
    assert_eq!(status["asking"][0]["said"], serde_json::json!([["approval", "approve", "bob"]]));
    let next = status["next"][0]["command"].as_str().unwrap();
    assert_eq!(next, format!("files production resume {run}"));
    let resumed = site.json(&["production", "resume"]).expect(0, "released", None);
    assert_eq!(resumed["run"], run.as_str());
    assert_eq!(site.text("production").as_deref(), Some("v1"));
    site.json(&["production", "approve", &run, "--actor", "eve"]).expect(
        1,
        "refused",
        Some("approval.too_late"),
    );
    site.json(&["production", "resume"]).expect(0, "unchanged", Some("resume.nothing"));
}

#[test]
fn a_rejected_run_is_refused_with_the_comment() {
    let site = Site::new();
    site.json(&SHIP).expect(75, "waiting", Some("gate.waiting"));
    let words = ["production", "reject", "--actor", "bob", "--comment", "not on a Friday"];
    site.json(&words).expect(0, "rejected", None);
    let end = site.json(&["production", "resume"]).expect(1, "refused", Some("gate.failed"));
    assert!(end["message"].as_str().unwrap().contains("not on a Friday"), "{end}");
    assert_eq!(site.text("production"), None);
}

#[test]
fn a_run_that_is_told_to_wait_hears_the_approval_in_its_own_process() {
    let site = Site::new();
    let mut waiting = site.program();
    waiting.args(SHIP).args(["--wait=60s", "--output", "json"]);
    let waiting = waiting.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    let approve = ["production", "approve", "--actor", "bob"];
    while site.json(&approve).exit != Some(0) {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never asked");
        std::thread::sleep(Duration::from_millis(100));
    }
    done(waiting.wait_with_output().unwrap()).expect(0, "released", None);
    assert_eq!(site.text("production").as_deref(), Some("v1"));
}

/// The words of a command that was suggested.
fn words_of(command: &Value) -> Vec<String> {
    let mut shell = std::process::Command::new("sh");
    let line = command.as_str().unwrap().strip_prefix("files ").unwrap();
    let split = shell.args(["-c", &format!("printf '%s\\n' {line}")]).output().unwrap();
    String::from_utf8(split.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_gate_is_waived_for_one_candidate_with_a_reason() {
    let site = Site::new();
    let bad = ["staging", "ship", "--text", "a bad one", "--forbid", "bad"];
    let refused = site.json(&bad).expect(1, "refused", Some("gate.failed"));
    let run = refused["run"].as_str().unwrap();
    let waive = ["staging", "waive", "--stage", "words", "--for", "1h", "--reason"];
    let no_reason = site.json(&[&waive[..], &[" "]].concat());
    assert_eq!(no_reason.exit, Some(2));
    let other = ["staging", "waive", run, "--stage", "other", "--for", "1h", "--reason", "why"];
    site.json(&other).expect(1, "refused", Some("waiver.nothing"));

    // It has ended, and might be anybody's: it is suggested.
    let which = site.json(&[&waive[..], &["legal agreed, it's fine"]].concat());
    let which = which.expect(1, "refused", Some("waiver.which"));
    let suggested = words_of(&which["next"][0]["command"]);
    let suggested: Vec<_> = suggested.iter().map(String::as_str).collect();
    assert_eq!(suggested[..3], ["staging", "waive", run]);
    assert_eq!(suggested.last(), Some(&"legal agreed, it's fine"));
    let waived = site.json(&suggested).expect(0, "waived", None);
    assert!(waived["until"].as_str().is_some());
    assert_eq!(waived["run"], run);
    // It is not gone on with: the same is shipped anew.
    let next = waived["next"].as_array().unwrap();
    assert_eq!(next.len(), 1);
    assert_eq!(next[0]["command"], "files staging ship --text TEXT");
    site.json(&bad).expect(0, "released", None);
    let another = ["staging", "ship", "--text", "another bad one", "--forbid", "bad"];
    site.json(&another).expect(1, "refused", Some("gate.failed"));
}

#[test]
fn a_waiver_is_of_the_newest_run_that_has_not_ended() {
    let site = Site::new();
    let ship = |text: &str, flag: &str| {
        site.json(&["staging", "ship", "--text", text, flag, text]).line()["run"].clone()
    };
    let _older = ship("strange", "--doubt");
    let open = ship("odd", "--doubt");
    let _ended = ship("bad", "--forbid");
    let waive = ["staging", "waive", "--stage", "words", "--for", "1h", "--reason", "legal agreed"];
    let waived = site.json(&waive).expect(0, "waived", None);
    assert_eq!(waived["run"], open);
    let resume = format!("files staging resume {}", open.as_str().unwrap());
    assert_eq!(waived["next"], serde_json::json!([{"command": resume, "who": "anyone"}]));
    assert!(site.people(&waive).stdout.contains(open.as_str().unwrap()), "people are told, too");
    let other = ["staging", "waive", "--stage", "x", "--for", "1h", "--reason", "y"];
    let nothing = site.json(&other).expect(1, "refused", Some("waiver.nothing"));
    assert!(nothing["message"].as_str().unwrap().contains(open.as_str().unwrap()), "{nothing:#}");
    site.json(&["staging", "resume", open.as_str().unwrap()]).expect(0, "released", None);
    // What waits from before a release is over.
    site.json(&waive).expect(1, "refused", Some("waiver.which"));
}

#[test]
fn nobody_is_asked_where_nothing_was_ever_shipped() {
    let site = Site::new();
    site.json(&["production", "approve"]).expect(1, "refused", Some("approval.nothing"));
    let nobody = "01a1fd96-aaa4-7242-be7c-2df40fa5626e";
    for words in [
        &["production", "waive", "--stage", "x", "--for", "1h", "--reason", "y"][..],
        &["production", "resume", nobody],
    ] {
        site.json(words).expect(2, "usage", Some("usage.no_run"));
    }
    site.json(&["production", "resume"]).expect(0, "unchanged", Some("resume.nothing"));
    assert!(site.dir.path().read_dir().unwrap().next().is_none(), "no ledger was made");
}

#[test]
fn a_run_goes_on_as_it_was_opened_whatever_is_given_or_in_the_environment() {
    let site = Site::new();
    let ship = ["production", "ship", "--text", "v1", "--dot", "-ll", "--signed-by", "ann"];
    site.json(&ship).expect(75, "waiting", Some("gate.waiting"));
    for words in [&["--text", "v2"][..], &["--signed-by", "eve"], &["--loud=1"]] {
        let refused = site.json(&[&["production", "resume"][..], words].concat());
        let line = refused.expect(2, "usage", Some("config.arguments"));
        assert!(line["message"].as_str().unwrap().contains(words[0].split('=').next().unwrap()));
    }
    site.json(&["production", "approve", "--actor", "bob"]).expect(0, "approved", None);
    let mut resume = site.program();
    resume.env("FILES_SIGNED_BY", "eve").args(["production", "resume", "--output", "json"]);
    // The same said again is no other.
    resume.args(["--text", "v1"]);
    done(resume.output().unwrap()).expect(0, "released", None);
    assert_eq!(site.text("production").as_deref(), Some("v1.!! (ann)"));
}

#[test]
fn of_two_runs_that_ask_one_is_named_and_the_named_one_is_resumed() {
    let site = Site::new();
    let run = |text: &str| {
        let line = site.json(&["production", "ship", "--text", text]);
        line.expect(75, "waiting", Some("gate.waiting"))["run"].as_str().unwrap().to_owned()
    };
    let (first, _second) = (run("first"), run("second"));
    let which = site.json(&["production", "approve", "--actor", "bob"]);
    which.expect(1, "refused", Some("approval.which"));
    let approve = ["production", "approve", &first, "--actor", "bob"];
    let approved = site.json(&approve).expect(0, "approved", None);
    let next = approved["next"][0]["command"].as_str().unwrap().to_owned();
    assert_eq!(next, format!("files production resume {first}"));
    let words: Vec<_> = next.split(' ').skip(1).collect();
    site.json(&words).expect(0, "released", None);
    assert_eq!(site.text("production").as_deref(), Some("first"));
    // One that has ended does not ship again, whoever names it.
    let again = site.json(&words);
    assert_ne!(again.line()["outcome"], "released", "{}", again.stdout);
}

#[test]
fn what_is_waived_is_told_and_a_plan_knows_it() {
    let site = Site::new();
    let flags = ["--text", "a bad one", "--forbid", "bad"];
    let ship = [&["staging", "ship"][..], &flags].concat();
    let plan = [&["staging", "plan", "--gates"][..], &flags].concat();
    let refused = site.json(&ship).expect(1, "refused", Some("gate.failed"));
    site.json(&plan).expect(1, "refused", Some("gate.failed"));
    let run = refused["run"].as_str().unwrap();
    let waive = ["staging", "waive", run, "--stage", "words", "--for", "1h", "--reason", "agreed"];
    let waived = site.json(&waive).expect(0, "waived", None);
    assert_eq!(waived["candidate"]["inputs"]["text"], "a bad one");
    site.json(&plan).expect(0, "planned", None);
}
