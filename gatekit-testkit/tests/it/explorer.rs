//! Every scene of doubles, explored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gatekit_store::SqliteLedger;
use gatekit_testkit::explorer::Explorer;
use gatekit_testkit::explorer::doubles::{Ledgers, PathLedger, named};

fn ledgers() -> Ledgers {
    Arc::new(|| {
        let dir = Arc::new(tempfile::tempdir_in("/dev/shm").unwrap());
        let clock = Arc::new(AtomicU64::new(0));
        let ledger = SqliteLedger::builder(dir.path().join("ledger.db"))
            .durable(true)
            .clock_offset(Arc::clone(&clock))
            .build()
            .unwrap();
        let advance = move |by: Duration| {
            let _kept = &dir;
            clock.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
        };
        PathLedger { ledger: Arc::new(ledger), advance: Arc::new(advance) }
    })
}

fn explore(name: &str) {
    let scene = named(name, &ledgers()).unwrap();
    let explorer = Explorer::new(&scene).singles_only();
    let exploration = explorer.explore();
    println!("{exploration}");
    if let Some((script, _)) = exploration.failures().first() {
        println!("{}", explorer.replay(script));
    }
    exploration.assert_sound();
}

#[test]
fn one_deploy() {
    explore("one deploy");
}
