//! What the workers say that they have been told, in a file that outlives them.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use gatekit_core::process::ProcessIdentity;
use gatekit_core::{Fence, TargetName};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Said {
    /// A lock was granted, or taken over.
    Granted { target: TargetName, fence: Fence },
    /// An entry is in the journal.
    Entry { target: TargetName, seq: u64, hash: String },
    /// It is about to die, in seconds since 1970.
    Dies { process: ProcessIdentity, at: f64 },
}

pub(super) struct Witness(File);

impl Witness {
    pub(super) fn of(folder: &Path) -> Self {
        Self(File::options().create(true).append(true).open(path(folder)).unwrap())
    }

    /// In one write, which no other worker's tears.
    pub(super) fn say(&self, what: &Said) {
        let line = serde_json::to_string(what).unwrap() + "\n";
        (&self.0).write_all(line.as_bytes()).unwrap();
    }
}

/// All that was said.
pub(super) fn said(folder: &Path) -> Vec<Said> {
    let text = fs::read_to_string(path(folder)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn path(folder: &Path) -> PathBuf {
    folder.join("witness")
}

/// Now, in seconds since 1970, as the server on this machine tells it too.
pub(super) fn epoch() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}
