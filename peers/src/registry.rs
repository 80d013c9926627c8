//! A registry of container images.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::install::{debian, on_path};
use crate::program::{Program, Running, give_away};
use crate::{Result, free_port};

/// A registry of container images, with a folder of its own: it accepts whatever is pushed, and lets
/// manifests be deleted.
#[derive(Debug)]
pub struct Registry {
    port: u16,
    _running: Running,
    dir: TempDir,
}

impl Registry {
    /// Finds `docker-registry` on the machine, or installs it in `folder`, and starts it.
    ///
    /// # Errors
    /// It is missing and cannot be installed, because only Debian's package is; or it does not start
    /// within a minute.
    pub fn start(folder: &Path) -> Result<Self> {
        let program = match on_path("docker-registry") {
            Some(program) => program,
            None => debian(&folder.join("registry"), &["docker-registry"])?
                .join("usr/bin/docker-registry"),
        };
        let dir = TempDir::with_prefix("gatekit-registry-")?;
        let (port, storage) = (free_port()?, dir.path().join("storage"));
        let lines = [
            "version: 0.1".to_owned(),
            "log: { level: warn, accesslog: { disabled: true } }".to_owned(),
            "storage:".to_owned(),
            format!("  filesystem: {{ rootdirectory: \"{}\" }}", storage.display()),
            "  delete: { enabled: true }".to_owned(),
            format!("http: {{ addr: \"127.0.0.1:{port}\" }}"),
        ];
        fs::write(dir.path().join("config.yml"), lines.join("\n") + "\n")?;
        give_away(dir.path())?;
        let server = Program::new(&program, &[]).args(["serve", "config.yml"]);
        let mut running = server.start(dir.path())?;
        running.listens(port)?;
        Ok(Self { port, _running: running, dir })
    }

    /// Where it is, as `http://127.0.0.1:5000`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its folder, for tests that look at what it keeps or harm it.
    #[must_use]
    pub fn storage(&self) -> PathBuf {
        self.dir.path().join("storage")
    }
}
