//! The contract, call by call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::refusal::{misguarded, misplaced, unguarded};
use gatekit_core::ledger::{
    Acquired, Body, Claim, Entry, Guard, Head, Hold, Ledger, LockEffect, LockState, Record,
    TargetState, Waiter, link,
};
use gatekit_core::process::ProcessIdentity;
use gatekit_core::{Digest, Effect, Error, Fence, Result, RunId, TargetName};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};
use uuid::Uuid;

use super::builder::PostgresLedgerBuilder;
use super::error::{self, Fault};
use super::schema::{self, Kind, VERSION};
use super::server::{Call, Server};
use super::stand::{Asked, Stand, holder, is_proven_dead, process};
use super::turns::Turns;

/// A ledger on a PostgreSQL server (13 or newer, in UTF-8), for any number of machines.
///
/// Every call is one statement in a transaction of its own, durable when it returns. No call relies on
/// anything that a session keeps, so that a pooler in transaction mode may stand between. Times are
/// the server's own. A call that finds the server away or busy is sent again for a
/// [while](PostgresLedgerBuilder::patience), and never does anything twice. Calls need a tokio runtime.
/// Cheap to clone: clones share their connections.
///
/// A holder or a waiter on this machine whose process is gone is found at once; on another machine its
/// lease decides, and for a waiter [`WAITER_TTL`](gatekit_core::ledger::WAITER_TTL).
///
/// ```no_run
/// # async fn example() -> gatekit_core::Result<()> {
/// use gatekit_store::PostgresLedger;
///
/// let ledger = PostgresLedger::builder("postgres://runner@db.example.org/gatekit")?.build().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PostgresLedger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    server: Server,
    reads_only: bool,
    turns: Turns,
}

impl PostgresLedger {
    /// How to open the ledger in the schema `gatekit` of the database at `url`:
    /// `postgres://USER@HOST:PORT/DATABASE`, several hosts separated by commas.
    ///
    /// The password is in the URL, in the file that `?password_file=` names (its first line) or in
    /// `PGPASSWORD`. The connection is protected by TLS and the server proves its name, by the
    /// certificates that the machine trusts or those of `?sslrootcert=FILE`; `?sslcert=FILE` and
    /// `?sslkey=FILE` prove the client's. `?sslmode=disable` does without.
    ///
    /// # Errors
    /// `ledger.url`.
    pub fn builder(url: &str) -> Result<PostgresLedgerBuilder> {
        PostgresLedgerBuilder::new(url)
    }

