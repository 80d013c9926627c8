//! Whatever words a command line is made of: they are a command, or an error of usage.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use clap::error::ErrorKind;
use clap::{ArgMatches, FromArgMatches as _};
use gatekit_core::TargetName;
use gatekit_core::ledger::Head;
use gatekit_http::{Smoke, VersionFrom};
use local_release::args::Ship;
use local_release::{DEMO_SERVICE, app};

/// Words that a person may type, and those that only chance would.
const WORDS: [&str; 60] = [
    "plan",
    "approve",
    "reject",
    "waive",
    "verify",
    "completions",
    "--gates",
    "--wait",
    "ship",
    "status",
    "log",
    "rollback",
    "resume",
    "reconcile",
    "stop",
    "demo-service",
    "help",
    "--help",
    "--version",
    "-h",
    "--",
    "-",
    "",
    " ",
    "--root",
    "--target",
    "--queue-timeout",
    "--lease",
    "--deadline",
    "--actor",
    "--output",
    "--output=json",
    "json",
    "human",
    "--ledger",
    "--app",
    "--start",
    "--check",
    "--expect-version",
    "--version-from",
    "--behind-proxy",
    "--check-retries",
    "--check-delay",
    "--grace",
    "--to",
    "--reason",
    "--verify",
    "--head",
    "--against",
    "--adopt",
    "--confirm-old",
    "--roll-back",
    "--override",
    "--port",
    "local/app",
    "..",
    "why",
    "v1",
    "4294967296",
    "sqlite:/x",
];

/// Values for flags, right and wrong.
const VALUES: [&str; 42] = [
    " ",
    "",
    "5s",
    "0s",
    "-5s",
    "1h30m",
    "9223372036854775807s",
    "9223372036854775808s",
    "1e9s",
    "PT5S",
    "P1Y",
    "5",
    "1ns",
    "0.5s",
    "99999999999999h",
    "5 seconds ago",
    "json",
    "sqlite:",
    "body",
    "header:X-Version",
    "header:",
    "header:\n",
    "json:/a/~1b",
    "json:",
    "json:a",
    "http://127.0.0.1:1/",
    "http://user:secret@localhost/",
    "http://[::1]:99999/",
    "https://",
    "http://localhost/?token=x",
    "http://xn--/",
    "ftp://x/",
    "//x",
    "0:0",
    "1:",
    "0:0000000000000000000000000000000000000000000000000000000000000000",
    "18446744073709551616:0000000000000000000000000000000000000000000000000000000000000000",
    "+1:0000000000000000000000000000000000000000000000000000000000000000",
    "a//b",
    "../x",
    "é",
    "65536",
];

/// The bytes make a command line.
pub(crate) fn holds(data: &[u8]) {
    // Bytes that are too few make a short one.
    let _ = words(&mut Unstructured::new(data)).map(|words| is_a_command_or_usage(&words));
}

/// Words, the program's name first.
pub(crate) fn words(u: &mut Unstructured<'_>) -> Result<Vec<OsString>> {
    let mut words = vec![OsString::from("local-release")];
    let nearly = u.arbitrary()?;
    if nearly {
        words.extend(plausible(u)?);
    }
    for _ in 0..u.int_in_range(0..=if nearly { 1 } else { 6 })? {
        let word = word(u)?;
        let at = u.int_in_range(1..=words.len())?;
        words.insert(at, word);
    }
    Ok(words)
}

fn word(u: &mut Unstructured<'_>) -> Result<OsString> {
    Ok(match u.int_in_range(0..=5)? {
        0 | 1 => OsString::from(*u.choose(&WORDS)?),
        2 => OsString::from(*u.choose(&VALUES)?),
        3 => OsString::from(format!("{}={}", u.choose(&WORDS)?, u.choose(&VALUES)?)),
        4 => OsString::from(u.arbitrary::<String>()?.replace('\0', "")),
        // No argument of a process has a NUL in it.
        _ => {
            let bytes: Vec<u8> = u.arbitrary()?;
            OsString::from_vec(bytes.into_iter().filter(|byte| *byte != 0).collect())
        }
    })
}

