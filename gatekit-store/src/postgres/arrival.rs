//! How the history of another ledger is received.
//!
//! First its targets are announced here: they are suspect and without an entry, so that nobody is
//! granted one, or begins a chain, while the other ledger is closed and its history has not arrived.
//! Then everything arrives in one transaction.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::{Ledger, Record};
use gatekit_core::{Digest, Effect, Error, NextAction, Result, RunId, TargetName};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::error::{self, Fault};
use super::ledger::{PostgresLedger, number};
use super::schema::VERSION;
use super::server::{Attempts, Call, Value};
use super::transaction::Transaction;
use crate::code;
use crate::moving::{Inventory, Stock, Verified, Waiting};

/// What of a move is known here.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// The name of the move.
    pub(crate) errand: RunId,
    /// Whether everything has arrived.
    pub(crate) is_complete: bool,
}

impl PostgresLedger {
    /// Where the ledger is, whoever asks.
    pub(crate) fn database(&self) -> String {
        format!("postgres://{}", self.server().options.address.database())
    }

    /// A handle for reading, each of whose calls may take at least that time.
    pub(crate) fn unhurried(&self, call_timeout: Duration) -> Result<Self> {
        let options = self.server().options.clone();
        let call_timeout = options.call_timeout.max(call_timeout);
        Self::new(options.call_timeout(call_timeout), true)
    }

    /// Announces what is about to arrive, in place of what was announced under the name `own`; `None`
    /// when the other ledger was moved elsewhere.
    ///
    /// # Errors
    /// `ledger.conflict` when one of the targets is known here by another history, or a copy of the
    /// same ledger was announced that holds something else; `ledger.io` when it holds what PostgreSQL
    /// cannot.
    pub(crate) async fn expect_arrival(
        &self,
        seen: &Inventory,
        own: Option<RunId>,
    ) -> Result<Option<Arrival>> {
        // All else is JSON, or a name without such characters.
        if seen.queue.iter().any(|waiting| waiting.actor.contains('\0')) {
            return Err(error::unstorable(&self.database()));
        }
        self.transact("announce a ledger", &Announcing { seen, own }).await
    }

    /// Takes back what was announced under that name, unless another call relies on it: that may have
    /// closed the file meanwhile.
    pub(crate) async fn withdraw(&self, seen: &Inventory, errand: RunId) -> Result<()> {
        self.transact("take an announcement back", &Withdrawing { seen, errand }).await
    }

    /// Receives all of it, or nothing; does nothing where it is here already.
    pub(crate) async fn receive(
        &self,
        from: &dyn Ledger,
        seen: &Inventory,
        errand: RunId,
        told: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<()> {
        self.transact("receive a ledger", &Receiving { from, seen, errand, told }).await
    }

    async fn transact<W: Work>(&self, doing: &'static str, work: &W) -> Result<W::Answer> {
        let mut attempts = Attempts::new(self.server(), doing);
        loop {
            let attempt = async {
                let tx = Transaction::begin(self.server(), &mut attempts).await?;
                let values = &[(&VERSION as _, Type::INT4)];
                let sql = "SELECT gatekit.check_version($1), gatekit.durably()";
                tx.all(Call::new(doing, sql).with(values)).await?;
                let answer = work.within(&tx).await?;
                tx.commit().await?;
                Ok(answer)
            };
            let failed = match attempt.await {
                Ok(answer) => return Ok(answer),
                Err(fault) => attempts.pause(fault).await,
            };
            failed.map_err(|fault| self.server().error(fault, doing))?;
        }
    }
}

/// What is done in one transaction, and from its beginning again where its connection was lost.
#[async_trait]
trait Work: Sync {
    type Answer: Send;

    async fn within(&self, tx: &Transaction) -> Result<Self::Answer, Fault>;
}

struct Announcing<'a> {
    seen: &'a Inventory,
    own: Option<RunId>,
}

#[async_trait]
impl Work for Announcing<'_> {
    type Answer = Option<Arrival>;

    async fn within(&self, tx: &Transaction) -> Result<Option<Arrival>, Fault> {
        let is_complete = has_arrived(tx, self.seen).await?;
        let Some(errand) = self.errand(tx, is_complete).await? else { return Ok(None) };
        if !is_complete {
            reserve(tx, self.seen, errand).await?;
        }
        Ok(Some(Arrival { errand, is_complete }))
    }
}