    /// Whether the server that answers is a standby: what it says of the ledger may be behind.
    /// Cancel-safe.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn is_standby(&self) -> Result<bool> {
        let sql = "SELECT pg_is_in_recovery() AS standby";
        let rows = self.read_rows(Call::new("be asked", sql).hasty()).await?;
        rows.first().map_or(Ok(false), |row| self.column(row, "standby"))
    }

    pub(super) async fn open_for_writing(options: PostgresLedgerBuilder) -> Result<Self> {
        let ledger = Self::new(options, false)?;
        let server = &ledger.0.server;
        let opened = async {
            let mut kind = schema::kind(server).await?;
            if matches!(kind, Kind::Empty) || matches!(kind, Kind::Ledger(old) if old < VERSION) {
                schema::migrate(server)
                    .await
                    .map_err(|fault| error::uncreated(fault, &server.place))?;
                kind = schema::kind(server).await?;
            }
            match kind {
                Kind::Ledger(VERSION) => Ok(()),
                Kind::Ledger(_) => Err(error::newer(&server.place).into()),
                Kind::Nameless => Err(error::nameless(&server.place).into()),
                Kind::Empty | Kind::Foreign => Err(error::foreign(&server.place).into()),
            }
        };
        opened.await.map_err(|fault: Fault| server.error(fault, "be opened"))?;
        Ok(ledger)
    }

    pub(super) async fn open_for_reading(options: PostgresLedgerBuilder) -> Result<Option<Self>> {
        let ledger = Self::new(options, true)?;
        let server = &ledger.0.server;
        let none = |fault| server.error(fault, "be opened").with_effect(Effect::None);
        if server.options.current && ledger.is_standby().await? {
            return Err(error::read_only(
                &server.place,
                "the server is a standby, and may be behind",
            ));
        }
        match schema::kind(server).await.map_err(none)? {
            Kind::Ledger(_) => Ok(Some(ledger)),
            Kind::Empty => Ok(None),
            Kind::Nameless => Err(error::nameless(&server.place)),
            Kind::Foreign => Err(error::foreign(&server.place)),
        }
    }

    pub(super) fn new(options: PostgresLedgerBuilder, reads_only: bool) -> Result<Self> {
        let writes = !reads_only || options.current;
        let server = Server::new(options, writes)?;
        Ok(Self(Arc::new(Inner { server, reads_only, turns: Turns::default() })))
    }

    pub(super) fn server(&self) -> &Server {
        &self.0.server
    }

    /// Makes a call that reads.
    async fn read_rows(&self, call: Call<'_>) -> Result<Vec<Row>> {
        let rows = self.server().all(call).await;
        // Whether it was answered or not, nothing has happened.
        rows.map_err(|fault| self.server().error(fault, call.doing).with_effect(Effect::None))
    }

    /// Makes a call that writes.
    async fn write(&self, call: Call<'_>) -> Result<Row, Fault> {
        if self.0.reads_only {
            let error = error::read_only(&self.server().place, "it was opened for reading");
            return Err(error.into());
        }
        self.server().one(call).await
    }

    /// As [`write`](Self::write), and tells a refusal in the words of every ledger. Where a process of
    /// this machine is in the way that is gone, it is taken out of it first.
    async fn write_as(&self, call: Call<'_>, asked: Asked<'_>) -> Result<Row> {
        loop {
            let stand = match self.write(call).await {
                Ok(row) => return Ok(row),
                Err(Fault::Refused(stand)) => stand,
                Err(fault) => return Err(self.server().error(fault, call.doing)),
            };
            if !self.has_buried(&stand).await? {
                return Err(self.told(&stand, asked, call.doing));
            }
        }
    }

    fn told(&self, stand: &Stand, asked: Asked<'_>, doing: &str) -> Error {
        stand.error(asked).unwrap_or_else(|what| self.server().error(Fault::Damaged(what), doing))
    }

    /// Whether a refusal was because of a holder that is dead, which is known now.
    async fn has_buried(&self, stand: &Stand) -> Result<bool> {
        let held = stand.held_by().filter(|_| stand.is_about_the_holder());
        let Some((target, fence, text)) = held else { return Ok(false) };
        let dead = is_proven_dead(&process(text).map_err(|what| self.damaged(what))?);
        if dead {
            self.bury_holder(target, fence, text).await?;
        }
        Ok(dead)
    }

    async fn bury_holder(&self, target: &TargetName, fence: Fence, process: &str) -> Result<()> {
        let (target, fence) = (target.as_str(), number(fence.0));
        let values = &[
            (&VERSION as _, Type::INT4),
            (&target as _, Type::TEXT),
            (&fence as _, Type::INT8),
            (&process as _, Type::TEXT),
        ];
        let sql = "SELECT gatekit.bury_holder($1, $2, $3, $4)";
        let call = Call::new("record that a holder is gone", sql).with(values);
        let buried = self.write(call).await;
        buried.map(drop).map_err(|fault| self.server().error(fault, call.doing))
    }

    async fn bury_waiter(&self, target: &str, ticket: i64, process: &str) -> Result<()> {
        let values = &[
            (&VERSION as _, Type::INT4),
            (&target as _, Type::TEXT),
            (&ticket as _, Type::INT8),
            (&process as _, Type::TEXT),
        ];
        let sql = "SELECT gatekit.bury_waiter($1, $2, $3, $4)";
        let call = Call::new("record that a waiter is gone", sql).with(values);
        let buried = self.write(call).await;
        buried.map(drop).map_err(|fault| self.server().error(fault, call.doing))
    }

    fn damaged(&self, what: impl Into<String>) -> Error {
        self.server().error(Fault::Damaged(what.into()), "be read")
    }

    fn column<'r, T: FromSql<'r>>(&self, row: &'r Row, name: &str) -> Result<T> {
        row.try_get(name).map_err(|error| self.server().error(Fault::Sql(error), "be read"))
    }

    fn count(&self, row: &Row, name: &str) -> Result<u64> {
        let count: i64 = self.column(row, name)?;
        u64::try_from(count).map_err(|_| self.damaged(format!("the number {count}")))
    }

    fn run_id(&self, text: &str) -> Result<RunId> {
        text.parse().map_err(|_| self.damaged(format!("the run id `{}`", text.escape_debug())))
    }

    fn target(&self, text: &str) -> Result<TargetName> {
        TargetName::new(text)
            .map_err(|_| self.damaged(format!("the target `{}`", text.escape_debug())))
    }

    fn digest(&self, text: String) -> Result<Digest> {
        text.try_into().map_err(|error: Error| self.damaged(error.to_string()))
    }

    fn record(&self, row: &Row) -> Result<Record> {
        Ok(Record {
            seq: self.count(row, "seq")?,
            prev: self.digest(self.column(row, "prev")?)?,
            hash: self.digest(self.column(row, "hash")?)?,
            entry: self.column(row, "entry")?,
        })
    }

    /// What was appended, as the server tells it.
    fn appended(&self, row: &Row, entry: String) -> Result<Record> {
        let record = Record {
            seq: self.count(row, "new_seq")?,
            prev: self.digest(self.column(row, "new_prev")?)?,
            hash: self.digest(self.column(row, "new_hash")?)?,
            entry,
        };
        if record.hash != link(&record.prev, &record.entry) {
            return Err(self.damaged("an entry that the server hashed otherwise"));
        }
        Ok(record)
    }

    fn records(&self, rows: &[Row]) -> Result<Vec<Record>> {
        rows.iter().map(|row| self.record(row)).collect()
    }

    /// What was granted, with what is locked along.
    fn hold(&self, row: &Row, claim: &Claim) -> Result<Hold> {
        let fence = Fence(self.count(row, "granted_fence")?);
        let lease = Duration::from_millis(self.count(row, "kept_lease")?);
        let names: Vec<&str> = self.column(row, "along_names")?;
        let fences: Vec<i64> = self.column(row, "along_fences")?;
        let along = names
            .into_iter()
            .zip(fences)
            .map(|(name, fence)| Ok((self.target(name)?, Fence(fence.unsigned_abs()))))
            .collect::<Result<BTreeMap<_, _>>>()?;
        Ok(Hold::new(claim.target.clone(), claim.run, fence, lease).along(along))
    }

    /// The answer to a claim; `None` where it was dead processes that stood in its way.
    async fn answer(&self, row: &Row, claim: &Claim) -> Result<Option<Acquired>> {
        let answer: &str = self.column(row, "answer")?;
        if answer == "granted" {
            self.0.turns.forget(&claim.target, claim.run);
            return Ok(Some(Acquired::Granted(self.hold(row, claim)?)));
        }
        let target: Option<&str> = self.column(row, "held_target")?;
        let target = target.map(|name| self.target(name)).transpose()?;
        let run: Option<&str> = self.column(row, "held_run")?;
        let run = run.map(|run| self.run_id(run)).transpose()?;
        let fence =
            Fence(self.column::<Option<i64>>(row, "held_fence")?.map_or(0, i64::unsigned_abs));
        if let ("suspect", Some(target), Some(run)) = (answer, &target, run) {
            return Ok(Some(Acquired::Suspect { target: target.clone(), run, fence }));
        }
        let text: Option<&str> = self.column(row, "held_process")?;
        let held_by = text.map(process).transpose().map_err(|what| self.damaged(what))?;
        if let (Some(target), Some(text), Some(held_by)) = (&target, text, &held_by)
            && is_proven_dead(held_by)
        {
            self.bury_holder(target, fence, text).await?;
            return Ok(None);
        }
        if held_by.is_none() && self.has_buried_waiters(row).await? {
            return Ok(None);
        }
        let ahead = self.count(row, "ahead")?;
        let holder = holder(run, self.column(row, "held_actor")?, text);
        let holder = holder.map_err(|what| self.damaged(what))?;
        self.0.turns.told(claim, self.count(row, "ticket")?, ahead, held_by);
        Ok(Some(Acquired::Waiting { ahead, holder }))
    }

    /// Whether the first of a queue of this claim was dead, which is known now.
    async fn has_buried_waiters(&self, row: &Row) -> Result<bool> {
        let targets: Option<Vec<&str>> = self.column(row, "first_targets")?;
        let tickets: Option<Vec<i64>> = self.column(row, "first_tickets")?;
        let processes: Option<Vec<&str>> = self.column(row, "first_processes")?;
        let (targets, tickets) = (targets.unwrap_or_default(), tickets.unwrap_or_default());
        let mut buried = false;
        for ((target, ticket), text) in
            targets.into_iter().zip(tickets).zip(processes.unwrap_or_default())
        {
            if is_proven_dead(&process(text).map_err(|what| self.damaged(what))?) {
                self.bury_waiter(target, ticket, text).await?;
                buried = true;
            }
        }
        Ok(buried)
    }
}

