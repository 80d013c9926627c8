//! The model: processes that do whatever they may, at any time, in any order.

use std::time::Duration;

use stateright::{Model, Property};

use super::super::lock::State;
use super::super::targets::Targets;
use super::super::world::World;
use super::canonical::{NEWEST, NOW, OVERTAKEN, TICK, canonical};
use super::check;
use super::ghost::{Broken, Ghost};
use crate::error::Result;
use crate::id::{ClaimId, Fence, RunId, StageId, TargetName};
use crate::ledger::{Acquired, Body, Claim, Entry, Guard, Head, Hold, Record};
use crate::outcome::Outcome;
use crate::process::ProcessIdentity;
use crate::time::Timestamp;

/// How many targets there are, at most.
pub(super) const TARGETS: usize = 2;

/// Some processes of some runs.
pub(super) struct Processes {
    pub(super) names: [TargetName; TARGETS],
    at: Timestamp,
    /// The claim of each process.
    pub(super) claims: Vec<Claim>,
    /// The targets that each process claims, the leading one first.
    wants: Vec<Vec<usize>>,
    /// The run of each process, from 0.
    pub(super) runs: Vec<usize>,
    ids: Vec<RunId>,
    /// Somebody who only writes what needs no lock.
    stranger: RunId,
    /// How many processes may die, and be proven dead.
    deaths: usize,
}

/// The targets, and what each process knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scene {
    pub(super) targets: Targets,
    pub(super) processes: Vec<Process>,
    pub(super) ghosts: [Ghost; TARGETS],
    pub(super) broken: Option<Broken>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Process {
    /// The last fence of each target that it was told of.
    pub(super) fences: [Option<Fence>; TARGETS],
    /// Proven. A process that is gone and cannot be proven dead, or that is stopped, is one that does
    /// not act (any more, or for a while): that needs no word of its own.
    pub(super) dead: bool,
}

/// What happens next. The number is that of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// Time goes by: every lease and every heartbeat lapses that is not renewed from here on.
    Tick,
    Die(usize),
    Enqueue(usize),
    /// Also when it holds the target: its answer may have been lost.
    Acquire(usize),
    /// The process does not get the answer.
    AcquireUnheard(usize),
    TakeOver(usize),
    TakeOverUnheard(usize),
    Renew(usize),
    Release(usize),
    Append(usize, Kind),
    /// An entry in the chain of that target, which is locked along.
    Point(usize, usize),
    /// The run gives its place in the queue up: superseded, or parked for later.
    Leave(usize),
    /// Somebody else's entry about that target, which needs no lock.
    Note(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Applying,
    Closed,
    Left,
}

impl Processes {
    /// One process for each of `runs`; `deaths` of them may die.
    pub(super) fn of(runs: &[usize], deaths: usize) -> Self {
        Self::wanting(runs.iter().map(|&run| (run, vec![0])), deaths)
    }

    /// Processes of runs, each with the targets it claims.
    pub(super) fn wanting(
        of: impl IntoIterator<Item = (usize, Vec<usize>)>,
        deaths: usize,
    ) -> Self {
        let (runs, wants): (Vec<usize>, Vec<Vec<usize>>) = of.into_iter().unzip();
        let names = ["a", "b"].map(|name| TargetName::new(name).unwrap());
        let ids: Vec<RunId> = runs.iter().map(|_| RunId::generate()).collect();
        let claim = |number: usize| {
            let mut wanted = wants[number].iter().map(|&target| names[target].clone());
            let mut claim = Claim::new(wanted.next().unwrap(), ids[runs[number]], "").along(wanted);
            claim.id = ClaimId::generate();
            claim.process = ProcessIdentity {
                boot: String::new(),
                namespace: String::new(),
                pid: u32::try_from(number).unwrap(),
                started: None,
            };
            claim
        };
        let claims = (0..runs.len()).map(claim).collect();
        let (at, stranger) = (Timestamp::now(), RunId::generate());
        Self { names, at, claims, wants, runs, ids, stranger, deaths }
    }

    /// The id of a run.
    pub(super) fn id(&self, run: usize) -> RunId {
        self.ids[run]
    }

    /// What the lock of a target is.
    pub(super) fn lock(&self, scene: &Scene, target: usize) -> State {
        scene.targets.lock(&self.names[target]).state
    }

    /// The targets that the process claims, the leading one first.
    pub(super) fn wants(&self, process: usize) -> impl Iterator<Item = usize> {
        self.wants[process].iter().copied()
    }

    pub(super) fn leading(&self, process: usize) -> usize {
        self.wants[process][0]
    }

    pub(super) fn target(&self, name: &TargetName) -> usize {
        self.names.iter().position(|other| other == name).unwrap()
    }

