//! The commands.

use std::path::PathBuf;
use std::sync::Arc;

use gatekit_core::ledger::{ChainVerifier, Head, Ledger, LockState, Record, TargetState};
use gatekit_core::{
    Candidate, Code, Engine, Error, NextAction, Pending, Pipeline, Result, RunReport, Running, Verb,
};
use gatekit_store::SqliteLedger;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::output::{self, Teller, say};
use crate::pipeline::{Arguments, ShipArguments, USAGE_PATH};
use local_release::args::{Command, Common, Log, Reconcile, Ship};

/// The ledger's URL is of a kind that this program does not know.
const USAGE_LEDGER: Code = Code::new("usage.ledger");
/// Nothing was ever shipped from this ledger.
const NEVER_SHIPPED: Code = Code::new("usage.never_shipped");

/// Runs a command and gives the exit code.
pub(crate) async fn run(command: &Command, common: &Common) -> u8 {
    let done = match command {
        Command::Ship(args) => reported(ship(args, common).await, common),
        Command::Stop => reported(stop(common).await, common),
        Command::Rollback { to, reason } => {
            reported(rollback(to.clone(), reason, common).await, common)
        }
        Command::Resume => reported(resume(common).await, common),
        Command::Reconcile(args) => reported(reconcile(args, common).await, common),
        Command::Status => status(common).await.map(|()| 0),
        Command::Log(args) => log(args, common).await.map(|()| 0),
        // It needs no runtime, and is answered before one is made.
        Command::DemoService { .. } => Ok(0),
    };
    done.unwrap_or_else(|error| output::error(&error, common))
}

fn reported(report: Result<RunReport>, common: &Common) -> Result<u8> {
    report.map(|report| output::report(&report, common))
}

/// The root as an absolute path: the service's processes are found by what lies there.
fn root(common: &Common) -> Result<PathBuf> {
    let unusable = |source| {
        Error::new(USAGE_PATH, format!("`--root {}` cannot be used", common.root.display()))
            .with_source(source)
    };
    std::path::absolute(&common.root).map_err(unusable)
}

fn ledger_path(common: &Common) -> Result<PathBuf> {
    match common.ledger.as_deref() {
        None => Ok(root(common)?.join("ledger.db")),
        Some(url) => match url.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
            _ => Err(Error::new(USAGE_LEDGER, "the ledger's URL is not `sqlite:PATH`")),
        },
    }
}

/// The root, when it is the one that the target is released under: a ledger that lies elsewhere may
/// know the target from another root, under which nothing of it would be found.
async fn known_root(common: &Common) -> Result<PathBuf> {
    let root = root(common)?;
    let beside = common.ledger.is_none();
    if let Some(ledger) = if beside { None } else { open_to_read(common)? } {
        let engine = Engine::new(ledger);
        let arguments = match engine.pending(&common.target).await? {
            Some(pending) => Some(pending.arguments),
            None => engine.last_arguments(&common.target).await?,
        };
        if let Some(arguments) = arguments {
            Arguments::check_root(&arguments, &root, &common.target)?;
        }
    }
    Ok(root)
}

/// The ledger for writing, made when it does not exist, but not for a call that cannot run.
fn open(common: &Common) -> Result<Arc<dyn Ledger>> {
    Engine::check_lease(common.lease)?;
    Ok(Arc::new(SqliteLedger::open(ledger_path(common)?)?))
}

/// The ledger for reading; `None` when it does not exist.
fn open_to_read(common: &Common) -> Result<Option<Arc<dyn Ledger>>> {
    let ledger = SqliteLedger::open_read_only(ledger_path(common)?)?;
    Ok(ledger.map(|ledger| Arc::new(ledger) as Arc<dyn Ledger>))
}

fn ship_action() -> NextAction {
    let args = ["--app", "DIR", "--start", "CMD", "--check", "URL"];
    NextAction::verb(Verb::Ship, &args)
}

