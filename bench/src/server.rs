//! A ledger on a PostgreSQL server: grants, turns and appends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gatekit_core::ledger::{Acquired, Body, Claim, Entry, Guard, Hold, Ledger as _};
use gatekit_core::{Outcome, RunId, TargetName};
use gatekit_store::PostgresLedger;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use crate::Result;
use crate::line::{millis, say};

const LEASE: Duration = Duration::from_secs(60);

async fn open(url: &str, connections: usize) -> Result<PostgresLedger> {
    Ok(PostgresLedger::builder(url)?.connections(connections).build().await?)
}

/// A connection that knows nothing of ledgers.
async fn raw(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn claim(target: &str) -> Result<Claim> {
    Ok(Claim::new(TargetName::new(target)?, RunId::generate(), "bench"))
}

async fn granted(ledger: &PostgresLedger, claim: &Claim) -> Result<Hold> {
    match ledger.acquire(claim, LEASE).await? {
        Acquired::Granted(hold) => Ok(hold),
        other => Err(format!("not granted: {other:?}").into()),
    }
}

async fn held(ledger: &PostgresLedger, claim: &Claim) -> Result<Hold> {
    ledger.enqueue(claim).await?;
    granted(ledger, claim).await
}

/// Prints how long each acquisition takes of a free target, with its release: `grant_ms`. The tickets
/// are taken before.
pub(crate) async fn grants(url: &str, runs: usize) -> Result<()> {
    let ledger = open(url, 1).await?;
    let mut claims = Vec::with_capacity(runs);
    for _ in 0..runs {
        let claim = claim("bench/ours")?;
        ledger.enqueue(&claim).await?;
        claims.push(claim);
    }
    for claim in claims {
        let began = Instant::now();
        let hold = granted(&ledger, &claim).await?;
        ledger.release(&hold).await?;
        say("grant_ms", millis(began.elapsed()))?;
    }
    Ok(())
}

/// Who held which target, from when to when.
#[derive(Debug, Clone, Copy)]
struct Held {
    target: usize,
    ticket: u64,
    from: Instant,
    to: Instant,
}

/// How many wait, for what, and for how long each holds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) targets: usize,
    pub(crate) waiters: usize,
    pub(crate) hold: Duration,
    /// How many releases there were before.
    pub(crate) finished: usize,
}

