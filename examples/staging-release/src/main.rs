//! Releases an image to a service of Amazon ECS and smoke-tests it, through gatekit.

use std::process::ExitCode;

use staging_release::app;
use staging_release::step::told_in_a_step;

fn main() -> ExitCode {
    told_in_a_step(app()).run()
}
