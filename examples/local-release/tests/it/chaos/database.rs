//! A database for a ledger, on the server that the tests share.

use std::env;

use gatekit_core::RunId;
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

use crate::site::Site;

pub(super) struct Database {
    /// Where the server is, or the pooler before it.
    base: String,
    name: String,
}

impl Database {
    /// One of its own on the server that this variable of the environment names.
    pub(super) fn new(variable: &str) -> Self {
        let base = env::var(variable).unwrap_or_else(|_| {
            panic!("{variable} is not set: run it by `cargo xtask`, which starts a server")
        });
        let name = format!("chaos_{}", RunId::generate().to_string().replace('-', ""));
        let database = Self { base, name };
        Runtime::new().unwrap().block_on(database.create());
        database
    }

    async fn create(&self) {
        let url = format!("{}/postgres", self.base);
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("CREATE DATABASE {}", self.name)).await.unwrap();
    }

    /// A site with its ledger there.
    pub(super) fn site(&self) -> Site {
        Site::new().with_ledger(format!("{}/{}?sslmode=disable", self.base, self.name))
    }
}
