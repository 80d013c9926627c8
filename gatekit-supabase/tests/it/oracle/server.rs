//! A server that speaks TLS, without which the Go command line does not connect, and what is in its
//! databases.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use gatekit_peers::{Authority, Cluster, Programs};

#[derive(Debug)]
pub(crate) struct Server {
    programs: Programs,
    cluster: Cluster,
    count: AtomicU32,
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
        let programs = Programs::find(&folder).unwrap();
        let mut cluster = Cluster::start(&programs, &[]).unwrap();
        let identity = Authority::new().unwrap().issue("db", "127.0.0.1", false).unwrap();
        cluster.speak_tls(&identity.certificate, &identity.key).unwrap();
        Self { programs, cluster, count: AtomicU32::new(0) }
    }

    /// An empty database, which is removed with it.
    pub(crate) fn database(&self) -> Database<'_> {
        let name = format!("oracle_{}", self.count.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}")).unwrap();
        Database { server: self, name }
    }

    fn psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let url = format!("{}/{database}", self.cluster.url());
        let mut psql = self.programs.client("psql");
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "--dbname", &url, "--command", sql]);
        let output = psql.output().unwrap();
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

#[derive(Debug)]
pub(crate) struct Database<'s> {
    server: &'s Server,
    name: String,
}

impl Database<'_> {
    pub(crate) fn url(&self) -> String {
        format!("{}/{}", self.server.cluster.url(), self.name)
    }

    pub(crate) fn run(&self, sql: &str) {
        self.server.psql(&self.name, sql).unwrap();
    }

    /// What is in it but the history: schema, and data.
    pub(crate) fn dump(&self) -> String {
        self.dumped(&["--exclude-schema=supabase_migrations"])
    }

    /// The schema of the history.
    pub(crate) fn table(&self) -> String {
        self.dumped(&["--schema=supabase_migrations", "--schema-only"])
    }

    fn dumped(&self, what: &[&str]) -> String {
        let mut dump = self.server.programs.client("pg_dump");
        let output = dump.args(what).args(["--dbname", &self.url()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        // Comments tell of nothing more, and newer versions write a random word around the rest.
        let lines = text.lines().filter(|line| {
            !(line.is_empty() || line.starts_with("--") || line.contains("restrict "))
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The rows of the history, each as version, name and statements; `None` where there is no table.
    pub(crate) fn history(&self) -> Option<Vec<String>> {
        let table = "supabase_migrations.schema_migrations";
        let row = "json_build_array(version, r->'name', r->'statements')";
        let rows = format!(
            "SELECT {row} FROM {table}, to_jsonb({table}.*) r ORDER BY version COLLATE \"C\""
        );
        match self.server.psql(&self.name, &rows) {
            Ok(rows) => Some(rows.lines().map(str::to_owned).collect()),
            Err(says) => {
                assert!(says.contains("schema_migrations\" does not exist"), "{says}");
                None
            }
        }
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        // The server goes, too.
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let _ = self.server.psql("postgres", &drop);
    }
}
