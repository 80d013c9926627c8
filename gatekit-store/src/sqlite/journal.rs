//! The transactions of the journal.

use gatekit_core::ledger::refusal::{misguarded, misplaced, not_leading, unguarded};
use gatekit_core::ledger::{Entry, Guard, Head, LockEffect, Record, link};
use gatekit_core::{Digest, Error, RunId, TargetName};
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};

use super::clock::Moment;
use super::error::Fault;
use super::lock::{Lock, Seen, integer, number};
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
    let mut seen = Seen::load_or_create(conn, target)?;
    let before = seen.lock().state;
    match guard {
        Guard::Open if entry.body.is_open() => {
            if entry.fence.is_some() {
                return Err(misguarded(entry).into());
            }
            seen.lock_mut().reap(now);
            if entry.body.ends_run() && seen.lock().run == Some(entry.run) {
                return Err(seen.refusal().goes_on().into());
            }
        }
        Guard::Holder { run, fence, lease_left } => {
            // The holder's own lapse is nobody's business until somebody has reaped it.
            let Some(tenure) = seen.tenure_under(run, fence) else {
                return Err(seen.refusal().lost(run, fence).into());
            };
            let left = tenure.left(now);
            if left < lease_left {
                return Err(seen.refusal().lease_short(left, lease_left).into());
            }
            if entry.run != run || entry.fence != Some(fence) {
                return Err(misguarded(entry).into());
            }
            if seen.leading().is_some() && entry.body.lock_effect() != LockEffect::None {
                return Err(not_leading(entry).into());
            }
        }
        _ => return Err(unguarded(entry).into()),
    }
    let record = insert(conn, &mut seen.own, entry)?;
    if matches!(guard, Guard::Holder { .. }) {
        seen.lock_mut().apply(entry.body.lock_effect());
    }
    let changed = seen.lock().state != before;
    if changed {
        seen.lock().save(conn)?;
    }
    if !changed || seen.leading().is_some() {
        seen.own.save_head(conn)?;
    }
    if !changed {
        // Nobody has more reason to ask than before.
        return Ok(Rung { answer: record, next: Vec::new() });
    }
    Rung::of(conn, now, seen.lock(), record)
}

/// Writes the next record of the chain and moves the head of `lock`, which the caller saves.
pub(super) fn insert(conn: &Connection, lock: &mut Lock, entry: &Entry) -> Result<Record, Fault> {
    let text = entry.to_json()?;
    let prev = lock.head.hash.clone();
    let hash = link(&prev, &text);
    let record = Record { seq: lock.head.seq.saturating_add(1), prev, hash, entry: text };
    conn.prepare_cached(
        "INSERT INTO journal (place, run, starts, kind, prev, hash, entry) VALUES (?1, ?2, \
         NOT EXISTS (SELECT 1 FROM journal WHERE place = ?1 - 1 AND run = ?2), ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        place(lock.no, record.seq),
        entry.run.to_string(),
        entry.body.kind(),
        record.prev.as_str(),
        record.hash.as_str(),
        record.entry,
    ])?;
    lock.head = Head { seq: record.seq, hash: record.hash.clone() };
    Ok(record)
}

/// How many bits of a place are the number of the entry.
const SEQ_BITS: u32 = 40;
/// The greatest number that an entry can have.
const LAST_SEQ: i64 = (1 << SEQ_BITS) - 1;

/// Where an entry of a target is, or those up to it.
fn place(no: i64, seq: u64) -> i64 {
    (no << SEQ_BITS) | integer(seq).min(LAST_SEQ)
}

/// The kinds of entries that have an index; to find another one's takes as long as reading them all.
const FEW: &str = "kind = 'opened' OR kind = 'closed' OR kind = 'resumed' OR kind = 'waiver'";

// The planner knows nothing of how long a journal is, and would read all of it for a run.
const OF_TARGET: &str = "SELECT place, prev, hash, entry FROM journal \
    WHERE place > ?1 AND place <= ?2 ORDER BY place LIMIT ?3";
const STRETCHES: &str = "SELECT place FROM journal INDEXED BY journal_run \
    WHERE starts AND place > ?1 AND place <= ?2 AND run = ?3 ORDER BY place";
const STRETCH: &str = "SELECT place, prev, hash, entry, run FROM journal \
    WHERE place >= ?1 AND place <= ?2 ORDER BY place";

/// Finds entries of a kind, `?3`, newest first.
fn of_kind(kind: &str) -> String {
    let index = if FEW.contains(&format!("'{kind}'")) {
        format!("INDEXED BY journal_kind WHERE ({FEW}) AND")
    } else {
        "NOT INDEXED WHERE".to_owned()
    };
    format!(
        "SELECT place, prev, hash, entry FROM journal {index} \
         place > ?1 AND place < ?2 AND kind = ?3 ORDER BY place DESC LIMIT ?4"
    )
}

pub(super) fn read(
    conn: &Connection,
    target: &TargetName,
    after: u64,
    limit: usize,
) -> Result<Vec<Record>, Fault> {
    let Some(no) = no(conn, target)? else { return Ok(Vec::new()) };
    records(conn, OF_TARGET, params![place(no, after), place(no, u64::MAX), bound(limit)])
}

pub(super) fn read_run(
    conn: &Connection,
    target: &TargetName,
    run: RunId,
) -> Result<Vec<Record>, Fault> {
    let Some(no) = no(conn, target)? else { return Ok(Vec::new()) };
    let (run, last) = (run.to_string(), place(no, u64::MAX));
    let mut starts = conn.prepare_cached(STRETCHES)?;
    let mut starts = starts.query(params![place(no, 0), last, run])?;
    let mut stretch = conn.prepare_cached(STRETCH)?;
    let mut records = Vec::new();
    while let Some(start) = starts.next()? {
        let mut rows = stretch.query(params![start.get::<_, i64>(0)?, last])?;
        while let Some(row) = rows.next()? {
            if row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)? != run {
                break;
            }
            records.push(decode(row)?);
        }
    }
    Ok(records)
}

pub(super) fn read_kind(
    conn: &Connection,
    target: &TargetName,
    kind: &str,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<Record>, Fault> {
    let Some(no) = no(conn, target)? else { return Ok(Vec::new()) };
    let before = place(no, before.unwrap_or(u64::MAX));
    records(conn, &of_kind(kind), params![place(no, 0), before, kind, bound(limit)])
}

/// The number of a target; `None` while nobody has ever written to it.
fn no(conn: &Connection, target: &TargetName) -> Result<Option<i64>, Fault> {
    let mut statement = conn.prepare_cached("SELECT no FROM target WHERE name = ?1")?;
    Ok(statement.query_row([target.as_str()], |row| row.get(0)).optional()?)
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
        seq: number(row.get::<_, i64>(0)? & LAST_SEQ)?,
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
        let few = of_kind("opened");
        for (sql, plan) in [
            (OF_TARGET, "SEARCH journal USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
            (STRETCHES, "SEARCH journal USING INDEX journal_run (run=? AND rowid>? AND rowid<?)"),
            (STRETCH, "SEARCH journal USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
            (&few, "SEARCH journal USING INDEX journal_kind (kind=? AND rowid>? AND rowid<?)"),
        ] {
            let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps = statement.raw_query().mapped(|row| row.get::<_, String>(3));
            assert_eq!(steps.map(Result::unwrap).collect::<Vec<_>>(), [plan]);
        }
    }
}
