//! Makes the states of the targets finite.
//!
//! # Why may this be?
//! The machine compares times with the present only, fences for being the newest, tickets for their
//! order, and reads nothing of its journals but where they end. So the present may stand still while
//! the past moves away, the newest fence may always have the same number, tickets may be numbered
//! anew, with gaps, and the journals may be forgotten. What was locked along with a target whose
//! fence has changed since is free.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::lock::State;
use super::super::targets::Targets;
use crate::id::Fence;
use crate::ledger::WAITER_TTL;

/// The present, always.
pub(super) const NOW: Duration = Duration::from_secs(100);

/// What time goes by at once. A lease and a heartbeat last as long: they are fresh or lapsed.
pub(super) const TICK: Duration = WAITER_TTL;

/// The newest fence, once there was one.
pub(super) const NEWEST: Fence = Fence(2);
/// Every fence before.
pub(super) const OVERTAKEN: Fence = Fence(1);

/// Lets a tick go by: the past moves away.
pub(super) fn tick(targets: &mut Targets) {
    for target in targets.0.values_mut() {
        if let State::Held(tenure) | State::Mutating(tenure) = &mut target.lock.state {
            // A lapse does not get older than it is.
            tenure.end = tenure.end.saturating_sub(TICK).max(NOW);
        }
        for place in target.queue.places.values_mut() {
            place.heard = place.heard.saturating_sub(TICK).max(NOW - WAITER_TTL);
        }
    }
}

/// The targets that stand for all that behave like these.
pub(super) fn canonical(targets: &mut Targets) {
    let fences: BTreeMap<_, _> =
        targets.0.iter().map(|(name, target)| (name.clone(), target.lock.fence)).collect();
    for target in targets.0.values_mut() {
        target.journal.clear();
        if target.lock.fence != Fence(0) {
            target.lock.fence = NEWEST;
        }
        match &mut target.lock.state {
            State::Held(tenure) | State::Mutating(tenure) => {
                tenure.ticket = tenure.ticket.map(|_| 0);
            }
            State::Along { with, fence } if fences.get(with) == Some(fence) => *fence = NEWEST,
            stale @ State::Along { .. } => *stale = State::Free,
            State::Free | State::Suspect(_) => {}
        }
        let places = std::mem::take(&mut target.queue.places).into_values();
        // As if another had left after each: a ticket that is given twice would show.
        let places: BTreeMap<u64, _> = (1..).map(|number| number * 2).zip(places).collect();
        target.queue.last = places.keys().last().map_or(1, |last| last + 1);
        target.queue.places = places;
    }
}
