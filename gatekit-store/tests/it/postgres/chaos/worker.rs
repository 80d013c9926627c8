//! A worker: claims targets, changes them and frees them, and may die at any step of it.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;
use gatekit_core::code::{
    LOCK_HELD, LOCK_LEASE_SHORT, LOCK_LOST, LOCK_NO_TICKET, LOCK_NOT_SUSPECT,
};
use gatekit_core::ledger::{Acquired, Body, Claim, Entry, Guard, Hold, Ledger as _};
use gatekit_core::process::ProcessIdentity;
use gatekit_core::{Outcome, Result, RunId, TargetName};
use gatekit_store::PostgresLedger;
use tokio::time::sleep;

use super::witness::{Said, Witness, epoch};
use crate::support::{applying, closed, stage};

pub(super) const TARGETS: [&str; 6] = ["a/1", "a/2", "b/1", "b/2", "c/1", "c/2"];
const LEASE: Duration = Duration::from_secs(6);
/// How much of the lease must be left for a change.
const MARGIN: Duration = Duration::from_secs(2);
/// One step in so many is the last.
const DEADLY: usize = 80;

const URL: &str = "GATEKIT_CHAOS_URL";
const FOLDER: &str = "GATEKIT_CHAOS_FOLDER";
const SEED: &str = "GATEKIT_CHAOS_SEED";

/// This binary again, as a worker. What it says when it fails is in `said`.
pub(super) fn spawn(folder: &Path, url: &str, seed: u64) -> Child {
    let said = File::options().create(true).append(true).open(folder.join("said")).unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(["postgres::chaos::worker::entry", "--exact", "--nocapture", "--test-threads=1"])
        .envs([(URL, url), (SEED, &seed.to_string())])
        .env(FOLDER, folder)
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said)
        .spawn()
        .unwrap()
}

/// Tells the workers to finish what they have begun.
pub(super) fn stop(folder: &Path) {
    fs::write(folder.join("stop"), "").unwrap();
}

/// Not a test: what a worker does. Without a place to work there is nothing to do.
#[tokio::test]
async fn entry() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let variable = |name| std::env::var(name).unwrap();
    let builder = PostgresLedger::builder(&variable(URL)).unwrap().connections(2);
    let builder = builder.call_timeout(Duration::from_secs(2)).patience(LEASE / 2);
    let ledger = loop {
        match builder.clone().build().await {
            Ok(ledger) => break ledger,
            Err(error) => assert!(error.code().as_str().starts_with("ledger."), "{error}"),
        }
    };
    let folder = PathBuf::from(folder);
    let witness = Witness::of(&folder);
    let rng = Rng::with_seed(variable(SEED).parse().unwrap());
    Worker { ledger, folder, witness, rng }.work().await;
}

struct Worker {
    ledger: PostgresLedger,
    folder: PathBuf,
    witness: Witness,
    rng: Rng,
}

/// A lock, and until when it is surely held if nobody renews it.
struct Tenure {
    hold: Hold,
    until: Arc<Mutex<Instant>>,
    renewing: tokio::task::JoinHandle<()>,
}

impl Worker {
    async fn work(mut self) {
        while !self.stops() {
            let mut names = TARGETS.map(|name| TargetName::new(name).unwrap());
            self.rng.shuffle(&mut names);
            let [leading, other, ..] = names;
            let also = (self.rng.u8(..4) == 0).then_some(other);
            let claim = Claim::new(leading, RunId::generate(), "worker").along(also);
            self.cycle(&claim).await;
        }
    }

    fn stops(&self) -> bool {
        self.folder.join("stop").exists()
    }

    fn may_die(&mut self) {
        if self.rng.usize(..DEADLY) == 0 && !self.stops() {
            self.witness.say(&Said::Dies { process: ProcessIdentity::current(), at: epoch() });
            // As sudden as SIGKILL: nothing is dropped.
            std::process::abort();
        }
    }

    /// From the place in the queue to the freed target.
    async fn cycle(&mut self, claim: &Claim) {
        let mut in_doubt = false;
        while let Err(error) = self.ledger.enqueue(claim).await {
            assert!(is_outage(&error), "{error}");
        }
        self.may_die();
        let tenure = loop {
            let began = Instant::now();
            match self.ledger.acquire(claim, LEASE).await {
                Ok(Acquired::Granted(hold)) => break self.tenure(hold, began),
                Ok(Acquired::Suspect { target, run, .. }) => self.heal(target, run).await,
                Ok(_) => self.ledger.wait_for_turn(claim, Duration::from_secs(20)).await,
                // It was granted, nobody heard of it, and the lease has lapsed since.
                Err(error) if in_doubt && *error.code() == LOCK_NO_TICKET => return,
                Err(error) => {
                    assert!(is_outage(&error), "{error}");
                    in_doubt = true;
                }
            }
        };
        self.may_die();
        if self.rng.u8(..8) == 0 {
            // In doubt, the lease decides.
            return may_lapse(self.ledger.release(&tenure.hold).await.map(drop));
        }
        let begun = self.append(&tenure.hold, applying()).await;
        let changed = if begun.is_ok() { self.change(tenure).await } else { begun };
        may_lapse(changed);
    }