    /// Calls the machine in a world where these processes are alive or dead.
    pub(super) fn call<T>(&self, processes: &[Process], work: impl FnOnce(&World<'_>) -> T) -> T {
        let dead = |process: &ProcessIdentity| processes[process.pid as usize].dead;
        work(&World { now: NOW, at: self.at, dead: &dead })
    }

    /// Appends an entry of that process to its chain under the hold that it remembers.
    pub(super) fn append(&self, scene: &mut Scene, process: usize, body: Body) -> Result<Record> {
        self.append_to(scene, process, self.leading(process), body)
    }

    /// Appends an entry that tells where the entries of that process are, under the fence that it
    /// remembers of that target.
    pub(super) fn point(&self, scene: &mut Scene, process: usize, target: usize) -> Result<Record> {
        let with = self.claims[process].target.clone();
        let body = Body::LockedAlong { with, head: Head::genesis() };
        self.append_to(scene, process, target, body)
    }

    fn append_to(
        &self,
        scene: &mut Scene,
        process: usize,
        target: usize,
        body: Body,
    ) -> Result<Record> {
        let (run, fence) = (self.claims[process].run, scene.processes[process].fences[target]);
        let guard = fence.map_or(Guard::Open, |fence| Guard::Holder {
            run,
            fence,
            lease_left: Duration::ZERO,
        });
        let name = &self.names[target];
        let mut entry = Entry::new(name.clone(), run, "", fence, body);
        entry.at = self.at;
        let Scene { targets, processes, .. } = scene;
        self.call(processes, |world| targets.append(world, name, &entry, guard))
    }

    /// The hold that the process remembers.
    pub(super) fn hold(&self, scene: &Scene, process: usize) -> Option<Hold> {
        let Claim { target, run, .. } = &self.claims[process];
        let fence = scene.processes[process].fences[self.leading(process)]?;
        Some(Hold::new(target.clone(), *run, fence, TICK))
    }

    pub(super) fn acquire(&self, scene: &mut Scene, process: usize) -> Result<Acquired> {
        let Scene { targets, processes, .. } = scene;
        self.call(processes, |world| targets.acquire(world, &self.claims[process], TICK))
    }

    pub(super) fn take_over(&self, scene: &mut Scene, process: usize) -> Result<Hold> {
        let Scene { targets, processes, .. } = scene;
        self.call(processes, |world| targets.take_over(world, &self.claims[process], TICK))
    }

    /// An entry of somebody who has nothing to do with the runs, and needs no lock.
    pub(super) fn note(&self, scene: &mut Scene, target: usize) -> Result<Record> {
        let name = &self.names[target];
        let mut entry =
            Entry::new(name.clone(), self.stranger, "", None, Body::Queued { ticket: 1 });
        entry.at = self.at;
        let Scene { targets, processes, .. } = scene;
        self.call(processes, |world| targets.append(world, name, &entry, Guard::Open))
    }

    /// The newest fence of each target.
    pub(super) fn fences(&self, scene: &Scene) -> [Fence; TARGETS] {
        let newest = |name| scene.targets.get(name).map(|target| target.lock.fence);
        self.names.each_ref().map(|name| newest(name).unwrap_or_default())
    }

    /// The process knows of the fences of a hold.
    pub(super) fn remember(&self, scene: &mut Scene, process: usize, hold: &Hold) {
        for (target, name) in self.names.iter().enumerate() {
            if let Some(fence) = hold.fence_of(name) {
                scene.processes[process].fences[target] = Some(fence);
            }
        }
    }
}

impl Model for Processes {
    type State = Scene;
    type Action = Action;

    fn init_states(&self) -> Vec<Scene> {
        let mut targets = Targets::default();
        for name in &self.names {
            targets.0.entry(name.clone()).or_default();
        }
        canonical(&mut targets);
        vec![Scene {
            targets,
            processes: vec![Process::default(); self.claims.len()],
            ghosts: std::array::from_fn(|_| Ghost::default()),
            broken: None,
        }]
    }

    fn actions(&self, scene: &Scene, actions: &mut Vec<Action>) {
        if scene.broken.is_some() {
            return;
        }
        actions.push(Action::Tick);
        actions.extend((0..TARGETS).map(Action::Note));
        let deaths = scene.processes.iter().filter(|process| process.dead).count();
        let living = scene.processes.iter().enumerate().filter(|(_, process)| !process.dead);
        for (number, process) in living {
            actions.extend([
                Action::Enqueue(number),
                Action::Acquire(number),
                Action::AcquireUnheard(number),
                Action::TakeOver(number),
                Action::TakeOverUnheard(number),
                Action::Leave(number),
            ]);
            let leading = self.leading(number);
            if process.fences[leading].is_some() {
                actions.extend([Action::Renew(number), Action::Release(number)]);
                let kinds = [Kind::Applying, Kind::Closed, Kind::Left];
                actions.extend(kinds.map(|kind| Action::Append(number, kind)));
            }
            let others = (0..TARGETS).filter(|&target| target != leading);
            let known = others.filter(|&target| process.fences[target].is_some());
            actions.extend(known.map(|target| Action::Point(number, target)));
            if deaths < self.deaths {
                actions.push(Action::Die(number));
            }
        }
    }

    fn next_state(&self, scene: &Scene, action: Action) -> Option<Scene> {
        let mut next = scene.clone();
        self.perform(&mut next, action);
        let (before, newest) = (self.fences(scene), self.fences(&next));
        if (0..TARGETS).any(|target| newest[target] < before[target]) {
            next.broken = Some(Broken::FenceBack);
        }
        for process in &mut next.processes {
            for (fence, newest) in process.fences.iter_mut().zip(newest) {
                let number = |fence| if fence == newest { NEWEST } else { OVERTAKEN };
                *fence = fence.map(number);
            }
        }
        canonical(&mut next.targets);
        (next != *scene).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        check::properties(self.deaths, self.wants.iter().any(|wants| wants.len() > 1))
    }
}

pub(super) fn body(kind: Kind) -> Body {
    match kind {
        Kind::Applying => Body::Applying { stage: StageId::new("s").unwrap(), change: 0.into() },
        Kind::Closed => Body::Closed { outcome: Outcome::Released, failure: None, live: None },
        Kind::Left => Body::Left { why: String::new() },
    }
}
