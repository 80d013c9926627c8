//! The transactions of lock and queue.

use std::time::Duration;

use gatekit_core::ledger::{
    Acquired, Body, Claim, Entry, Hold, LockEffect, LockState, TargetState, WAITER_TTL, Waiter,
};
use gatekit_core::process::{Liveness, ProcessIdentity};
use gatekit_core::{RunId, TargetName};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use super::clock::Moment;
use super::doorbell::Caller;
use super::error::Fault;
use super::journal;
use super::lock::{Lock, integer, millis, number, parse, process_from, process_text};

/// An answer, and the waiter to which its transaction gave reason to ask.
#[derive(Debug)]
pub(super) struct Rung<T> {
    pub(super) answer: T,
    pub(super) next: Option<Caller>,
}

impl<T> Rung<T> {
    /// Names the first living waiter as soon as nobody holds the target, also when it is suspect:
    /// whoever is told so leaves, and by that calls the one behind.
    pub(super) fn of(
        conn: &Connection,
        now: &Moment,
        target: &TargetName,
        lock: &Lock,
        answer: T,
    ) -> Result<Self, Fault> {
        let next = match lock.tenure {
            Some(_) => None,
            None => Line::of(conn, now, target)?.first,
        };
        Ok(Self { answer, next })
    }
}

pub(super) fn enqueue(
    conn: &Connection,
    now: &Moment,
    claim: &Claim,
    port: Option<u16>,
) -> Result<u64, Fault> {
    // A claim that holds the target has used its ticket up; a second one would stay behind.
    let mut lock = Lock::load_or_create(conn, &claim.target)?;
    if let Some(ticket) = lock.tenure_of(claim).and_then(|tenure| tenure.ticket) {
        return Ok(ticket);
    }
    if let Some(ticket) = heartbeat(conn, now, claim, port)? {
        return Ok(ticket);
    }
    let sql = "INSERT INTO waiter \
               (target, run, actor, process, heard_boot, heard_millis, claim, port) \
               VALUES (:target, :run, :actor, :process, :boot, :millis, :claim, :port) \
               RETURNING ticket";
    note(conn, sql, now, claim, port)?
        .ok_or_else(|| Fault::Damaged("a ticket without a number".to_owned()))
}

/// Notes that the claimant waits, and where it can be rung; gives its ticket, if it has one.
fn heartbeat(
    conn: &Connection,
    now: &Moment,
    claim: &Claim,
    port: Option<u16>,
) -> Result<Option<u64>, Fault> {
    let sql = "UPDATE waiter SET actor = :actor, process = :process, heard_boot = :boot, \
               heard_millis = :millis, claim = :claim, port = :port \
               WHERE target = :target AND run = :run RETURNING ticket";
    note(conn, sql, now, claim, port)
}

fn note(
    conn: &Connection,
    sql: &str,
    now: &Moment,
    claim: &Claim,
    port: Option<u16>,
) -> Result<Option<u64>, Fault> {
    let row = named_params! {
        ":target": claim.target.as_str(),
        ":run": claim.run.to_string(),
        ":actor": claim.actor,
        ":process": process_text(&claim.process)?,
        ":boot": &*now.boot,
        ":millis": integer(now.millis),
        ":claim": claim.id.to_string(),
        ":port": port,
    };
    conn.prepare_cached(sql)?.query_row(row, |row| row.get(0)).optional()?.map(number).transpose()
}

/// What a claimant is told, and what its asking brought about.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) answer: Acquired,
    /// The holder, for the first in line alone: it watches whether that one lives.
    pub(super) holder: Option<ProcessIdentity>,
    /// The waiter that has reason to ask now.
    pub(super) next: Option<Caller>,
    /// Whether it did more than to note that the claimant waits.
    pub(super) touched: bool,
}

