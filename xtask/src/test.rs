//! All tests, and the doc tests, which nextest cannot run.

use std::env;
use std::ffi::OsString;

use crate::failure::Result;
use crate::peers;
use crate::step::Step;

const EVERYTHING: [&str; 3] = ["--workspace", "--all-features", "--locked"];

pub(crate) fn run(runner_args: &[OsString], doc: bool) -> Result<()> {
    peers::require(&peers::OF_TESTS)?;
    let runner = if Step::cargo()?.args(["nextest", "--version"]).works() {
        let profile: &[&str] = if in_ci() { &["--profile", "ci"] } else { &[] };
        Step::cargo()?.args(["nextest", "run"]).args(EVERYTHING).args(profile)
    } else {
        eprintln!("cargo-nextest is not installed: `cargo test` runs the tests");
        Step::cargo()?.args(["test", "--all-targets"]).args(EVERYTHING)
    };
    runner.args(runner_args).run()?;
    if doc {
        Step::cargo()?.args(["test", "--doc"]).args(EVERYTHING).run()?;
    }
    Ok(())
}

fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}
