//! What the ledger of a project holds, read as another process would.

use std::path::Path;

use gatekit_core::TargetName;
use gatekit_core::ledger::{Body, Entry, Ledger as _};
use gatekit_store::SqliteLedger;
use tokio::runtime::{Builder, Runtime};

#[derive(Debug)]
pub(super) struct Journal {
    ledger: SqliteLedger,
    target: TargetName,
    runtime: Runtime,
}

impl Journal {
    pub(super) fn at(path: &Path) -> Self {
        // It is there before the first call of the program, which finds it empty.
        drop(SqliteLedger::open(path).unwrap());
        let ledger = SqliteLedger::open_read_only(path).unwrap().unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Self { ledger, target: TargetName::new("production/supabase").unwrap(), runtime }
    }

    /// The entries after the first `seq`.
    pub(super) fn after(&self, seq: u64) -> Vec<Entry> {
        let records = self.runtime.block_on(self.ledger.read(&self.target, seq, 1000)).unwrap();
        records.iter().map(|record| record.decode().unwrap()).collect()
    }

    /// How many entries there are.
    pub(super) fn length(&self) -> u64 {
        self.runtime.block_on(self.ledger.state(&self.target)).unwrap().head.seq
    }

    /// Whether the entries after the first `seq` say that something is being changed.
    pub(super) fn is_at_work(&self, seq: u64) -> bool {
        let is_at_work = |body: &Body| match body {
            Body::Applying { .. }
            | Body::Calling { .. }
            | Body::Checkpoint { .. }
            | Body::RollingBack { .. } => Some(true),
            Body::Applied { .. }
            | Body::StageFailed { .. }
            | Body::RolledBack { .. }
            | Body::Stuck { .. }
            | Body::Left { .. }
            | Body::Closed { .. } => Some(false),
            _ => None,
        };
        let entries = self.after(seq);
        entries.iter().rev().find_map(|entry| is_at_work(&entry.body)).unwrap_or_default()
    }
}
