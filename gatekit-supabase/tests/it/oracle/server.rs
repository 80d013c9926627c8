//! A server that speaks TLS, without which the Go command line does not connect, and what is in its
//! databases.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use gatekit_peers::{Authority, Cluster, Programs};
use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::world::lives;

#[derive(Debug)]
pub(crate) struct Server {
    programs: Programs,
    cluster: Cluster,
    runtime: Runtime,
    count: AtomicU32,
}

/// What `pg_dump` says of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Dump {
    /// What is in it but the history: schema, and data.
    pub(crate) rest: String,
    /// The schema of the history.
    pub(crate) history: String,
    /// The table in which gatekit keeps how far a file is, in that schema.
    pub(crate) progress: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
        let programs = Programs::find(&folder).unwrap();
        let mut cluster = Cluster::start(&programs, &[]).unwrap();
        let identity = Authority::new().unwrap().issue("db", "127.0.0.1", false).unwrap();
        cluster.speak_tls(&identity.certificate, &identity.key).unwrap();
        Self { programs, cluster, runtime: lives(), count: AtomicU32::new(0) }
    }

    /// An empty database, which is removed with it.
    pub(crate) fn database(&self) -> Database<'_> {
        let name = format!("oracle_{}", self.count.fetch_add(1, Ordering::Relaxed));
        self.run("postgres", &format!("CREATE DATABASE {name}")).unwrap();
        Database { server: self, name }
    }

    /// The first column of what that answers.
    fn run(&self, database: &str, sql: &str) -> Result<Vec<String>, tokio_postgres::Error> {
        let url = format!("{}/{database}", self.cluster.url());
        self.runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
            let connection = tokio::spawn(connection);
            let answers = client.simple_query(sql).await?;
            drop(client);
            // A database that is in use cannot be dropped.
            connection.await.unwrap()?;
            let rows = answers.iter().filter_map(|it| match it {
                SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
                _ => None,
            });
            Ok(rows.collect())
        })
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
        self.server.run(&self.name, sql).unwrap();
    }

    pub(crate) fn dump(&self) -> Dump {
        let mut dump = self.server.programs.client("pg_dump");
        dump.args(["--exclude-table-data=supabase_migrations.*", "--dbname", &self.url()]);
        let output = dump.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Dump::of(&String::from_utf8(output.stdout).unwrap())
    }

    /// The rows of the history, each as version, name and statements; `None` where there is no table.
    pub(crate) fn history(&self) -> Option<Vec<String>> {
        let table = "supabase_migrations.schema_migrations";
        let row = "json_build_array(version, r->'name', r->'statements')";
        let rows = format!(
            "SELECT {row} FROM {table}, to_jsonb({table}.*) r ORDER BY version COLLATE \"C\""
        );
        match self.server.run(&self.name, &rows) {
            Ok(rows) => Some(rows),
            Err(error) => {
                assert_eq!(error.code(), Some(&SqlState::UNDEFINED_TABLE), "{error:?}");
                None
            }
        }
    }
}

impl Dump {
    fn of(text: &str) -> Self {
        let mut dump = Self::default();
        let mut of_object: fn(&mut Self) -> &mut String = |it| &mut it.rest;
        for line in text.lines() {
            // What precedes each object.
            if line.starts_with("-- Name: ") || line.starts_with("-- Data for Name: ") {
                of_object = match () {
                    () if !line.contains(" supabase_migrations;") => |it| &mut it.rest,
                    () if line.contains(" gatekit_progress") => |it| &mut it.progress,
                    () => |it| &mut it.history,
                };
            }
            // Other comments tell of nothing more, and newer versions write a random word around the rest.
            // The defaults of tables are told before the first of them, whichever that is.
            let is_noise = ["--", "SET default_table"].iter().any(|it| line.starts_with(it));
            if !(line.is_empty() || is_noise || line.contains("restrict ")) {
                let said = of_object(&mut dump);
                said.push_str(line);
                said.push('\n');
            }
        }
        dump
    }

    pub(crate) fn parts(&self) -> [&str; 3] {
        [&self.rest, &self.history, &self.progress]
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        // The server goes, too.
        let _ = self.server.run("postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}