impl Announcing<'_> {
    /// The name of the move: a new one, unless the ledger has been announced before.
    async fn errand(&self, tx: &Transaction, is_complete: bool) -> Result<Option<RunId>, Fault> {
        let Self { seen, own } = self;
        let mut known = announced(tx, seen).await?;
        if let Some(destination) = &seen.destination {
            let known = known.filter(|known| known.errand == destination.errand);
            return Ok(known.map(|known| known.errand));
        }
        if known.is_none() {
            let (errand, digest) = (RunId::generate(), seen.digest());
            let new = Announced { errand, digest, is_shared: false };
            note(tx, &announcement(seen), &new.to_string()).await?;
            // Where another call announces the same ledger meanwhile, this has waited for it.
            known = announced(tx, seen).await?;
            if known.as_ref().is_some_and(|known| known.errand == errand) {
                return Ok(Some(errand));
            }
        }
        let Some(known) = known else { return Ok(None) };
        let is_own = *own == Some(known.errand);
        // Of another file, for all that is known, which may be closed by now.
        if known.digest != seen.digest() && !is_complete && !is_own {
            return Err(announced_otherwise().into());
        }
        let digest = if is_complete { known.digest } else { seen.digest() };
        let new = Announced { digest, is_shared: known.is_shared || !is_own, ..known };
        forget(tx, &announcement(seen)).await?;
        note(tx, &announcement(seen), &new.to_string()).await?;
        Ok(Some(new.errand))
    }
}

struct Withdrawing<'a> {
    seen: &'a Inventory,
    errand: RunId,
}

#[async_trait]
impl Work for Withdrawing<'_> {
    type Answer = ();

    async fn within(&self, tx: &Transaction) -> Result<(), Fault> {
        let known = announced(tx, self.seen).await?;
        if known.is_some_and(|known| known.errand == self.errand && !known.is_shared)
            && !has_arrived(tx, self.seen).await?
        {
            forget(tx, &announcement(self.seen)).await?;
            release(tx, self.errand).await?;
        }
        Ok(())
    }
}

struct Receiving<'a> {
    from: &'a dyn Ledger,
    seen: &'a Inventory,
    errand: RunId,
    told: &'a (dyn Fn(u64, u64) + Send + Sync),
}

#[async_trait]
impl Work for Receiving<'_> {
    type Answer = ();

    async fn within(&self, tx: &Transaction) -> Result<(), Fault> {
        // The row is locked from here on: whoever receives the same waits.
        let known = announced(tx, self.seen).await?;
        if !known
            .is_some_and(|known| known.errand == self.errand && known.digest == self.seen.digest())
        {
            return Err(announced_otherwise().into());
        }
        if has_arrived(tx, self.seen).await? {
            return Ok(());
        }
        reserve(tx, self.seen, self.errand).await?;
        let (mut sent, all) = (0, self.seen.entries());
        for Stock { target, head, .. } in &self.seen.targets {
            let mut records = Verified::new(self.from, target, head);
            while let Some(page) = records.next().await? {
                insert(tx, target, &page).await?;
                sent += page.len() as u64;
                (self.told)(sent, all);
            }
        }
        set_locks(tx, &self.seen.targets).await?;
        line_up(tx, &self.seen.queue).await?;
        free_rest(tx, self.errand).await?;
        note(tx, &receipt(self.seen), &self.errand.to_string()).await
    }
}

fn announcement(seen: &Inventory) -> String {
    format!("announced/{}", seen.id)
}

fn receipt(seen: &Inventory) -> String {
    format!("arrived/{}", seen.id)
}

/// What was announced: the move's name, and what the ledger held then.
#[derive(Debug, Clone)]
struct Announced {
    errand: RunId,
    digest: Digest,
    /// Whether more calls than the one that announced it rely on it.
    is_shared: bool,
}

impl fmt::Display for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = if self.is_shared { SHARED } else { "" };
        write!(f, "{} {}{shared}", self.errand, self.digest)
    }
}

const SHARED: &str = " shared";

impl Announced {
    fn parse(text: &str) -> Result<Self> {
        let own = text.strip_suffix(SHARED);
        let (errand, digest) = own.unwrap_or(text).split_once(' ').unwrap_or((text, ""));
        Ok(Self { errand: errand.parse()?, digest: digest.parse()?, is_shared: own.is_some() })
    }
}

fn announced_otherwise() -> Error {
    let what = "another copy of this ledger was announced there, with other contents";
    let next = "complete the move of the file that is closed: its `status` names the new ledger. \
                Where none is, the owner of the schema takes the announcement out of `gatekit.meta`";
    Error::new(code::LEDGER_CONFLICT, what)
        .with_effect(Effect::None)
        .with_next(NextAction::outside(next).by("operator"))
}

async fn forget(tx: &Transaction, key: &str) -> Result<(), Fault> {
    let values = &[(&key as _, Type::TEXT)];
    let sql = "DELETE FROM gatekit.meta WHERE key = $1";
    tx.all(Call::new("forget a move", sql).with(values)).await.map(drop)
}

