//! Small file systems, where this user may mount them.

use std::path::Path;
use std::process::Command;

/// A small file system of its own.
pub(crate) struct Mount(tempfile::TempDir);

impl Mount {
    /// `None` where this user may not mount one.
    pub(crate) fn new(options: &str) -> Option<Self> {
        let dir = tempfile::TempDir::new().unwrap();
        let mount = Self(dir);
        let mounted = run("mount", &["-t", "tmpfs", "-o", options, "none"], mount.0.path());
        let skips = !mounted && std::env::var_os("CI").is_some();
        assert!(!skips, "CI skips nothing: mounting must be permitted");
        mounted.then_some(mount)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        run("umount", &[], self.0.path());
    }
}

pub(crate) fn run(program: &str, args: &[&str], path: &Path) -> bool {
    let output = Command::new(program).args(args).arg(path).output();
    output.is_ok_and(|output| output.status.success())
}
