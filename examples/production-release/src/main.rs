//! Releases an approved image to a service of Amazon ECS, and moves its tag last, through gatekit.

use std::process::ExitCode;

use production_release::app;
use staging_release::step::told_in_a_step;

fn main() -> ExitCode {
    told_in_a_step(app()).run()
}