/// Prints `statements`, those of a second in which all merely wait, one `handover_ms` each,
/// `overtaken` and `together`.
pub(crate) async fn turns(url: &str, crowd: Crowd) -> Result<()> {
    let ledger = open(url, 8).await?;
    for _ in 0..crowd.finished {
        release(&ledger, "bench/0").await?;
    }
    let mut first = Vec::new();
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    for target in 0..crowd.targets {
        let name = format!("bench/{target}");
        first.push((target, held(&ledger, &claim(&name)?).await?));
        for _ in 0..crowd.waiters {
            let claim = claim(&name)?;
            let ticket = ledger.enqueue(&claim).await?;
            let (ledger, log, hold) = (ledger.clone(), Arc::clone(&log), crowd.hold);
            tasks.spawn(async move {
                let mine = loop {
                    match ledger.acquire(&claim, LEASE).await? {
                        Acquired::Granted(hold) => break hold,
                        _ => ledger.wait_for_turn(&claim, LEASE).await,
                    }
                };
                let from = Instant::now();
                tokio::time::sleep(hold.mul_f64(fastrand::f64() + 0.5)).await;
                let held = Held { target, ticket, from, to: Instant::now() };
                ledger.release(&mine).await?;
                log.lock().unwrap_or_else(PoisonError::into_inner).push(held);
                Result::Ok(())
            });
        }
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let watch = raw(url).await?;
    let (before, began) = (statements(&watch).await?, Instant::now());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let made = statements(&watch).await? - before;
    say("statements", f64::from(u32::try_from(made)?) / began.elapsed().as_secs_f64())?;
    for (target, hold) in first {
        let (ledger, log, longest) = (ledger.clone(), Arc::clone(&log), crowd.hold);
        tasks.spawn(async move {
            // Not all at once: nobody does.
            tokio::time::sleep(longest.mul_f64(fastrand::f64())).await;
            let now = Instant::now();
            ledger.release(&hold).await?;
            let held = Held { target, ticket: 0, from: now, to: now };
            log.lock().unwrap_or_else(PoisonError::into_inner).push(held);
            Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
    log.sort_by_key(|held| (held.target, held.from));
    let (mut overtaken, mut together) = (0, 0);
    for pair in log.windows(2).filter(|pair| pair[0].target == pair[1].target) {
        overtaken += usize::from(pair[1].ticket < pair[0].ticket);
        match pair[1].from.checked_duration_since(pair[0].to) {
            Some(handover) => say("handover_ms", millis(handover))?,
            None => together += 1,
        }
    }
    say("overtaken", overtaken)?;
    say("together", together)
}

/// A whole release of nothing.
async fn release(ledger: &PostgresLedger, target: &str) -> Result<()> {
    let hold = held(ledger, &claim(target)?).await?;
    append(ledger, &hold, Body::Calling { stage: "deploy".parse()?, call: "write".into() }).await?;
    let closed = Body::Closed { outcome: Outcome::Released, failure: None, live: None };
    append(ledger, &hold, closed).await
}

async fn append(ledger: &PostgresLedger, hold: &Hold, body: Body) -> Result<()> {
    let entry = Entry::new(hold.target.clone(), hold.run, "bench", Some(hold.fence), body);
    let guard = Guard::Holder { run: hold.run, fence: hold.fence, lease_left: LEASE / 3 };
    ledger.append(&hold.target, &entry, guard).await?;
    Ok(())
}

/// How many transactions the database has seen.
async fn statements(client: &Client) -> Result<i64> {
    // What a session has counted is told once a second.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let sql = "SELECT xact_commit + xact_rollback FROM pg_stat_database \
               WHERE datname = current_database()";
    Ok(client.query_one(sql, &[]).await?.get(0))
}

/// Prints by turns how long it takes to append to a journal of a thousand entries, and to one of so
/// many: `short_ms`, `long_ms`.
pub(crate) async fn appends(url: &str, entries: u64, runs: usize) -> Result<()> {
    let (ledger, raw) = (open(url, 1).await?, raw(url).await?);
    let mut holds = Vec::new();
    for (target, entries) in [("bench/short", 1000), ("bench/long", entries)] {
        let hold = held(&ledger, &claim(target)?).await?;
        // Of real ones' length; what is measured does not read them.
        let sql = format!(
            "SET session_replication_role = replica; SET synchronous_commit = off; \
             INSERT INTO gatekit.journal (target, seq, run, kind, prev, hash, entry, token) \
             SELECT t.no, seq, 'of-the-past-' || seq / 40, 'calling', repeat('0', 64), \
             repeat('0', 64), repeat('x', 300), '0-' || t.no || lpad(seq::text, 30, '0') \
             FROM gatekit.target t, generate_series(1, {entries}) seq WHERE t.name = '{target}'; \
             UPDATE gatekit.target SET head_seq = {entries} WHERE name = '{target}'; \
             RESET ALL; ANALYZE gatekit.journal; CHECKPOINT"
        );
        raw.batch_execute(&sql).await?;
        holds.push(hold);
    }
    // That took longer than a lease.
    for hold in &holds {
        ledger.renew(hold).await?;
    }
    let body = || -> Result<Body> {
        Ok(Body::Calling { stage: "deploy".parse()?, call: "w".repeat(150) })
    };
    for _ in 0..runs {
        for (hold, name) in holds.iter().zip(["short_ms", "long_ms"]) {
            let body = body()?;
            let began = Instant::now();
            append(&ledger, hold, body).await?;
            say(name, millis(began.elapsed()))?;
            ledger.renew(hold).await?;
        }
    }
    Ok(())
}
