//! All tests, and the doc tests, which nextest cannot run.

use std::env;
use std::ffi::OsString;

use crate::failure::Result;
use crate::peers;
use crate::servers::Servers;
use crate::step::Step;

const FLAGS: [&str; 2] = ["--all-features", "--locked"];
const WHOLE: [&str; 1] = ["--workspace"];

pub(crate) fn run(runner_args: &[OsString], doc: bool) -> Result<()> {
    peers::require(&peers::OF_TESTS)?;
    // Cargo ignores the choice of a package beside `--workspace`.
    let scope: &[&str] = if names_a_package(runner_args) { &[] } else { &WHOLE };
    let runner = if Step::cargo()?.args(["nextest", "--version"]).works() {
        let profile: &[&str] = if in_ci() { &["--profile", "ci"] } else { &[] };
        Step::cargo()?.args(["nextest", "run"]).args(scope).args(FLAGS).args(profile)
    } else {
        eprintln!("cargo-nextest is not installed: `cargo test` runs the tests");
        Step::cargo()?.args(["test", "--all-targets"]).args(scope).args(FLAGS)
    };
    let servers = Servers::start()?;
    servers.known_to(runner).args(runner_args).run()?;
    if doc {
        Step::cargo()?.args(["test", "--doc"]).args(WHOLE).args(FLAGS).run()?;
    }
    Ok(())
}

fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

fn names_a_package(runner_args: &[OsString]) -> bool {
    runner_args.iter().map(|arg| arg.to_string_lossy()).take_while(|arg| arg != "--").any(|arg| {
        arg == "--package"
            || arg.starts_with("--package=")
            || (arg.starts_with("-p") && !arg.starts_with("--"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_package_replaces_the_workspace() {
        let names =
            |args: &[&str]| names_a_package(&args.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(names(&["-p", "gatekit-core"]));
        assert!(names(&["verdict", "-pgatekit-core"]));
        assert!(names(&["--package=gatekit-core"]));
        assert!(!names(&["verdict", "--profile", "ci"]));
        assert!(!names(&["verdict", "--", "-p"]), "an argument of the test program");
    }
}
