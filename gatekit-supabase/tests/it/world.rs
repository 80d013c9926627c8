//! A database of its own, and a folder of migrations.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gatekit_core::ledger::MemoryLedger;
use gatekit_core::{
    Candidate, Code, Engine, Finding, GateSlot, Outcome, Pipeline, RunId, RunReport, Verdict,
    enforced, gate_fn,
};
use gatekit_peers::{Via, new_database};
use gatekit_supabase::Database;
use gatekit_supabase::migrations::Push;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) url: String,
    /// Not behind the pooler.
    direct: String,
    folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::via(Via::Server)
    }

    pub(crate) fn via(via: Via) -> Self {
        let url = new_database(via).unwrap();
        let name = url.rsplit('/').next().unwrap();
        let direct = format!("{}/{name}", Via::Server.url().unwrap());
        Self { url, direct, folder: TempDir::new().unwrap() }
    }

    /// Where it is, whatever is between.
    pub(crate) fn direct(&self) -> &str {
        &self.direct
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the file with that number.
    pub(crate) fn file(&self, number: u32, sql: &str) -> PathBuf {
        let path = self.folder().join(format!("{}_m{number}.sql", version(number)));
        std::fs::write(&path, sql).unwrap();
        path
    }

    /// Writes what takes the file of that number back.
    pub(crate) fn down(&self, number: u32, sql: &str) {
        let folder = self.folder().join("down");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{}_m{number}.down.sql", version(number))), sql)
            .unwrap();
    }

    pub(crate) fn database(&self) -> Database {
        Database::without_tls(&self.url).unwrap()
    }

    pub(crate) fn push(&self) -> Push {
        Push::new(self.database(), self.folder()).unwrap()
    }

    pub(crate) async fn ship(&self) -> RunReport {
        engine().ship(&pipeline(self.push()), Candidate::new()).await
    }

    pub(crate) async fn client(&self) -> Client {
        client(&self.direct).await
    }

    /// A gate that does `sql`, as somebody else would, and then fails.
    pub(crate) fn fails_after(&self, sql: &'static str) -> GateSlot {
        let url = self.direct.clone();
        let gate = gate_fn("fails", move |_| {
            let url = url.clone();
            async move {
                client(&url).await.batch_execute(sql).await.unwrap();
                let code = Code::new("test.fails");
                Ok(Verdict::Fail(Finding::new(code, "it is to be undone")))
            }
        });
        enforced(gate.unwrap())
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.client().await.batch_execute(sql).await.unwrap();
    }

    /// The first column of the rows.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.client().await.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Version, name and statements, row by row.
    pub(crate) async fn history(&self) -> Vec<String> {
        let table = "supabase_migrations.schema_migrations";
        if self
            .texts(&format!(
                "SELECT to_regclass('{table}')::text WHERE to_regclass('{table}') IS NOT NULL"
            ))
            .await
            .is_empty()
        {
            return Vec::new();
        }
        let row = "version || ' ' || coalesce(name, '-') || ' ' || coalesce(statements::text, '-')";
        self.texts(&format!("SELECT {row} FROM {table} ORDER BY version")).await
    }

    /// The tables that migrations have made.
    pub(crate) async fn tables(&self) -> Vec<String> {
        self.texts("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
            .await
    }

    /// Waits until the server works at a statement that begins like that, and tells whose it is.
    pub(crate) async fn works_at(&self, beginning: &str) -> i32 {
        let client = self.client().await;
        let sql = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE $1 \
                   AND datname = current_database() AND pid <> pg_backend_pid()";
        let like = format!("{beginning}%");
        let found = async {
            loop {
                if let Some(row) = client.query_opt(sql, &[&like]).await.unwrap() {
                    return row.get(0);
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), found).await.unwrap()
    }
}

pub(crate) async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(crate) fn version(number: u32) -> String {
    format!("{}", 20_260_101_000_000_u64 + u64::from(number))
}

pub(crate) fn engine() -> Engine {
    Engine::new(Arc::new(MemoryLedger::new())).with_deadline(Duration::from_secs(60))
}

pub(crate) fn lives() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A push whose process died while the server worked at a statement that begins like that.
pub(crate) fn killed_at(world: &World, beginning: &str) -> (Engine, RunId) {
    let engine = engine().with_lease(Duration::from_secs(2)).unwrap();
    let dies = lives();
    let run = dies.block_on(async {
        let running = engine.ship(&pipeline(world.push()), Candidate::new());
        world.works_at(beginning).await;
        running.run()
    });
    dies.shutdown_background();
    (engine, run)
}

pub(crate) fn pipeline(push: Push) -> Pipeline {
    let pipeline = Pipeline::to("test/db").deploy(push);
    pipeline.irreversible("a migration is mended by the next one").build().unwrap()
}

/// How a run ended, and with which code.
pub(crate) fn end(report: &RunReport) -> (Outcome, &str) {
    (report.outcome, report.failure.as_ref().map_or("", |it| it.code.as_str()))
}

/// Why, with all causes.
pub(crate) fn why(report: &RunReport) -> String {
    report.failure.as_ref().map(|it| format!("{it} {it:?}")).unwrap_or_default()
}
