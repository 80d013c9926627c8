//! What must hold after it all: judged by what the server itself noted of every change of a lock.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;

use gatekit_core::TargetName;
use gatekit_core::ledger::{Body, ChainVerifier, Ledger as _, LockState, Record, WAITER_TTL};
use gatekit_core::process::ProcessIdentity;
use gatekit_store::PostgresLedger;
use serde::Deserialize;
use tokio_postgres::NoTls;

use super::witness::{Said, said};
use super::worker::TARGETS;

/// Notes each change of a lock in the transaction that makes it, and who stood in line before whom it
/// was granted to.
pub(super) const TABLES: &str = "
CREATE TABLE public.seen (
    id bigserial PRIMARY KEY, at float8 NOT NULL, target text NOT NULL, was text NOT NULL,
    state text NOT NULL, was_fence bigint NOT NULL, fence bigint NOT NULL, ticket bigint,
    process text, leader text, leader_fence bigint, before jsonb NOT NULL
);
CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    leader gatekit.target;
BEGIN
    SELECT * INTO leader FROM gatekit.target WHERE no = coalesce(new.along, new.no);
    INSERT INTO public.seen (at, target, was, state, was_fence, fence, ticket, process, leader,
            leader_fence, before)
        SELECT extract(epoch FROM clock_timestamp()), new.name, old.state, new.state, old.fence,
            new.fence, leader.ticket, coalesce(new.process, old.process, leader.process),
            leader.name, leader.fence, (
                SELECT coalesce(jsonb_agg(jsonb_build_object(
                    'ticket', w.ticket, 'process', w.process::jsonb,
                    'heard', CASE WHEN isfinite(w.heard) THEN extract(epoch FROM w.heard) END
                )), '[]')
                FROM gatekit.waiter w
                WHERE new.fence > old.fence AND w.target = new.no AND w.ticket < leader.ticket
            );
    RETURN NULL;
END $$;
CREATE TRIGGER see AFTER UPDATE ON gatekit.target FOR EACH ROW
    WHEN (old.state <> new.state OR old.fence <> new.fence) EXECUTE FUNCTION public.see();
";

/// A change of a lock.
#[derive(Debug)]
struct Change {
    at: f64,
    target: String,
    was: String,
    state: String,
    was_fence: i64,
    fence: i64,
    ticket: Option<i64>,
    process: Option<ProcessIdentity>,
    leader: String,
    leader_fence: i64,
    before: Vec<Before>,
}

/// Somebody with a lower ticket than who was granted the target.
#[derive(Debug, Deserialize)]
struct Before {
    ticket: i64,
    process: ProcessIdentity,
    heard: Option<f64>,
}

#[derive(Debug, Default)]
pub(super) struct Judge {
    deaths: HashMap<ProcessIdentity, f64>,
    kills: usize,
    outages: Vec<(f64, f64)>,
    pub(super) restarts: usize,
    pub(super) pooler_kills: usize,
    pub(super) cuts: usize,
}

impl Judge {
    pub(super) fn died(&mut self, process: ProcessIdentity, at: f64) {
        self.kills += 1;
        self.deaths.entry(process).or_insert(at);
    }

    /// Something was away until now.
    pub(super) fn outage(&mut self, from: f64) {
        self.outages.push((from, super::epoch()));
    }

