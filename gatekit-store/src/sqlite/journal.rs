//! The transactions of the journal.

use gatekit_core::ledger::refusal::{misguarded, misplaced, unguarded};
use gatekit_core::ledger::{Entry, Guard, Head, Record, link};
use gatekit_core::{Digest, Error, RunId, TargetName};
use rusqlite::{Connection, Row, ToSql, params};

use super::clock::Moment;
use super::error::Fault;
use super::lock::{Lock, integer, number};
use super::queue::Rung;

pub(super) fn append(
    conn: &Connection,
    now: &Moment,
    target: &TargetName,
    entry: &Entry,
    guard: Guard,
) -> Result<Rung<Record>, Fault> {
    if entry.target != *target {
        return Err(misplaced(target, entry).into());
    }
    let mut lock = Lock::load(conn, target)?.unwrap_or_default();
    match guard {
        Guard::Open if entry.body.is_open() => {
            if entry.fence.is_some() {
                return Err(misguarded(entry).into());
            }
            lock.reap(now);
            if entry.body.ends_run() && lock.run == Some(entry.run) {
                return Err(lock.refusal(target).goes_on().into());
            }
        }
        Guard::Holder { run, fence, lease_left } => {
            // The holder's own lapse is nobody's business until somebody has reaped it.
            let Some(tenure) = lock.tenure_under(run, fence) else {
                return Err(lock.refusal(target).lost(run, fence).into());
            };
            let left = tenure.left(now);
            if left < lease_left {
                return Err(lock.refusal(target).lease_short(left, lease_left).into());
            }
            if entry.run != run || entry.fence != Some(fence) {
                return Err(misguarded(entry).into());
            }
        }
        _ => return Err(unguarded(entry).into()),
    }
    let record = insert(conn, &mut lock, entry)?;
    if matches!(guard, Guard::Holder { .. }) {
        lock.apply(entry.body.lock_effect());
    }
    lock.save(conn, target)?;
    Rung::of(conn, now, target, &lock, record)
}

/// Writes the next record of the chain and moves the head of `lock`, which the caller saves.
pub(super) fn insert(conn: &Connection, lock: &mut Lock, entry: &Entry) -> Result<Record, Fault> {
    let text = entry.to_json()?;
    let prev = lock.head.hash.clone();
    let hash = link(&prev, &text);
    let record = Record { seq: lock.head.seq.saturating_add(1), prev, hash, entry: text };
    conn.prepare_cached(
        "INSERT INTO journal (target, seq, run, kind, prev, hash, entry) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        entry.target.as_str(),
        integer(record.seq),
        entry.run.to_string(),
        entry.body.kind(),
        record.prev.as_str(),
        record.hash.as_str(),
        record.entry,
    ])?;
    lock.head = Head { seq: record.seq, hash: record.hash.clone() };
    Ok(record)
}

// The planner knows nothing of how long a journal is, and would read all of it for a run.
const OF_TARGET: &str = "SELECT seq, prev, hash, entry FROM journal \
    WHERE target = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
const OF_RUN: &str = "SELECT seq, prev, hash, entry FROM journal INDEXED BY journal_run \
    WHERE target = ?1 AND run = ?2 ORDER BY seq";
const OF_KIND: &str = "SELECT seq, prev, hash, entry FROM journal INDEXED BY journal_kind \
    WHERE target = ?1 AND kind = ?2 AND seq < ?3 ORDER BY seq DESC LIMIT ?4";

pub(super) fn read(
    conn: &Connection,
    target: &TargetName,
    after: u64,
    limit: usize,
) -> Result<Vec<Record>, Fault> {
    records(conn, OF_TARGET, params![target.as_str(), integer(after), bound(limit)])
}

pub(super) fn read_run(
    conn: &Connection,
    target: &TargetName,
    run: RunId,
) -> Result<Vec<Record>, Fault> {
    records(conn, OF_RUN, params![target.as_str(), run.to_string()])
}

pub(super) fn read_kind(
    conn: &Connection,
    target: &TargetName,
    kind: &str,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<Record>, Fault> {
    let before = before.map_or(i64::MAX, integer);
    records(conn, OF_KIND, params![target.as_str(), kind, before, bound(limit)])
}

fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn records(conn: &Connection, sql: &str, values: &[&dyn ToSql]) -> Result<Vec<Record>, Fault> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(decode(row)?);
    }
    Ok(records)
}

fn decode(row: &Row<'_>) -> Result<Record, Fault> {
    Ok(Record {
        seq: number(row.get(0)?)?,
        prev: digest(row.get(1)?)?,
        hash: digest(row.get(2)?)?,
        entry: row.get(3)?,
    })
}

fn digest(text: String) -> Result<Digest, Fault> {
    text.try_into().map_err(|error: Error| Fault::Damaged(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    #[test]
    fn a_run_and_a_kind_are_found_without_reading_the_whole_journal() {
        let conn = Connection::open_in_memory().unwrap();
        schema::create(&conn).unwrap();
        for (sql, plan) in [
            (OF_TARGET, "SEARCH journal USING PRIMARY KEY (target=? AND seq>?)"),
            (OF_RUN, "SEARCH journal USING INDEX journal_run (target=? AND run=?)"),
            (OF_KIND, "SEARCH journal USING INDEX journal_kind (target=? AND kind=? AND seq<?)"),
        ] {
            let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps = statement.raw_query().mapped(|row| row.get::<_, String>(3));
            assert_eq!(steps.map(Result::unwrap).collect::<Vec<_>>(), [plan]);
        }
    }
}
