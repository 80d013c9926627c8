//! The model: processes that do whatever they may, at any time, in any order.

use std::time::Duration;

use stateright::{Model, Property};

use super::super::target::{Target, World};
use super::canonical::{NEWEST, NOW, OVERTAKEN, TICK, canonical, tick};
use super::check;
use super::ghost::{Broken, Ghost};
use crate::error::Result;
use crate::id::{ClaimId, Fence, RunId, StageId, TargetName};
use crate::ledger::{Acquired, Body, Claim, Entry, Guard, Hold, Record};
use crate::outcome::Outcome;
use crate::process::ProcessIdentity;
use crate::time::Timestamp;

/// Some processes of some runs.
pub(super) struct Processes {
    target: TargetName,
    at: Timestamp,
    /// The claim of each process.
    claims: Vec<Claim>,
    /// The run of each process, from 0.
    pub(super) runs: Vec<usize>,
    ids: Vec<RunId>,
    /// Somebody who only writes what needs no lock.
    stranger: RunId,
    /// How many processes may die, and be proven dead.
    deaths: usize,
}

/// A target, and what each process knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scene {
    pub(super) target: Target,
    pub(super) processes: Vec<Process>,
    pub(super) ghost: Ghost,
    pub(super) broken: Option<Broken>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Process {
    /// The last fence it was told of.
    pub(super) fence: Option<Fence>,
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
    /// The run gives its place in the queue up: superseded, or parked for later.
    Leave(usize),
    /// Somebody else's entry, which needs no lock.
    Note,
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
        let target = TargetName::new("t").unwrap();
        let ids: Vec<RunId> = runs.iter().map(|_| RunId::generate()).collect();
        let claim = |(number, &run): (usize, &usize)| {
            let mut claim = Claim::new(target.clone(), ids[run], "");
            claim.id = ClaimId::generate();
            claim.process = ProcessIdentity {
                boot: String::new(),
                namespace: String::new(),
                pid: u32::try_from(number).unwrap(),
                started: None,
            };
            claim
        };
        let claims = runs.iter().enumerate().map(claim).collect();
        let (at, stranger) = (Timestamp::now(), RunId::generate());
        Self { target, at, claims, runs: runs.to_vec(), ids, stranger, deaths }
    }

    /// The id of a run.
    pub(super) fn id(&self, run: usize) -> RunId {
        self.ids[run]
    }

    /// Calls the machine in a world where these processes are alive or dead.
    pub(super) fn call<T>(&self, processes: &[Process], work: impl FnOnce(&World<'_>) -> T) -> T {
        let dead = |process: &ProcessIdentity| processes[process.pid as usize].dead;
        work(&World { now: NOW, at: self.at, dead: &dead })
    }

    /// Appends an entry of that process under the hold that it remembers.
    pub(super) fn append(&self, scene: &mut Scene, process: usize, body: Body) -> Result<Record> {
        let (run, fence) = (self.claims[process].run, scene.processes[process].fence);
        let guard = fence.map_or(Guard::Open, |fence| Guard::Holder {
            run,
            fence,
            lease_left: Duration::ZERO,
        });
        let mut entry = Entry::new(self.target.clone(), run, "", fence, body);
        entry.at = self.at;
        let Scene { target, processes, .. } = scene;
        self.call(processes, |world| target.append(world, &self.target, &entry, guard))
    }

    /// The hold that the process remembers.
    pub(super) fn hold(&self, scene: &Scene, process: usize) -> Option<Hold> {
        let fence = scene.processes[process].fence?;
        Some(Hold::new(self.target.clone(), self.claims[process].run, fence, TICK))
    }

    pub(super) fn acquire(&self, scene: &mut Scene, process: usize) -> Result<Acquired> {
        let Scene { target, processes, .. } = scene;
        self.call(processes, |world| target.acquire(world, &self.claims[process], TICK))
    }

    pub(super) fn take_over(&self, scene: &mut Scene, process: usize) -> Result<Hold> {
        let Scene { target, processes, .. } = scene;
        self.call(processes, |world| target.take_over(world, &self.claims[process], TICK))
    }

    /// An entry of somebody who has nothing to do with the runs, and needs no lock.
    fn note(&self, scene: &mut Scene) -> Result<Record> {
        let mut entry =
            Entry::new(self.target.clone(), self.stranger, "", None, Body::Queued { ticket: 1 });
        entry.at = self.at;
        let Scene { target, processes, .. } = scene;
        self.call(processes, |world| target.append(world, &self.target, &entry, Guard::Open))
    }

    fn perform(&self, scene: &mut Scene, action: Action) {
        let before = scene.target.lock.fence;
        match action {
            Action::Tick => {
                tick(&mut scene.target);
                scene.ghost.tick();
            }
            Action::Die(process) => scene.processes[process] = Process { fence: None, dead: true },
            Action::Enqueue(process) => {
                let claim = &self.claims[process];
                let Scene { target, processes, ghost, .. } = scene;
                let ticket = self.call(processes, |world| target.enqueue(world, claim));
                // A claim that was granted is told the ticket it used.
                if target.queue.places.contains_key(&ticket) {
                    ghost.hear(self.runs[process], process);
                }
            }
            Action::Acquire(process) | Action::AcquireUnheard(process) => {
                let answer = self.acquire(scene, process);
                let heard = action == Action::Acquire(process);
                match answer {
                    Ok(Acquired::Granted(hold)) => {
                        let told = Told { how: Enter::Granted, before, fence: hold.fence, heard };
                        self.enter(scene, process, told);
                    }
                    // The claim that holds the lock is given the same hold again.
                    _ if scene.ghost.at_work(|_| false) == Some(process) => {
                        scene.broken = Some(Broken::Robbed);
                    }
                    Ok(answer) => {
                        let run = self.runs[process];
                        let Scene { processes, ghost, .. } = &mut *scene;
                        ghost.hear(run, process);
                        let waits = matches!(answer, Acquired::Waiting { .. });
                        let dead = |number: usize| processes[number].dead;
                        if waits && ghost.is_free(dead) && ghost.is_first(run, dead) {
                            scene.broken = Some(Broken::Ignored);
                        }
                    }
                    Err(_) => {}
                }
            }
            Action::TakeOver(process) | Action::TakeOverUnheard(process) => {
                let heard = action == Action::TakeOver(process);
                if let Ok(hold) = self.take_over(scene, process) {
                    let told = Told { how: Enter::TookOver, before, fence: hold.fence, heard };
                    self.enter(scene, process, told);
                }
            }
            Action::Renew(process) => {
                let Some(hold) = self.hold(scene, process) else { return };
                let Scene { target, processes, .. } = &mut *scene;
                let answer = self.call(processes, |world| target.renew(world, &hold));
                if Self::holds(scene, process, before, answer.is_ok()) {
                    scene.ghost.lasts = true;
                }
            }
            Action::Release(process) => {
                let Some(hold) = self.hold(scene, process) else { return };
                let answer = scene.target.release(&hold);
                // What was touched is not released.
                if answer.is_ok()
                    && Self::holds(scene, process, before, answer.is_ok_and(|freed| freed))
                {
                    scene.ghost.end();
                }
            }
            Action::Append(process, kind) => {
                let answer = self.append(scene, process, body(kind));
                if Self::holds(scene, process, before, answer.is_ok()) {
                    match kind {
                        Kind::Applying => scene.ghost.touched = Some(self.runs[process]),
                        Kind::Left => scene.ghost.end(),
                        Kind::Closed => {
                            scene.ghost.end();
                            scene.ghost.touched = None;
                        }
                    }
                }
            }
            Action::Leave(process) => {
                scene.target.leave(self.claims[process].run);
                scene.ghost.leave(self.runs[process]);
            }
            Action::Note => drop(self.note(scene)),
        }
    }

    /// A process was given the target, or is told again that it has it.
    fn enter(&self, scene: &mut Scene, process: usize, told: Told) {
        let run = self.runs[process];
        let Told { how, before, fence, heard } = told;
        let Scene { processes, ghost, .. } = &*scene;
        let again = ghost.holder == Some(process) && fence == before;
        scene.broken = if again {
            None
        } else if ghost.at_work(|other| processes[other].dead).is_some() {
            Some(Broken::TwoHolders)
        } else if how == Enter::Granted && ghost.touched.is_some() {
            Some(Broken::OverSuspect)
        } else if how == Enter::TookOver && ghost.touched != Some(run) {
            Some(Broken::StrangeHeir)
        } else if fence <= before {
            Some(Broken::FenceBack)
        } else if how == Enter::Granted && !ghost.is_first(run, |other| processes[other].dead) {
            Some(Broken::OutOfTurn)
        } else {
            None
        };
        if again {
            scene.ghost.lasts = true;
        } else {
            scene.ghost.enter(run, process);
        }
        if heard {
            scene.processes[process].fence = Some(fence);
        }
    }

    /// Whether a call under the hold that the process remembers was accepted, and rightly so.
    fn holds(scene: &mut Scene, process: usize, before: Fence, accepted: bool) -> bool {
        let newest = scene.processes[process].fence == Some(before);
        let own = newest && scene.ghost.holder == Some(process);
        if accepted && !own {
            scene.broken = Some(Broken::Zombie);
        } else if !accepted && own && scene.ghost.lasts {
            scene.broken = Some(Broken::Robbed);
        }
        accepted
    }
}