    /// Fails when anything is not as it must be; tells how much there was of what.
    pub(super) async fn verdict(
        &mut self,
        ledger: &PostgresLedger,
        url: &str,
        folder: &Path,
    ) -> String {
        let changes = changes(url).await;
        let mut journal = HashMap::new();
        for name in TARGETS {
            let target = TargetName::new(name).unwrap();
            journal.insert(name.to_owned(), verified(ledger, &target).await);
        }
        let said = said(folder);
        let own = self.kills;
        for it in &said {
            if let Said::Dies { process, at } = it {
                let death = self.deaths.entry(process.clone()).or_insert(*at);
                *death = death.min(*at);
            }
        }
        assert_nothing_lost(&said, &journal);
        assert_nothing_twice(&journal);
        let grants = assert_fences(&said, &changes);
        let mut of = HashMap::<_, Vec<_>>::new();
        for change in &changes {
            of.entry(change.target.as_str()).or_default().push(change);
        }
        let mut suspects = 0;
        for (target, changes) in &of {
            suspects += self.assert_tenures(changes, &journal[*target]);
            self.assert_turns(changes);
            let state = ledger.state(&TargetName::new(*target).unwrap()).await.unwrap().state;
            let left =
                changes.last().is_some_and(|it| ["mutating", "suspect"].contains(&&*it.state));
            // All workers are gone.
            let expected = if left { LockState::Suspect } else { LockState::Free };
            assert_eq!(state, expected, "{target}");
        }
        assert_alone(&changes);
        let entries: usize = journal.values().map(Vec::len).sum();
        assert!(grants > 0 && suspects > 0 && !self.deaths.is_empty(), "nothing has happened");
        let mut told = String::new();
        let deaths = self.deaths.len();
        writeln!(told, "{deaths} deaths, {own} of them by SIGKILL from outside").unwrap();
        let Self { restarts, pooler_kills, cuts, .. } = self;
        writeln!(
            told,
            "{restarts} restarts of the server, {pooler_kills} of the pooler, {cuts} cuts"
        )
        .unwrap();
        writeln!(told, "{grants} fences, unique and increasing; tickets granted in their order")
            .unwrap();
        writeln!(told, "{suspects} deaths in mid-mutation, each suspect").unwrap();
        write!(told, "{entries} entries, none of the acknowledged lost; every chain verifies")
            .unwrap();
        told
    }

    /// A target goes from state to state as the contract says, and whoever dies while it changes
    /// something leaves it suspect. Counts those.
    fn assert_tenures(&self, changes: &[&Change], journal: &[Record]) -> usize {
        let mut suspects = 0;
        for (at, change) in changes.iter().enumerate() {
            let Change { was, state, was_fence, fence, .. } = change;
            match (was.as_str(), state.as_str(), fence - was_fence) {
                ("free", "held" | "free", 1) | ("suspect", "mutating", 1) | ("held", "free", 0) => {
                }
                ("held", "mutating", 0) | ("mutating", "suspect", 0) => {}
                ("mutating", "free", 0) => {
                    let closes = |record: &&Record| {
                        let entry = record.decode().unwrap();
                        let fence = entry.fence.map(|fence| i64::try_from(fence.0).unwrap());
                        fence == Some(change.fence) && matches!(entry.body, Body::Closed { .. })
                    };
                    let ends = journal.iter().filter(closes).count();
                    assert_eq!(ends, 1, "freed without an end: {change:?}");
                }
                _ => panic!("no such change may be: {change:?}"),
            }
            // Where it did not, the end of its run was its last word: that was asked above.
            let is_left = changes.get(at + 1).is_none_or(|next| next.state == "suspect");
            let died = self.is_dead(change.process.as_ref(), f64::INFINITY);
            suspects += usize::from(state == "mutating" && died && is_left);
        }
        suspects
    }

    /// Nobody is granted a target before somebody who waits longer and lives.
    fn assert_turns(&self, changes: &[&Change]) {
        let (mut last, mut excused) = (0, HashSet::new());
        for change in changes.iter().filter(|it| it.fence > it.was_fence) {
            // A takeover needs no ticket.
            let Some(ticket) = change.ticket else { continue };
            for before in &change.before {
                let unheard = before.heard.is_some_and(|heard| {
                    change.at - heard > WAITER_TTL.as_secs_f64()
                        && self.was_outage(heard, change.at)
                });
                let is_dead = self.is_dead(Some(&before.process), change.at);
                assert!(is_dead || unheard, "passed over: {before:?} by {change:?}");
                excused.insert(before.ticket);
            }
            assert!(ticket > last || excused.contains(&ticket), "after {last}: {change:?}");
            last = last.max(ticket);
        }
    }

