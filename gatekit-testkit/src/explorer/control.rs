//! What the ledger and the stages of a path share: the script, the trace, and what was seen to be
//! wrong on the way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatekit_core::ledger::{Body, Hold};
use gatekit_core::testing::Call;
use gatekit_core::{Fence, Interrupter, StageId, TargetName};
use serde_json::Value;
use tokio::sync::Notify;

use super::scene::World;
use super::script::{Fault, Kind, Op, Script, Site};
use super::sites::{Class, Passed};

/// The state of one path.
#[derive(Debug)]
pub(crate) struct Control {
    world: Arc<dyn World>,
    target: TargetName,
    /// The deploys that have no way back.
    one_way: Vec<StageId>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    script: Script,
    /// How long the trace was when each fault of the script fired.
    fired: Vec<usize>,
    /// `None` once the path is over, and only its end is looked at.
    trace: Option<Vec<Passed>>,
    appends: usize,
    ops: BTreeMap<Op, usize>,
    calls: BTreeMap<(StageId, Call), usize>,
    processes: Vec<Process>,
    /// The newest fence that was granted to anybody.
    newest: Fence,
    writes_seen: usize,
    /// The permits that were given and not used yet.
    permits: BTreeMap<(StageId, Fence), usize>,
    /// The change under way of each stage, by its write-ahead entry, and its newest receipt.
    applying: BTreeMap<StageId, (Value, Option<Value>)>,
    rolling_back: BTreeMap<StageId, (Value, Option<Value>)>,
    /// How many writes there were when a call began.
    begun: BTreeMap<(StageId, Call), usize>,
    /// Somebody else has released, and nobody has looked there since.
    unseen: bool,
    wrong: Vec<String>,
}

/// A process of the path.
#[derive(Debug, Default)]
struct Process {
    interrupter: Option<Interrupter>,
    /// It is cut off from its ledger.
    dead: bool,
    /// It was told that its lock is lost.
    lost: bool,
    let_go: bool,
    /// It is stopped, or was: it is no part of the path any more, only a danger to it.
    frozen: bool,
}

impl Control {
    pub(crate) fn new(
        world: Arc<dyn World>,
        target: TargetName,
        one_way: Vec<StageId>,
        script: Script,
    ) -> Self {
        let state = State {
            script,
            fired: Vec::new(),
            trace: Some(Vec::new()),
            appends: 0,
            ops: BTreeMap::new(),
            calls: BTreeMap::new(),
            processes: Vec::new(),
            newest: Fence::default(),
            writes_seen: 0,
            permits: BTreeMap::new(),
            applying: BTreeMap::new(),
            rolling_back: BTreeMap::new(),
            begun: BTreeMap::new(),
            unseen: false,
            wrong: Vec::new(),
        };
        Self { world, target, one_way, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn world(&self) -> &Arc<dyn World> {
        &self.world
    }

    /// What came before the explored run is done, under fences up to this one.
    pub(crate) fn prepared(&self, newest: Fence) {
        let mut state = self.lock();
        state.newest = newest;
        state.writes_seen = self.world.writes(0).len();
    }

    /// Another process begins.
    pub(crate) fn begin(self: &Arc<Self>) -> Actor {
        let mut state = self.lock();
        state.processes.push(Process::default());
        let number = state.processes.len() - 1;
        Actor { control: Arc::clone(self), number, froze: Arc::default(), thaws: Arc::default() }
    }

    /// Somebody else releases.
    pub(crate) fn intrude(&self) {
        self.world.intrude();
        self.lock().unseen = true;
    }

    /// Whether somebody else has released, and no stage was located since that shows it.
    pub(crate) fn is_unseen(&self) -> bool {
        self.lock().unseen
    }

    /// The path is over: what follows is neither recorded nor made to fail.
    pub(crate) fn stop_recording(&self) -> Vec<Passed> {
        self.lock().trace.take().unwrap_or_default()
    }

    /// How long the trace was when each fault fired.
    pub(crate) fn fired(&self) -> Vec<usize> {
        self.lock().fired.clone()
    }

    pub(crate) fn wrong(&self, what: impl Into<String>) {
        self.lock().wrong.push(what.into());
    }

    pub(crate) fn take_wrong(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().wrong)
    }

    /// The state, for a process that is a part of the path and has a ledger.
    fn acting(&self, number: usize) -> Option<MutexGuard<'_, State>> {
        let state = self.lock();
        let frozen = state.processes.get(number).is_none_or(|process| process.frozen);
        (!frozen).then_some(state)
    }

