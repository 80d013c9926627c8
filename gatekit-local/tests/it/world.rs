//! A root, a directory to ship, a ledger; and no process of theirs outlives the test.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use gatekit_core::ledger::{Acquired, Claim, Entry, Guard, Hold, Ledger, Record, TargetState};
use gatekit_core::{
    ApplyContext, Candidate, Deployer as _, Error, Location, PlanContext, Result, Rollback as _,
    Rollout, RunId, StageId, TargetName, testing,
};
use gatekit_local::{PreviousRelease, ReleaseChange, ReleaseDir, ReleaseReceipt};
use gatekit_store::SqliteLedger;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const SLEEP: &str = "exec sleep 300";
const LEASE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct World {
    home: TempDir,
    ledger: Arc<SqliteLedger>,
    target: TargetName,
}

impl World {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("root")).unwrap();
        let ledger = Arc::new(SqliteLedger::open(home.path().join("ledger.db")).unwrap());
        let world = Self { home, ledger, target: TargetName::new("test/app").unwrap() };
        world.app("one", &[("file", "one")]);
        world.app("two", &[("file", "two")]);
        world
    }

    pub(crate) fn target(&self) -> TargetName {
        self.target.clone()
    }

    pub(crate) fn ledger(&self) -> Arc<SqliteLedger> {
        Arc::clone(&self.ledger)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.home.path().join("root")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A directory to ship with these files.
    pub(crate) fn app(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let dir = self.path(name);
        for (file, text) in files {
            let file = dir.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        dir
    }

    pub(crate) fn deployer(&self, app: &str, start: &str) -> ReleaseDir {
        quick(ReleaseDir::new(self.root(), self.path(app), start).unwrap())
    }

    pub(crate) fn stopped(&self) -> ReleaseDir {
        quick(ReleaseDir::stopped(self.root()).unwrap())
    }

    pub(crate) fn plan_cx(&self) -> PlanContext {
        self.plan_cx_of(Candidate::new(), Duration::from_secs(20))
    }

    pub(crate) fn plan_cx_of(&self, candidate: Candidate, deadline: Duration) -> PlanContext {
        let stage = StageId::new("release-dir").unwrap();
        testing::plan_context(&self.target, candidate, &stage, deadline)
    }

    pub(crate) async fn hold(&self, cx: &PlanContext) -> ApplyContext {
        testing::apply_context(cx, Arc::clone(&self.ledger) as _, LEASE).await.unwrap()
    }

    pub(crate) async fn release(&self, cx: ApplyContext) {
        self.lapse(&cx).await;
    }

    /// Takes the lock away from its holder, who does not know.
    pub(crate) async fn lapse(&self, cx: &ApplyContext) {
        let hold = Hold::new(self.target.clone(), cx.run(), cx.fence().unwrap(), LEASE);
        assert!(self.ledger.release(&hold).await.unwrap());
    }

    /// What was journalled as called by this run.
    pub(crate) async fn calls(&self, cx: &PlanContext) -> Vec<String> {
        let records = self.ledger.read_run(&self.target, cx.run()).await.unwrap();
        let calls = records.iter().filter_map(|record| {
            let entry: Value = serde_json::from_str(&record.entry).unwrap();
            find(&entry, "call").map(str::to_owned)
        });
        calls.collect()
    }

    pub(crate) async fn plan(&self, deployer: &ReleaseDir) -> ReleaseChange {
        deployer.plan(&self.plan_cx()).await.unwrap().change
    }

    pub(crate) async fn try_ship(&self, deployer: &ReleaseDir) -> Result<Shipped> {
        let cx = self.plan_cx();
        let change = deployer.plan(&cx).await?.change;
        let cx = self.hold(&cx).await;
        let receipt = deployer.apply(&cx, &change, None).await;
        self.release(cx).await;
        receipt.map(|receipt| Shipped { change, receipt })
    }

    /// Plans, applies, and waits until it settled at `After`.
    pub(crate) async fn ship(&self, deployer: &ReleaseDir) -> Shipped {
        let shipped = self.try_ship(deployer).await.unwrap();
        let Shipped { change, receipt } = &shipped;
        assert_eq!(self.observe(deployer, &shipped).await, Rollout::Settled);
        assert_eq!(self.locate(deployer, change, Some(receipt)).await, Location::After);
        shipped
    }

    pub(crate) async fn observe(&self, deployer: &ReleaseDir, shipped: &Shipped) -> Rollout {
        let cx = self.plan_cx();
        loop {
            match deployer.observe(&cx, &shipped.change, &shipped.receipt).await.unwrap() {
                Rollout::InProgress { poll_after } => tokio::time::sleep(poll_after).await,
                end => return end,
            }
        }
    }

    pub(crate) async fn locate(
        &self,
        deployer: &ReleaseDir,
        change: &ReleaseChange,
        receipt: Option<&ReleaseReceipt>,
    ) -> Location {
        deployer.locate(&self.plan_cx(), change, receipt).await.unwrap()
    }

    pub(crate) async fn roll_back(
        &self,
        deployer: &ReleaseDir,
        change: &ReleaseChange,
        receipt: Option<&ReleaseReceipt>,
    ) -> Vec<String> {
        let cx = self.hold(&self.plan_cx()).await;
        PreviousRelease::of(deployer).roll_back(&cx, change, receipt).await.unwrap();
        let calls = self.calls(&cx).await;
        self.release(cx).await;
        calls
    }

    /// Leaves the root as a run would that died after its first `steps` writes: it gets no further
    /// permit.
    pub(crate) async fn stop_after(
        &self,
        deployer: &ReleaseDir,
        change: &ReleaseChange,
        steps: usize,
    ) -> Result<ReleaseReceipt> {
        let ledger = Stingy { inner: Arc::clone(&self.ledger), left: AtomicUsize::new(steps) };
        let cx = testing::apply_context(&self.plan_cx(), Arc::new(ledger), LEASE).await.unwrap();
        let applied = deployer.apply(&cx, change, None).await;
        // Pruning comes last, and its failure is none of the ship's.
        assert_eq!(applied.is_ok(), steps >= 4, "{applied:?}");
        self.release(cx).await;
        applied
    }

    pub(crate) fn service_json(&self) -> Value {
        serde_json::from_slice(&fs::read(self.root().join("service.json")).unwrap()).unwrap()
    }

    pub(crate) fn leader(&self) -> u32 {
        self.service_json()["leader"]["pid"].as_u64().unwrap().try_into().unwrap()
    }

    /// The tokens of this root begin with this.
    pub(crate) fn prefix(&self) -> String {
        let meta = fs::metadata(self.root()).unwrap();
        format!("{:x}.{:x}.", meta.dev(), meta.ino())
    }

    /// Every living process that carries a token of this root.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let mark = format!("GATEKIT_SERVICE={}", self.prefix());
        let entries = fs::read_dir("/proc").unwrap().filter_map(std::io::Result::ok);
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            alive(*pid) && environ.split(|b| *b == 0).any(|line| line.starts_with(mark.as_bytes()))
        })
        .collect()
    }

    /// The content of the file `file` of the current release.
    pub(crate) fn current_file(&self) -> String {
        fs::read_to_string(self.root().join("current/file")).unwrap()
    }

    /// Everything under the root but the lock and logs, to see that nothing was written.
    pub(crate) fn snapshot(&self) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let mut found = Vec::new();
        let mut todo = vec![self.root()];
        while let Some(dir) = todo.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                let meta = fs::symlink_metadata(&path).unwrap();
                let content = match () {
                    () if meta.is_symlink() => {
                        Some(fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes())
                    }
                    () if meta.is_dir() => {
                        todo.push(path.clone());
                        None
                    }
                    () => Some(fs::read(&path).unwrap()),
                };
                found.push((path, content));
            }
        }
        found.sort();
        found
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let leader = fs::read(self.root().join("service.json")).ok();
        let leader = leader.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let leader = leader.and_then(|record| record["leader"]["pid"].as_u64()?.try_into().ok());
        // Once the leader is dead its number proves nothing: its session is looked at before.
        let led = leader.filter(|pid| self.pids().contains(pid)).map(session);
        led.unwrap_or_default().into_iter().for_each(kill);
        for _ in 0..100 {
            let pids = self.pids();
            if pids.is_empty() {
                return;
            }
            pids.into_iter().for_each(kill);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[derive(Debug)]
pub(crate) struct Shipped {
    pub(crate) change: ReleaseChange,
    pub(crate) receipt: ReleaseReceipt,
}

fn quick(deployer: ReleaseDir) -> ReleaseDir {
    deployer.with_settle(Duration::from_millis(150)).with_grace(Duration::from_secs(5))
}

fn find<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    match value {
        Value::Object(map) => map
            .get(key)
            .and_then(Value::as_str)
            .or_else(|| map.values().find_map(|value| find(value, key))),
        _ => None,
    }
}

