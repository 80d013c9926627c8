//! `ledger copy`: a ledger is moved from its file to a server.

use std::io::{self, IsTerminal as _};

use clap::{Args, Command};
use gatekit_core::{Effect, Error, NextAction, Result};
use gatekit_store::{LedgerMove, Moved, MovedTarget, SqliteLedger};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::call::{Answer, Call, Problem, With};
use crate::code;
use crate::command;
use crate::env::Env;
use crate::help::Endings;
use crate::place::Place;
use crate::progress::is_dumb;
use crate::verbs::flags;

// `ledger copy`. Named so that no program's own argument is called the same.
#[derive(Debug, Args)]
#[group(skip)]
struct Copy {
    /// The ledger in a file, as `sqlite:PATH`; `sqlite:` alone is the program's own
    #[arg(id = "gatekit.from", value_name = "FROM")]
    from: String,
    /// The ledger on a server, as `postgres://USER@HOST:PORT/DATABASE`, with the password in
    /// `PGPASSWORD`; USER owns the schema `gatekit` there, or may create it
    #[arg(id = "gatekit.to", value_name = "TO")]
    to: String,
}

/// What is done with a ledger as a whole, whatever the pipeline.
pub(crate) fn command(program: &str) -> Command {
    let copy = Copy::augment_args(Command::new("copy"))
        .about("Move a ledger with its chains, locks and queues, and close it where it was")
        .after_help(Endings { program }.of("ledger copy"));
    Command::new(command::LEDGER)
        .about("Move the ledger of all pipelines from its file to a server")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(copy)
}

pub(crate) async fn copy(call: &Call) -> Answer<u8> {
    let flags: Copy = flags(call)?;
    let (from, to) = (source(&flags.from, &call.env)?, Place::parse(&flags.to)?);
    let (Place::File { path, .. }, Place::Server(to)) = (from, to) else {
        return Err(unsupported().into());
    };
    let bar = bar(call.voice.json);
    let shown = bar.clone();
    let moved = LedgerMove::new(SqliteLedger::builder(&path), *to).on_progress(move |sent, all| {
        shown.set_length(all);
        shown.set_position(sent);
    });
    let moved = moved.run().await;
    bar.finish_and_clear();
    let moved = moved.map_err(|error| Problem { error, with: With::Ledger })?;
    let next = format!(
        "name the ledger from now on, as a user who may run releases: `--ledger {}` with the \
         parameters that were given here",
        moved.to
    );
    let text = told(&moved);
    let line = line(&path.display().to_string(), &moved);
    Ok(call.voice.told(&text, line, &[NextAction::outside(next)]))
}

/// The ledger that is named; `sqlite:` alone is the file that is in use, by `--ledger` or without it.
fn source(url: &str, env: &Env) -> Result<Place> {
    if url != "sqlite:" {
        return Place::parse(url);
    }
    match env.place()? {
        used @ Place::File { .. } => Ok(used),
        Place::Server(_) => Ok(Place::File { path: env.default_path()?, durable: false }),
    }
}

fn unsupported() -> Error {
    let what = "a ledger can be copied from a file to a server, and in no other way";
    let next = "give them as `ledger copy sqlite:PATH postgres://USER@HOST:PORT/DATABASE`";
    Error::new(code::USAGE_LEDGER, what)
        .with_effect(Effect::None)
        .with_next(NextAction::outside(next))
}

/// How far it is, on a terminal.
fn bar(json: bool) -> ProgressBar {
    let shows = !json && io::stderr().is_terminal() && !is_dumb();
    let target = if shows { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(None, target);
    match ProgressStyle::with_template("  copying {pos} of {len} entries") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// What people are told.
fn told(moved: &Moved) -> String {
    let Moved { to, targets, .. } = moved;
    let entries: u64 = targets.iter().map(|target| target.head.seq).sum();
    let what = format!("{} with {entries} entries", counted(targets.len(), "target"));
    let first = match moved.already {
        false => format!("copied: {what} to {to}, and read back from there"),
        true => format!("copied before: {what} to {to}, as it was moved, and there still"),
    };
    let lines = targets.iter().map(|MovedTarget { target, head, state, run, fence, .. }| {
        let of = run.map(|run| format!(" because of run {run}")).unwrap_or_default();
        let state = state.as_str();
        format!("\n  {target}: {} entries, {state}{of}, fence {fence}, head {head}", head.seq)
    });
    first + &lines.collect::<String>()
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// What programs are told.
fn line(from: &str, moved: &Moved) -> Value {
    let targets = moved.targets.iter().map(|it| {
        json!({
            "target": it.target, "entries": it.head.seq, "head": it.head.to_string(),
            "state": it.state, "run": it.run, "fence": it.fence,
        })
    });
    json!({
        "outcome": "copied", "already": moved.already, "from": from, "to": moved.to,
        "targets": targets.collect::<Value>(),
    })
}
