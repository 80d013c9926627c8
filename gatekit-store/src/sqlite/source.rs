//! A ledger that is moved to another one: what is in it, and how it is closed for good.

use std::collections::BTreeMap;
use std::path::Path;

use gatekit_core::ledger::Holder;
use gatekit_core::{Effect, Error, NextAction, Result, TargetName};
use rusqlite::Connection;

use super::builder::SqliteLedgerBuilder;
use super::clock::Moment;
use super::error::{self, Fault};
use super::inner::Inner;
use super::ledger::SqliteLedger;
use super::lock::{Along, Lock, parse, process_from};
use super::queue::{heard, lives};
use super::{open, schema};
use crate::code;
use crate::moving::{Destination, Inventory, Stock, Waiting};

/// By which name the other ledger knows the move.
const ERRAND: &str = "moved_as";

impl SqliteLedger {
    /// Opens a ledger that is to be moved, also one that has been, without writing to it.
    pub(crate) fn open_to_move(options: SqliteLedgerBuilder) -> Result<Self> {
        let path = options.path.clone();
        options.build_read_only()?.ok_or_else(|| error::missing(&path))
    }

    /// What is in it.
    ///
    /// # Errors
    /// `ledger.in_use` while a run holds a target, or waits for one and is heard of.
    pub(crate) async fn inventory(&self) -> Result<Inventory> {
        let path = self.path().to_owned();
        self.run(move |inner| {
            inner.read(|conn, now| inventory(conn, &idle(conn, now, &path)?, now, &path))
        })
        .await
    }

    /// The refusal to move it to another place than it was moved to.
    pub(crate) fn moved_elsewhere(&self, seen: &Inventory) -> Error {
        let place = seen.destination.as_ref().map_or("nowhere", |to| &to.place);
        error::moved(self.path(), place)
    }

    /// Closes it for good, if nothing in it is other than `seen`; tells whether it did.
    ///
    /// # Errors
    /// As [`inventory`](Self::inventory); `ledger.moved` when it is closed.
    pub(crate) async fn close(&self, seen: &Inventory, to: &Destination) -> Result<bool> {
        let (seen, to) = (seen.clone(), to.clone());
        self.run(move |inner| {
            let options = inner.options.clone().create(false);
            let inner = Inner::new(options.clone(), Some(open::open(&options)?));
            let closed = inner.write(|conn, now| close(conn, now, inner.path(), &seen, &to));
            closed.map_err(|fault| fault.at(inner.path(), "be closed"))
        })
        .await
    }
}

/// The locks as they are without those who lapsed or died. Whoever holds one is not passed by.
fn idle(conn: &Connection, now: &Moment, path: &Path) -> Result<Vec<Lock>, Fault> {
    let mut statement = conn.prepare_cached("SELECT name FROM target ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut locks = Vec::new();
    while let Some(row) = rows.next()? {
        let name = parse(&row.get::<_, String>(0)?, "target")?;
        let Some(mut lock) = Lock::load(conn, &name)? else { continue };
        lock.reap(now);
        if let Some(holder) = lock.holder() {
            return Err(in_use(path, &lock.name, &holder, "holds the target").into());
        }
        locks.push(lock);
    }
    Ok(locks)
}

fn inventory(
    conn: &Connection,
    locks: &[Lock],
    now: &Moment,
    path: &Path,
) -> Result<Inventory, Fault> {
    let version = schema::version(conn)?;
    if ![schema::VERSION, schema::MOVED].contains(&version) {
        return Err(error::newer(path, version).into());
    }
    let id = schema::meta(conn, "ledger_id")?;
    let id = id.ok_or_else(|| Fault::Damaged("a ledger without an id".to_owned()))?;
    let names: BTreeMap<_, _> = locks.iter().map(|lock| (lock.no, &lock.name)).collect();
    let targets = locks.iter().map(|lock| stock(lock, &names)).collect::<Result<_, _>>()?;
    let (queue, destination) = (queue(conn, now, path)?, destination(conn)?);
    Ok(Inventory { id, destination, targets, queue }.complete())
}

/// The claims that wait, in the order of their tickets. Whoever is heard of is not passed by.
fn queue(conn: &Connection, now: &Moment, path: &Path) -> Result<Vec<Waiting>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT ticket, heard_boot, heard_millis, process, run, actor, claim, leading, target \
         FROM waiter ORDER BY ticket",
    )?;
    let mut rows = statement.query([])?;
    let mut queue: Vec<Waiting> = Vec::new();
    while let Some(row) = rows.next()? {
        let text = |column| row.get::<_, String>(column);
        let (run, leading) = (parse(&text(4)?, "run id")?, parse(&text(7)?, "target")?);
        let (process, actor, target) = (text(3)?, text(5)?, parse(&text(8)?, "target")?);
        if heard(row, now)? && lives(row)? {
            let waiter = Holder::new(run, actor, process_from(&process)?.pid);
            return Err(in_use(path, &target, &waiter, "waits for the target").into());
        }
        match queue.iter_mut().find(|it| it.run == run && it.leading == leading) {
            Some(claim) => claim.targets.push(target),
            None => {
                let (claim, targets) = (text(6)?, vec![target]);
                queue.push(Waiting { leading, run, claim, actor, process, targets });
            }
        }
    }
    Ok(queue)
}

/// The ledger is to be moved, and that run is `doing` something in it.
fn in_use(path: &Path, target: &TargetName, holder: &Holder, doing: &str) -> Error {
    let what = "the ledger cannot be moved while a run is under way";
    let next = "wait until the run has ended, or interrupt it and `resume` it to its end; then try \
                again";
    Error::new(code::LEDGER_IN_USE, what)
        .with_effect(Effect::None)
        .with_context("path", path.display())
        .with_context("target", target)
        .with_context("run", holder.run)
        .with_context("which", doing)
        .with_context("actor", &holder.actor)
        .with_context("pid", holder.pid)
        .retry_later()
        .with_next(NextAction::outside(next))
}

fn stock(lock: &Lock, names: &BTreeMap<i64, &TargetName>) -> Result<Stock, Fault> {
    let along = lock.along.map(|Along { no, fence }| match names.get(&no) {
        Some(leading) => Ok(((*leading).clone(), fence)),
        None => Err(Fault::Damaged(format!("no target has the number {no}"))),
    });
    Ok(Stock {
        target: lock.name.clone(),
        state: lock.state,
        fence: lock.fence,
        run: lock.run,
        head: lock.head.clone(),
        along: along.transpose()?,
    })
}

fn destination(conn: &Connection) -> Result<Option<Destination>, Fault> {
    let (place, errand) = (schema::meta(conn, schema::MOVED_TO)?, schema::meta(conn, ERRAND)?);
    place
        .zip(errand)
        .map(|(place, errand)| Ok(Destination { place, errand: parse(&errand, "move")? }))
        .transpose()
}

fn close(
    conn: &Connection,
    now: &Moment,
    path: &Path,
    seen: &Inventory,
    to: &Destination,
) -> Result<bool, Fault> {
    let locks = idle(conn, now, path)?;
    if inventory(conn, &locks, now, path)? != *seen {
        return Ok(false);
    }
    // Who lapsed has lapsed for good: nobody is left to record it later.
    locks.iter().try_for_each(|lock| lock.save(conn))?;
    let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2), (?3, ?4)";
    let errand = to.errand.to_string();
    conn.execute(sql, [schema::MOVED_TO, &to.place, ERRAND, &errand])?;
    conn.pragma_update(None, "user_version", schema::MOVED)?;
    Ok(true)
}
