//! A PgBouncer before a PostgreSQL server.

use std::fs;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::program::{Running, give_away};
use crate::{Cluster, Programs, Result, free_port};

/// A PgBouncer that gives each transaction whatever connection is free, in turn: whatever a session
/// was told is told to somebody else.
#[derive(Debug)]
pub struct Pooler {
    programs: Programs,
    dir: TempDir,
    port: u16,
    running: Option<Running>,
}

impl Pooler {
    /// Starts one before that server.
    ///
    /// # Errors
    /// It does not start within a minute.
    pub fn start(programs: &Programs, server: &Cluster) -> Result<Self> {
        let dir = TempDir::with_prefix("gatekit-pgbouncer-")?;
        give_away(dir.path())?;
        let port = free_port()?;
        let lines = [
            "[databases]".to_owned(),
            format!("* = host=127.0.0.1 port={}", server.port()),
            "[pgbouncer]".to_owned(),
            "listen_addr = 127.0.0.1".to_owned(),
            format!("listen_port = {port}"),
            "unix_socket_dir =".to_owned(),
            "auth_type = trust".to_owned(),
            "auth_file = users".to_owned(),
            "pool_mode = transaction".to_owned(),
            "server_round_robin = 1".to_owned(),
            "default_pool_size = 4".to_owned(),
            "max_client_conn = 2000".to_owned(),
            // A server that was restarted is found again soon.
            "server_login_retry = 1".to_owned(),
        ];
        fs::write(dir.path().join("pgbouncer.ini"), lines.join("\n"))?;
        fs::write(dir.path().join("users"), "\"gatekit\" \"\"\n")?;
        let mut pooler = Self { programs: programs.clone(), dir, port, running: None };
        pooler.go_on()?;
        Ok(pooler)
    }

    /// Starts it again.
    ///
    /// # Errors
    /// It does not start within a minute.
    pub fn go_on(&mut self) -> Result<()> {
        let running = self.programs.pgbouncer().args(["pgbouncer.ini"]).start(self.dir.path())?;
        // It has nothing to lose, and may heed nothing else: it leaves an ignored signal ignored.
        let mut running = running.ended_by(Signal::KILL);
        running.listens(self.port)?;
        self.running = Some(running);
        Ok(())
    }

    /// Kills it.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn crash(&mut self) -> Result<()> {
        self.running.take().map_or(Ok(()), |running| running.end(Signal::KILL))
    }

    /// Where it is, without a database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://gatekit@127.0.0.1:{}", self.port)
    }
}