/// Makes the reserved targets what they were: unknown, but for those that somebody waits for by now.
async fn release(tx: &Transaction, errand: RunId) -> Result<(), Fault> {
    let values = &[(&errand.to_string() as _, Type::TEXT)];
    let sql = "DELETE FROM gatekit.target t WHERE state = 'suspect' AND run = $1 AND head_seq = 0 \
               AND NOT EXISTS (SELECT FROM gatekit.waiter w WHERE t.no IN (w.target, w.leader))";
    tx.all(Call::new("release targets", sql).with(values)).await?;
    free_rest(tx, errand).await
}

async fn note(tx: &Transaction, key: &str, value: &str) -> Result<(), Fault> {
    let values = &[(&key as _, Type::TEXT), (&value as _, Type::TEXT)];
    let sql = "INSERT INTO gatekit.meta (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    tx.all(Call::new("note a move", sql).with(values)).await.map(drop)
}

/// What is noted under that key, whose row stays locked.
async fn noted(tx: &Transaction, key: &str) -> Result<Option<String>, Fault> {
    let values = &[(&key as _, Type::TEXT)];
    let sql = "SELECT value FROM gatekit.meta WHERE key = $1 FOR UPDATE";
    let rows = tx.all(Call::new("look for a move", sql).with(values)).await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
}

async fn announced(tx: &Transaction, seen: &Inventory) -> Result<Option<Announced>, Fault> {
    let noted = noted(tx, &announcement(seen)).await?;
    let known = noted.map(|noted| Announced::parse(&noted)).transpose();
    known.map_err(|error: Error| Fault::Damaged(error.to_string()))
}

async fn has_arrived(tx: &Transaction, seen: &Inventory) -> Result<bool, Fault> {
    Ok(noted(tx, &receipt(seen)).await?.is_some())
}

/// Makes the targets such that nobody is granted them before their history has arrived.
async fn reserve(tx: &Transaction, seen: &Inventory, errand: RunId) -> Result<(), Fault> {
    let names: Vec<_> = seen.targets.iter().map(|it| it.target.as_str()).collect();
    let fences: Vec<_> = seen.targets.iter().map(|it| number(it.fence.0)).collect();
    let errand = errand.to_string();
    let values = &[
        (&names as _, Type::TEXT_ARRAY),
        (&fences as _, Type::INT8_ARRAY),
        (&errand as _, Type::TEXT),
    ];
    let sql = "INSERT INTO gatekit.target AS t (name, state, run, fence, head_seq, head_hash) \
               SELECT name, 'suspect', $3, fence, 0, repeat('0', 64) \
               FROM unnest($1, $2) AS wanted (name, fence) ORDER BY name \
               ON CONFLICT (name) DO UPDATE SET state = 'suspect', run = $3, fence = excluded.fence \
               WHERE t.head_seq = 0 AND (t.run = $3 OR t.state = 'free' AND t.fence = 0 \
                   AND NOT EXISTS (SELECT FROM gatekit.waiter w WHERE w.target = t.no)) \
               RETURNING t.name";
    let rows = tx.all(Call::new("announce targets", sql).with(values)).await?;
    let ours = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<&str>, _>>()?;
    match seen.targets.iter().find(|it| !ours.contains(&it.target.as_str())) {
        Some(known) => Err(conflict(&known.target).into()),
        None => Ok(()),
    }
}

fn conflict(target: &TargetName) -> Error {
    let what = "the target has another history in the ledger that it is to be moved to";
    let next = "name a ledger in which nothing was ever shipped to the target";
    Error::new(code::LEDGER_CONFLICT, what)
        .with_effect(Effect::None)
        .with_context("target", target)
        .with_next(NextAction::outside(next))
}

/// Writes the next records of a chain, as they are.
async fn insert(tx: &Transaction, target: &TargetName, page: &[Record]) -> Result<(), Fault> {
    let mut runs = Vec::with_capacity(page.len());
    let mut kinds = Vec::with_capacity(page.len());
    for record in page {
        runs.push(record.decode()?.run.to_string());
        kinds.push(record.kind()?);
    }
    let kinds: Vec<&str> = kinds.iter().map(AsRef::as_ref).collect();
    let seqs: Vec<_> = page.iter().map(|record| number(record.seq)).collect();
    let prevs: Vec<_> = page.iter().map(|record| record.prev.as_str()).collect();
    let hashes: Vec<_> = page.iter().map(|record| record.hash.as_str()).collect();
    let entries: Vec<_> = page.iter().map(|record| record.entry.as_str()).collect();
    let values = &[
        (&target.as_str() as _, Type::TEXT),
        (&seqs as _, Type::INT8_ARRAY),
        (&runs as _, Type::TEXT_ARRAY),
        (&kinds as _, Type::TEXT_ARRAY),
        (&prevs as _, Type::TEXT_ARRAY),
        (&hashes as _, Type::TEXT_ARRAY),
        (&entries as _, Type::TEXT_ARRAY),
    ];
    let sql = "INSERT INTO gatekit.journal (target, seq, run, kind, prev, hash, entry, token) \
               SELECT t.no, r.seq, r.run, r.kind, r.prev, r.hash, r.entry, \
                   gen_random_uuid() \
               FROM gatekit.target t, unnest($2, $3, $4, $5, $6, $7) \
                   AS r (seq, run, kind, prev, hash, entry) \
               WHERE t.name = $1";
    tx.all(Call::new("receive entries", sql).with(values)).await.map(drop)
}

