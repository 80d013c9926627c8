//! The verbs.

use std::sync::Arc;

use clap::FromArgMatches;
use clap_complete::Shell;
use gatekit_core::ledger::{Body, LockState, TargetState, Word};
use gatekit_core::{
    Engine, Error, Failure, NextAction, Pending, Request, Result, RunId, RunReport, Running, Verb,
};
use serde_json::Value;

use crate::call::{Answer, Call, OnError, Problem};
use crate::caught::caught;
use crate::code;
use crate::command::{self, Plan, Reconcile, Rollback, Ship};
use crate::env::usage;
#[cfg(feature = "postgres")]
use crate::ledger;
use crate::log::log;
use crate::out::warn;
use crate::output::Elsewhere;
use crate::people::{waive, word};
use crate::recipe::Shared;
use crate::signals;

/// Prints a shell's completions.
pub(crate) fn completions(mut program: clap::Command, call: &Call) -> u8 {
    let Some(shell) = call.given.get_one::<Shell>("shell") else { return 2 };
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut program, call.app, &mut script);
    call.voice.out.write(&script);
    call.voice.out.end(0, true)
}

/// Runs a verb and gives the exit code.
pub(crate) async fn run(mut call: Call) -> u8 {
    let exit = match answer(&mut call).await {
        Ok(exit) => exit,
        Err(problem) => failed(&mut call, &problem),
    };
    let only_looks = call.looks.iter().any(|it| it.verb() == call.verb);
    call.voice.out.end(exit, only_looks || only_prints(&call.verb))
}

fn only_prints(verb: &str) -> bool {
    matches!(verb, "plan" | "status" | "log" | "verify")
}

/// Tells of an error that no run came to. Gives the exit code.
pub(crate) fn failed(call: &mut Call, problem: &Problem) -> u8 {
    take_down(call);
    let told = call.voice.judged(problem);
    let verb = call.verb.as_str();
    let releases = matches!(verb, "rollback" | "resume" | "reconcile")
        || call.recipes.iter().any(|recipe| recipe.verb() == verb);
    if releases {
        let warn = |why: &Failure| call.voice.complain("warning", why);
        on_error(call.on_error.take(), &told.failure, told.exit, warn);
    }
    call.voice.error(&told)
}

/// Hands an error to the program's own hook, and tells of the hook's own by `warn`.
pub(crate) fn on_error(
    hook: Option<OnError>,
    why: &Failure,
    exit: u8,
    warn: impl FnOnce(&Failure),
) {
    let Some(hook) = hook else { return };
    if let Err(error) = caught("what is told of errors", || hook(why, exit)) {
        warn(&error.to_failure());
    }
}

async fn answer(call: &mut Call) -> Answer<u8> {
    let verb = call.verb.clone();
    #[cfg(feature = "postgres")]
    if verb == command::LEDGER {
        return ledger::copy(call).await;
    }
    if let Some(look) = call.looks.iter().find(|it| it.verb() == verb) {
        let seen = look.look(&call.given, &call.env).await?;
        return Ok(call.voice.done(&seen.text, seen.line, &[]));
    }
    let recipe = call.recipes.iter().find(|it| it.verb() == verb).cloned();
    // The first ship makes the ledger, and a plan is of a ship.
    let makes_ledger = verb == "plan" || recipe.as_ref().is_some_and(|it| it.may_be_first());
    if !makes_ledger && let Some(path) = call.env.missing_ledger().await? {
        warn(&format!("warning: there is no ledger at `{path}`: nothing is known from there"));
    }
    if call.env.is_behind() {
        warn("warning: only a standby answers, which may be behind: this tells how it was there");
    }
    if only_prints(&verb)
        && let Some(place) = call.env.moved_to().await?
    {
        warn(&format!(
            "warning: the ledger was moved to {place}, or is on its way there: this tells how it was then"
        ));
    }
    if let Some(recipe) = recipe {
        let report = ship(call, &recipe).await?;
        return Ok(told(call, report));
    }
    match verb.as_str() {
        "plan" => plan(call).await,
        "status" => status(call).await,
        "log" => {
            log(&flags(call)?, &call.env, &call.voice).await?;
            Ok(0)
        }
        "rollback" => {
            let report = rollback(call).await?;
            Ok(told(call, report))
        }
        "resume" => {
            let report = resume(call).await?;
            Ok(told(call, report))
        }
        "reconcile" => {
            let report = reconcile(call).await?;
            Ok(told(call, report))
        }
        "approve" => word(call, Word::Approve).await,
        "reject" => word(call, Word::Reject).await,
        "waive" => waive(call).await,
        "verify" => verify(call).await,
        other => {
            let unknown = format!("`{other}` is no verb of this program");
            Err(Error::new(code::USAGE_COMMAND_LINE, unknown).into())
        }
    }
}