/// A number as PostgreSQL keeps it; those beyond are further than any ledger counts.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A lease that a time can be reckoned with: ten thousand years and more are as good as for ever.
fn lease_millis(lease: Duration) -> i64 {
    const LONGEST: i64 = 10_000 * 365 * 24 * 3_600_000;
    millis(lease).min(LONGEST)
}

fn process_text(process: &ProcessIdentity) -> Result<String> {
    serde_json::to_string(process).map_err(|error| {
        Error::new(crate::code::LEDGER_IO, "a process cannot be written").with_source(error)
    })
}

const fn effect(effect: LockEffect) -> Option<&'static str> {
    match effect {
        LockEffect::None => Some("none"),
        LockEffect::Touch => Some("touch"),
        LockEffect::GiveUp => Some("give_up"),
        LockEffect::Free => Some("free"),
        _ => None,
    }
}

#[async_trait]
impl Ledger for PostgresLedger {
    async fn reconnect(&self) -> Result<Arc<dyn Ledger>> {
        let options = self.server().options.clone();
        Ok(Arc::new(Self::new(options, self.0.reads_only)?))
    }

    async fn enqueue(&self, claim: &Claim) -> Result<u64> {
        let process = process_text(&claim.process)?;
        let also: Vec<_> = claim.targets().skip(1).map(TargetName::as_str).collect();
        let (run, id) = (claim.run.to_string(), claim.id.to_string());
        let values = &[
            (&VERSION as _, Type::INT4),
            (&claim.target.as_str() as _, Type::TEXT),
            (&also as _, Type::TEXT_ARRAY),
            (&run as _, Type::TEXT),
            (&claim.actor as _, Type::TEXT),
            (&process as _, Type::TEXT),
            (&id as _, Type::TEXT),
        ];
        let sql = "SELECT gatekit.enqueue($1, $2, $3, $4, $5, $6, $7) AS ticket";
        let call = Call::new("take a ticket", sql).with(values);
        let row = self.write_as(call, asked(claim)).await?;
        self.count(&row, "ticket")
    }

