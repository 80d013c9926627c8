//! A whole run of gates and deploys that do nothing, beside the same number of bare commits.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatekit_core::ledger::Ledger as _;
use gatekit_core::{Candidate, Engine, Outcome, Pipeline, StageId, TargetName, enforced};
use gatekit_store::SqliteLedger;
use rusqlite::{Connection, params};
use tokio::runtime::Runtime;

use crate::Result;
use crate::line::{millis, say};
use crate::nothing::{Back, Nod, Nothing};

const GATES: usize = 10;
const DEPLOYS: usize = 3;

/// Ships once, as any program would.
pub(crate) async fn once(ledger: &SqliteLedger, target: &str) -> Result<()> {
    let gates = (0..GATES)
        .map(|at| Ok(enforced(Nod(StageId::new(format!("gate-{at}"))?))))
        .collect::<gatekit_core::Result<Vec<_>>>()?;
    let deploy = |at: usize| -> gatekit_core::Result<Nothing> {
        Ok(Nothing::new(StageId::new(format!("deploy-{at}"))?, Duration::ZERO))
    };
    let mut pipeline = Pipeline::to(target).gates(gates).deploy(deploy(0)?).rollback_with(Back);
    for at in 1..DEPLOYS {
        pipeline = pipeline.deploy(deploy(at)?).rollback_with(Back);
    }
    let engine = Engine::new(Arc::new(ledger.clone()));
    let report = engine.ship(&pipeline.build()?, Candidate::new().with_version("1")).await;
    match report.outcome {
        Outcome::Released => Ok(()),
        outcome => Err(format!("{outcome:?}: {:?}", report.failure).into()),
    }
}

/// Prints `commits` once, then one `ship_ms` and one `commits_ms` by turns.
pub(crate) fn measure(runtime: &Runtime, dir: &Path, runs: usize) -> Result<()> {
    const TARGET: &str = "production/api";
    let path = dir.join("ledger.db");
    let ledger = SqliteLedger::builder(&path).durable(true).build()?;
    let before = commits(&path)?;
    runtime.block_on(once(&ledger, TARGET))?;
    let count = commits(&path)? - before;
    say("commits", count)?;
    let records = runtime.block_on(ledger.read(&TargetName::new(TARGET)?, 0, usize::MAX))?;
    say("entries", records.len())?;
    let peer = dir.join("bare.db");
    let mut bare = Bare::open(&peer)?;
    let rows: Vec<_> = (0..count)
        // Not every commit is an entry.
        .map(|at| records[at % records.len()].entry.len() + ROW_BESIDE_ENTRY)
        .map(|length| "x".repeat(length))
        .collect();
    // A log that still grows is slower to sync than one that is written over: both have been full.
    while !is_written_over(&path)? {
        runtime.block_on(once(&ledger, TARGET))?;
    }
    while !is_written_over(&peer)? {
        bare.commit(&rows)?;
    }
    for _ in 0..runs {
        let begun = Instant::now();
        runtime.block_on(once(&ledger, TARGET))?;
        say("ship_ms", millis(begun.elapsed()))?;
        say("commits_ms", millis(bare.commit(&rows)?))?;
    }
    Ok(())
}

/// What a row of the journal holds beside its entry: target, run, kind and two hashes.
const ROW_BESIDE_ENTRY: usize = 14 + 36 + 8 + 64 + 64;

/// The log beside a database (<https://sqlite.org/fileformat2.html#walformat>); empty when there is
/// none.
fn log(database: &Path) -> Result<Vec<u8>> {
    match fs::read(database.with_extension("db-wal")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        log => Ok(log?),
    }
}

/// How many commits are in a log: the frames that name the size of the database, and have the salt of
/// the log's header.
fn commits(database: &Path) -> Result<usize> {
    const HEADER: usize = 32;
    const FRAME: usize = 24;
    let log = log(database)?;
    let (Some(header), Some(frames)) = (log.get(..HEADER), log.get(HEADER..)) else {
        return Ok(0);
    };
    let page = u32::from_be_bytes(header[8..12].try_into()?);
    let salt = &header[16..24];
    let frames = frames.chunks_exact(FRAME + usize::try_from(page)?);
    let ours = frames.take_while(|frame| frame[8..16] == *salt);
    Ok(ours.filter(|frame| frame[4..8] != [0; 4]).count())
}

/// Whether a log has been full and begun anew, by the number of its checkpoints.
fn is_written_over(database: &Path) -> Result<bool> {
    Ok(log(database)?.get(12..16).is_some_and(|checkpoints| checkpoints != [0; 4]))
}

/// A table with one row a commit, as durable as the ledger.
struct Bare(Connection);

impl Bare {
    fn open(path: &Path) -> Result<Self> {
        let conn = Connection::open(path)?;
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.execute("CREATE TABLE line (seq INTEGER PRIMARY KEY, text TEXT NOT NULL)", [])?;
        Ok(Self(conn))
    }

    fn commit(&mut self, rows: &[String]) -> Result<Duration> {
        let begun = Instant::now();
        for row in rows {
            let mut insert = self.0.prepare_cached("INSERT INTO line (text) VALUES (?1)")?;
            insert.execute(params![row])?;
        }
        Ok(begun.elapsed())
    }
}