fn take_down(call: &mut Call) {
    if let Some(screen) = call.screen.take() {
        screen.take_down();
    }
}

/// Prints a run's end, and gives the exit code.
fn told(call: &mut Call, report: RunReport) -> u8 {
    take_down(call);
    if let Some(finish) = call.finish.take()
        && let Err(error) = caught("what is told of reports", || finish(&report))
    {
        call.voice.complain("warning", &error.to_failure());
    }
    call.voice.report(&report)
}

pub(crate) fn flags<A: FromArgMatches>(call: &Call) -> Result<A> {
    A::from_arg_matches(&call.given).map_err(|error| usage(&error))
}

/// Awaits a run, which signals interrupt.
async fn finish(running: Running) -> Result<RunReport> {
    signals::interrupt(running.interrupter())?;
    Ok(running.await)
}

fn with_patience(engine: Engine, flags: &Ship) -> Engine {
    match flags.wait {
        Some(patience) => engine.with_patience(patience),
        None => engine,
    }
}

async fn ship(call: &mut Call, recipe: &Shared) -> Answer<RunReport> {
    let mut ready = call.fresh(recipe).await?;
    if !recipe.may_be_first() && call.env.ledger_to_read().await?.is_none() {
        let verb = recipe.verb();
        return nothing(call, code::USAGE_NEVER_SHIPPED, verb).await;
    }
    let candidate = ready.candidate()?;
    let flags: Ship = flags(call)?;
    let engine =
        with_patience(call.engine().await?, &flags).with_arguments(ready.arguments.clone());
    Ok(finish(engine.ship(ready.pipeline(), candidate)).await?)
}

async fn plan(call: &mut Call) -> Answer<u8> {
    let flags: Plan = flags(call)?;
    let Some(recipe) = call.recipes.first().cloned() else { return Ok(0) };
    let mut ready = call.fresh(&recipe).await?;
    let candidate = ready.candidate()?;
    // A plan leaves no trace: where there is no ledger, it is made in memory.
    let engine = match call.env.ledger_to_read().await? {
        Some(ledger) => Engine::new(ledger),
        None => Engine::new(Arc::new(gatekit_core::ledger::MemoryLedger::new())),
    };
    let engine = acting(engine, call).with_deadline(call.env.common().deadline);
    let preview = engine.preview(ready.pipeline(), candidate, flags.gates).await?;
    Ok(call.voice.preview(&preview, flags.gates))
}

pub(crate) fn acting(engine: Engine, call: &Call) -> Engine {
    match &call.env.common().actor {
        Some(actor) => engine.with_actor(actor),
        None => engine,
    }
}

async fn rollback(call: &mut Call) -> Answer<RunReport> {
    let flags: Rollback = flags(call)?;
    let nowhere = |call: &Call| {
        let nothing = "there is no earlier release to return to";
        let error = Error::new(gatekit_core::code::ROLLBACK_NOTHING, nothing)
            .with_next(NextAction::verb(Verb::Status, &[]));
        call.env.without_ledger(error)
    };
    if call.env.ledger_to_read().await?.is_none() {
        return Err(nowhere(call).into());
    }
    // A target without a release has nothing to return to: where it can, the engine says so.
    let ready = call.latest().await?.ok_or_else(|| nowhere(call))?;
    let engine = call.engine().await?.with_arguments(ready.arguments.clone());
    Ok(finish(engine.roll_back(ready.pipeline(), flags.to, flags.reason)).await?)
}

async fn resume(call: &mut Call) -> Answer<RunReport> {
    let flags: command::Resume = flags(call)?;
    let (run, arguments) = match flags.run {
        Some(run) => opened(call, Some(run)).await?,
        None => match pending(call).await? {
            Some(pending) => (pending.run, pending.arguments),
            None => return nothing(call, gatekit_core::code::RESUME_NOTHING, "resume").await,
        },
    };
    let ready = call.rebuilt(&arguments).await?;
    let engine = with_patience(call.engine().await?, &flags.ship);
    Ok(finish(engine.resume(ready.pipeline(), run)).await?)
}

async fn reconcile(call: &mut Call) -> Answer<RunReport> {
    let flags: Reconcile = flags(call)?;
    let Some(pending) = pending(call).await?.filter(|pending| pending.touched) else {
        return nothing(call, gatekit_core::code::RECONCILE_NOTHING, "reconcile").await;
    };
    let ready = call.rebuilt(&pending.arguments).await?;
    let reason = flags.reason.clone().unwrap_or_default();
    let engine = call.engine().await?;
    Ok(finish(engine.reconcile(ready.pipeline(), pending.run, flags.decision(), reason)).await?)
}

async fn pending(call: &Call) -> Result<Option<Pending>> {
    match call.env.ledger_to_read().await? {
        Some(ledger) => Engine::new(ledger).pending(call.env.target()).await,
        None => Ok(None),
    }
}

