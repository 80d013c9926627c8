//! A server of a row, which ends with it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::failure::{Failure, Result};

/// A program that says in its first line where it listens.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    line: String,
}

impl Server {
    pub(crate) fn start(program: &Path, args: &[&str]) -> Result<Self> {
        let failed = |error| Failure::of("cannot start the server of the bench", error);
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let output = child.stdout.take();
        let mut server = Self { child, line: String::new() };
        if let Some(output) = output {
            BufReader::new(output).read_line(&mut server.line).map_err(failed)?;
        }
        Ok(server)
    }

    /// The first word after that beginning of the line.
    pub(crate) fn said(&self, beginning: &str) -> Result<&str> {
        let words = self.line.strip_prefix(beginning).unwrap_or_default();
        words.split_whitespace().next().ok_or_else(|| {
            Failure::new(format!("the server of the bench says `{}`", self.line.trim_end()))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
