//! The transactions of lock and queue.

use std::time::Duration;

use gatekit_core::ledger::{
    Acquired, Body, Claim, Entry, Hold, LockEffect, LockState, TargetState, WAITER_TTL, Waiter,
};
use gatekit_core::process::{Liveness, ProcessIdentity};
use gatekit_core::{RunId, TargetName};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::clock::Moment;
use super::error::Fault;
use super::journal;
use super::lock::{Lock, integer, number, parse, process_from, process_text};

pub(super) fn enqueue(conn: &Connection, now: &Moment, claim: &Claim) -> Result<u64, Fault> {
    // A claim that holds the target has used its ticket up; a second one would stay behind.
    let mut lock = Lock::load(conn, &claim.target)?.unwrap_or_default();
    if let Some(ticket) = lock.tenure_of(claim).and_then(|tenure| tenure.ticket) {
        return Ok(ticket);
    }
    if let Some(ticket) = heartbeat(conn, now, claim)? {
        return Ok(ticket);
    }
    conn.prepare_cached(
        "INSERT INTO waiter (target, run, actor, process, heard_boot, heard_millis) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        claim.target.as_str(),
        claim.run.to_string(),
        claim.actor,
        process_text(&claim.process)?,
        &*now.boot,
        integer(now.millis),
    ])?;
    number(conn.last_insert_rowid())
}

/// Notes that the claimant waits; gives its ticket, if it has one.
fn heartbeat(conn: &Connection, now: &Moment, claim: &Claim) -> Result<Option<u64>, Fault> {
    conn.prepare_cached(
        "UPDATE waiter SET actor = ?3, process = ?4, heard_boot = ?5, heard_millis = ?6 \
         WHERE target = ?1 AND run = ?2 RETURNING ticket",
    )?
    .query_row(
        params![
            claim.target.as_str(),
            claim.run.to_string(),
            claim.actor,
            process_text(&claim.process)?,
            &*now.boot,
            integer(now.millis),
        ],
        |row| row.get(0),
    )
    .optional()?
    .map(number)
    .transpose()
}

pub(super) fn acquire(
    conn: &Connection,
    now: &Moment,
    claim: &Claim,
    lease: Duration,
) -> Result<Acquired, Fault> {
    let mut lock = Lock::load(conn, &claim.target)?.unwrap_or_default();
    if let Some(tenure) = lock.tenure_of(claim) {
        // Its answer was lost. The fence is the newest, so the lease may be renewed even if it lapsed.
        let lease = tenure.lease;
        tenure.end = now.after(lease);
        lock.save(conn, &claim.target)?;
        return Ok(Acquired::Granted(Hold::new(
            claim.target.clone(),
            claim.run,
            lock.fence,
            lease,
        )));
    }
    let reaped = lock.reap(now);
    let ticket = heartbeat(conn, now, claim)?
        .ok_or_else(|| lock.refusal(&claim.target).no_ticket(claim.run))?;
    let ahead = waiters(conn, now, &claim.target)?
        .iter()
        .filter(|waiter| waiter.alive && waiter.ticket < ticket)
        .count();
    let answer = match (lock.state, lock.run) {
        (LockState::Suspect, Some(run)) => Acquired::Suspect { run, fence: lock.fence },
        (LockState::Free, _) if ahead == 0 => {
            let hold = lock.grant(LockState::Held, claim, Some(ticket), lease, now);
            leave(conn, &claim.target, claim.run)?;
            lock.save(conn, &claim.target)?;
            return Ok(Acquired::Granted(hold));
        }
        _ => Acquired::Waiting {
            ahead: u64::try_from(ahead).unwrap_or(u64::MAX),
            holder: lock.holder(),
        },
    };
    if reaped {
        lock.save(conn, &claim.target)?;
    }
    Ok(answer)
}

pub(super) fn leave(conn: &Connection, target: &TargetName, run: RunId) -> Result<(), Fault> {
    conn.prepare_cached("DELETE FROM waiter WHERE target = ?1 AND run = ?2")?
        .execute(params![target.as_str(), run.to_string()])?;
    Ok(())
}

pub(super) fn renew(conn: &Connection, now: &Moment, hold: &Hold) -> Result<(), Fault> {
    let mut lock = Lock::load(conn, &hold.target)?.unwrap_or_default();
    let Some(tenure) = lock.tenure_under(hold.run, hold.fence) else {
        return Err(lock.refusal(&hold.target).lost(hold.run, hold.fence).into());
    };
    tenure.lease = hold.lease;
    tenure.end = now.after(hold.lease);
    lock.save(conn, &hold.target)
}

pub(super) fn release(conn: &Connection, hold: &Hold) -> Result<bool, Fault> {
    let mut lock = Lock::load(conn, &hold.target)?.unwrap_or_default();
    if lock.tenure_under(hold.run, hold.fence).is_none() {
        return Ok(false);
    }
    if lock.state == LockState::Mutating {
        return Err(lock.refusal(&hold.target).mutating().into());
    }
    lock.apply(LockEffect::Free);
    lock.save(conn, &hold.target)?;
    Ok(true)
}

pub(super) fn take_over(
    conn: &Connection,
    now: &Moment,
    claim: &Claim,
    lease: Duration,
) -> Result<Hold, Fault> {
    let target = &claim.target;
    let mut lock = Lock::load(conn, target)?.unwrap_or_default();
    if let Some(tenure) = lock.tenure_of(claim).filter(|tenure| tenure.ticket.is_none()) {
        // Its answer was lost: what it took over is its own.
        let lease = tenure.lease;
        tenure.end = now.after(lease);
        lock.save(conn, target)?;
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
    leave(conn, target, claim.run)?;
    let body = Body::Resumed { old, new: hold.fence };
    let entry = Entry::new(target.clone(), claim.run, claim.actor.clone(), Some(hold.fence), body);
    journal::insert(conn, &mut lock, &entry)?;
    lock.save(conn, target)?;
    Ok(hold)
}

pub(super) fn state(
    conn: &Connection,
    now: &Moment,
    target: &TargetName,
) -> Result<TargetState, Fault> {
    let mut lock = Lock::load(conn, target)?.unwrap_or_default();
    lock.reap(now);
    let mut state = TargetState::untouched();
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
        "SELECT ticket, run, actor, process, heard_boot, heard_millis FROM waiter \
         WHERE target = ?1 ORDER BY ticket",
    )?;
    let mut rows = statement.query([target.as_str()])?;
    let mut waiters = Vec::new();
    while let Some(row) = rows.next()? {
        let heard = Moment { boot: row.get::<_, String>(4)?.into(), millis: number(row.get(5)?)? };
        let process = process_from(&row.get::<_, String>(3)?)?;
        waiters.push(Waiter::new(
            number(row.get(0)?)?,
            parse(&row.get::<_, String>(1)?, "run id")?,
            row.get::<_, String>(2)?,
            waits(now, &heard, &process),
        ));
    }
    Ok(waiters)
}

fn waits(now: &Moment, heard: &Moment, process: &ProcessIdentity) -> bool {
    !now.until(&heard.after(WAITER_TTL), WAITER_TTL).is_zero()
        && process.liveness() != Liveness::Dead
}