/// There is nothing to do: a success that changes nothing.
async fn nothing(call: &Call, code: gatekit_core::Code, verb: &str) -> Answer<RunReport> {
    let lock = state(call).await?;
    if let Some(report) = RunReport::settled_elsewhere(call.env.target().clone(), &lock) {
        return Ok(report);
    }
    let nothing = Error::new(code, format!("there is nothing to {verb}"))
        .with_next(NextAction::verb(Verb::Status, &[]));
    let nothing = call.env.without_ledger(nothing);
    // There is nothing to do whether or not it can be told what is live.
    let live = match call.live(&lock).await {
        Ok(live) => live,
        Err(problem) if problem.is_usage() => return Err(problem),
        Err(_) => None,
    };
    Ok(RunReport::nothing_to_do(call.env.target().clone(), nothing.to_failure(), live))
}

async fn state(call: &Call) -> Result<TargetState> {
    match call.env.ledger_to_read().await? {
        Some(ledger) => ledger.state(call.env.target()).await,
        None => Ok(TargetState::untouched()),
    }
}

async fn status(call: &Call) -> Answer<u8> {
    let target = call.env.target();
    let lock = state(call).await?;
    let waits = match call.env.ledger_to_read().await? {
        Some(ledger) if lock.head.seq > 0 => Engine::new(ledger).asking(target).await?,
        _ => Vec::new(),
    };
    // Who holds the target is told even where what is live cannot be.
    let live = match call.live(&lock).await {
        Ok(live) => Ok(live),
        Err(problem) if problem.is_usage() => return Err(problem),
        Err(problem) => Err(problem.error),
    };
    let missing = call.env.missing_ledger().await?;
    let moved_to = call.env.moved_to().await?;
    let next = match &moved_to {
        Some(place) => {
            vec![NextAction::outside(format!("ask the ledger it was moved to: {place}"))]
        }
        None => next_of(&lock, &waits, call),
    };
    let elsewhere = Elsewhere { missing, moved_to, is_behind: call.env.is_behind() };
    call.voice.status(&lock, &live, &waits, &next, &elsewhere);
    Ok(0)
}

fn next_of(lock: &TargetState, waits: &[Request], call: &Call) -> Vec<NextAction> {
    match lock.state {
        LockState::Suspect if lock.along_with.is_some() => {
            let report = RunReport::settled_elsewhere(call.env.target().clone(), lock);
            report.map(|report| report.next).unwrap_or_default()
        }
        LockState::Suspect => vec![
            NextAction::verb(Verb::Resume, &[]),
            NextAction::verb(Verb::Reconcile, &[]).by("operator"),
        ],
        _ if !waits.is_empty() => {
            let heard = waits.iter().filter(|request| !request.said.is_empty());
            let heard = heard.map(|it| NextAction::verb(Verb::Resume, &[&it.run.to_string()]));
            let findings = waits.iter().flat_map(|request| &request.waiting);
            heard.chain(findings.flat_map(|(_, finding)| finding.next.clone())).collect()
        }
        LockState::Free if lock.head.seq == 0 => {
            vec![call.ship_next()]
        }
        _ => Vec::new(),
    }
}

/// The run that is named, else the newest, and the arguments it was opened with.
pub(crate) async fn opened(call: &Call, named: Option<RunId>) -> Answer<(RunId, Value)> {
    let target = call.env.target();
    let none = || {
        let what = match named {
            Some(run) => format!("there is no run `{run}` of `{target}`"),
            None => format!("there is no run of `{target}`"),
        };
        let error = Error::new(code::USAGE_NO_RUN, what);
        call.env.without_ledger(error.with_next(NextAction::verb(Verb::Log, &[])))
    };
    let ledger = call.env.ledger_to_read().await?.ok_or_else(none)?;
    let records = match named {
        Some(run) => ledger.read_run(target, run).await?,
        None => ledger.read_kind(target, "opened", None, 1).await?,
    };
    let entry = records.first().ok_or_else(none)?.decode()?;
    match entry.body {
        Body::Opened { arguments, .. } => Ok((entry.run, arguments)),
        _ => Err(none().into()),
    }
}

async fn verify(call: &mut Call) -> Answer<u8> {
    let never = || {
        let nothing = "nothing was ever shipped: there is nothing to verify";
        let error = Error::new(code::USAGE_NEVER_SHIPPED, nothing)
            .with_next(NextAction::verb(Verb::Status, &[]));
        call.env.without_ledger(error)
    };
    let ledger = call.env.ledger_to_read().await?.ok_or_else(never)?;
    let ready = call.latest().await?.ok_or_else(never)?;
    let engine = acting(Engine::new(ledger), call).with_deadline(call.env.common().deadline);
    Ok(call.voice.verified(&engine.verify(ready.pipeline()).await?))
}