fn engine(ledger: Arc<dyn Ledger>, common: &Common) -> Result<Engine> {
    let mut engine = Engine::new(ledger)
        .reporter(Teller::new(common.output))
        .with_lease(common.lease)?
        .with_deadline(common.deadline)
        .with_queue_timeout(common.queue_timeout);
    if let Some(actor) = &common.actor {
        engine = engine.with_actor(actor);
    }
    Ok(engine)
}

/// Awaits a run; SIGINT, SIGTERM and SIGHUP interrupt it.
async fn finish(running: Running) -> Result<RunReport> {
    let no_signals =
        |source| Error::new(Code::new("runtime.signals"), "no signals").with_source(source);
    let mut int = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let mut term = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut hup = signal(SignalKind::hangup()).map_err(no_signals)?;
    let interrupter = running.interrupter();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = int.recv() => {}
                _ = term.recv() => {}
                _ = hup.recv() => {}
            }
            interrupter.interrupt();
        }
    });
    Ok(running.await)
}

async fn ship(args: &Ship, common: &Common) -> Result<RunReport> {
    ship_arguments(ShipArguments::new(args)?, common).await
}

pub(crate) async fn ship_arguments(arguments: ShipArguments, common: &Common) -> Result<RunReport> {
    let root = known_root(common).await?;
    let candidate = arguments.candidate()?;
    let arguments = Arguments::Ship(arguments);
    let pipeline = arguments.pipeline(&common.target, &root)?;
    let engine = engine(open(common)?, common)?.with_arguments(arguments.to_json(&root));
    finish(engine.ship(&pipeline, candidate)).await
}

pub(crate) async fn stop(common: &Common) -> Result<RunReport> {
    let root = known_root(common).await?;
    let pipeline = Arguments::Stop.pipeline(&common.target, &root)?;
    if open_to_read(common)?.is_none() {
        return nothing(NEVER_SHIPPED, "stop", common).await;
    }
    let engine = engine(open(common)?, common)?.with_arguments(Arguments::Stop.to_json(&root));
    finish(engine.ship(&pipeline, Candidate::new().with_input("verb", "stop"))).await
}

async fn rollback(to: Option<String>, reason: &str, common: &Common) -> Result<RunReport> {
    let Some(ledger) = open_to_read(common)? else {
        let nothing = "there is no earlier release to return to";
        return Err(Error::new(gatekit_core::code::ROLLBACK_NOTHING, nothing)
            .with_next(NextAction::verb(Verb::Status, &[])));
    };
    let last = Engine::new(ledger).last_arguments(&common.target).await?;
    // A target without a release has nothing to return to: the engine says so.
    let arguments = last.map_or(Ok(Arguments::Stop), |last| Arguments::from_json(&last))?;
    let root = known_root(common).await?;
    let pipeline = arguments.pipeline(&common.target, &root)?;
    let engine = engine(open(common)?, common)?.with_arguments(arguments.to_json(&root));
    finish(engine.roll_back(&pipeline, to, reason)).await
}

async fn resume(common: &Common) -> Result<RunReport> {
    let Some(pending) = pending(common).await? else {
        return nothing(gatekit_core::code::RESUME_NOTHING, "resume", common).await;
    };
    let pipeline = rebuilt(&pending.arguments, common).await?;
    finish(engine(open(common)?, common)?.resume(&pipeline, pending.run)).await
}

async fn reconcile(args: &Reconcile, common: &Common) -> Result<RunReport> {
    let Some(pending) = pending(common).await?.filter(|pending| pending.touched) else {
        return nothing(gatekit_core::code::RECONCILE_NOTHING, "reconcile", common).await;
    };
    let pipeline = rebuilt(&pending.arguments, common).await?;
    let reason = args.reason.clone().unwrap_or_default();
    let engine = engine(open(common)?, common)?;
    finish(engine.reconcile(&pipeline, pending.run, args.decision(), reason)).await
}