    async fn acquire(&self, claim: &Claim, lease: Duration) -> Result<Acquired> {
        let process = process_text(&claim.process)?;
        let also: Vec<_> = claim.targets().skip(1).map(TargetName::as_str).collect();
        let (run, id, lease) = (claim.run.to_string(), claim.id.to_string(), lease_millis(lease));
        let values = &[
            (&VERSION as _, Type::INT4),
            (&claim.target.as_str() as _, Type::TEXT),
            (&also as _, Type::TEXT_ARRAY),
            (&run as _, Type::TEXT),
            (&claim.actor as _, Type::TEXT),
            (&process as _, Type::TEXT),
            (&id as _, Type::TEXT),
            (&lease as _, Type::INT8),
        ];
        let sql = "SELECT * FROM gatekit.acquire($1, $2, $3, $4, $5, $6, $7, $8)";
        let call = Call::new("ask for a lock", sql).with(values);
        loop {
            let row = self.write_as(call, asked(claim)).await?;
            if let Some(answer) = self.answer(&row, claim).await? {
                return Ok(answer);
            }
        }
    }

    /// Ends early when the claim's turn has come, for the first in line soon after a process of this
    /// machine has died that held the target when the claim asked last, and now and then when others
    /// come or go.
    async fn wait_for_turn(&self, claim: &Claim, longest: Duration) {
        self.0.turns.wait(self.server(), claim, longest).await;
    }

