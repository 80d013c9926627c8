//! What CI demands of every line.

use crate::failure::Result;
use crate::step::Step;

pub(crate) fn run() -> Result<()> {
    Step::cargo()?.args(["fmt", "--all", "--check"]).run()?;
    Step::cargo()?
        .args(["clippy", "--workspace", "--all-targets", "--all-features", "--locked"])
        .args(["--", "-D", "warnings"])
        .run()?;
    // What users read: private items are documented for readers of the source.
    Step::cargo()?
        .args(["doc", "--workspace", "--all-features", "--no-deps", "--locked"])
        .flags("RUSTDOCFLAGS", "-D warnings")
        .run()
}
