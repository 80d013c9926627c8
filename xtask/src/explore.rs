//! The failure explorer at its full length.

use crate::failure::Result;
use crate::step::Step;

/// Walks every path of the scenes whose names contain `name`, or one path alone.
pub(crate) fn run(name: Option<&str>, singles: bool, replay: Option<&str>) -> Result<()> {
    // A profile of its own: `dev` would walk for hours, and `release` takes longer to build.
    let mut step = Step::cargo()?.args(["run", "--profile", "explore", "--locked"]);
    step = step.args(["--package", "gatekit-testkit", "--example", "explore", "--"]);
    if let Some(script) = replay {
        step = step.args(["--replay", script]);
    } else if !singles {
        step = step.args(["--pairs"]);
    }
    step.args(name).run()
}
