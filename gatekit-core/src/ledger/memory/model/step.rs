//! One step of the model: what a process does, what it is answered, and whether that may be.

use std::collections::BTreeMap;

use super::canonical::tick;
use super::ghost::{Broken, Ghost};
use super::processes::{Action, Kind, Process, Processes, Scene, TARGETS, body};
use crate::id::Fence;
use crate::ledger::{Acquired, Claim, Hold};

impl Processes {
    pub(super) fn perform(&self, scene: &mut Scene, action: Action) {
        let before = self.fences(scene);
        match action {
            Action::Tick => {
                tick(&mut scene.targets);
                scene.ghosts.iter_mut().for_each(Ghost::tick);
            }
            Action::Die(process) => {
                scene.processes[process] = Process { dead: true, ..Process::default() };
            }
            Action::Enqueue(process) => {
                let claim = &self.claims[process];
                let Scene { targets, processes, .. } = &mut *scene;
                let ticket = self.call(processes, |world| targets.enqueue(world, claim));
                // A claim that was granted is told the ticket it used.
                let queue = &targets.get(&claim.target).unwrap().queue;
                if queue.places.contains_key(&ticket) {
                    self.hear(scene, process);
                }
            }
            Action::Acquire(process) | Action::AcquireUnheard(process) => {
                let answer = self.acquire(scene, process);
                let heard = action == Action::Acquire(process);
                match answer {
                    Ok(Acquired::Granted(hold)) => {
                        self.enter(
                            scene,
                            process,
                            &Told { how: Enter::Granted, before, hold, heard },
                        );
                    }
                    // The claim that holds the lock is given the same hold again.
                    _ if self.leads(scene, process) => scene.broken = Some(Broken::Robbed),
                    Ok(answer) => {
                        self.hear(scene, process);
                        let waits = matches!(answer, Acquired::Waiting { .. });
                        let dead = |number: usize| scene.processes[number].dead;
                        let its_turn = |target: usize| {
                            let ghost = &scene.ghosts[target];
                            ghost.is_free(dead) && ghost.is_first(self.runs[process], dead)
                        };
                        if waits && self.wants(process).all(its_turn) {
                            scene.broken = Some(Broken::Ignored);
                        }
                    }
                    Err(_) => {}
                }
            }
            Action::TakeOver(process) | Action::TakeOverUnheard(process) => {
                let heard = action == Action::TakeOver(process);
                match self.take_over(scene, process) {
                    Ok(hold) => {
                        self.enter(
                            scene,
                            process,
                            &Told { how: Enter::TookOver, before, hold, heard },
                        );
                    }
                    // The claim that took it over is given the same hold again.
                    Err(_)
                        if scene.ghosts[self.leading(process)].resumed
                            && self.leads(scene, process) =>
                    {
                        scene.broken = Some(Broken::Robbed);
                    }
                    Err(_) => {}
                }
            }
            Action::Renew(process) => {
                let Some(hold) = self.hold(scene, process) else { return };
                let Scene { targets, processes, .. } = &mut *scene;
                let answer = self.call(processes, |world| targets.renew(world, &hold));
                let target = self.leading(process);
                if Self::holds(scene, process, target, before, answer.is_ok()) {
                    for ghost in Self::held(scene, process) {
                        ghost.lasts = true;
                    }
                }
            }
            Action::Release(process) => {
                let Some(hold) = self.hold(scene, process) else { return };
                let answer = scene.targets.release(&hold);
                let target = self.leading(process);
                // What was touched is not released.
                if answer.is_ok()
                    && Self::holds(scene, process, target, before, answer.is_ok_and(|freed| freed))
                {
                    Self::held(scene, process).for_each(Ghost::end);
                }
            }
            Action::Append(process, kind) => {
                let answer = self.append(scene, process, body(kind));
                let target = self.leading(process);
                if Self::holds(scene, process, target, before, answer.is_ok()) {
                    let run = self.runs[process];
                    for ghost in Self::held(scene, process) {
                        match kind {
                            Kind::Applying => ghost.touched = Some(run),
                            Kind::Left => ghost.end(),
                            Kind::Closed => {
                                ghost.end();
                                ghost.touched = None;
                            }
                        }
                    }
                }
            }
            Action::Point(process, target) => {
                let answer = self.point(scene, process, target);
                Self::holds(scene, process, target, before, answer.is_ok());
            }
            Action::Leave(process) => {
                let Claim { target, run, .. } = &self.claims[process];
                scene.targets.leave(target, *run);
                for ghost in &mut scene.ghosts {
                    ghost.leave(self.runs[process]);
                }
            }
            Action::Note(target) => drop(self.note(scene, target)),
        }
    }

