//! Programs that tests and benchmarks need and Rust does not bring.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;

use crate::failure::{Failure, Result};

/// A program, and what needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    program: &'static str,
    needed_for: &'static str,
}

impl Peer {
    pub(crate) const fn new(program: &'static str, needed_for: &'static str) -> Self {
        Self { program, needed_for }
    }
}

/// Everything that any test starts. A test never skips itself because one is missing.
pub(crate) const OF_TESTS: [Peer; 1] =
    [Peer { program: "sh", needed_for: "start commands of managed services are shell lines" }];

pub(crate) fn require(peers: &[Peer]) -> Result<()> {
    let path = env::var_os("PATH").unwrap_or_default();
    let missing: Vec<String> = peers
        .iter()
        .filter(|peer| find(peer.program, &path).is_none())
        .map(|peer| format!("`{}` ({})", peer.program, peer.needed_for))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!("what is needed is not on PATH: {}", missing.join(", "))))
    }
}

fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_reason() {
        let nobody = Peer { program: "no-such-program-anywhere", needed_for: "nothing" };
        let failure = require(&[OF_TESTS[0], nobody]).unwrap_err();
        assert!(failure.message.contains("`no-such-program-anywhere` (nothing)"));
        assert!(!failure.message.contains("`sh`"));
    }
}