    /// Takes a suspect target over, if nobody else does, and brings its run to an end.
    async fn heal(&mut self, target: TargetName, run: RunId) {
        let claim = Claim::new(target, run, "healer");
        let began = Instant::now();
        match self.ledger.take_over(&claim, LEASE).await {
            Ok(hold) => {
                let tenure = self.tenure(hold, began);
                self.may_die();
                may_lapse(self.change(tenure).await);
            }
            Err(error) => {
                let healed = [LOCK_HELD, LOCK_NOT_SUSPECT].contains(error.code());
                assert!(healed || is_outage(&error), "{error}");
            }
        }
        sleep(Duration::from_millis(20)).await;
    }

    fn tenure(&self, hold: Hold, began: Instant) -> Tenure {
        let (target, fence) = (hold.target.clone(), hold.fence);
        self.witness.say(&Said::Granted { target, fence });
        let until = Arc::new(Mutex::new(began + LEASE));
        let (ledger, held, shared) = (self.ledger.clone(), hold.clone(), Arc::clone(&until));
        let renewing = tokio::spawn(async move {
            loop {
                sleep(LEASE / 3).await;
                let began = Instant::now();
                if ledger.renew(&held).await.is_ok() {
                    *shared.lock().unwrap() = began + LEASE;
                }
            }
        });
        Tenure { hold, until, renewing }
    }

    /// Changes the world under the lock, as often as it comes to it, and gives the lock back.
    async fn change(&mut self, tenure: Tenure) -> Result<()> {
        for _ in 0..self.rng.u8(1..4) {
            self.may_die();
            // No two are alike, so that one that is written twice is seen.
            let call = RunId::generate().to_string();
            self.append(&tenure.hold, Body::Calling { stage: stage(), call }).await?;
            if !tenure.is_sure() {
                // Somebody may have it by now: not one write more.
                return Ok(());
            }
            self.write(&tenure.hold);
        }
        self.may_die();
        self.append(&tenure.hold, closed(Outcome::Released)).await
    }

    /// Writes to all targets that are held; whoever else does meanwhile is caught.
    fn write(&mut self, hold: &Hold) {
        let also = hold.also.iter().map(|(target, fence)| (target, *fence));
        let mut files = Vec::new();
        for (target, fence) in also.chain([(&hold.target, hold.fence)]) {
            let path = self.folder.join(target.as_str().replace('/', "-"));
            let mut file = File::options()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(path)
                .unwrap();
            file.try_lock().unwrap_or_else(|error| panic!("two change {target}: {error}"));
            let mut before = String::new();
            file.read_to_string(&mut before).unwrap();
            let before = if before.is_empty() { 0 } else { before.trim().parse().unwrap() };
            let fence = fence.0;
            assert!(before <= fence, "a write to {target} under {fence} after one under {before}");
            file.rewind().unwrap();
            write!(file, "{fence:>20}").unwrap();
            files.push(file);
        }
        std::thread::sleep(Duration::from_millis(self.rng.u64(2..30)));
        self.may_die();
    }

    async fn append(&self, hold: &Hold, body: Body) -> Result<()> {
        let (target, fence) = (&hold.target, hold.fence);
        let entry = Entry::new(target.clone(), hold.run, "worker", Some(fence), body);
        let guard = Guard::Holder { run: hold.run, fence, lease_left: MARGIN };
        let record = self.ledger.append(target, &entry, guard).await?;
        self.witness.say(&Said::Entry {
            target: target.clone(),
            seq: record.seq,
            hash: record.hash.to_string(),
        });
        Ok(())
    }
}

impl Tenure {
    fn is_sure(&self) -> bool {
        Instant::now() + MARGIN < *self.until.lock().unwrap()
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// Over an outage a lease may lapse: whoever had it stops, and others settle what it left.
fn may_lapse(done: Result<()>) {
    if let Err(error) = done {
        let lapsed = [LOCK_LOST, LOCK_LEASE_SHORT].contains(error.code());
        assert!(lapsed || is_outage(&error), "{error}");
    }
}

/// Whether the server, or the way to it, was away.
fn is_outage(error: &gatekit_core::Error) -> bool {
    ["ledger.unreachable", "ledger.busy"].contains(&error.code().as_str())
}