/// A command that is nearly right.
fn plausible(u: &mut Unstructured<'_>) -> Result<Vec<OsString>> {
    let line: &[&str] = u.choose(&[
        &["ship", "--app", ".", "--start", "x", "--check"][..],
        &["log", "--verify", "--against"],
        &["rollback", "--reason"],
        &["reconcile", "--adopt", "--reason"],
        &["status", "--lease"],
        &["resume", "--deadline"],
        &["stop", "--ledger"],
    ])?;
    let mut words: Vec<_> = line.iter().map(OsString::from).collect();
    let reason = line.ends_with(&["--reason"]) && u.arbitrary()?;
    let last = if reason { u.choose(&[" ", "", "why"])? } else { u.choose(&VALUES)? };
    words.push(OsString::from(*last));
    for flag in ["--version-from", "--grace", "--check-delay", "--queue-timeout", "--output"] {
        if u.ratio(1, 10)? {
            words.extend([OsString::from(flag), OsString::from(*u.choose(&VALUES)?)]);
        }
    }
    Ok(words)
}

/// The property itself; tells whether it is a command.
pub(crate) fn is_a_command_or_usage(words: &[OsString]) -> bool {
    // The demonstration and its service are no verbs of the pipeline.
    if words.get(1).is_none_or(|word| word == DEMO_SERVICE) {
        return true;
    }
    let matches = match app().command().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            assert_eq!(error.exit_code(), if asked { 0 } else { 2 }, "{words:?}");
            assert!(!error.to_string().trim().is_empty(), "{words:?}");
            return false;
        }
    };
    let (verb, given) = matches.subcommand().unwrap();
    if verb == "completions" {
        return true;
    }
    // What was understood is what a later process is told.
    if let Some(target) = given.get_one::<TargetName>("target") {
        assert_eq!(target.as_str().parse::<TargetName>().unwrap(), *target);
    }
    for time in ["lease", "deadline", "queue_timeout"] {
        let time = given.get_one::<Duration>(time).unwrap();
        assert!(*time <= Duration::from_secs(i64::MAX.unsigned_abs()) + Duration::from_secs(1));
    }
    let flag = |name: &str| given.get_one::<bool>(name) == Some(&true);
    let reason = |given: &ArgMatches| {
        given.get_one::<String>("reason").is_some_and(|reason| !reason.trim().is_empty())
    };
    match verb {
        "ship" | "plan" => can_be_built(&Ship::from_arg_matches(given).unwrap()),
        "rollback" | "waive" => assert!(reason(given), "{words:?}"),
        "reconcile" => {
            let decisions = ["adopt", "confirm_old", "roll_back", "overrule"];
            let decided = decisions.into_iter().filter(|name| flag(name)).count();
            assert!(decided <= 1, "{words:?}");
            assert!(decided == 0 || reason(given), "a decision without a reason: {words:?}");
        }
        "log" => {
            assert!(!(flag("verify") && flag("head")), "{words:?}");
            if let Some(known) = given.get_one::<Head>("against") {
                assert!(flag("verify"), "{words:?}");
                assert_eq!(known.to_string().parse::<Head>().unwrap(), *known);
            }
        }
        _ => {}
    }
    true
}

/// A gate is built of it, or refused with a reason; never half.
fn can_be_built(ship: &Ship) {
    assert!(!ship.start.trim().is_empty() && !ship.checks.is_empty());
    let version_from = ship.version_from.to_string();
    assert_eq!(version_from.parse::<VersionFrom>().unwrap().to_string(), version_from);
    let mut smoke =
        Smoke::urls(&ship.checks).with_retries(ship.check_retries).with_delay(ship.check_delay);
    if let Some(version) = &ship.expect_version {
        smoke = smoke.expect_version(version, ship.version_from.clone());
    }
    if let Err(error) = smoke.build() {
        let failure = error.to_failure();
        assert!(!failure.to_string().contains("secret"), "{failure}");
    }
}
