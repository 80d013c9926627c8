//! A test that is run alone, at its full length.

use crate::failure::{Failure, Result};
use crate::step::Step;

/// A test of the package's one test binary. Run by cargo's own runner: nextest would hold the output
/// back, and end what takes long.
pub(crate) struct LoneTest {
    pub(crate) package: &'static str,
    pub(crate) name: &'static str,
    pub(crate) profile: &'static str,
}

impl LoneTest {
    /// Builds it.
    pub(crate) fn step(&self) -> Result<Step> {
        // A name that matches nothing would count as a success.
        if !self.called("--list")?.read()?.contains(self.name) {
            return Err(Failure::new(format!("{} has no test `{}`", self.package, self.name)));
        }
        self.called("--nocapture")
    }

    fn called(&self, how: &str) -> Result<Step> {
        let step = Step::cargo()?.args(["test", "--locked", "--all-features"]);
        let step = step.args(["--profile", self.profile, "--package", self.package]);
        Ok(step.args(["--test", "it", "--", "--exact", self.name, how]))
    }
}