async fn pending(common: &Common) -> Result<Option<Pending>> {
    match open_to_read(common)? {
        Some(ledger) => Engine::new(ledger).pending(&common.target).await,
        None => Ok(None),
    }
}

async fn rebuilt(arguments: &Value, common: &Common) -> Result<Pipeline> {
    Arguments::from_json(arguments)?.pipeline(&common.target, &known_root(common).await?)
}

/// There is nothing to do: a success that changes nothing.
async fn nothing(code: Code, verb: &str, common: &Common) -> Result<RunReport> {
    let nothing = Error::new(code, format!("there is nothing to {verb}"))
        .with_next(NextAction::verb(Verb::Status, &[]));
    let pipeline = Arguments::Stop.pipeline(&common.target, &known_root(common).await?)?;
    let live = pipeline.live().await?;
    Ok(RunReport::nothing_to_do(common.target.clone(), nothing.to_failure(), live))
}

async fn status(common: &Common) -> Result<()> {
    let pipeline = Arguments::Stop.pipeline(&common.target, &known_root(common).await?)?;
    let lock = match open_to_read(common)? {
        Some(ledger) => ledger.state(&common.target).await?,
        None => TargetState::untouched(),
    };
    let live = pipeline.live().await?;
    output::status(&lock, live.as_ref(), &next_of(&lock), common);
    Ok(())
}

fn next_of(lock: &TargetState) -> Vec<NextAction> {
    match lock.state {
        LockState::Suspect => vec![
            NextAction::verb(Verb::Resume, &[]),
            NextAction::verb(Verb::Reconcile, &[]).by("operator"),
        ],
        LockState::Free if lock.head.seq == 0 => vec![ship_action()],
        _ => Vec::new(),
    }
}

/// How many records are read at once: the log of any length in the same memory.
const PAGE: usize = 4000;

pub(crate) async fn log(args: &Log, common: &Common) -> Result<()> {
    let json = common.output.is_json();
    let Some(ledger) = open_to_read(common)? else {
        let verifier = ChainVerifier::new(common.target.clone(), args.against.clone());
        log_end(args, &verifier.finish(&Head::genesis())?, common);
        return Ok(());
    };
    let stored = ledger.state(&common.target).await?.head;
    if args.head {
        log_end(args, &stored, common);
        return Ok(());
    }
    let mut verifier = ChainVerifier::new(common.target.clone(), args.against.clone());
    let mut tell = |record: &Record| -> Result<()> {
        if args.verify {
            // Entries that were added since the head was read are none of this check's business.
            if record.seq <= stored.seq {
                verifier.push(record)?;
            }
        } else if json {
            say(&json!(record).to_string());
        } else {
            say(&output::log_line(record));
        }
        Ok(())
    };
    let mut page = ledger.read(&common.target, 0, PAGE).await?;
    while let Some(last) = page.last() {
        // The ledger reads on a thread of its own: it does the next page meanwhile.
        let next = ledger.read(&common.target, last.seq, PAGE);
        let (next, told) = tokio::join!(next, async { page.iter().try_for_each(&mut tell) });
        told?;
        page = next?;
    }
    let head = if args.verify { verifier.finish(&stored)? } else { stored };
    log_end(args, &head, common);
    Ok(())
}

/// The last line of a log: its end, or that it verifies.
fn log_end(args: &Log, head: &Head, common: &Common) {
    let json = common.output.is_json();
    let text = head.to_string();
    if args.verify && json {
        let entries = head.seq;
        say(&json!({
            "v": 1, "target": common.target, "verified": true, "entries": entries, "head": text,
            "exit": 0,
        })
        .to_string());
    } else if args.verify {
        say(&format!("verified: {} entries, head {text}", head.seq));
    } else if args.head && json {
        say(&json!({"v": 1, "target": common.target, "head": text}).to_string());
    } else if args.head {
        say(&text);
    }
}
