//! The PostgreSQL ledger against the suite that every ledger runs.

use std::sync::Arc;
use std::time::Duration;

use gatekit_core::Result;
use gatekit_core::ledger::Ledger;
use gatekit_store::PostgresLedger;
use gatekit_testkit::conformance::ledger::{self, Capability, Opened, Subject};

use super::database::{Database, Via};

#[derive(Debug)]
struct Postgres(Via);

#[derive(Debug)]
struct One(Database, PostgresLedger);

#[async_trait::async_trait]
impl Subject for Postgres {
    /// A process of another boot may be one of another machine: that proves no death.
    fn capability(&self) -> Capability {
        Capability::default().persistent(true)
    }

    async fn open(&self) -> Result<Box<dyn Opened>> {
        let database = Database::new(self.0).await;
        let ledger = database.ledger().await;
        Ok(Box::new(One(database, ledger)))
    }
}

#[async_trait::async_trait]
impl Opened for One {
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(self.1.clone())
    }

    fn advance(&self, by: Duration) {
        self.0.pass_now(by);
    }

    async fn reopen(&self) -> Result<Arc<dyn Ledger>> {
        Ok(Arc::new(self.0.ledger().await))
    }
}

#[tokio::test]
async fn the_postgres_ledger_conforms() {
    ledger::all(&Postgres(Via::Server)).await;
}

#[tokio::test]
async fn the_postgres_ledger_conforms_behind_a_pooler() {
    ledger::all(&Postgres(Via::Pooler)).await;
}

#[test]
fn the_postgres_ledger_answers_as_the_reference_in_random_interleavings() {
    ledger::random_interleavings(&Postgres(Via::Server), 60, 1);
}

#[test]
fn the_postgres_ledger_answers_as_the_reference_behind_a_pooler() {
    ledger::random_interleavings(&Postgres(Via::Pooler), 20, 2);
}
