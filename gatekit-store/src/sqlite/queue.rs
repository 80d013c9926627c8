//! The transactions of lock and queue.

use std::collections::BTreeMap;
use std::time::Duration;

use gatekit_core::ledger::{
    Acquired, Body, Claim, Entry, Hold, LockEffect, LockState, TargetState, WAITER_TTL, Waiter,
};
use gatekit_core::process::{Liveness, ProcessIdentity};
use gatekit_core::{Fence, RunId, TargetName};
use rusqlite::{Connection, Row, named_params, params};

use super::clock::Moment;
use super::doorbell::Caller;
use super::error::Fault;
use super::journal;
use super::lock::{Lock, Seen, integer, millis, number, parse, process_from, process_text};

/// An answer, and the waiters to which its transaction gave reason to ask.
#[derive(Debug)]
pub(super) struct Rung<T> {
    pub(super) answer: T,
    pub(super) next: Vec<Caller>,
}

impl<T> Rung<T> {
    /// Names the first living waiters as soon as nobody holds the target, also when it is suspect:
    /// whoever is told so leaves, and by that calls the one behind.
    pub(super) fn of(
        conn: &Connection,
        now: &Moment,
        lock: &Lock,
        answer: T,
    ) -> Result<Self, Fault> {
        let mut next = Vec::new();
        if lock.tenure.is_none() {
            next.extend(Line::of(conn, now, lock.name.as_str())?.first);
            for along in lock.along(conn)? {
                next.extend(Line::of(conn, now, along.name.as_str())?.first);
            }
        }
        Ok(Self { answer, next })
    }
}

pub(super) fn enqueue(
    conn: &Connection,
    now: &Moment,
    claim: &Claim,
    port: Option<u16>,
) -> Result<Rung<u64>, Fault> {
    let rung = |answer, next| Ok(Rung { answer, next });
    // A claim that holds the target has used its ticket up; a second one would stay behind.
    let mut lock = Lock::load_or_create(conn, &claim.target)?;
    if let Some(ticket) = lock.tenure_of(claim).and_then(|tenure| tenure.ticket) {
        return rung(ticket, Vec::new());
    }
    let places = heartbeat(conn, now, claim, port)?;
    if let Some(ticket) = places.leading {
        return rung(ticket, Vec::new());
    }
    let mut next = Vec::new();
    if !places.all.is_empty() {
        next = leave(conn, now, &claim.target, claim.run)?.next;
    }
    let sql = "INSERT INTO waiter \
               (target, leading, run, actor, process, heard_boot, heard_millis, claim, port) \
               VALUES (:target, :leading, :run, :actor, :process, :boot, :millis, :claim, :port)";
    let mut statement = conn.prepare_cached(sql)?;
    let process = process_text(&claim.process)?;
    let mut first = None;
    for target in claim.targets() {
        let row = named_params! {
            ":target": target.as_str(),
            ":leading": claim.target.as_str(),
            ":run": claim.run.to_string(),
            ":actor": claim.actor,
            ":process": process,
            ":boot": &*now.boot,
            ":millis": integer(now.millis),
            ":claim": claim.id.to_string(),
            ":port": port,
        };
        let ticket = number(statement.insert(row)?)?;
        first.get_or_insert(ticket);
    }
    let ticket = first.ok_or_else(|| Fault::Damaged("a ticket without a number".to_owned()))?;
    rung(ticket, next)
}

/// The tickets of a claim.
#[derive(Debug)]
struct Places {
    /// That of its own target, if it has one in each queue that it names and in no other.
    leading: Option<u64>,
    all: Vec<(String, u64)>,
}

impl Places {
    fn of(conn: &Connection, claim: &Claim) -> Result<Self, Fault> {
        let all = tickets(conn, &claim.target, claim.run)?;
        let ticket = |target: &TargetName| {
            all.iter().find(|(name, _)| name == target.as_str()).map(|(_, ticket)| *ticket)
        };
        let whole =
            all.len() == claim.targets().count() && claim.targets().all(|it| ticket(it).is_some());
        let leading = ticket(&claim.target).filter(|_| whole);
        Ok(Self { leading, all })
    }
}

