//! What holds in every state, and what must be reachable so that it was worth looking.

use stateright::{Checker as _, Expectation, Model as _, Property};

use super::super::lock::State;
use super::canonical::{NEWEST, OVERTAKEN, tick};
use super::ghost::Broken;
use super::processes::{Kind, Processes, Scene, TARGETS, body};
use crate::ledger::Acquired;

/// A property, and whether it holds in a state.
type Holds = fn(&Processes, &Scene) -> bool;

const ALWAYS: [(&str, Holds); 13] = [
    ("one holder at a time", |_, scene| scene.broken != Some(Broken::TwoHolders)),
    ("no grant over a suspect target", |_, scene| scene.broken != Some(Broken::OverSuspect)),
    ("taken over by its own run alone", |_, scene| scene.broken != Some(Broken::StrangeHeir)),
    ("fences strictly increase", |_, scene| scene.broken != Some(Broken::FenceBack)),
    ("first come, first served", |_, scene| scene.broken != Some(Broken::OutOfTurn)),
    ("no call under an overtaken fence", |_, scene| scene.broken != Some(Broken::Zombie)),
    ("nobody loses a lease that lasts", |_, scene| scene.broken != Some(Broken::Robbed)),
    ("a free target is granted", |_, scene| scene.broken != Some(Broken::Ignored)),
    ("all of a claim or nothing", |_, scene| scene.broken != Some(Broken::InPart)),
    ("a take-over is journalled", |_, scene| scene.broken != Some(Broken::Unjournalled)),
    ("at most one process may write", one_writes),
    ("a touched target is never lost track of", tracked),
    ("every ticket comes to its turn", every_ticket_comes_to_its_turn),
];

const SOMETIMES: [(&str, Holds); 6] = [
    ("a target is suspect", |model, scene| {
        somewhere(|target| matches!(model.lock(scene, target), State::Suspect(_)))
    }),
    ("a run is taken over", |model, scene| {
        somewhere(|target| match model.lock(scene, target) {
            State::Mutating(tenure) => tenure.ticket.is_none(),
            _ => false,
        })
    }),
    ("an answer is lost", |_, scene| {
        somewhere(|target| {
            let holder = scene.ghosts[target].holder.map(|holder| scene.processes[holder]);
            holder.is_some_and(|process| !process.dead && process.fences[target] != Some(NEWEST))
        })
    }),
    ("a zombie comes back", |_, scene| {
        somewhere(|target| {
            let mut processes = scene.processes.iter();
            scene.ghosts[target].lasts
                && processes.any(|process| process.fences[target] == Some(OVERTAKEN))
        })
    }),
    ("a lapse is not recorded yet", |model, scene| {
        somewhere(|target| {
            let mutating = matches!(model.lock(scene, target), State::Mutating(_));
            mutating && !scene.ghosts[target].lasts
        })
    }),
    ("a silent waiter is skipped", |model, scene| {
        somewhere(|target| {
            let first = scene.ghosts[target].waiting.first();
            first.is_some_and(|first| !first.heard) && another_is_granted(model, scene, target)
        })
    }),
];

/// The same, where processes die.
const SOMETIMES_WITH_DEATHS: [(&str, Holds); 2] = [
    ("a dead waiter is skipped", |model, scene| {
        somewhere(|target| {
            let first = scene.ghosts[target].waiting.first();
            first.is_some_and(|first| first.heard && scene.processes[first.process].dead)
                && another_is_granted(model, scene, target)
        })
    }),
    ("a dead holder leaves a touched target", |_, scene| {
        somewhere(|target| {
            let ghost = &scene.ghosts[target];
            let holder = ghost.holder.filter(|_| ghost.touched.is_some());
            holder.is_some_and(|holder| scene.processes[holder].dead && ghost.lasts)
        })
    }),
];

fn somewhere(holds: impl Fn(usize) -> bool) -> bool {
    (0..TARGETS).any(holds)
}

/// The same, where a run claims two targets.
const SOMETIMES_ALONG: [(&str, Holds); 3] = [
    ("a run holds two targets", |_, scene| {
        scene.ghosts[0].holder.is_some() && scene.ghosts[0].holder == scene.ghosts[1].holder
    }),
    ("a run that claims two waits for one", |model, scene| {
        let [a, b] = scene.ghosts.each_ref().map(|ghost| ghost.holder);
        let wants_both = |number: usize| model.wants(number).count() > 1;
        let waits = |number: &usize| scene.ghosts[0].waits(model.runs[*number]);
        let mut numbers = (0..scene.processes.len()).filter(|&number| wants_both(number));
        a.is_none() != b.is_none() && numbers.any(|number| waits(&number))
    }),
    ("a run left two targets", |_, scene| {
        let [a, b] = &scene.ghosts;
        a.touched.is_some() && a.touched == b.touched && a.holder.is_none()
    }),
];

pub(super) fn properties(deaths: usize, along: bool) -> Vec<Property<Processes>> {
    let always = ALWAYS.map(|(name, holds)| Property::always(name, holds));
    let sometimes = |(name, holds)| Property::sometimes(name, holds);
    let with_deaths = SOMETIMES_WITH_DEATHS.map(sometimes).into_iter().filter(|_| deaths > 0);
    let along = SOMETIMES_ALONG.map(sometimes).into_iter().filter(|_| along);
    always.into_iter().chain(SOMETIMES.map(sometimes)).chain(with_deaths).chain(along).collect()
}

