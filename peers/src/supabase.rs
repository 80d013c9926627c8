//! The command line of Supabase, from npm: the current one, and the last that is written in Go.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;
use crate::install::{npm, on_path};
use crate::program::command;

/// A version of it. Both are pinned: tests tell what exactly these do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SupabaseVersion {
    /// 3.1.0, which is written in TypeScript.
    V3,
    /// `supabase-go` of 2.99.0.
    Go,
}

impl SupabaseVersion {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V3, Self::Go];

    /// As npm has it.
    #[must_use]
    pub fn number(self) -> &'static str {
        match self {
            Self::V3 => "3.1.0",
            Self::Go => "2.99.0",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::V3 => "supabase",
            Self::Go => "supabase-go",
        }
    }

    /// What npm is to install, and the lock with the digest of it. npm's `supabase` is a wrapper of this
    /// package, which has the program for Linux on x86-64.
    fn package(self) -> (&'static str, &'static str) {
        match self {
            Self::V3 => (
                include_str!("../supabase/3.1.0/package.json"),
                include_str!("../supabase/3.1.0/package-lock.json"),
            ),
            Self::Go => (
                include_str!("../supabase/2.99.0/package.json"),
                include_str!("../supabase/2.99.0/package-lock.json"),
            ),
        }
    }
}

/// `supabase`, in its versions.
#[derive(Debug, Clone)]
pub struct SupabaseCli {
    folder: PathBuf,
}

impl SupabaseCli {
    /// Installs them in `folder`, where they are found the next time; `None` where there is no npm.
    ///
    /// # Errors
    /// They cannot be installed: there is no registry of packages, or the machine is not Linux on x86-64.
    pub fn find(folder: &Path) -> Result<Option<Self>> {
        if on_path("npm").is_none() {
            return Ok(None);
        }
        let folder = folder.join("supabase");
        for version in SupabaseVersion::ALL {
            let (package, lock) = version.package();
            npm(&folder.join(version.number()), package, lock)?;
        }
        Ok(Some(Self { folder }))
    }

    /// Those that were installed in that folder: the place of [`Shared::Supabase`](crate::Shared).
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder in which they are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The program of a version. It reads nothing, tells nobody of its use, and keeps what it keeps in
    /// `home`, where it is run unless that is changed.
    #[must_use]
    pub fn command(&self, version: SupabaseVersion, home: &Path) -> Command {
        let packages = self.folder.join(version.number()).join("root/node_modules");
        let program = packages.join("@supabase/cli-linux-x64/bin").join(version.program());
        let mut command = command(&program, &[]);
        command.env("HOME", home).current_dir(home).stdin(Stdio::null());
        for name in ["DO_NOT_TRACK", "SUPABASE_TELEMETRY_DISABLED", "CI", "NO_COLOR"] {
            command.env(name, "1");
        }
        for name in ["SUPABASE_YES", "SUPABASE_DB_PASSWORD", "SUPABASE_ACCESS_TOKEN", "PGSSLMODE"] {
            command.env_remove(name);
        }
        command
    }
}