/// The queues in which a run has a place, and its tickets. On their own, because what an `UPDATE` or a
/// `DELETE` returns SQLite puts into a table of its own first.
fn tickets(
    conn: &Connection,
    leading: &TargetName,
    run: RunId,
) -> Result<Vec<(String, u64)>, Fault> {
    let sql = "SELECT target, ticket FROM waiter WHERE leading = ?1 AND run = ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![leading.as_str(), run.to_string()])?;
    let mut tickets = Vec::new();
    while let Some(row) = rows.next()? {
        tickets.push((row.get(0)?, number(row.get(1)?)?));
    }
    Ok(tickets)
}

/// Notes that the claimant waits, and where it can be rung; gives its tickets.
fn heartbeat(
    conn: &Connection,
    now: &Moment,
    claim: &Claim,
    port: Option<u16>,
) -> Result<Places, Fault> {
    let places = Places::of(conn, claim)?;
    if places.all.is_empty() {
        return Ok(places);
    }
    let sql = "UPDATE waiter SET actor = :actor, process = :process, heard_boot = :boot, \
               heard_millis = :millis, claim = :claim, port = :port \
               WHERE leading = :leading AND run = :run";
    conn.prepare_cached(sql)?.execute(named_params! {
        ":leading": claim.target.as_str(),
        ":run": claim.run.to_string(),
        ":actor": claim.actor,
        ":process": process_text(&claim.process)?,
        ":boot": &*now.boot,
        ":millis": integer(now.millis),
        ":claim": claim.id.to_string(),
        ":port": port,
    })?;
    Ok(places)
}

/// What a claimant is told, and what its asking brought about.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) answer: Acquired,
    /// Whom it watches, whether that one lives: for the first in line the holder; for the second, where
    /// nobody holds the target, the first.
    pub(super) watched: Option<ProcessIdentity>,
    /// The waiters that have reason to ask now.
    pub(super) next: Vec<Caller>,
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
        |hold, next| Asked { answer: Acquired::Granted(hold), watched: None, next, touched: true };
    let mut lock = Lock::load_or_create(conn, &claim.target)?;
    if lock.tenure_of(claim).is_some() {
        return Ok(granted(again(conn, now, lock)?, Vec::new()));
    }
    let mut locks = vec![Seen::of(conn, lock)?];
    for target in claim.targets().skip(1) {
        locks.push(Seen::load_or_create(conn, target)?);
    }
    let mut touched = false;
    for seen in &mut locks {
        if seen.lock_mut().reap(now) {
            seen.lock().save(conn)?;
            touched = true;
        }
    }
    let places = heartbeat(conn, now, claim, port)?;
    let Some(ticket) = places.leading else {
        return Err(locks[0].refusal().no_ticket(claim.run).into());
    };
    let (mut ahead, mut next, mut watched) = (0, Vec::new(), None);
    for (target, ticket) in &places.all {
        let seen = locks.iter().find(|seen| seen.own.name.as_str() == target);
        let held = seen.is_some_and(|seen| seen.lock().tenure.is_some());
        let line = Line::ahead_of(conn, now, target, *ticket, held)?;
        ahead = line.length.max(ahead);
        // Whoever is first may have missed its ring.
        next.extend(line.first.filter(|_| !held));
        // Nobody but the one behind it finds that the head of a free queue has died.
        watched = watched.or(line.head.filter(|_| line.length == 1));
    }
    if ahead == 0 && locks.iter().all(|seen| seen.lock().state == LockState::Free) {
        let hold = grant(conn, now, locks, LockState::Held, claim, Some(ticket), lease)?;
        for (target, _) in &places.all {
            // Whoever moves up to the head learns whom it has to watch.
            next.extend(Line::of(conn, now, target)?.first);
        }
        return Ok(granted(hold, next));
    }
    let held = locks.iter().find_map(|seen| seen.lock().tenure.as_ref());
    let watched = held.filter(|_| ahead == 0).map(|tenure| tenure.process.clone()).or(watched);
    let suspect = locks.iter().map(Seen::lock).find(|lock| lock.state == LockState::Suspect);
    let answer = match suspect.and_then(|lock| Some((lock, lock.run?))) {
        Some((Lock { name, fence, .. }, run)) => {
            Acquired::Suspect { target: name.clone(), run, fence: *fence }
        }
        None => {
            let holder = locks.iter().find_map(|seen| seen.lock().holder());
            Acquired::Waiting { ahead, holder }
        }
    };
    Ok(Asked { answer, watched, next, touched })
}

