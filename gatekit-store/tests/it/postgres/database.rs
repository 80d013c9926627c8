//! Databases of the tests.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::thread;
use std::time::Duration;

use gatekit_core::RunId;
pub(crate) use gatekit_peers::Via;
use gatekit_store::PostgresLedger;
use tokio_postgres::{Client, NoTls};

/// An empty ledger in a database of its own, with a clock that the test moves.
#[derive(Debug)]
pub(crate) struct Database {
    name: String,
    via: Via,
}

const SCHEMA: [&str; 2] = [
    include_str!("../../../src/postgres/schema/tables.sql"),
    include_str!("../../../src/postgres/schema/functions.sql"),
];

/// The database that all others are copied from: to create a schema takes longer than a test. One for
/// each schema, because those that are broken on purpose use the same server.
fn template() -> String {
    let mut hasher = DefaultHasher::new();
    SCHEMA.hash(&mut hasher);
    format!("gatekit_template_{:x}", hasher.finish())
}

impl Database {
    pub(crate) async fn new(via: Via) -> Self {
        let admin = connect("postgres").await;
        // Two at once cannot copy one database; and the first has to make it.
        admin.batch_execute("SELECT pg_advisory_lock(1)").await.unwrap();
        let template = template();
        let sql = format!("SELECT 1 FROM pg_database WHERE datname = '{template}'");
        if admin.query_opt(&sql, &[]).await.unwrap().is_none() {
            make_template(&admin, &template).await;
        }
        let name = unique("test");
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await.unwrap();
        Self { name, via }
    }

    /// One without a ledger.
    pub(crate) async fn empty(via: Via) -> Self {
        Self::with(via, "").await
    }

    /// One without a ledger, made with those options.
    pub(crate) async fn with(via: Via, options: &str) -> Self {
        let name = unique("test");
        let sql = format!("CREATE DATABASE {name} {options}");
        connect("postgres").await.batch_execute(&sql).await.unwrap();
        Self { name, via }
    }

    /// Sets a parameter for all who connect from now on.
    pub(crate) async fn set(&self, parameter: &str) {
        let sql = format!("ALTER DATABASE {} SET {parameter}", self.name);
        connect("postgres").await.batch_execute(&sql).await.unwrap();
    }

    /// Makes a role of its own.
    pub(crate) async fn role(&self, options: &str) -> String {
        let name = unique("user");
        let sql = format!("CREATE ROLE {name} {options}");
        self.raw().await.batch_execute(&sql).await.unwrap();
        name
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn url(&self) -> String {
        url(self.via, &self.name)
    }

    pub(crate) async fn ledger(&self) -> PostgresLedger {
        PostgresLedger::builder(&self.url()).unwrap().build().await.unwrap()
    }

    /// A connection that knows nothing of ledgers.
    pub(crate) async fn raw(&self) -> Client {
        connect(&self.name).await
    }

    /// Moves the server's clock forward, for this database.
    pub(crate) async fn pass(&self, time: Duration) {
        pass(&self.raw().await, time).await;
    }

    /// As [`pass`](Self::pass), for whoever cannot wait.
    pub(crate) fn pass_now(&self, time: Duration) {
        now(self.pass(time));
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        now(async {
            connect("postgres").await.batch_execute(&sql).await.unwrap();
        });
    }
}

fn url(via: Via, database: &str) -> String {
    format!("{}/{database}?sslmode=disable", via.url().unwrap())
}

/// Moves the server's clock forward, for the database of that connection.
pub(crate) async fn pass(database: &Client, time: Duration) {
    let sql = "UPDATE public.test_clock SET ahead = ahead + $1 * interval '1 ms'";
    let millis = time.as_secs_f64() * 1000.0;
    database.execute(sql, &[&millis]).await.unwrap();
}

/// A name that nothing else has on the server.
fn unique(kind: &str) -> String {
    format!("{kind}_{}", RunId::generate().to_string().replace('-', ""))
}

/// Runs a future to its end on a thread of its own.
fn now(future: impl Future<Output = ()> + Send) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    thread::scope(|scope| scope.spawn(|| runtime().block_on(future)).join().unwrap());
}

async fn connect(database: &str) -> Client {
    let url = format!("{}/{database}", Via::Server.url().unwrap());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn make_template(admin: &Client, template: &str) {
    // It has its name when it is whole.
    let draft = format!("{template}_draft");
    for sql in [format!("DROP DATABASE IF EXISTS {draft}"), format!("CREATE DATABASE {draft}")] {
        admin.batch_execute(&sql).await.unwrap();
    }
    let url = url(Via::Server, &draft);
    drop(PostgresLedger::builder(&url).unwrap().build().await.unwrap());
    let sql = "CREATE TABLE public.test_clock (ahead interval NOT NULL); \
               INSERT INTO public.test_clock VALUES ('0'); \
               CREATE OR REPLACE FUNCTION gatekit.clock() RETURNS timestamptz LANGUAGE sql VOLATILE \
               AS 'SELECT clock_timestamp() + (SELECT ahead FROM public.test_clock)'";
    connect(&draft).await.batch_execute(sql).await.unwrap();
    // Nobody may be connected to what is copied.
    let sql =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{draft}'");
    while !admin.query(&sql, &[]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    admin.batch_execute(&format!("ALTER DATABASE {draft} RENAME TO {template}")).await.unwrap();
}
