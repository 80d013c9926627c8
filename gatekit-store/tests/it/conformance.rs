//! The SQLite ledger against the suite that every ledger runs.

use std::sync::Arc;
use std::time::Duration;

use gatekit_core::Result;
use gatekit_core::ledger::Ledger;
use gatekit_testkit::conformance::ledger::{self, Capability, Opened, Subject};

use crate::support::Place;

#[derive(Debug)]
struct Sqlite;

#[derive(Debug)]
struct One(Place);

#[async_trait::async_trait]
impl Subject for Sqlite {
    fn capability(&self) -> Capability {
        Capability::default().proves_deaths(cfg!(target_os = "linux")).persistent(true)
    }

    async fn open(&self) -> Result<Box<dyn Opened>> {
        Ok(Box::new(One(Place::new())))
    }
}

#[async_trait::async_trait]
impl Opened for One {
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(self.0.open())
    }

    fn advance(&self, by: Duration) {
        self.0.pass(by);
    }

    async fn reopen(&self) -> Result<Arc<dyn Ledger>> {
        Ok(self.ledger())
    }
}

#[tokio::test]
async fn the_sqlite_ledger_conforms() {
    ledger::all(&Sqlite).await;
}

#[test]
fn the_sqlite_ledger_answers_as_the_reference_in_random_interleavings() {
    ledger::random_interleavings(&Sqlite, 60, 1);
}
