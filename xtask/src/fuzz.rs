//! The fuzz targets, each for a while.

use crate::failure::{Failure, Result};
use crate::step::Step;

const FOLDER: [&str; 2] = ["--fuzz-dir", "fuzz"];

/// No input needs more bytes to say all it can; and it may have them from the start, because the
/// targets make a whole scene out of one input.
const LENGTH: [&str; 2] = ["-max_len=4096", "-len_control=0"];

pub(crate) fn run(seconds: u32, target: Option<String>) -> Result<()> {
    require(nightly()?.args(["--version"]), "rustup toolchain install nightly --profile minimal")?;
    require(nightly()?.args(["fuzz", "--version"]), "cargo install cargo-fuzz")?;
    let list = nightly()?.args(["fuzz", "list"]).args(FOLDER).read()?;
    let all: Vec<_> = list.lines().map(str::to_owned).collect();
    let chosen = match target {
        None => all,
        Some(target) if all.contains(&target) => vec![target],
        Some(target) => {
            let known = all.join(", ");
            return Err(Failure::new(format!("no fuzz target `{target}`: there are {known}")));
        }
    };
    for target in &chosen {
        let (time, target) = (format!("-max_total_time={seconds}"), target.as_str());
        let step = nightly()?.args(["fuzz", "run"]).args(FOLDER);
        step.args([target, "--", &time]).args(LENGTH).run()?;
    }
    Ok(())
}

/// The toolchain of xtask is the pinned one, which cannot fuzz.
fn nightly() -> Result<Step> {
    Ok(Step::new("rustup")?.args(["run", "nightly", "cargo"]))
}

fn require(step: Step, install: &str) -> Result<()> {
    if step.works() {
        return Ok(());
    }
    Err(Failure::new(format!("fuzzing needs what is not installed: `{install}`")))
}
