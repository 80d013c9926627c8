//! `log`: the journal, its end, and whether it verifies.

use gatekit_core::ledger::{ChainVerifier, Head, Record};
use gatekit_core::{Effect, Error, NextAction, Result, Verb};
use serde_json::json;

use crate::code;
use crate::command::Log;
use crate::env::Env;
use crate::output::Voice;

/// How many records are read at once: the log of any length in the same memory.
const PAGE: usize = 4000;

pub(crate) async fn log(args: &Log, env: &Env, voice: &Voice) -> Result<()> {
    let target = env.target();
    let Some(ledger) = env.ledger_to_read().await? else {
        // An exported end tells that there was a journal, where nobody named another place by mistake.
        if args.verify && (args.against.is_none() || env.names_ledger()) {
            let gone = "there is no such ledger: nothing was verified";
            return Err(Error::new(code::USAGE_LEDGER, gone)
                .with_effect(Effect::None)
                .with_context("no ledger at", env.place()?)
                .with_next(NextAction::outside("name the ledger by `--ledger URL`")));
        }
        let verifier = ChainVerifier::new(target.clone(), args.against.clone());
        log_end(args, &verifier.finish(&Head::genesis())?, voice);
        return Ok(());
    };
    let stored = ledger.state(target).await?.head;
    if args.verify && args.against.is_none() && stored.seq == 0 {
        let never = format!("the ledger has no entry of `{target}`: nothing was verified");
        return Err(Error::new(code::USAGE_NEVER_SHIPPED, never)
            .with_effect(Effect::None)
            .with_context("ledger", env.place()?)
            .with_next(NextAction::outside(
                "name the target by `--target`, or the ledger by `--ledger`",
            ))
            .with_next(NextAction::verb(Verb::Status, &[])));
    }
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
            voice.out.say_json(&json!(record).to_string());
        } else {
            voice.out.say(&line(record));
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
    let out = &voice.out;
    if args.verify && voice.json {
        let entries = head.seq;
        let line = json!({
            "v": 1, "target": voice.target, "verified": true, "entries": entries, "head": text,
            "exit": 0,
        });
        out.say_json(&line.to_string());
    } else if args.verify {
        out.say(&format!("verified: {} entries, head {text}", head.seq));
    } else if args.head && voice.json {
        out.say_json(&json!({"v": 1, "target": voice.target, "head": text}).to_string());
    } else if args.head {
        out.say(&text);
    }
}
