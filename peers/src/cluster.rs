//! A PostgreSQL server with databases of its own.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::program::{Running, give_away};
use crate::{Programs, Result, failed, free_port};

/// A PostgreSQL server in a folder of its own. Its superuser is `gatekit`, without a password on the
/// loopback; `certified` proves its name by a certificate, and whoever else by a password.
#[derive(Debug)]
pub struct Cluster {
    programs: Programs,
    dir: TempDir,
    port: u16,
    running: Option<Running>,
}

const START: Duration = Duration::from_secs(60);

const CLIENTS: &str = "\
hostssl all certified 127.0.0.1/32 cert
local all gatekit trust
host all gatekit 127.0.0.1/32 trust
host replication gatekit 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
";

impl Cluster {
    /// Makes a server and starts it with further lines of `postgresql.conf`. It does not wait for the
    /// disk unless they say so.
    ///
    /// # Errors
    /// It does not start within a minute.
    pub fn start(programs: &Programs, settings: &[&str]) -> Result<Self> {
        Self::start_in(&env::temp_dir(), programs, settings)
    }

    /// The same, with its data in a folder within that one.
    ///
    /// # Errors
    /// It does not start within a minute.
    pub fn start_in(parent: &Path, programs: &Programs, settings: &[&str]) -> Result<Self> {
        let mut cluster = Self::stopped(parent, programs)?;
        let data = cluster.data();
        let init = programs.postgres("initdb").args(["--username=gatekit", "--auth=trust"]);
        let init =
            init.args(["--encoding=UTF8", "--locale=C", "--no-sync", "--pgdata"]).args([&data]);
        init.run(cluster.dir.path())?;
        let mut lines = vec![
            format!("port = {}", cluster.port),
            "listen_addresses = '127.0.0.1'".to_owned(),
            format!("unix_socket_directories = '{}'", cluster.dir.path().display()),
            "max_connections = 300".to_owned(),
            "shared_buffers = 64MB".to_owned(),
            "fsync = off".to_owned(),
        ];
        lines.extend(settings.iter().map(|&line| line.to_owned()));
        fs::write(data.join("pg_hba.conf"), CLIENTS)?;
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        cluster.go_on_with(&lines)?;
        Ok(cluster)
    }

    fn stopped(parent: &Path, programs: &Programs) -> Result<Self> {
        let dir = TempDir::with_prefix_in("gatekit-postgres-", parent)?;
        give_away(dir.path())?;
        Ok(Self { programs: programs.clone(), dir, port: free_port()?, running: None })
    }

    /// Starts a standby of this server, which may only be read until it is promoted.
    ///
    /// # Errors
    /// It does not start within a minute.
    pub fn standby(&self) -> Result<Self> {
        let mut standby = Self::stopped(&env::temp_dir(), &self.programs)?;
        let backup = self.programs.postgres("pg_basebackup").args(["--dbname", &self.url()]);
        let backup = backup.args(["--checkpoint=fast", "--no-sync", "--write-recovery-conf"]);
        backup.args([Path::new("--pgdata"), &standby.data()]).run(standby.dir.path())?;
        let port = format!("port = {}", standby.port);
        let sockets = format!("unix_socket_directories = '{}'", standby.dir.path().display());
        standby.go_on_with(&[&port, &sockets])?;
        Ok(standby)
    }

    /// Writes a file into the folder of its data that nobody else may read.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put(&self, name: &str, text: &str) -> Result<()> {
        let file = self.data().join(name);
        fs::write(&file, text)?;
        fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        give_away(&file)
    }

    /// Starts it again, so that it also speaks TLS, and proves its name by that certificate.
    ///
    /// # Errors
    /// It does not start within a minute.
    pub fn speak_tls(&mut self, certificate: &str, key: &str) -> Result<()> {
        self.crash()?;
        self.put("cert.pem", certificate)?;
        self.put("key.pem", key)?;
        self.go_on_with(&["ssl = on", "ssl_cert_file = 'cert.pem'", "ssl_key_file = 'key.pem'"])
    }

    /// Starts it again, with further lines of `postgresql.conf`.
    ///
    /// # Errors
    /// It does not start within a minute.
    pub fn go_on_with(&mut self, settings: &[&str]) -> Result<()> {
        let config = self.data().join("postgresql.conf");
        let text = fs::read_to_string(&config)? + &settings.join("\n") + "\n";
        fs::write(&config, text)?;
        self.go_on()
    }

    /// Starts it again.
    ///
    /// # Errors
    /// It does not start within a minute.
    pub fn go_on(&mut self) -> Result<()> {
        let server = self.programs.postgres("postgres").args([Path::new("-D"), &self.data()]);
        let mut running = server.start(self.dir.path())?;
        let began = Instant::now();
        let port = self.port.to_string();
        let is_ready = || {
            let asked = ["-q", "-h", "127.0.0.1", "-U", "gatekit", "-d", "postgres", "-p", &port];
            self.programs.postgres("pg_isready").args(asked).works()
        };
        while !is_ready() {
            running.check()?;
            if began.elapsed() > START {
                return Err(failed("the server does not start"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.running = Some(running);
        Ok(())
    }

    /// Ends it as its machine would: without a word to anybody, and everything that was committed is
    /// there when it [goes on](Self::go_on).
    ///
    /// # Errors
    /// It cannot be ended.
    pub fn crash(&mut self) -> Result<()> {
        self.running.take().map_or(Ok(()), |running| running.end(Signal::QUIT))
    }

    /// Where it is, without a database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://gatekit@127.0.0.1:{}", self.port)
    }

    /// The port of the loopback on which it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }
}