/// Whether the target is free, and one is granted it who is not first in line.
fn another_is_granted(model: &Processes, scene: &Scene, target: usize) -> bool {
    let dead = |number: usize| scene.processes[number].dead;
    let ghost = &scene.ghosts[target];
    let mut later = ghost.waiting.iter().skip(1).filter(|later| !dead(later.process));
    ghost.is_free(dead)
        && later.any(|later| {
            let answer = model.acquire(&mut scene.clone(), later.process);
            matches!(answer, Ok(Acquired::Granted(_)))
        })
}

/// Of all processes, each with the fence that it remembers of a target, only the last one that was
/// granted that may write there, if any.
fn one_writes(model: &Processes, scene: &Scene) -> bool {
    (0..TARGETS).all(|target| {
        let numbers = 0..scene.processes.len();
        let remembering =
            numbers.filter(|&number| scene.processes[number].fences[target].is_some());
        let mut writers =
            remembering.filter(|&number| model.point(&mut scene.clone(), number, target).is_ok());
        writers.all(|writer| Some(writer) == scene.ghosts[target].holder)
    })
}

/// A target that a run began to change, and did not close, is `mutating` or suspect by that run; no
/// other target is.
fn tracked(model: &Processes, scene: &Scene) -> bool {
    (0..TARGETS).all(|target| {
        let changing = match model.lock(scene, target) {
            State::Mutating(tenure) => Some(tenure.run),
            State::Suspect(run) => Some(run),
            _ => None,
        };
        changing == scene.ghosts[target].touched.map(|run| model.id(run))
    })
}

/// Whatever happened: if one waiter alone goes on asking, while everybody else is silent, it is
/// granted once those lapsed, as long as there is somebody to settle what is suspect. A ticket ends
/// otherwise only by leaving: superseded, or parked.
fn every_ticket_comes_to_its_turn(model: &Processes, scene: &Scene) -> bool {
    let alive = |number: &usize| !scene.processes[*number].dead;
    let numbers = || (0..scene.processes.len()).filter(alive);
    let waits = |number: &usize| {
        let ghosts = scene.ghosts.iter().enumerate();
        let stands = ghosts.filter(|(_, ghost)| ghost.waits(model.runs[*number]));
        let stands: Vec<usize> = stands.map(|(target, _)| target).collect();
        let mut wants: Vec<usize> = model.wants(*number).collect();
        wants.sort_unstable();
        stands == wants
    };
    numbers().filter(waits).all(|waiter| {
        let mut scene = scene.clone();
        tick(&mut scene.targets);
        for _ in 0..=TARGETS {
            match model.acquire(&mut scene, waiter) {
                Ok(Acquired::Granted(_)) => return true,
                Ok(Acquired::Suspect { run, .. }) => {
                    let Some(heir) = numbers().find(|&number| model.id(model.runs[number]) == run)
                    else {
                        // It takes another process of that run, and a person to start it.
                        return true;
                    };
                    let Ok(hold) = model.take_over(&mut scene, heir) else { return false };
                    model.remember(&mut scene, heir, &hold);
                    if model.append(&mut scene, heir, body(Kind::Closed)).is_err() {
                        return false;
                    }
                    if model.runs[heir] == model.runs[waiter] {
                        // Its own run was the one to settle: it has no ticket any more.
                        return true;
                    }
                }
                _ => return false,
            }
        }
        false
    })
}

/// Checks every state that these processes can reach.
fn check(model: Processes) {
    let checker = model.checker().threads(2).spawn_bfs().join();
    let found = checker.discoveries();
    for property in checker.model().properties() {
        let path = found.get(property.name).map(|path| path.clone().into_actions());
        match property.expectation {
            Expectation::Always => assert_eq!(path, None, "not always: {}", property.name),
            _ => assert!(path.is_some(), "never: {}", property.name),
        }
    }
    checker.assert_properties();
    println!("{} states", checker.unique_state_count());
}

#[test]
fn no_interleaving_of_a_run_that_is_resumed_with_another_breaks_the_lock() {
    check(Processes::of(&[0, 0, 1], 2));
}

#[test]
fn no_interleaving_of_two_runs_that_are_resumed_breaks_the_lock() {
    check(Processes::of(&[0, 0, 1, 1], 0));
}

#[test]
fn no_interleaving_of_three_runs_breaks_the_queue() {
    check(Processes::of(&[0, 1, 2], 1));
}

#[test]
fn no_interleaving_of_a_run_on_two_targets_with_one_on_the_second_breaks_either() {
    check(Processes::wanting([(0, vec![0, 1]), (0, vec![0, 1]), (1, vec![1])], 1));
}

#[test]
fn no_interleaving_of_runs_on_two_targets_that_lead_each_another_breaks_either() {
    check(Processes::wanting([(0, vec![0, 1]), (1, vec![1, 0]), (2, vec![1])], 0));
}

/// As a pipeline that has changed: what its run left is taken over whole all the same.
#[test]
fn no_interleaving_of_a_run_that_is_resumed_with_fewer_targets_breaks_either() {
    check(Processes::wanting([(0, vec![0, 1]), (0, vec![0]), (1, vec![1])], 0));
}
