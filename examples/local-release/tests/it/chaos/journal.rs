//! What the journal of a site holds, read as another process would.

use std::sync::Arc;

use gatekit_core::ledger::{Body, Decision, Entry, Ledger};
use gatekit_core::{Outcome, TargetName};
use gatekit_store::{PostgresLedger, SqliteLedger};
use tokio::runtime::Runtime;

use crate::site::Site;

pub(super) struct Journal {
    ledger: Arc<dyn Ledger>,
    target: TargetName,
    runtime: Runtime,
}

impl Journal {
    pub(super) fn of(site: &Site) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ledger: Arc<dyn Ledger> = match site.ledger() {
            None => {
                let path = site.root().join("ledger.db");
                Arc::new(SqliteLedger::open_read_only(path).unwrap().unwrap())
            }
            Some(url) => {
                let ledger = PostgresLedger::builder(url).unwrap().build_read_only();
                Arc::new(runtime.block_on(ledger).unwrap().unwrap())
            }
        };
        Self { ledger, target: TargetName::new("local/app").unwrap(), runtime }
    }

    /// The entries after the first `seq`.
    pub(super) fn after(&self, seq: u64) -> Vec<Entry> {
        let records = self.ledger.read(&self.target, seq, 1000);
        let records = self.runtime.block_on(records).unwrap();
        records.iter().map(|record| record.decode().unwrap()).collect()
    }

    /// How many entries there are.
    pub(super) fn length(&self) -> u64 {
        self.runtime.block_on(self.ledger.state(&self.target)).unwrap().head.seq
    }

    /// The same, as `SEQ:HASH`.
    pub(super) fn head(&self) -> String {
        self.runtime.block_on(self.ledger.state(&self.target)).unwrap().head.to_string()
    }
}

/// What an entry is called in the histogram: its kind, and of a call its name.
pub(super) fn name(entry: &Entry) -> String {
    match &entry.body {
        Body::Calling { call, .. } => format!("calling {call}"),
        body => body.kind().to_owned(),
    }
}

/// Whether these entries of one run say that it changed the target and has not ended.
pub(super) fn under_way(entries: &[Entry]) -> bool {
    touched(entries) && closed(entries).is_none()
}

pub(super) fn touched(entries: &[Entry]) -> bool {
    let touches = |body: &Body| matches!(body, Body::Applying { .. } | Body::RollingBack { .. });
    entries.iter().any(|entry| touches(&entry.body))
}

/// Whether a person, or a gate that ran out of patience on a busy machine, decided that the run is
/// not to go on: a kill alone does not.
pub(super) fn was_rejected(entries: &[Entry]) -> bool {
    let rejects = |body: &Body| match body {
        Body::Reconciled { decision, .. } => {
            matches!(decision, Decision::RollBack | Decision::ConfirmOld)
        }
        Body::Verdict { verdict, .. } => !verdict.is_pass(),
        _ => false,
    };
    entries.iter().any(|entry| rejects(&entry.body))
}

pub(super) fn closed(entries: &[Entry]) -> Option<Outcome> {
    entries.iter().rev().find_map(|entry| match entry.body {
        Body::Closed { outcome, .. } => Some(outcome),
        _ => None,
    })
}
