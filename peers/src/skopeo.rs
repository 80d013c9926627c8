//! What copies container images between registries.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::install::{debian, on_path};
use crate::program::command;
use crate::programs::libraries;

/// Debian's package, with what it needs beyond a plain system.
const PACKAGES: [&str; 4] = ["skopeo", "libgpgme11", "libassuan0", "libdevmapper1.02.1"];

/// `skopeo`.
#[derive(Debug, Clone)]
pub struct Skopeo {
    program: PathBuf,
    libraries: Vec<PathBuf>,
}

impl Skopeo {
    /// Finds it on the machine, or installs it in `folder`, where it is found the next time.
    ///
    /// # Errors
    /// It is missing and cannot be installed: only Debian's package is.
    pub fn find(folder: &Path) -> Result<Self> {
        if let Some(program) = on_path("skopeo") {
            return Ok(Self { program, libraries: Vec::new() });
        }
        let root = debian(&folder.join("skopeo"), &PACKAGES)?;
        Ok(Self { program: root.join("usr/bin/skopeo"), libraries: libraries(&root) })
    }

    /// The program, which is run as whoever calls.
    #[must_use]
    pub fn command(&self) -> Command {
        command(&self.program, &self.libraries)
    }
}
