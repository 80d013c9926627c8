//! The task, called as anybody would; the build script ran before this was compiled.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

fn call(place: &Path, verb: &str, building: bool) -> (Option<i32>, String, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_build-script"));
    program.env_remove("GITHUB_ACTIONS").current_dir(place).arg(verb);
    for name in ["OUT_DIR", "HOST", "TARGET", "NUM_JOBS"] {
        if building {
            program.env(name, "1");
        } else {
            program.env_remove(name);
        }
    }
    let output = program.env("SIGN", place.join("sign.json")).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_build_looks_and_the_task_plans_and_ships() {
    let place = tempfile::tempdir().unwrap();
    let (exit, stdout, stderr) = call(place.path(), "plan", false);
    let told = "the build saw: shows open\nsign: shows open";
    assert_eq!((exit, stdout.as_str()), (Some(0), told), "{stderr}");
    assert!(!place.path().join("sign.json").exists());
    let (exit, stdout, stderr) = call(place.path(), "ship", false);
    assert_eq!((exit, stdout.as_str()), (Some(0), "released"), "{stderr}");
    assert!(fs::read_to_string(place.path().join("sign.json")).unwrap().contains("open"));
    let (exit, _, stderr) = call(place.path(), "resume", false);
    assert_eq!((exit, stderr.as_str()), (Some(2), "there is nothing to resume"));
}

#[test]
fn what_runs_in_a_build_may_plan_and_must_not_ship() {
    let place = tempfile::tempdir().unwrap();
    assert_eq!(call(place.path(), "plan", true).0, Some(0));
    let (exit, stdout, stderr) = call(place.path(), "ship", true);
    assert_eq!((exit, stdout.as_str()), (Some(2), ""), "{stderr}");
    assert!(stderr.contains("a build script must not ship"), "{stderr}");
    assert!(!place.path().join("sign.json").exists());
}