    /// A fence was granted.
    pub(crate) fn granted(&self, hold: &Hold) {
        // What is locked along has fences of its own.
        let Some(fence) = hold.fence_of(&self.target) else { return };
        let mut state = self.lock();
        state.newest = state.newest.max(fence);
    }

    /// An entry is durable; `heard` when the process knows.
    pub(crate) fn appended(&self, body: &Body, fence: Option<Fence>, heard: bool) {
        let mut state = self.lock();
        match body {
            Body::Settled { stage, .. } if self.world.is_foreign(stage) => {
                let wrong = format!("`{stage}` is settled, and somebody else's release is live");
                state.wrong.push(wrong);
            }
            Body::Applying { stage, change } => {
                state.applying.insert(stage.clone(), (change.clone(), None));
            }
            Body::Checkpoint { stage, receipt } | Body::Applied { stage, receipt } => {
                if let Some((_, known)) = state.applying.get_mut(stage) {
                    *known = Some(receipt.clone());
                }
            }
            Body::RollingBack { stage, change, receipt, .. } => {
                state.rolling_back.insert(stage.clone(), (change.clone(), receipt.clone()));
            }
            Body::Calling { stage, .. } if heard => {
                let key = (stage.clone(), fence.unwrap_or_default());
                *state.permits.entry(key).or_default() += 1;
            }
            _ => {}
        }
    }
}

/// A process of a path, as its ledger and its stages know it.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(crate) control: Arc<Control>,
    pub(crate) number: usize,
    froze: Arc<Notify>,
    thaws: Arc<Notify>,
}

impl Actor {
    fn of<T>(&self, work: impl FnOnce(&mut Process) -> T) -> Option<T> {
        self.control.lock().processes.get_mut(self.number).map(work)
    }

    /// By whom it can be interrupted.
    pub(crate) fn runs(&self, interrupter: Interrupter) {
        self.of(|process| process.interrupter = Some(interrupter));
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.of(|process| process.dead) == Some(true)
    }

    pub(crate) fn die(&self) {
        self.of(|process| process.dead = true);
    }

    pub(crate) fn has_let_go(&self) -> bool {
        self.of(|process| process.let_go) == Some(true)
    }

    /// It was told that its lock is lost.
    pub(crate) fn hears_of_loss(&self) {
        self.of(|process| process.lost = true);
    }

    pub(crate) fn interrupt(&self, times: usize) {
        self.of(|process| {
            process.let_go |= times > 1;
            if let Some(interrupter) = &process.interrupter {
                (0..times).for_each(|_| interrupter.interrupt());
            }
        });
    }

    /// Is stopped here, until it is let go on.
    pub(crate) async fn freeze(&self) {
        self.of(|process| process.frozen = true);
        self.froze.notify_one();
        self.thaws.notified().await;
    }

    /// Waits until it is stopped.
    pub(crate) async fn frozen(&self) {
        self.froze.notified().await;
    }

    /// Goes on, if it is stopped.
    pub(crate) fn thaw(&self) {
        self.thaws.notify_one();
    }

    pub(crate) fn append(&self, body: &Body, held: bool) -> Option<Kind> {
        let mut state = self.control.acting(self.number)?;
        state.appends += 1;
        let site = Site::Append { nth: state.appends, kind: body.kind().to_owned() };
        let class = match body {
            Body::Calling { .. } => Class::Permit,
            _ if held => Class::HeldAppend,
            _ => Class::OpenAppend,
        };
        state.pass(self.number, site, class)
    }

    pub(crate) fn op(&self, op: Op) -> Option<Kind> {
        let mut state = self.control.acting(self.number)?;
        let count = state.ops.entry(op).or_default();
        *count += 1;
        let nth = *count;
        let class = if op.writes() { Class::LedgerWrite } else { Class::LedgerRead };
        state.pass(self.number, Site::Ledger { op, nth }, class)
    }