pub(crate) fn alive(pid: u32) -> bool {
    gatekit_core::process::ProcessIdentity::of(pid).is_some()
}

pub(crate) fn kill(pid: u32) {
    // It may be gone already.
    let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).output();
}

/// The living processes of a session.
pub(crate) fn session(leader: u32) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(std::io::Result::ok);
    pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            fields.clone().nth(3) == Some(&leader.to_string()) && fields.clone().next() != Some("Z")
        })
        .collect()
}

pub(crate) fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(10), "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn write_json(path: &Path, value: &Value) {
    fs::write(path, serde_json::to_vec(value).unwrap()).unwrap();
}

/// A foreign process, killed when dropped.
pub(crate) struct Bystander(std::process::Child);

impl Bystander {
    pub(crate) fn new(envs: &[(&str, &str)]) -> Self {
        let envs = envs.iter().copied();
        Self(Command::new("sleep").arg("300").envs(envs).spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A ledger that gives only so many permits.
#[derive(Debug)]
struct Stingy {
    inner: Arc<SqliteLedger>,
    left: AtomicUsize,
}

#[async_trait]
impl Ledger for Stingy {
    async fn reconnect(&self) -> Result<Arc<dyn Ledger>> {
        self.inner.reconnect().await
    }
    async fn enqueue(&self, claim: &Claim) -> Result<u64> {
        self.inner.enqueue(claim).await
    }
    async fn acquire(&self, claim: &Claim, lease: Duration) -> Result<Acquired> {
        self.inner.acquire(claim, lease).await
    }
    async fn leave(&self, target: &TargetName, run: RunId) -> Result<()> {
        self.inner.leave(target, run).await
    }
    async fn renew(&self, hold: &Hold) -> Result<()> {
        self.inner.renew(hold).await
    }
    async fn release(&self, hold: &Hold) -> Result<bool> {
        self.inner.release(hold).await
    }
    async fn take_over(&self, claim: &Claim, lease: Duration) -> Result<Hold> {
        self.inner.take_over(claim, lease).await
    }
    async fn append(&self, target: &TargetName, entry: &Entry, guard: Guard) -> Result<Record> {
        let taken = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        if taken.is_err() {
            return Err(Error::new(gatekit_core::code::LOCK_LOST, "the run dies here"));
        }
        self.inner.append(target, entry, guard).await
    }
    async fn state(&self, target: &TargetName) -> Result<TargetState> {
        self.inner.state(target).await
    }
    async fn read(&self, target: &TargetName, after: u64, limit: usize) -> Result<Vec<Record>> {
        self.inner.read(target, after, limit).await
    }
    async fn read_run(&self, target: &TargetName, run: RunId) -> Result<Vec<Record>> {
        self.inner.read_run(target, run).await
    }
    async fn read_kind(
        &self,
        target: &TargetName,
        kind: &'static str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.inner.read_kind(target, kind, before, limit).await
    }
}
