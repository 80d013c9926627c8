//! What holds in every state, and what must be reachable so that it was worth looking.

use stateright::{Checker as _, Expectation, Model as _, Property};

use super::super::lock::State;
use super::canonical::{NEWEST, OVERTAKEN, tick};
use super::ghost::Broken;
use super::processes::{Kind, Processes, Scene, body};
use crate::id::StageId;
use crate::ledger::{Acquired, Body};

/// A property, and whether it holds in a state.
type Holds = fn(&Processes, &Scene) -> bool;

const ALWAYS: [(&str, Holds); 11] = [
    ("one holder at a time", |_, scene| scene.broken != Some(Broken::TwoHolders)),
    ("no grant over a suspect target", |_, scene| scene.broken != Some(Broken::OverSuspect)),
    ("taken over by its own run alone", |_, scene| scene.broken != Some(Broken::StrangeHeir)),
    ("fences strictly increase", |_, scene| scene.broken != Some(Broken::FenceBack)),
    ("first come, first served", |_, scene| scene.broken != Some(Broken::OutOfTurn)),
    ("no call under an overtaken fence", |_, scene| scene.broken != Some(Broken::Zombie)),
    ("nobody loses a lease that lasts", |_, scene| scene.broken != Some(Broken::Robbed)),
    ("a free target is granted", |_, scene| scene.broken != Some(Broken::Ignored)),
    ("at most one process may write", one_writes),
    ("a touched target is never lost track of", tracked),
    ("every ticket comes to its turn", every_ticket_comes_to_its_turn),
];

const SOMETIMES: [(&str, Holds); 6] = [
    ("a target is suspect", |_, scene| matches!(scene.target.lock.state, State::Suspect(_))),
    (
        "a run is taken over",
        |_, scene| matches!(&scene.target.lock.state, State::Mutating(tenure) if tenure.ticket.is_none()),
    ),
    ("an answer is lost", |_, scene| {
        let holder = scene.ghost.holder.map(|holder| scene.processes[holder]);
        holder.is_some_and(|process| !process.dead && process.fence != Some(NEWEST))
    }),
    ("a zombie comes back", |_, scene| {
        let mut processes = scene.processes.iter();
        scene.ghost.lasts && processes.any(|process| process.fence == Some(OVERTAKEN))
    }),
    ("a lapse is not recorded yet", |_, scene| {
        !scene.ghost.lasts && matches!(scene.target.lock.state, State::Mutating(_))
    }),
    ("a silent waiter is skipped", |model, scene| {
        let first = scene.ghost.waiting.first();
        first.is_some_and(|first| !first.heard) && another_is_granted(model, scene)
    }),
];

/// The same, where processes die.
const SOMETIMES_WITH_DEATHS: [(&str, Holds); 2] = [
    ("a dead waiter is skipped", |model, scene| {
        let first = scene.ghost.waiting.first();
        let dead = first.is_some_and(|first| first.heard && scene.processes[first.process].dead);
        dead && another_is_granted(model, scene)
    }),
    ("a dead holder leaves a touched target", |_, scene| {
        let holder = scene.ghost.holder.filter(|_| scene.ghost.touched.is_some());
        holder.is_some_and(|holder| scene.processes[holder].dead && scene.ghost.lasts)
    }),
];

pub(super) fn properties(deaths: usize) -> Vec<Property<Processes>> {
    let always = ALWAYS.map(|(name, holds)| Property::always(name, holds));
    let sometimes = |(name, holds)| Property::sometimes(name, holds);
    let with_deaths = SOMETIMES_WITH_DEATHS.map(sometimes).into_iter().filter(|_| deaths > 0);
    always.into_iter().chain(SOMETIMES.map(sometimes)).chain(with_deaths).collect()
}

/// Whether the target is free, and one is granted who is not first in line.
fn another_is_granted(model: &Processes, scene: &Scene) -> bool {
    let dead = |number: usize| scene.processes[number].dead;
    let mut later = scene.ghost.waiting.iter().skip(1).filter(|later| !dead(later.process));
    scene.ghost.is_free(dead)
        && later.any(|later| {
            let answer = model.acquire(&mut scene.clone(), later.process);
            matches!(answer, Ok(Acquired::Granted(_)))
        })
}

/// Of all processes, each with the fence that it remembers, only the last one that was granted may
/// write, if any.
fn one_writes(model: &Processes, scene: &Scene) -> bool {
    let numbers = 0..scene.processes.len();
    let remembering = numbers.filter(|&number| scene.processes[number].fence.is_some());
    let mut writers = remembering.filter(|&number| {
        let call = Body::Calling { stage: StageId::new("s").unwrap(), call: String::new() };
        model.append(&mut scene.clone(), number, call).is_ok()
    });
    writers.all(|writer| Some(writer) == scene.ghost.holder)
}

/// A target that a run began to change, and did not close, is `mutating` or suspect by that run; no
/// other target is.
fn tracked(model: &Processes, scene: &Scene) -> bool {
    let changing = match &scene.target.lock.state {
        State::Free | State::Held(_) => None,
        State::Mutating(tenure) => Some(tenure.run),
        State::Suspect(run) => Some(*run),
    };
    changing == scene.ghost.touched.map(|run| model.id(run))
}

/// Whatever happened: if one waiter alone goes on asking, while everybody else is silent, it is
/// granted once those lapsed, as long as there is somebody to settle what is suspect. A ticket ends
/// otherwise only by leaving: superseded, or parked.
fn every_ticket_comes_to_its_turn(model: &Processes, scene: &Scene) -> bool {
    let alive = |number: &usize| !scene.processes[*number].dead;
    let numbers = || (0..scene.processes.len()).filter(alive);
    let waits = |number: &usize| {
        scene.ghost.waiting.iter().any(|waiting| waiting.run == model.runs[*number])
    };
    numbers().filter(waits).all(|waiter| {
        let mut scene = scene.clone();
        tick(&mut scene.target);
        for _ in 0..2 {
            match model.acquire(&mut scene, waiter) {
                Ok(Acquired::Granted(_)) => return true,
                Ok(Acquired::Suspect { run, .. }) => {
                    let Some(heir) = numbers().find(|&number| model.id(model.runs[number]) == run)
                    else {
                        // It takes another process of that run, and a person to start it.
                        return true;
                    };
                    let Ok(hold) = model.take_over(&mut scene, heir) else { return false };
                    scene.processes[heir].fence = Some(hold.fence);
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

/// Checks every state that processes of these runs can reach when so many of them may die.
fn check(runs: &[usize], deaths: usize) {
    let model = Processes::of(runs, deaths);
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
    println!("{runs:?}, {deaths} deaths: {} states", checker.unique_state_count());
}

#[test]
fn no_interleaving_of_a_run_that_is_resumed_with_another_breaks_the_lock() {
    check(&[0, 0, 1], 2);
}

#[test]
fn no_interleaving_of_two_runs_that_are_resumed_breaks_the_lock() {
    check(&[0, 0, 1, 1], 0);
}

#[test]
fn no_interleaving_of_three_runs_breaks_the_queue() {
    check(&[0, 1, 2], 1);
}
