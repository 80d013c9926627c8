//! The failure explorer over the PostgreSQL ledger: every single fault of two pipelines, and whatever
//! else is asked for.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::{Acquired, Claim, Entry, Guard, Hold, Ledger, Record, TargetState};
use gatekit_core::{Result, RunId, TargetName};
use gatekit_store::PostgresLedger;
use gatekit_testkit::explorer::doubles::{Ledgers, PathLedger, all};
use gatekit_testkit::explorer::{Explorer, Scene as _, Settles};
use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn_blocking;

use super::database::{Database, Via, pass};

/// Where connections live: paths come and go, each with runtimes whose time is not real.
static REAL: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// Waits for a future from wherever it is called.
fn wait_for<T: Send>(future: impl Future<Output = T> + Send) -> T {
    thread::scope(|scope| scope.spawn(|| REAL.block_on(future)).join().unwrap())
}

/// A ledger whose calls take no time on the clock of a path: that stands still while a thread works
/// for it.
#[derive(Debug, Clone)]
struct Timeless(PostgresLedger);

impl Timeless {
    async fn call<T, F>(&self, call: impl FnOnce(PostgresLedger) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let ledger = self.0.clone();
        spawn_blocking(move || REAL.block_on(call(ledger))).await.unwrap()
    }
}

#[async_trait]
impl Ledger for Timeless {
    async fn reconnect(&self) -> Result<Arc<dyn Ledger>> {
        Ok(Arc::new(self.clone()))
    }

    async fn enqueue(&self, claim: &Claim) -> Result<u64> {
        let claim = claim.clone();
        self.call(|ledger| async move { ledger.enqueue(&claim).await }).await
    }

    async fn acquire(&self, claim: &Claim, lease: Duration) -> Result<Acquired> {
        let claim = claim.clone();
        self.call(move |ledger| async move { ledger.acquire(&claim, lease).await }).await
    }

    async fn leave(&self, target: &TargetName, run: RunId) -> Result<()> {
        let target = target.clone();
        self.call(move |ledger| async move { ledger.leave(&target, run).await }).await
    }

    async fn renew(&self, hold: &Hold) -> Result<()> {
        let hold = hold.clone();
        self.call(|ledger| async move { ledger.renew(&hold).await }).await
    }

    async fn release(&self, hold: &Hold) -> Result<bool> {
        let hold = hold.clone();
        self.call(|ledger| async move { ledger.release(&hold).await }).await
    }

    async fn take_over(&self, claim: &Claim, lease: Duration) -> Result<Hold> {
        let claim = claim.clone();
        self.call(move |ledger| async move { ledger.take_over(&claim, lease).await }).await
    }

    async fn append(&self, target: &TargetName, entry: &Entry, guard: Guard) -> Result<Record> {
        let (target, entry) = (target.clone(), entry.clone());
        self.call(move |ledger| async move { ledger.append(&target, &entry, guard).await }).await
    }

    async fn state(&self, target: &TargetName) -> Result<TargetState> {
        let target = target.clone();
        self.call(|ledger| async move { ledger.state(&target).await }).await
    }

    async fn read(&self, target: &TargetName, after: u64, limit: usize) -> Result<Vec<Record>> {
        let target = target.clone();
        self.call(move |ledger| async move { ledger.read(&target, after, limit).await }).await
    }

    async fn read_run(&self, target: &TargetName, run: RunId) -> Result<Vec<Record>> {
        let target = target.clone();
        self.call(move |ledger| async move { ledger.read_run(&target, run).await }).await
    }

    async fn read_kind(
        &self,
        target: &TargetName,
        kind: &'static str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let target = target.clone();
        let call = move |ledger: PostgresLedger| async move {
            ledger.read_kind(&target, kind, before, limit).await
        };
        self.call(call).await
    }
}

/// A database that one path after the other uses.
#[derive(Debug)]
struct Slot {
    /// Lives as long as what is connected to it.
    _database: Database,
    raw: tokio_postgres::Client,
    ledger: PostgresLedger,
}

type Slots = Arc<Mutex<Vec<Slot>>>;

/// A slot that is given back when its path has ended.
#[derive(Debug)]
struct Lent {
    slot: Option<Slot>,
    slots: Slots,
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).extend(self.slot.take());
    }
}

/// Past the triggers, as only the owner of the database can.
const EMPTY: &str = "\
    SET session_replication_role = replica; \
    DELETE FROM gatekit.journal; DELETE FROM gatekit.waiter; DELETE FROM gatekit.target; \
    UPDATE public.test_clock SET ahead = '0'; \
    RESET session_replication_role";

impl Slot {
    async fn new(via: Via) -> Self {
        let database = Database::new(via).await;
        let (raw, ledger) = (database.raw().await, database.ledger().await);
        Self { _database: database, raw, ledger }
    }
}

fn on_the_server(via: Via) -> Ledgers {
    let slots = Slots::default();
    Arc::new(move || {
        let free = slots.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let slot = wait_for(async {
            let Some(slot) = free else { return Slot::new(via).await };
            slot.raw.batch_execute(EMPTY).await.unwrap();
            slot
        });
        let ledger = Arc::new(Timeless(slot.ledger.clone()));
        let lent = Lent { slot: Some(slot), slots: Arc::clone(&slots) };
        let advance = move |by: Duration| {
            if let Some(slot) = &lent.slot {
                wait_for(pass(&slot.raw, by));
            }
        };
        PathLedger { ledger, advance: Arc::new(advance) }
    })
}

/// What is explored: read from the environment here and nowhere else.
#[derive(Debug)]
struct Asked {
    /// The scenes whose names contain it; all in full, where one is asked for at all.
    name: Option<String>,
    pairs: bool,
}

impl Asked {
    /// # Default
    /// The single faults of the named scenes.
    fn from_env() -> Self {
        let name = std::env::var("GATEKIT_EXPLORE").ok();
        Self { name, pairs: std::env::var_os("GATEKIT_EXPLORE_PAIRS").is_some() }
    }
}

#[track_caller]
fn holds(via: Via, short: &[&str]) {
    let (ledgers, asked) = (on_the_server(via), Asked::from_env());
    let is_meant = |name: &str| match &asked.name {
        Some(part) => name.contains(part.as_str()),
        None => short.contains(&name),
    };
    let (mut walked, mut wrong) = (0, Vec::new());
    for scene in all(&ledgers) {
        if !is_meant(&scene.name()) {
            continue;
        }
        for settles in [Settles::ByResume, Settles::ByDecision] {
            let explorer = Explorer::new(&scene).settles(settles).threads(2);
            let explorer = if asked.pairs { explorer } else { explorer.singles_only() };
            let exploration = explorer.explore();
            println!("{exploration}");
            walked += exploration.walked();
            if !exploration.is_sound() {
                wrong.push(exploration.to_string());
            }
        }
    }
    assert!(walked > 0, "no scene is meant");
    println!("{walked} paths");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_fault_over_postgres_breaks_a_promise() {
    holds(Via::Server, &["one deploy", "two deploys with verifications"]);
}

#[test]
fn no_fault_behind_a_pooler_breaks_a_promise() {
    holds(Via::Pooler, &["one deploy"]);
}