/// Makes the locks what they were in the other ledger.
async fn set_locks(tx: &Transaction, targets: &[Stock]) -> Result<(), Fault> {
    let names: Vec<_> = targets.iter().map(|it| it.target.as_str()).collect();
    let states: Vec<_> = targets.iter().map(|it| it.state.as_str()).collect();
    let runs: Vec<_> = targets.iter().map(|it| it.run.map(|run| run.to_string())).collect();
    let fences: Vec<_> = targets.iter().map(|it| number(it.fence.0)).collect();
    let seqs: Vec<_> = targets.iter().map(|it| number(it.head.seq)).collect();
    let hashes: Vec<_> = targets.iter().map(|it| it.head.hash.as_str()).collect();
    let along = || targets.iter().map(|it| it.along.as_ref());
    let leaders: Vec<_> = along().map(|along| along.map(|(name, _)| name.as_str())).collect();
    let led: Vec<_> = along().map(|along| along.map(|(_, fence)| number(fence.0))).collect();
    let values = &[
        (&names as _, Type::TEXT_ARRAY),
        (&states as _, Type::TEXT_ARRAY),
        (&runs as _, Type::TEXT_ARRAY),
        (&fences as _, Type::INT8_ARRAY),
        (&seqs as _, Type::INT8_ARRAY),
        (&hashes as _, Type::TEXT_ARRAY),
        (&leaders as _, Type::TEXT_ARRAY),
        (&led as _, Type::INT8_ARRAY),
    ];
    let sql = "UPDATE gatekit.target t SET state = s.state, run = s.run, fence = s.fence, \
                   head_seq = s.head_seq, head_hash = s.head_hash, \
                   along = leader.no, along_fence = s.along_fence \
               FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) AS s \
                   (name, state, run, fence, head_seq, head_hash, along, along_fence) \
               LEFT JOIN gatekit.target leader ON leader.name = s.along \
               WHERE t.name = s.name";
    tx.all(Call::new("receive locks", sql).with(values)).await.map(drop)
}

/// Gives the claims that wait new tickets, in their order. None is heard of before it asks here.
async fn line_up(tx: &Transaction, queue: &[Waiting]) -> Result<(), Fault> {
    let count = number(queue.len() as u64);
    let values = &[(&count as _, Type::INT8)];
    let sql = "SELECT nextval('gatekit.ticket') FROM generate_series(1, $1)";
    let rows = tx.all(Call::new("draw tickets", sql).with(values)).await?;
    let mut tickets: Vec<i64> =
        rows.iter().map(|row: &Row| row.try_get(0)).collect::<Result<_, _>>()?;
    tickets.sort_unstable();
    for (claim, ticket) in queue.iter().zip(tickets) {
        let Waiting { leading, run, claim, actor, process, targets } = claim;
        let targets: Vec<_> = targets.iter().map(TargetName::as_str).collect();
        let run = run.to_string();
        let values: &[Value<'_>] = &[
            (&targets as _, Type::TEXT_ARRAY),
            (&ticket as _, Type::INT8),
            (&leading.as_str() as _, Type::TEXT),
            (&run as _, Type::TEXT),
            (&claim as _, Type::TEXT),
            (&actor as _, Type::TEXT),
            (&process as _, Type::TEXT),
        ];
        let sql = "INSERT INTO gatekit.waiter \
                   (target, ticket, leader, run, claim, actor, process, heard) \
                   SELECT t.no, $2, leader.no, $4, $5, $6, $7, '-infinity' \
                   FROM gatekit.target t, gatekit.target leader \
                   WHERE t.name = ANY ($1) AND leader.name = $3 ON CONFLICT DO NOTHING";
        tx.all(Call::new("receive a queue", sql).with(values)).await?;
    }
    Ok(())
}

/// Frees what was announced for a claim that gave up waiting before the other ledger was closed.
async fn free_rest(tx: &Transaction, errand: RunId) -> Result<(), Fault> {
    let errand = errand.to_string();
    let values = &[(&errand as _, Type::TEXT)];
    let sql = "UPDATE gatekit.target SET state = 'free', run = NULL \
               WHERE state = 'suspect' AND run = $1";
    tx.all(Call::new("receive locks", sql).with(values)).await.map(drop)
}
