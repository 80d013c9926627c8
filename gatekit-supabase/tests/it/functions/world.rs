//! A project of its own for each test: its files, its folder of artefacts, its emulated API.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use gatekit_core::ledger::{Hold, Ledger as _, MemoryLedger};
use gatekit_core::testing::{apply_context, plan_context};
use gatekit_core::{
    ApplyContext, Candidate, Deployer as _, Effect, Error, Location, PlanContext, Result,
    Rollback as _, StageId, TargetName,
};
use gatekit_emulators::{Clock, Injection, Listening, Supabase, Trouble};
use gatekit_supabase::functions::{Deploy, Function, FunctionsChange, FunctionsReceipt, Restore};
use gatekit_supabase::{Management, Project};
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) const LEASE: Duration = Duration::from_secs(3600);
pub(crate) const TOKEN: &str = "sbp_CANARY0000";

/// Where the emulators run: they outlive the runtimes of those who call them.
fn outside() -> &'static Runtime {
    static OUTSIDE: OnceLock<Runtime> = OnceLock::new();
    OUTSIDE.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    })
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) emulator: Supabase,
    listening: Listening,
    pub(crate) root: TempDir,
    pub(crate) keep: TempDir,
    pub(crate) ledger: Arc<MemoryLedger>,
}

impl World {
    /// A project without functions.
    pub(crate) fn new() -> Self {
        let emulator = Supabase::new(Clock::at_speed(1.0));
        let (sender, receiver) = mpsc::channel();
        let serving = emulator.clone();
        outside().spawn(async move { sender.send(serving.listen(0).await.unwrap()) });
        let listening = receiver.recv().unwrap();
        let (root, keep) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Self { emulator, listening, root, keep, ledger: Arc::default() }
    }

    /// One in which somebody has deployed `hello`, with files for another one.
    pub(crate) fn with_hello() -> Self {
        let world = Self::new();
        world.emulator.with_project(|it| it.deploy("hello", "old", true));
        world.write("supabase/functions/hello/index.ts", "new");
        world
    }

    /// The same with `hello` and `world`.
    pub(crate) fn with_two() -> Self {
        let world = Self::with_hello();
        world.emulator.with_project(|it| it.deploy("world", "old", true));
        world.write("supabase/functions/world/index.ts", "new world");
        world
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Host and port of its API.
    pub(crate) fn address(&self) -> String {
        self.listening.url().replace("http://", "")
    }

    pub(crate) fn project(&self) -> Project {
        self.project_at(&self.listening.url(), TOKEN)
    }

    pub(crate) fn project_at(&self, url: &str, token: &str) -> Project {
        let management = Management::at(url, &SecretString::from(token)).unwrap();
        let soon = Duration::from_secs(2);
        management.with_timeouts(soon, soon).project(Supabase::PROJECT).unwrap()
    }

    pub(crate) fn deploy(&self, slugs: &[&str]) -> Deploy {
        self.deploy_from(self.root.path(), slugs)
    }

    /// A deploy of `hello`, to whose calls the API may answer so late: to what reads, and to what writes.
    pub(crate) fn deploy_within(&self, read: Duration, write: Duration) -> Deploy {
        let management = Management::at(&self.listening.url(), &SecretString::from(TOKEN)).unwrap();
        let management = management.with_timeouts(read, write);
        let project = management.project(Supabase::PROJECT).unwrap();
        let functions = [Function::new("hello").unwrap()];
        Deploy::new(&project, self.root.path(), self.keep.path(), functions).unwrap()
    }

    pub(crate) fn deploy_from(&self, root: &Path, slugs: &[&str]) -> Deploy {
        let functions = slugs.iter().map(|slug| Function::new(*slug).unwrap());
        let deploy = Deploy::new(&self.project(), root, self.keep.path(), functions).unwrap();
        // Nothing lands late here, unless a test says so.
        deploy.with_lateness(Duration::ZERO)
    }

    pub(crate) fn inject(&self, operation: &str, trouble: Trouble, times: u32) {
        self.emulator.inject(Injection::of(trouble, operation, times));
    }

    /// The operations that were called, in order.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        self.emulator.calls().into_iter().map(|call| call.operation).collect()
    }

