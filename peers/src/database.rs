//! Databases on the servers that `cargo xtask test` starts.

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use tokio::runtime::Builder;
use tokio_postgres::NoTls;

use crate::{Result, failed};

/// How a test reaches its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// On the server.
    Server,
    /// By a pooler that gives each transaction whatever connection is free.
    Pooler,
}

impl Via {
    /// Where the server, or the pooler before it, is: without a database.
    ///
    /// # Errors
    /// The environment does not say.
    pub fn url(self) -> Result<String> {
        let name = match self {
            Self::Server => "GATEKIT_TEST_POSTGRES",
            Self::Pooler => "GATEKIT_TEST_PGBOUNCER",
        };
        let unset = "is not set: run the tests by `cargo xtask test`, which starts a server";
        env::var(name).map_err(|_| failed(format!("{name} {unset}")))
    }
}

/// Makes an empty database, and tells its URL. It is there for as long as the server.
///
/// # Errors
/// There is no server, or it does not make one.
pub fn new_database(via: Via) -> Result<String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("of_{}_{count}", std::process::id());
    let sql = format!("DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name}");
    let admin = format!("{}/postgres", Via::Server.url()?);
    let create = async {
        let (client, connection) = tokio_postgres::connect(&admin, NoTls).await?;
        let connection = tokio::spawn(connection);
        for statement in sql.split("; ") {
            client.batch_execute(statement).await?;
        }
        connection.abort();
        Ok(())
    };
    // The caller may have a runtime already.
    let created = thread::scope(|scope| {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let created = scope.spawn(move || runtime.block_on(create)).join();
        let created = created.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        created.map_err(|error: tokio_postgres::Error| failed(error))
    });
    created?;
    Ok(format!("{}/{name}?sslmode=disable", via.url()?))
}
