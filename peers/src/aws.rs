//! The command line of AWS, and an emulator of its services, from PyPI.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::install::python;
use crate::program::{Program, Running};
use crate::{Result, failed, free_port};

/// Their versions are pinned: tests tell what exactly these do.
const PACKAGES: [&str; 2] = ["awscli==1.46.2", "moto[server,ecs,ecr]==5.2.5"];

/// `aws`, moto, and what both know of the services.
#[derive(Debug, Clone)]
pub struct AwsTools {
    root: PathBuf,
    botocore: PathBuf,
}

impl AwsTools {
    /// Installs them in `folder`, where they are found the next time. Those of the machine are not
    /// used: they may have any version.
    ///
    /// # Errors
    /// They cannot be installed: there is no Python with `venv`, or no PyPI.
    pub fn find(folder: &Path) -> Result<Self> {
        let root = python(&folder.join("aws"), &PACKAGES)?;
        let data = |entry: fs::DirEntry| entry.path().join("site-packages/botocore/data");
        let mut beside =
            fs::read_dir(root.join("lib"))?.filter_map(|entry| Some(data(entry.ok()?)));
        let botocore = beside.find(|it| it.is_dir());
        let botocore = botocore.ok_or_else(|| failed("awscli came without botocore's data"))?;
        Ok(Self { root, botocore })
    }

    /// The program `aws`.
    #[must_use]
    pub fn cli(&self) -> PathBuf {
        self.root.join("bin/aws")
    }

    /// The folder of the models of all services.
    #[must_use]
    pub fn botocore(&self) -> &Path {
        &self.botocore
    }
}

/// A running moto: an emulator of many services, that knows shapes rather than courses.
#[derive(Debug)]
pub struct Moto {
    port: u16,
    running: Running,
    _dir: TempDir,
}

impl Moto {
    /// Begins to start one.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(tools: &AwsTools) -> Result<Self> {
        let (dir, port) = (TempDir::with_prefix("gatekit-moto-")?, free_port()?);
        // As whoever calls, whose Python it is.
        let server = Program::own(&tools.root.join("bin/moto_server"));
        let server = server.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        // On any other signal it would leave its memory on the disk.
        let running = server.start(dir.path())?.ended_by(Signal::KILL);
        Ok(Self { port, running, _dir: dir })
    }

    /// Waits until it answers, and tells where it is.
    ///
    /// # Errors
    /// It does not answer within a minute.
    pub fn url(&mut self) -> Result<String> {
        self.running.listens(self.port)?;
        Ok(format!("http://127.0.0.1:{}", self.port))
    }
}