    /// A call of a stage begins.
    pub(crate) fn call(
        &self,
        stage: &StageId,
        call: Call,
        change: Option<&Value>,
        receipt: Option<&Value>,
    ) -> Option<Kind> {
        let mut state = self.control.acting(self.number)?;
        let key = (stage.clone(), call);
        let count = state.calls.entry(key.clone()).or_default();
        *count += 1;
        let nth = *count;
        let site = Site::Call { call, stage: stage.clone(), nth };
        if call.writes() {
            let journalled = match call {
                Call::RollBack => state.rolling_back.get(stage),
                _ => state.applying.get(stage),
            };
            let (wanted, known) = journalled
                .map_or((None, None), |(change, receipt)| (Some(change), receipt.as_ref()));
            // What is tried again after a recovery may go on from an older receipt.
            if change != wanted || (known.is_some() && receipt != known) {
                let wrong =
                    format!("{site} is about {change:?} {receipt:?}, and not {journalled:?}");
                state.wrong.push(wrong);
            }
            if state.processes.get(self.number).is_some_and(|it| it.dead || it.lost) {
                state.wrong.push(format!("{site} although the lock is lost"));
            }
        }
        if call == Call::RollBack {
            if self.control.one_way.contains(stage) {
                state.wrong.push(format!("{site} although it has no way back"));
            }
            if self.control.world.is_foreign(stage) {
                state.wrong.push(format!("{site} although somebody else's release is live"));
            }
        }
        let writes = state.writes_seen;
        state.begun.insert(key, writes);
        let class = if call.writes() { Class::WritingCall } else { Class::ReadingCall };
        state.pass(self.number, site, class)
    }

    /// A call of a stage has ended.
    pub(crate) fn called(&self, stage: &StageId, call: Call) {
        self.look();
        let Some(mut state) = self.control.acting(self.number) else { return };
        if call == Call::Locate && self.control.world.is_foreign(stage) {
            state.unseen = false;
        }
        let before = state.begun.remove(&(stage.clone(), call));
        if !call.writes() && before.is_some_and(|before| before != state.writes_seen) {
            state.wrong.push(format!("`{stage}` wrote in the course of `{call}`"));
        }
    }

    /// Looks at what was written since somebody looked last: before anything else may happen.
    pub(crate) fn look(&self) {
        let mut state = self.control.lock();
        let process = state.processes.get(self.number);
        let dead = process.is_some_and(|process| process.dead);
        // A write that was permitted may come late, until the resource shuts it out: what counts is
        // whether what was said since stays true.
        let late = process.is_some_and(|process| process.frozen);
        for write in self.control.world.writes(state.writes_seen) {
            state.writes_seen += 1;
            let what = format!("write `{}` of `{}`", write.what, write.stage);
            if let Some(wrong) = write.wrong {
                state.wrong.push(format!("{what}: {wrong}"));
            }
            if dead {
                state.wrong.push(format!("{what} of a process without a ledger"));
            }
            // Where the world is told no fence, the newest permit of the stage is taken.
            let newest = state.newest;
            let fence = write.fence.unwrap_or(newest);
            if fence != newest && !late {
                state.wrong.push(format!("{what} under fence {fence}, the newest is {newest}"));
            }
            match state.permits.get_mut(&(write.stage, fence)) {
                Some(left) if *left > 0 => *left -= 1,
                _ => state.wrong.push(format!("{what} under fence {fence} is not in the journal")),
            }
        }
    }
}

impl State {
    /// Records a site, and tells what goes wrong there.
    fn pass(&mut self, number: usize, site: Site, class: Class) -> Option<Kind> {
        let trace = self.trace.as_mut()?;
        if self.processes.get(number).is_some_and(|process| process.dead) {
            return None;
        }
        trace.push(Passed { site, class });
        let (site, reached) = (&trace.last()?.site, trace.len());
        let Fault { kind, site: next } = self.script.0.get(self.fired.len())?;
        if next != site {
            return None;
        }
        let kind = *kind;
        self.fired.push(reached);
        Some(kind)
    }
}
