//! `log`: the journal, its end, and whether it verifies.

use gatekit_core::ledger::{ChainVerifier, Head, Record};
use gatekit_core::{Effect, Error, Result};
use serde_json::json;

use crate::code;
use crate::command::Log;
use crate::env::Env;
use crate::output::{Voice, say};

/// How many records are read at once: the log of any length in the same memory.
const PAGE: usize = 4000;

pub(crate) async fn log(args: &Log, env: &Env, voice: &Voice) -> Result<()> {
    let target = env.target();
    let Some(ledger) = env.ledger_to_read()? else {
        if args.verify && env.names_ledger() {
            // A name that is mistyped, or a ledger that is gone, must not pass for one that verifies.
            let gone = "there is no such ledger: nothing was verified";
            let error = Error::new(code::USAGE_LEDGER, gone).with_effect(Effect::None);
            return Err(env.without_ledger(error));
        }
        let verifier = ChainVerifier::new(target.clone(), args.against.clone());
        log_end(args, &verifier.finish(&Head::genesis())?, voice);
        return Ok(());
    };
    let stored = ledger.state(target).await?.head;
    if args.head {
        log_end(args, &stored, voice);
        return Ok(());
    }
    let mut verifier = ChainVerifier::new(target.clone(), args.against.clone());
    let mut tell = |record: &Record| -> Result<()> {
        if args.verify {
            // Entries that were added since the head was read are none of this check's business.
            if record.seq <= stored.seq {
                verifier.push(record)?;
            }
        } else if voice.json {
            say(&json!(record).to_string());
        } else {
            say(&line(record));
        }
        Ok(())
    };
    let mut page = ledger.read(target, 0, PAGE).await?;
    while let Some(last) = page.last() {
        // The ledger reads on a thread of its own: it does the next page meanwhile.
        let next = ledger.read(target, last.seq, PAGE);
        let (next, told) = tokio::join!(next, async { page.iter().try_for_each(&mut tell) });
        told?;
        page = next?;
    }
    let head = if args.verify { verifier.finish(&stored)? } else { stored };
    log_end(args, &head, voice);
    Ok(())
}

/// A journal entry in one line for people.
fn line(record: &Record) -> String {
    match record.decode() {
        Ok(entry) => {
            let told = entry.line().unwrap_or_else(|| entry.body.kind().to_owned());
            format!("{:>5}  {}  {}  {told}", record.seq, entry.at, short(&entry.run.to_string()))
        }
        Err(error) => format!("{:>5}  cannot be read: {error}", record.seq),
    }
}

/// The last digits of a run's id: the first are its time, which neighbours share.
fn short(run: &str) -> &str {
    run.get(run.len().saturating_sub(8)..).unwrap_or(run)
}

/// The last line of a log: its end, or that it verifies.
fn log_end(args: &Log, head: &Head, voice: &Voice) {
    let text = head.to_string();
    if args.verify && voice.json {
        let entries = head.seq;
        say(&json!({
            "v": 1, "target": voice.target, "verified": true, "entries": entries, "head": text,
            "exit": 0,
        })
        .to_string());
    } else if args.verify {
        say(&format!("verified: {} entries, head {text}", head.seq));
    } else if args.head && voice.json {
        say(&json!({"v": 1, "target": voice.target, "head": text}).to_string());
    } else if args.head {
        say(&text);
    }
}