    fn is_dead(&self, process: Option<&ProcessIdentity>, at: f64) -> bool {
        process.and_then(|process| self.deaths.get(process)).is_some_and(|death| *death <= at)
    }

    fn was_outage(&self, from: f64, to: f64) -> bool {
        self.outages.iter().any(|(began, ended)| *began < to && *ended > from)
    }
}

/// Each fence was given to one worker, and by one grant.
fn assert_fences(said: &[Said], changes: &[Change]) -> usize {
    let mut noted = HashSet::new();
    for it in changes.iter().filter(|it| it.fence > it.was_fence) {
        assert!(noted.insert((it.target.as_str(), it.fence)), "a fence given twice: {it:?}");
    }
    let mut told = HashSet::new();
    for it in said {
        if let Said::Granted { target, fence } = it {
            let fence = (target.as_str(), i64::try_from(fence.0).unwrap());
            assert!(told.insert(fence), "two workers were given {fence:?}");
            assert!(noted.contains(&fence), "{fence:?} was never granted");
        }
    }
    noted.len()
}

/// A call that was sent again, because its answer was lost, was made once.
fn assert_nothing_twice(journal: &HashMap<String, Vec<Record>>) {
    let mut calls = HashSet::new();
    for record in journal.values().flatten() {
        if let Body::Calling { call, .. } = record.decode().unwrap().body {
            assert!(calls.insert(call), "written twice: {record:?}");
        }
    }
}

/// Whatever a worker was told to be in the journal is there.
fn assert_nothing_lost(said: &[Said], journal: &HashMap<String, Vec<Record>>) {
    for it in said {
        let Said::Entry { target, seq, hash } = it else { continue };
        let at = usize::try_from(seq - 1).unwrap();
        let found = journal[target.as_str()].get(at).map(|record| record.hash.to_string());
        assert_eq!(found.as_ref(), Some(hash), "lost: {it:?}");
    }
}

/// Nobody is granted a target while it is locked, by itself or along with another.
fn assert_alone(changes: &[Change]) {
    let mut locks = HashMap::new();
    // Under which lock each target was given out last.
    let mut tenures = HashMap::new();
    for change in changes {
        let Change { target, was, state, fence, leader, leader_fence, .. } = change;
        if *fence > change.was_fence
            && let Some(before) = tenures.insert(target, (leader, leader_fence))
        {
            let goes_on = locks.get(before.0) == Some(&(before.1, true));
            let is_taken_over = was == "suspect";
            assert!(!goes_on || is_taken_over, "locked by {before:?}: {change:?}");
        }
        locks.insert(target, (fence, state != "free"));
    }
}

async fn changes(url: &str) -> Vec<Change> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let sql = "SELECT at, target, was, state, was_fence, fence, ticket, process, leader, \
               leader_fence, before::text FROM public.seen ORDER BY id";
    let rows = client.query(sql, &[]).await.unwrap();
    let process = |json: Option<&str>| json.map(|json| serde_json::from_str(json).unwrap());
    rows.iter()
        .map(|row| Change {
            at: row.get(0),
            target: row.get(1),
            was: row.get(2),
            state: row.get(3),
            was_fence: row.get(4),
            fence: row.get(5),
            ticket: row.get(6),
            process: process(row.get(7)),
            leader: row.get(8),
            leader_fence: row.get(9),
            before: serde_json::from_str(row.get(10)).unwrap(),
        })
        .collect()
}

/// The whole chain of a target, which must verify.
async fn verified(ledger: &PostgresLedger, target: &TargetName) -> Vec<Record> {
    let mut verifier = ChainVerifier::new(target.clone(), None);
    let mut all: Vec<Record> = Vec::new();
    loop {
        let after = all.last().map_or(0, |record| record.seq);
        let page = ledger.read(target, after, 1000).await.unwrap();
        if page.is_empty() {
            break;
        }
        page.iter().try_for_each(|record| verifier.push(record)).unwrap();
        all.extend(page);
    }
    verifier.finish(&ledger.state(target).await.unwrap().head).unwrap();
    all
}
