//! What a ledger knows of one target: its lock, its queue, its journal.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lock::Lock;
use super::world::World;
use crate::error::Result;
use crate::id::{RunId, TargetName};
use crate::ledger::{Claim, Entry, Head, Record, WAITER_TTL, Waiter, link};
use crate::process::ProcessIdentity;

/// All that a ledger knows of a target.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Target {
    pub(super) lock: Lock,
    pub(super) queue: Queue,
    pub(super) journal: Vec<Written>,
}

/// The places in the queue, by ticket. A run has one at most for each leading target.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Queue {
    /// The last ticket that was given out: none is given twice.
    pub(super) last: u64,
    pub(super) places: BTreeMap<u64, Place>,
}

/// Who waits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The target whose ticket it is: another one's, if this is to be locked along.
    pub(super) leading: TargetName,
    pub(super) run: RunId,
    pub(super) actor: String,
    pub(super) process: ProcessIdentity,
    /// When it asked last.
    pub(super) heard: Duration,
}

/// A record, and what it is found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Written {
    run: RunId,
    kind: &'static str,
    record: Record,
}

impl Place {
    fn of(world: &World<'_>, claim: &Claim) -> Self {
        Self {
            leading: claim.target.clone(),
            run: claim.run,
            actor: claim.actor.clone(),
            process: claim.process.clone(),
            heard: world.now,
        }
    }

    fn is_of(&self, leading: &TargetName, run: RunId) -> bool {
        self.leading == *leading && self.run == run
    }

    fn waits(&self, world: &World<'_>) -> bool {
        world.now < self.heard.saturating_add(WAITER_TTL) && !(world.dead)(&self.process)
    }
}

impl Queue {
    /// The claim's ticket, if it has one.
    pub(super) fn ticket(&self, claim: &Claim) -> Option<u64> {
        let mut places = self.places.iter();
        places.find(|(_, place)| place.is_of(&claim.target, claim.run)).map(|(&ticket, _)| ticket)
    }

    /// Takes a place at the end.
    pub(super) fn join(&mut self, world: &World<'_>, claim: &Claim) {
        self.last += 1;
        self.places.insert(self.last, Place::of(world, claim));
    }

    /// Notes that the claimant waits.
    pub(super) fn hear(&mut self, world: &World<'_>, claim: &Claim) {
        let mut places = self.places.values_mut();
        if let Some(place) = places.find(|place| place.is_of(&claim.target, claim.run)) {
            *place = Place::of(world, claim);
        }
    }

    /// How many wait in front of that claim.
    pub(super) fn ahead(&self, world: &World<'_>, claim: &Claim) -> u64 {
        let places = self.places.values();
        let before = places.take_while(|place| !place.is_of(&claim.target, claim.run));
        before.filter(|place| place.waits(world)).count() as u64
    }

    pub(super) fn leave(&mut self, leading: &TargetName, run: RunId) {
        self.places.retain(|_, place| !place.is_of(leading, run));
    }

    pub(super) fn waiters(&self, world: &World<'_>) -> Vec<Waiter> {
        let waiter = |(&ticket, place): (&u64, &Place)| {
            Waiter::new(ticket, place.run, place.actor.clone(), place.waits(world))
        };
        self.places.iter().map(waiter).collect()
    }
}

impl Target {
    /// Adds the next record to the chain.
    pub(super) fn write(&mut self, entry: &Entry) -> Result<Record> {
        let text = entry.to_json()?;
        let Head { seq, hash: prev } = self.head();
        let hash = link(&prev, &text);
        let record = Record { seq: seq + 1, prev, hash, entry: text };
        let kind = entry.body.kind();
        self.journal.push(Written { run: entry.run, kind, record: record.clone() });
        Ok(record)
    }

    pub(super) fn head(&self) -> Head {
        self.journal.last().map_or_else(Head::genesis, |last| Head {
            seq: last.record.seq,
            hash: last.record.hash.clone(),
        })
    }

    pub(super) fn read(&self, after: u64, limit: usize) -> Vec<Record> {
        let records = self.records(|written| written.record.seq > after);
        records.take(limit).collect()
    }

    pub(super) fn read_run(&self, run: RunId) -> Vec<Record> {
        self.records(|written| written.run == run).collect()
    }

    pub(super) fn read_kind(&self, kind: &str, before: Option<u64>, limit: usize) -> Vec<Record> {
        let before = before.unwrap_or(u64::MAX);
        let records = self.records(|written| written.kind == kind && written.record.seq < before);
        records.rev().take(limit).collect()
    }

    fn records(
        &self,
        wanted: impl Fn(&Written) -> bool,
    ) -> impl DoubleEndedIterator<Item = Record> {
        self.journal
            .iter()
            .filter(move |written| wanted(written))
            .map(|written| written.record.clone())
    }
}
