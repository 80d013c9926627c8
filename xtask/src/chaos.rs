//! The chaos test of `local-release` at its full length.

use crate::failure::{Failure, Result};
use crate::peers;
use crate::step::Step;

const TEST: &str =
    "chaos::whatever_is_killed_at_any_moment_one_release_serves_and_it_is_the_reported_one";

pub(crate) fn run(kills: u16, seed: Option<u64>) -> Result<()> {
    peers::require(&peers::OF_TESTS)?;
    // A name that matches nothing would count as a success.
    if !test()?.args(["--list"]).read()?.contains(TEST) {
        return Err(Failure::new(format!("local-release has no test `{TEST}`")));
    }
    let step = test()?.args(["--nocapture"]).env("GATEKIT_CHAOS_KILLS", kills.to_string());
    let step = match seed {
        Some(seed) => step.env("GATEKIT_CHAOS_SEED", seed.to_string()),
        None => step,
    };
    step.run()
}

/// By cargo's own runner: nextest would hold the output back, and end what takes long.
fn test() -> Result<Step> {
    let step = Step::cargo()?.args(["test", "--release", "--locked"]);
    Ok(step.args(["--package", "local-release", "--test", "it", "--", "--exact", TEST]))
}