    /// The run of the process waits for what that claims; for nothing else any more.
    fn hear(&self, scene: &mut Scene, process: usize) {
        let run = self.runs[process];
        let stands = |target: &usize| scene.ghosts[*target].waits(run);
        let stands: Vec<usize> = (0..TARGETS).filter(stands).collect();
        let mut wants: Vec<usize> = self.wants(process).collect();
        wants.sort_unstable();
        for (target, ghost) in scene.ghosts.iter_mut().enumerate() {
            if stands != wants {
                ghost.leave(run);
            }
            if wants.contains(&target) {
                ghost.hear(run, process);
            }
        }
    }

    /// Whether the process holds its leading target, and its lease lasts.
    fn leads(&self, scene: &Scene, process: usize) -> bool {
        scene.ghosts[self.leading(process)].at_work(|_| false) == Some(process)
    }

    /// What the process holds.
    fn held(scene: &mut Scene, process: usize) -> impl Iterator<Item = &mut Ghost> {
        scene.ghosts.iter_mut().filter(move |ghost| ghost.holder == Some(process))
    }

    /// A process was given its targets, or is told again that it has them.
    fn enter(&self, scene: &mut Scene, process: usize, told: &Told) {
        let (run, leading) = (self.runs[process], self.leading(process));
        let Told { how, before, hold, heard } = told;
        let (granted, taken) = (*how == Enter::Granted, *how == Enter::TookOver);
        let given: BTreeMap<usize, Fence> = std::iter::once((leading, hold.fence))
            .chain(hold.also.iter().map(|(name, fence)| (self.target(name), *fence)))
            .collect();
        let mut expected: Vec<usize> = if granted {
            self.wants(process).collect()
        } else {
            (0..TARGETS).filter(|&target| scene.ghosts[target].touched == Some(run)).collect()
        };
        expected.sort_unstable();
        let journalled = |target: usize| {
            let kept = scene.targets.get(&self.names[target]);
            kept.map_or(0, |kept| kept.journal.len())
        };
        let (processes, ghosts) = (&scene.processes, &scene.ghosts);
        let dead = |other: usize| processes[other].dead;
        let any = |broken: &dyn Fn(usize) -> bool| given.keys().any(|&target| broken(target));
        let again = ghosts[leading].holder == Some(process) && hold.fence == before[leading];
        let entries = usize::from(taken && !again);
        scene.broken = if journalled(leading) != entries || journalled(1 - leading) != 0 {
            Some(Broken::Unjournalled)
        } else if again {
            let held = |target: usize| ghosts[target].holder == Some(process);
            let same =
                |(&target, fence): (&usize, &Fence)| held(target) && *fence == before[target];
            let all = (0..TARGETS).filter(|&target| held(target)).count() == given.len();
            (!(all && given.iter().all(same))).then_some(Broken::InPart)
        } else if any(&|target| ghosts[target].at_work(dead).is_some()) {
            Some(Broken::TwoHolders)
        } else if granted && any(&|target| ghosts[target].touched.is_some()) {
            Some(Broken::OverSuspect)
        } else if taken && ghosts[leading].touched != Some(run) {
            Some(Broken::StrangeHeir)
        } else if !given.keys().eq(&expected) {
            Some(Broken::InPart)
        } else if given.iter().any(|(&target, fence)| *fence <= before[target]) {
            Some(Broken::FenceBack)
        } else if granted && any(&|target| !ghosts[target].is_first(run, dead)) {
            Some(Broken::OutOfTurn)
        } else {
            None
        };
        if again {
            for ghost in Self::held(scene, process) {
                ghost.lasts = true;
            }
        } else {
            // Whoever loses one of its targets loses them all.
            let overtaken = given.keys().filter_map(|&target| scene.ghosts[target].holder);
            let overtaken: Vec<usize> = overtaken.collect();
            for ghost in &mut scene.ghosts {
                if ghost.holder.is_some_and(|holder| overtaken.contains(&holder)) {
                    ghost.end();
                }
                ghost.leave(run);
            }
            for &target in given.keys() {
                scene.ghosts[target].enter(process, taken);
            }
        }
        if *heard {
            self.remember(scene, process, hold);
        }
    }

    /// Whether a call under what the process remembers of that target was accepted, and rightly so.
    fn holds(
        scene: &mut Scene,
        process: usize,
        target: usize,
        before: [Fence; TARGETS],
        accepted: bool,
    ) -> bool {
        let newest = scene.processes[process].fences[target] == Some(before[target]);
        let own = newest && scene.ghosts[target].holder == Some(process);
        if accepted && !own {
            scene.broken = Some(Broken::Zombie);
        } else if !accepted && own && scene.ghosts[target].lasts {
            scene.broken = Some(Broken::Robbed);
        }
        accepted
    }
}

/// What a process was told of its hold.
struct Told {
    how: Enter,
    /// The newest fences until then.
    before: [Fence; TARGETS],
    hold: Hold,
    /// Whether it got the answer.
    heard: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Enter {
    Granted,
    TookOver,
}