/// Gives the first of the targets away, with the others along, and takes the claim's tickets.
fn grant(
    conn: &Connection,
    now: &Moment,
    locks: Vec<Seen>,
    state: LockState,
    claim: &Claim,
    ticket: Option<u64>,
    lease: Duration,
) -> Result<Hold, Fault> {
    let mut locks = locks.into_iter().map(|seen| seen.own);
    let mut leading =
        locks.next().ok_or_else(|| Fault::Damaged("a claim without a target".to_owned()))?;
    let hold = leading.grant(state, claim, ticket, lease, now);
    leading.save(conn)?;
    let fences = follow(conn, &leading, locks)?;
    leave_rows(conn, &claim.target, claim.run)?;
    Ok(hold.along(fences))
}

/// Locks each of those along with the leading one; gives their fences.
fn follow(
    conn: &Connection,
    leading: &Lock,
    locks: impl IntoIterator<Item = Lock>,
) -> Result<BTreeMap<TargetName, Fence>, Fault> {
    let mut fences = BTreeMap::new();
    for mut lock in locks {
        let fence = lock.follow(leading);
        lock.save(conn)?;
        fences.insert(lock.name, fence);
    }
    Ok(fences)
}

/// The hold of a claim whose answer was lost, its lease begun anew: the fence is the newest, so that
/// may be even if it had lapsed.
fn again(conn: &Connection, now: &Moment, mut lock: Lock) -> Result<Hold, Fault> {
    let (Some(run), Some(tenure)) = (lock.run, &mut lock.tenure) else {
        return Err(Fault::Damaged("a holder without a run".to_owned()));
    };
    let lease = tenure.lease;
    tenure.end = now.after(lease);
    lock.save(conn)?;
    let along = lock.along(conn)?.into_iter().map(|along| (along.name, along.fence)).collect();
    Ok(Hold::new(lock.name, run, lock.fence, lease).along(along))
}

/// Gives the claim's places up; the first of those who stay are told, because they may have moved up.
pub(super) fn leave(
    conn: &Connection,
    now: &Moment,
    target: &TargetName,
    run: RunId,
) -> Result<Rung<()>, Fault> {
    let mut next = Vec::new();
    let places = tickets(conn, target, run)?;
    leave_rows(conn, target, run)?;
    for (left, _) in places {
        next.extend(Line::of(conn, now, &left)?.first);
    }
    Ok(Rung { answer: (), next })
}

fn leave_rows(conn: &Connection, leading: &TargetName, run: RunId) -> Result<(), Fault> {
    let sql = "DELETE FROM waiter WHERE leading = ?1 AND run = ?2";
    conn.prepare_cached(sql)?.execute(params![leading.as_str(), run.to_string()])?;
    Ok(())
}

pub(super) fn renew(conn: &Connection, now: &Moment, hold: &Hold) -> Result<(), Fault> {
    let mut lock = Lock::load_or_create(conn, &hold.target)?;
    let Some(tenure) = lock.tenure_under(hold.run, hold.fence) else {
        return Err(Seen::of(conn, lock)?.refusal().lost(hold.run, hold.fence).into());
    };
    tenure.lease = hold.lease;
    tenure.end = now.after(hold.lease);
    lock.save(conn)
}

pub(super) fn release(conn: &Connection, now: &Moment, hold: &Hold) -> Result<Rung<bool>, Fault> {
    let mut lock = Lock::load_or_create(conn, &hold.target)?;
    if lock.tenure_under(hold.run, hold.fence).is_none() {
        return Ok(Rung { answer: false, next: Vec::new() });
    }
    if lock.state == LockState::Mutating {
        return Err(lock.refusal().mutating().into());
    }
    lock.apply(LockEffect::Free);
    lock.save(conn)?;
    Rung::of(conn, now, &lock, true)
}