pub(super) fn acquire(
    conn: &Connection,
    now: &Moment,
    claim: &Claim,
    lease: Duration,
    port: Option<u16>,
) -> Result<Asked, Fault> {
    let granted =
        |hold, next| Asked { answer: Acquired::Granted(hold), holder: None, next, touched: true };
    let target = &claim.target;
    let mut lock = Lock::load_or_create(conn, target)?;
    if let Some(tenure) = lock.tenure_of(claim) {
        // Its answer was lost. The fence is the newest, so the lease may be renewed even if it lapsed.
        let lease = tenure.lease;
        tenure.end = now.after(lease);
        lock.save(conn)?;
        return Ok(granted(Hold::new(target.clone(), claim.run, lock.fence, lease), None));
    }
    let touched = lock.reap(now);
    let ticket = heartbeat(conn, now, claim, port)?
        .ok_or_else(|| lock.refusal(target).no_ticket(claim.run))?;
    let line = Line::ahead_of(conn, now, target, ticket, lock.tenure.is_some())?;
    if lock.state == LockState::Free && line.length == 0 {
        let hold = lock.grant(LockState::Held, claim, Some(ticket), lease, now);
        leave_row(conn, target, claim.run)?;
        lock.save(conn)?;
        // Whoever moves up to the head learns whom it has to watch.
        return Ok(granted(hold, Line::of(conn, now, target)?.first));
    }
    if touched {
        lock.save(conn)?;
    }
    let holder = lock.tenure.as_ref().map(|tenure| &tenure.process);
    let holder = holder.filter(|_| line.length == 0).cloned();
    let answer = match (lock.state, lock.run) {
        (LockState::Suspect, Some(run)) => Acquired::Suspect { run, fence: lock.fence },
        _ => Acquired::Waiting { ahead: line.length, holder: lock.holder() },
    };
    // Whoever is first may have missed its ring.
    let next = line.first.filter(|_| lock.tenure.is_none());
    Ok(Asked { answer, holder, next, touched })
}

/// Gives a place up; the first of those who stay is told, because it may have moved up.
pub(super) fn leave(
    conn: &Connection,
    now: &Moment,
    target: &TargetName,
    run: RunId,
) -> Result<Rung<()>, Fault> {
    leave_row(conn, target, run)?;
    Ok(Rung { answer: (), next: Line::of(conn, now, target)?.first })
}

fn leave_row(conn: &Connection, target: &TargetName, run: RunId) -> Result<(), Fault> {
    conn.prepare_cached("DELETE FROM waiter WHERE target = ?1 AND run = ?2")?
        .execute(params![target.as_str(), run.to_string()])?;
    Ok(())
}

pub(super) fn renew(conn: &Connection, now: &Moment, hold: &Hold) -> Result<(), Fault> {
    let mut lock = Lock::load_or_create(conn, &hold.target)?;
    let Some(tenure) = lock.tenure_under(hold.run, hold.fence) else {
        return Err(lock.refusal(&hold.target).lost(hold.run, hold.fence).into());
    };
    tenure.lease = hold.lease;
    tenure.end = now.after(hold.lease);
    lock.save(conn)
}

pub(super) fn release(conn: &Connection, now: &Moment, hold: &Hold) -> Result<Rung<bool>, Fault> {
    let mut lock = Lock::load_or_create(conn, &hold.target)?;
    if lock.tenure_under(hold.run, hold.fence).is_none() {
        return Ok(Rung { answer: false, next: None });
    }
    if lock.state == LockState::Mutating {
        return Err(lock.refusal(&hold.target).mutating().into());
    }
    lock.apply(LockEffect::Free);
    lock.save(conn)?;
    Rung::of(conn, now, &hold.target, &lock, true)
}

pub(super) fn take_over(
    conn: &Connection,
    now: &Moment,
    claim: &Claim,
    lease: Duration,
) -> Result<Hold, Fault> {
    let target = &claim.target;
    let mut lock = Lock::load_or_create(conn, target)?;
    if let Some(tenure) = lock.tenure_of(claim).filter(|tenure| tenure.ticket.is_none()) {
        // Its answer was lost: what it took over is its own.
        let lease = tenure.lease;
        tenure.end = now.after(lease);
        lock.save(conn)?;
        return Ok(Hold::new(target.clone(), claim.run, lock.fence, lease));
    }
    lock.reap(now);
    match lock.state {
        LockState::Suspect if lock.run == Some(claim.run) => {}
        LockState::Held | LockState::Mutating => return Err(lock.refusal(target).held().into()),
        _ => return Err(lock.refusal(target).not_suspect(claim.run).into()),
    }
    let old = lock.fence;
    let hold = lock.grant(LockState::Mutating, claim, None, lease, now);
    leave_row(conn, target, claim.run)?;
    let body = Body::Resumed { old, new: hold.fence };
    let entry = Entry::new(target.clone(), claim.run, claim.actor.clone(), Some(hold.fence), body);
    journal::insert(conn, &mut lock, &entry)?;
    lock.save(conn)?;
    Ok(hold)
}