    async fn leave(&self, target: &TargetName, run: RunId) -> Result<()> {
        self.0.turns.forget(target, run);
        let values = &[
            (&VERSION as _, Type::INT4),
            (&target.as_str() as _, Type::TEXT),
            (&run.to_string() as _, Type::TEXT),
        ];
        let call = Call::new("leave a queue", "SELECT gatekit.leave($1, $2, $3)").with(values);
        self.write(call).await.map(drop).map_err(|fault| self.server().error(fault, call.doing))
    }

    async fn renew(&self, hold: &Hold) -> Result<()> {
        let values = &[
            (&VERSION as _, Type::INT4),
            (&hold.target.as_str() as _, Type::TEXT),
            (&hold.run.to_string() as _, Type::TEXT),
            (&number(hold.fence.0) as _, Type::INT8),
            (&lease_millis(hold.lease) as _, Type::INT8),
        ];
        let sql = "SELECT gatekit.renew($1, $2, $3, $4, $5)";
        let call = Call::new("renew a lease", sql).with(values);
        self.write_as(call, asked_under(hold)).await.map(drop)
    }

    async fn release(&self, hold: &Hold) -> Result<bool> {
        let (target, run) = (hold.target.as_str(), hold.run.to_string());
        let fence = number(hold.fence.0);
        let values = |repeated: &'static bool| {
            [
                (&VERSION as _, Type::INT4),
                (&target as _, Type::TEXT),
                (&run as _, Type::TEXT),
                (&fence as _, Type::INT8),
                (repeated as _, Type::BOOL),
            ]
        };
        let (once, again) = (values(&false), values(&true));
        let sql = "SELECT gatekit.release($1, $2, $3, $4, $5) AS released";
        let call = Call::new("release a lock", sql).with(&once).again_with(&again);
        let row = self.write_as(call, asked_under(hold)).await?;
        self.column(&row, "released")
    }

    async fn take_over(&self, claim: &Claim, lease: Duration) -> Result<Hold> {
        let process = process_text(&claim.process)?;
        let (run, id, lease) = (claim.run.to_string(), claim.id.to_string(), lease_millis(lease));
        loop {
            // The entry names the fence that the grant will have.
            let old = self.state(&claim.target).await?.fence;
            let body = Body::Resumed { old, new: old.next() };
            let (target, actor) = (claim.target.clone(), claim.actor.clone());
            let entry = Entry::new(target, claim.run, actor, Some(old.next()), body);
            let (text, token) = (entry.to_json()?, Uuid::now_v7().to_string());
            let values = &[
                (&VERSION as _, Type::INT4),
                (&token as _, Type::TEXT),
                (&claim.target.as_str() as _, Type::TEXT),
                (&run as _, Type::TEXT),
                (&claim.actor as _, Type::TEXT),
                (&process as _, Type::TEXT),
                (&id as _, Type::TEXT),
                (&lease as _, Type::INT8),
                (&number(old.0) as _, Type::INT8),
                (&entry.body.kind() as _, Type::TEXT),
                (&text as _, Type::TEXT),
            ];
            let sql = "SELECT * FROM \
                       gatekit.take_over($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
            let call = Call::new("take a lock over", sql).with(values);
            match self.write(call).await {
                Ok(row) => return self.hold(&row, claim),
                Err(Fault::OtherFence) => {}
                Err(Fault::Refused(stand)) => {
                    if !self.has_buried(&stand).await? {
                        return Err(self.told(&stand, asked(claim), call.doing));
                    }
                }
                Err(fault) => return Err(self.server().error(fault, call.doing)),
            }
        }
    }

    async fn append(&self, target: &TargetName, entry: &Entry, guard: Guard) -> Result<Record> {
        if entry.target != *target {
            return Err(misplaced(target, entry));
        }
        let (fence, needed) = match guard {
            Guard::Open if entry.body.is_open() && entry.fence.is_some() => {
                return Err(misguarded(entry));
            }
            Guard::Open if entry.body.is_open() => (None, Duration::ZERO),
            Guard::Holder { fence, lease_left, .. } => (Some(fence), lease_left),
            _ => return Err(unguarded(entry)),
        };
        let (run, fits) = match guard {
            Guard::Holder { run, fence, .. } => {
                (run, entry.run == run && entry.fence == Some(fence))
            }
            _ => (entry.run, true),
        };
        let Some(effect) = effect(entry.body.lock_effect()) else {
            return Err(self.damaged("an effect on the lock that this build does not know"));
        };
        let asked =
            Asked { target, run, fence: fence.unwrap_or_default(), needed, entry: Some(entry) };
        let (text, token, run) = (entry.to_json()?, Uuid::now_v7().to_string(), run.to_string());
        let kind = entry.body.kind();
        let (fence, needed) = (fence.map(|fence| number(fence.0)), millis(needed));
        let ends_run = entry.body.ends_run();
        let values = &[
            (&VERSION as _, Type::INT4),
            (&token as _, Type::TEXT),
            (&target.as_str() as _, Type::TEXT),
            (&run as _, Type::TEXT),
            (&kind as _, Type::TEXT),
            (&text as _, Type::TEXT),
            (&fence as _, Type::INT8),
            (&needed as _, Type::INT8),
            (&fits as _, Type::BOOL),
            (&effect as _, Type::TEXT),
            (&ends_run as _, Type::BOOL),
        ];
        let doing = "append an entry";
        // For a word, a person needs no right to run releases.
        let is_word = matches!(entry.body, Body::Approval { .. } | Body::Waiver { .. });
        let row = if is_word && fence.is_none() {
            let sql = "SELECT * FROM gatekit.append_word($1, $2, $3, $4, $5, $6)";
            self.write_as(Call::new(doing, sql).with(&values[..6]), asked).await?
        } else {
            let sql = "SELECT * FROM \
                       gatekit.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
            self.write_as(Call::new(doing, sql).with(values), asked).await?
        };
        // Whatever is wrong with the answer, the entry is there.
        self.appended(&row, text).map_err(|error| error.with_effect(Effect::Done))
    }

    async fn state(&self, target: &TargetName) -> Result<TargetState> {
        let values = &[(&target.as_str() as _, Type::TEXT)];
        let sql = "SELECT * FROM gatekit.state_of($1)";
        let rows = self.read_rows(Call::new("be read", sql).with(values)).await?;
        let mut state = TargetState::untouched();
        let Some(row) = rows.first() else { return Ok(state) };
        let Some(word) = self.column::<Option<&str>>(row, "state")? else { return Ok(state) };
        state.state = [LockState::Free, LockState::Held, LockState::Mutating, LockState::Suspect]
            .into_iter()
            .find(|it| it.as_str() == word)
            .ok_or_else(|| self.damaged(format!("the lock state `{}`", word.escape_debug())))?;
        state.fence = Fence(self.count(row, "fence")?);
        state.head = Head {
            seq: self.count(row, "head_seq")?,
            hash: self.digest(self.column(row, "head_hash")?)?,
        };
        let run: Option<&str> = self.column(row, "run")?;
        state.run = run.map(|run| self.run_id(run)).transpose()?;
        let text: Option<&str> = self.column(row, "process")?;
        state.holder = holder(state.run, self.column(row, "actor")?, text)
            .map_err(|what| self.damaged(what))?;
        let held_by = text.map(process).transpose().map_err(|what| self.damaged(what))?;
        if held_by.is_some_and(|process| is_proven_dead(&process)) {
            // Told as if somebody had recorded it.
            state.holder = None;
            if state.state == LockState::Held {
                (state.state, state.run) = (LockState::Free, None);
            } else {
                state.state = LockState::Suspect;
            }
        }
        if state.holder.is_some() {
            state.lease_left = Some(Duration::from_millis(self.count(row, "lease_left")?));
        }
        let leading = self.target(self.column(row, "leader")?)?;
        state.along_with = Some(leading).filter(|it| it != target && state.run.is_some());
        state.queue = self.queue(row)?;
        let is_leading = state.along_with.is_none();
        if is_leading && state.state == LockState::Suspect && state.head == Head::genesis() {
            return Err(error::arriving(target));
        }
        Ok(state)
    }

    async fn read(&self, target: &TargetName, after: u64, limit: usize) -> Result<Vec<Record>> {
        let (after, limit) = (number(after), i64::try_from(limit).unwrap_or(i64::MAX));
        let values = &[
            (&target.as_str() as _, Type::TEXT),
            (&after as _, Type::INT8),
            (&limit as _, Type::INT8),
        ];
        let sql = "SELECT seq, prev, hash, entry FROM gatekit.journal \
                   WHERE target = (SELECT no FROM gatekit.target WHERE name = $1) AND seq > $2 \
                   ORDER BY seq LIMIT $3";
        let rows = self.read_rows(Call::new("be read", sql).with(values)).await?;
        self.records(&rows)
    }

    async fn read_run(&self, target: &TargetName, run: RunId) -> Result<Vec<Record>> {
        let values = &[(&target.as_str() as _, Type::TEXT), (&run.to_string() as _, Type::TEXT)];
        let sql = "SELECT seq, prev, hash, entry FROM gatekit.journal \
                   WHERE target = (SELECT no FROM gatekit.target WHERE name = $1) AND run = $2 \
                   ORDER BY seq";
        let rows = self.read_rows(Call::new("be read", sql).with(values)).await?;
        self.records(&rows)
    }

    async fn read_kind(
        &self,
        target: &TargetName,
        kind: &'static str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let (before, limit) =
            (before.map_or(i64::MAX, number), i64::try_from(limit).unwrap_or(i64::MAX));
        let values = &[
            (&target.as_str() as _, Type::TEXT),
            (&kind as _, Type::TEXT),
            (&before as _, Type::INT8),
            (&limit as _, Type::INT8),
        ];
        let sql = "SELECT seq, prev, hash, entry FROM gatekit.journal \
                   WHERE target = (SELECT no FROM gatekit.target WHERE name = $1) AND kind = $2 \
                   AND seq < $3 ORDER BY seq DESC LIMIT $4";
        let rows = self.read_rows(Call::new("be read", sql).with(values)).await?;
        self.records(&rows)
    }
}