    /// How often one was called.
    pub(crate) fn called(&self, operation: &str) -> usize {
        self.calls().into_iter().filter(|it| *it == operation).count()
    }

    /// A field of what the API tells of a function.
    pub(crate) fn told(&self, slug: &str, field: &str) -> Value {
        let told =
            self.emulator.with_project(|it| it.told(slug).and_then(|it| it.get(field).cloned()));
        told.unwrap_or_default()
    }

    pub(crate) fn body(&self, slug: &str) -> Option<Vec<u8>> {
        self.emulator.with_project(|it| it.body(slug).map(<[u8]>::to_vec))
    }

    /// Whether the live artefact of a function has that text in it.
    pub(crate) fn has(&self, slug: &str, text: &str) -> bool {
        let body = self.body(slug).unwrap_or_default();
        body.windows(text.len() + 1)
            .any(|it| it.starts_with(text.as_bytes()) && it.ends_with(b"\0"))
    }

    pub(crate) fn run<'a>(&'a self, deploy: &'a Deploy) -> Run<'a> {
        self.run_within(deploy, Duration::from_secs(60))
    }

    pub(crate) fn run_within<'a>(&'a self, deploy: &'a Deploy, deadline: Duration) -> Run<'a> {
        let stage = StageId::new("functions").unwrap();
        let cx = plan_context(&target(), Candidate::new(), &stage, deadline);
        Run { world: self, deploy, cx }
    }
}

/// One run, step by step.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    world: &'a World,
    deploy: &'a Deploy,
    pub(crate) cx: PlanContext,
}

impl Run<'_> {
    pub(crate) async fn plan(&self) -> Result<FunctionsChange> {
        self.deploy.plan(&self.cx).await.map(|it| it.change)
    }

    pub(crate) async fn hold(&self) -> ApplyContext {
        apply_context(&self.cx, Arc::clone(&self.world.ledger) as _, LEASE).await.unwrap()
    }

    pub(crate) async fn free(&self, cx: &ApplyContext) {
        let hold = Hold::new(target(), cx.run(), cx.fence().unwrap(), LEASE);
        self.world.ledger.release(&hold).await.unwrap();
    }

    pub(crate) async fn apply(
        &self,
        change: &FunctionsChange,
        earlier: Option<&FunctionsReceipt>,
    ) -> Result<FunctionsReceipt> {
        let cx = self.hold().await;
        let applied = self.deploy.apply(&cx, change, earlier).await;
        self.free(&cx).await;
        applied
    }

    pub(crate) async fn ship(&self) -> (FunctionsChange, FunctionsReceipt) {
        let change = self.plan().await.unwrap();
        let receipt = self.apply(&change, None).await.unwrap();
        assert_eq!(self.locate(&change, Some(&receipt)).await, Location::After);
        (change, receipt)
    }

    /// The error of a deploy that fails.
    pub(crate) async fn fail(&self) -> (FunctionsChange, Error) {
        let change = self.plan().await.unwrap();
        let error = self.apply(&change, None).await.unwrap_err();
        (change, error)
    }

    pub(crate) async fn undo(
        &self,
        change: &FunctionsChange,
        receipt: Option<&FunctionsReceipt>,
    ) -> Result<()> {
        let back = Restore::of(self.deploy);
        let cx = self.hold().await;
        let undone = back.roll_back(&cx, change, receipt).await;
        self.free(&cx).await;
        undone
    }

    pub(crate) async fn locate(
        &self,
        change: &FunctionsChange,
        receipt: Option<&FunctionsReceipt>,
    ) -> Location {
        self.deploy.locate(&self.cx, change, receipt).await.unwrap()
    }
}

pub(crate) fn target() -> TargetName {
    TargetName::new("test/functions").unwrap()
}

/// Code and effect of an error, and that it does not show the token.
#[track_caller]
pub(crate) fn code(error: &Error) -> (&str, Effect) {
    let shown = format!("{error} {error:?} {:?}", error.to_failure());
    assert!(!shown.contains("CANARY"), "{shown}");
    (error.code().as_str(), error.effect())
}