/// What a process was told of its hold.
struct Told {
    how: Enter,
    /// The newest fence until then.
    before: Fence,
    fence: Fence,
    /// Whether it got the answer.
    heard: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Enter {
    Granted,
    TookOver,
}

impl Model for Processes {
    type State = Scene;
    type Action = Action;

    fn init_states(&self) -> Vec<Scene> {
        let mut scene = Scene {
            target: Target::default(),
            processes: vec![Process::default(); self.claims.len()],
            ghost: Ghost::default(),
            broken: None,
        };
        canonical(&mut scene.target);
        vec![scene]
    }

    fn actions(&self, scene: &Scene, actions: &mut Vec<Action>) {
        if scene.broken.is_some() {
            return;
        }
        actions.extend([Action::Tick, Action::Note]);
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
            if process.fence.is_some() {
                actions.extend([Action::Renew(number), Action::Release(number)]);
                let kinds = [Kind::Applying, Kind::Closed, Kind::Left];
                actions.extend(kinds.map(|kind| Action::Append(number, kind)));
            }
            if deaths < self.deaths {
                actions.push(Action::Die(number));
            }
        }
    }

    fn next_state(&self, scene: &Scene, action: Action) -> Option<Scene> {
        let mut next = scene.clone();
        self.perform(&mut next, action);
        let newest = next.target.lock.fence;
        if newest < scene.target.lock.fence {
            next.broken = Some(Broken::FenceBack);
        }
        for process in &mut next.processes {
            let number = |fence| if fence == newest { NEWEST } else { OVERTAKEN };
            process.fence = process.fence.map(number);
        }
        canonical(&mut next.target);
        (next != *scene).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        check::properties(self.deaths)
    }
}

pub(super) fn body(kind: Kind) -> Body {
    match kind {
        Kind::Applying => Body::Applying { stage: StageId::new("s").unwrap(), change: 0.into() },
        Kind::Closed => Body::Closed { outcome: Outcome::Released, failure: None, live: None },
        Kind::Left => Body::Left { why: String::new() },
    }
}