pub(super) fn take_over(
    conn: &Connection,
    now: &Moment,
    claim: &Claim,
    lease: Duration,
) -> Result<Hold, Fault> {
    let mut lock = Lock::load_or_create(conn, &claim.target)?;
    if lock.tenure_of(claim).is_some_and(|tenure| tenure.ticket.is_none()) {
        return again(conn, now, lock);
    }
    let mut seen = Seen::of(conn, lock)?;
    seen.lock_mut().reap(now);
    let leads = seen.leading().is_none();
    match seen.lock().state {
        LockState::Suspect if !leads => {
            return Err(seen.refusal().led_by(&seen.lock().name, claim.run).into());
        }
        LockState::Suspect if seen.lock().run == Some(claim.run) => {}
        LockState::Held | LockState::Mutating => return Err(seen.refusal().held().into()),
        _ => return Err(seen.refusal().not_suspect(claim.run).into()),
    }
    let Seen { own: mut lock, .. } = seen;
    let (old, along) = (lock.fence, lock.along(conn)?);
    let hold = lock.grant(LockState::Mutating, claim, None, lease, now);
    let body = Body::Resumed { old, new: hold.fence };
    let (target, actor) = (claim.target.clone(), claim.actor.clone());
    let entry = Entry::new(target, claim.run, actor, Some(hold.fence), body);
    journal::insert(conn, &mut lock, &entry)?;
    lock.save(conn)?;
    leave_rows(conn, &claim.target, claim.run)?;
    Ok(hold.along(follow(conn, &lock, along)?))
}

pub(super) fn state(
    conn: &Connection,
    now: &Moment,
    target: &TargetName,
) -> Result<TargetState, Fault> {
    let mut state = TargetState::untouched();
    // Whoever claims it along with another may wait for it before anybody has written to it.
    state.queue = waiters(conn, now, target)?;
    let Some(own) = Lock::load(conn, target)? else { return Ok(state) };
    let mut seen = Seen::of(conn, own)?;
    seen.lock_mut().reap(now);
    let lock = seen.lock();
    state.state = lock.state;
    state.run = lock.run;
    state.along_with = seen.leading().filter(|_| lock.run.is_some()).map(|lock| lock.name.clone());
    state.holder = lock.holder();
    state.lease_left = lock.tenure.as_ref().map(|tenure| tenure.left(now));
    state.fence = seen.own.fence;
    state.head = seen.own.head;
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
    /// Its process, where the dead were not counted.
    head: Option<ProcessIdentity>,
}

impl Line {
    fn of(conn: &Connection, now: &Moment, target: &str) -> Result<Self, Fault> {
        Self::read(conn, now, target, i64::MAX, false)
    }

    /// Those in front of `ticket`. While the target is `held`, the dead among them are counted as
    /// long as they were heard of lately: they are in nobody's way yet, and looking for them costs
    /// more than all the rest.
    fn ahead_of(
        conn: &Connection,
        now: &Moment,
        target: &str,
        ticket: u64,
        held: bool,
    ) -> Result<Self, Fault> {
        Self::read(conn, now, target, integer(ticket), held)
    }

    fn read(
        conn: &Connection,
        now: &Moment,
        target: &str,
        before: i64,
        with_dead: bool,
    ) -> Result<Self, Fault> {
        let mut statement = conn.prepare_cached(
            "SELECT ticket, heard_boot, heard_millis, process, claim, port \
             FROM waiter INDEXED BY waiter_turn \
             WHERE target = ?1 AND ticket < ?2 ORDER BY ticket",
        )?;
        let mut rows = statement.query(params![target, before])?;
        let mut line = Self::default();
        while let Some(row) = rows.next()? {
            if !heard(row, now)? {
                continue;
            }
            // Only the first has to live: the death of those behind it changes nothing yet.
            if line.length == 0 {
                if !with_dead {
                    let process = process_from(&row.get::<_, String>(3)?)?;
                    if process.liveness() == Liveness::Dead {
                        continue;
                    }
                    line.head = Some(process);
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
pub(super) fn heard(row: &Row<'_>, now: &Moment) -> Result<bool, Fault> {
    let boot = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    let end = number(row.get(2)?)?.saturating_add(millis(WAITER_TTL));
    Ok(!now.until_end(boot, end, WAITER_TTL).is_zero())
}

/// Whether the waiter's process, the row's fourth, is not proven dead.
pub(super) fn lives(row: &Row<'_>) -> Result<bool, Fault> {
    let process = process_from(&row.get::<_, String>(3)?)?;
    Ok(process.liveness() != Liveness::Dead)
}
