//! The reference ledger against the suite.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gatekit_core::Result;
use gatekit_core::ledger::{Ledger, MemoryLedger};
use gatekit_testkit::conformance::ledger::{self, Capability, Opened, Subject};

#[derive(Debug)]
pub(crate) struct Memory;

#[derive(Debug)]
struct One {
    ledger: MemoryLedger,
    clock: Arc<AtomicU64>,
}

#[async_trait::async_trait]
impl Subject for Memory {
    fn capability(&self) -> Capability {
        Capability::default().proves_deaths(cfg!(target_os = "linux"))
    }

    async fn open(&self) -> Result<Box<dyn Opened>> {
        let clock = Arc::new(AtomicU64::new(0));
        let ledger = MemoryLedger::with_clock_offset(Arc::clone(&clock));
        Ok(Box::new(One { ledger, clock }))
    }
}

impl Opened for One {
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(self.ledger.clone())
    }

    fn advance(&self, by: Duration) {
        self.clock.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

#[tokio::test]
async fn the_reference_ledger_conforms() {
    ledger::all(&Memory).await;
}

/// The reference is compared with itself here: what counts are the things that must never happen.
#[test]
fn the_reference_ledger_conforms_in_random_interleavings() {
    ledger::random_interleavings(&Memory, 200, 1);
}