impl PostgresLedger {
    fn queue(&self, row: &Row) -> Result<Vec<Waiter>> {
        let Some(tickets) = self.column::<Option<Vec<i64>>>(row, "tickets")? else {
            return Ok(Vec::new());
        };
        let runs: Vec<&str> = self.column(row, "runs")?;
        let actors: Vec<&str> = self.column(row, "actors")?;
        let processes: Vec<&str> = self.column(row, "processes")?;
        let heard: Vec<bool> = self.column(row, "heard")?;
        let waiters = tickets.into_iter().zip(runs).zip(actors).zip(processes).zip(heard);
        waiters
            .map(|((((ticket, run), actor), text), heard)| {
                let process = process(text).map_err(|what| self.damaged(what))?;
                let alive = heard && !is_proven_dead(&process);
                Ok(Waiter::new(ticket.unsigned_abs(), self.run_id(run)?, actor, alive))
            })
            .collect()
    }
}

fn asked(claim: &Claim) -> Asked<'_> {
    let (target, run) = (&claim.target, claim.run);
    Asked { target, run, fence: Fence::default(), needed: Duration::ZERO, entry: None }
}

fn asked_under(hold: &Hold) -> Asked<'_> {
    let Hold { target, run, fence, .. } = hold;
    Asked { target, run: *run, fence: *fence, needed: Duration::ZERO, entry: None }
}
