//! Lines of a name and a value, which `xtask` reads.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::time::Duration;

use crate::Result;

/// Prints a line at once.
pub(crate) fn say(name: &str, value: impl Display) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{name} {value}")?;
    Ok(out.flush()?)
}

/// A duration as a figure in milliseconds.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
