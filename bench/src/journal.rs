//! Journals of any length, made in seconds.
//!
//! One real run is shipped through the ledger; its entries are then written again and again, each
//! time as another run's, past the ledger, in one transaction. The chain is a true one:
//! `local-release log --verify` judges it.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use gatekit_core::ledger::{Entry, Head, Ledger as _, Record, link};
use gatekit_core::{RunId, TargetName};
use gatekit_store::SqliteLedger;
use rusqlite::{Connection, params};
use tokio::runtime::Runtime;

use crate::{Result, ship};

/// Whose journal it is: the target that `local-release` asks about unless told otherwise.
pub(crate) const TARGET: &str = "local/app";

/// Makes a ledger with `entries` entries at `path`.
pub(crate) fn make(runtime: &Runtime, path: &Path, entries: u64) -> Result<()> {
    let target = TargetName::new(TARGET)?;
    let ledger = SqliteLedger::builder(path).durable(true).build()?;
    runtime.block_on(ship::once(&ledger, TARGET))?;
    let mut head = runtime.block_on(ledger.state(&target))?.head;
    let records = runtime.block_on(ledger.read(&target, 0, usize::MAX))?;
    let mut templates: Vec<Entry> =
        records.iter().map(Record::decode).collect::<gatekit_core::Result<_>>()?;
    drop(ledger);
    let mut conn = Connection::open(path)?;
    let tx = conn.transaction()?;
    {
        let mut insert = tx.prepare(
            "INSERT INTO journal (place, run, starts, kind, prev, hash, entry) \
             SELECT (no << 40) | ?2, ?3, ?4 = 'opened', ?4, ?5, ?6, ?7 \
             FROM target WHERE name = ?1",
        )?;
        while head.seq < entries {
            let run = RunId::generate();
            for entry in &mut templates {
                if head.seq == entries {
                    break;
                }
                entry.run = run;
                head = append(&mut insert, entry, &head)?;
            }
        }
    }
    tx.execute(
        "UPDATE target SET head_seq = ?1, head_hash = ?2",
        params![i64::try_from(head.seq)?, head.hash.as_str()],
    )?;
    tx.commit()?;
    Ok(())
}

fn append(insert: &mut rusqlite::Statement<'_>, entry: &Entry, head: &Head) -> Result<Head> {
    let text = entry.to_json()?;
    let next = Head { seq: head.seq + 1, hash: link(&head.hash, &text) };
    insert.execute(params![
        entry.target.as_str(),
        i64::try_from(next.seq)?,
        entry.run.to_string(),
        entry.body.kind(),
        head.hash.as_str(),
        next.hash.as_str(),
        text,
    ])?;
    Ok(next)
}

/// Writes what the hashes of a journal are made of, one entry after the other.
pub(crate) fn bytes(ledger: &Path, to: &Path) -> Result<()> {
    let conn = Connection::open(ledger)?;
    let mut statement = conn.prepare("SELECT prev, entry FROM journal ORDER BY place")?;
    let mut rows = statement.query([])?;
    let mut out = BufWriter::new(File::create(to)?);
    while let Some(row) = rows.next()? {
        for column in 0..2 {
            out.write_all(row.get_ref(column)?.as_bytes()?)?;
        }
    }
    out.flush()?;
    Ok(())
}
