//! Lines of a name and values, by which the programs talk to each other and to `xtask`.

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

/// The value of a line of that name.
pub(crate) fn value<'a>(line: &'a str, name: &str) -> Result<&'a str> {
    match line.trim_end().split_once(' ') {
        Some((found, value)) if found == name => Ok(value),
        _ => Err(format!("`{}` instead of `{name}`", line.trim_end()).into()),
    }
}
