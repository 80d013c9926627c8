//! Appending to a short journal and to a long one.

use std::path::Path;
use std::time::Instant;

use gatekit_core::ledger::{Body, Entry, Guard, Ledger as _};
use gatekit_core::{RunId, TargetName};
use gatekit_store::SqliteLedger;
use tokio::runtime::Runtime;

use crate::line::{millis, say};
use crate::{Result, journal};

/// Prints one `short_ms` and one `long_ms` by turns.
pub(crate) fn measure(runtime: &Runtime, dir: &Path, long: u64, runs: usize) -> Result<()> {
    let open = |name: &str| SqliteLedger::builder(dir.join(name)).durable(true).build();
    journal::make(runtime, &dir.join("long.db"), long)?;
    let ledgers = [("short_ms", open("short.db")?), ("long_ms", open("long.db")?)];
    let target = TargetName::new(journal::TARGET)?;
    let run = RunId::generate();
    // The first of each is the short journal's only entry, and takes neither part.
    for round in 0..=runs {
        for (name, ledger) in &ledgers {
            let entry = Entry::new(target.clone(), run, "bench", None, Body::Queued { ticket: 1 });
            let begun = Instant::now();
            runtime.block_on(ledger.append(&target, &entry, Guard::Open))?;
            if round > 0 {
                say(name, millis(begun.elapsed()))?;
            }
        }
    }
    Ok(())
}
