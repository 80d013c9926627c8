//! The task, called as anybody would; the build script ran before this was compiled.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

#[expect(dead_code, reason = "one of its functions is called here")]
#[path = "../../build.rs"]
mod build;

fn call(place: &Path, verb: &str, building: bool) -> (Option<i32>, String, String) {
    call_with(place, &place.join("sign.json"), verb, building)
}

fn call_with(
    place: &Path,
    sign: &Path,
    verb: &str,
    building: bool,
) -> (Option<i32>, String, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_build-script"));
    program.env_remove("GITHUB_ACTIONS").current_dir(place).arg(verb);
    for name in ["OUT_DIR", "HOST", "TARGET", "NUM_JOBS"] {
        if building {
            program.env(name, "1");
        } else {
            program.env_remove(name);
        }
    }
    let output = program.env("SIGN", sign).output().unwrap();
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
    let told = "released: open is live on office/sign";
    assert_eq!((exit, stdout.as_str()), (Some(0), told), "{stderr}");
    assert!(fs::read_to_string(place.path().join("sign.json")).unwrap().contains("open"));
    let (exit, stdout, stderr) = call(place.path(), "resume", false);
    assert_eq!((exit, stdout.as_str()), (Some(0), "there is nothing to resume"), "{stderr}");
}

/// The build works in the package's directory, the task wherever it is called.
#[test]
fn the_task_looks_at_the_sign_of_the_package_wherever_it_is_called() {
    let place = tempfile::tempdir().unwrap();
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root: std::path::PathBuf = package.components().skip(1).map(|_| "..").collect();
    let sign = root.join(place.path().strip_prefix("/").unwrap()).join("sign.json");
    // Deeper than the package, so that as many steps up lead elsewhere.
    let here = package.components().fold(place.path().to_owned(), |path, _| path.join("below"));
    fs::create_dir_all(&here).unwrap();
    let (exit, stdout, stderr) = call_with(&here, &sign, "ship", false);
    assert_eq!(exit, Some(0), "{stdout}{stderr}");
    assert!(fs::read_to_string(place.path().join("sign.json")).unwrap().contains("open"));
    assert!(place.path().join("ledger.db").exists(), "one sign has one queue");
    assert!(fs::read_dir(here).unwrap().next().is_none());
}

#[test]
fn what_a_gate_prints_gives_cargo_no_instructions() {
    let line = build::one_line("no\ncargo::rustc-env=PATH=/tmp\r\ncargo::error=x");
    assert_eq!(line, "no cargo::rustc-env=PATH=/tmp  cargo::error=x");
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