pub(super) fn state(
    conn: &Connection,
    now: &Moment,
    target: &TargetName,
) -> Result<TargetState, Fault> {
    let mut state = TargetState::untouched();
    let Some(mut lock) = Lock::load(conn, target)? else { return Ok(state) };
    lock.reap(now);
    state.state = lock.state;
    state.fence = lock.fence;
    state.run = lock.run;
    state.holder = lock.holder();
    state.lease_left = lock.tenure.as_ref().map(|tenure| tenure.left(now));
    state.queue = waiters(conn, now, target)?;
    state.head = lock.head;
    Ok(state)
}

/// The waiters, first in line first.
fn waiters(conn: &Connection, now: &Moment, target: &TargetName) -> Result<Vec<Waiter>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT ticket, heard_boot, heard_millis, process, run, actor FROM waiter \
         WHERE target = ?1 ORDER BY ticket",
    )?;
    let mut rows = statement.query([target.as_str()])?;
    let mut waiters = Vec::new();
    while let Some(row) = rows.next()? {
        waiters.push(Waiter::new(
            number(row.get(0)?)?,
            parse(&row.get::<_, String>(4)?, "run id")?,
            row.get::<_, String>(5)?,
            heard(row, now)? && lives(row)?,
        ));
    }
    Ok(waiters)
}

/// Those who wait, up to somebody or all.
#[derive(Debug, Default)]
struct Line {
    length: u64,
    /// The first of them, if it can be rung.
    first: Option<Caller>,
}

impl Line {
    fn of(conn: &Connection, now: &Moment, target: &TargetName) -> Result<Self, Fault> {
        Self::read(conn, now, target, i64::MAX, false)
    }

    /// Those in front of `ticket`. While the target is `held`, the dead among them are counted as
    /// long as they were heard of lately: they are in nobody's way yet, and looking for them costs
    /// more than all the rest.
    fn ahead_of(
        conn: &Connection,
        now: &Moment,
        target: &TargetName,
        ticket: u64,
        held: bool,
    ) -> Result<Self, Fault> {
        Self::read(conn, now, target, integer(ticket), held)
    }

    fn read(
        conn: &Connection,
        now: &Moment,
        target: &TargetName,
        before: i64,
        with_dead: bool,
    ) -> Result<Self, Fault> {
        let mut statement = conn.prepare_cached(
            "SELECT ticket, heard_boot, heard_millis, process, claim, port \
             FROM waiter INDEXED BY waiter_turn \
             WHERE target = ?1 AND ticket < ?2 ORDER BY ticket",
        )?;
        let mut rows = statement.query(params![target.as_str(), before])?;
        let mut line = Self::default();
        while let Some(row) = rows.next()? {
            if !heard(row, now)? {
                continue;
            }
            // Only the first has to live: the death of those behind it changes nothing yet.
            if line.length == 0 {
                if !with_dead && !lives(row)? {
                    continue;
                }
                let claim = parse(&row.get::<_, String>(4)?, "claim id")?;
                let port = row.get::<_, Option<u16>>(5)?;
                line.first = port.map(|port| Caller { claim, port });
            }
            line.length += 1;
        }
        Ok(line)
    }
}

/// Whether the waiter asked lately: `heard_boot` and `heard_millis` are the row's second and third.
fn heard(row: &Row<'_>, now: &Moment) -> Result<bool, Fault> {
    let boot = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    let end = number(row.get(2)?)?.saturating_add(millis(WAITER_TTL));
    Ok(!now.until_end(boot, end, WAITER_TTL).is_zero())
}

/// Whether the waiter's process, the row's fourth, is not proven dead.
fn lives(row: &Row<'_>) -> Result<bool, Fault> {
    let process = process_from(&row.get::<_, String>(3)?)?;
    Ok(process.liveness() != Liveness::Dead)
}
