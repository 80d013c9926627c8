//! What people say about a run: approvals, rejections, waivers.

use gatekit_core::ledger::{Body, Word};
use gatekit_core::{Effect, Engine, Error, NextAction, Request, Result, RunId, Verb};
use serde_json::{Value, json};

use crate::call::{Answer, Call};
use crate::code;
use crate::command::{self, Waive};
use crate::output::typed;
use crate::verbs::{acting, flags, opened};

/// The run that people are asked about: the one named, else the only one that asks.
async fn in_question(call: &Call, engine: &Engine, named: Option<RunId>) -> Answer<Request> {
    let target = call.env.target();
    if let Some(named) = named {
        opened(call, Some(named)).await?;
        return Ok(engine.request(target, named).await?);
    }
    let mut asking = engine.asking(target).await?;
    asking.retain(|request| request.asks().next().is_some());
    match asking.len() {
        0 => Err(nobody_asks(call).into()),
        1 => Ok(asking.remove(0)),
        _ => {
            let runs: Vec<_> = asking.iter().map(|request| request.run.to_string()).collect();
            let several = "several runs wait for a word: name one";
            Err(Error::new(gatekit_core::code::APPROVAL_WHICH, several)
                .with_context("runs", runs.join(", "))
                .into())
        }
    }
}

fn nobody_asks(call: &Call) -> Error {
    let nobody = "no run waits for anybody's word";
    let error = Error::new(gatekit_core::code::APPROVAL_NOTHING, nobody)
        .with_next(NextAction::verb(Verb::Status, &[]));
    call.env.without_ledger(error)
}

pub(crate) async fn word(call: &mut Call, word: Word) -> Answer<u8> {
    let flags: command::Answer = flags(call)?;
    // Nothing is made where there is nobody to speak to.
    let ledger = call.env.ledger_to_read().await?.ok_or_else(|| nobody_asks(call))?;
    let request = in_question(call, &Engine::new(ledger), flags.run).await?;
    let run = request.run;
    let now = request.scope();
    if flags.scope.is_some_and(|seen| !now.as_str().starts_with(&seen)) {
        let moved = "the run would touch something else than was looked at: look again";
        return Err(Error::new(gatekit_core::code::APPROVAL_MOVED, moved)
            .with_effect(Effect::None)
            .with_context("run", run)
            .with_context("scope", now.short())
            .with_next(NextAction::verb(Verb::Status, &[]))
            .into());
    }
    let engine = acting(Engine::new(call.env.ledger().await?), call);
    let stage = engine.answer(&request, flags.stage.as_ref(), word, flags.comment).await?;
    let said = if word == Word::Approve { "approved" } else { "rejected" };
    let scopes: Vec<_> = request.scopes.iter().map(|scope| scope.summary.as_str()).collect();
    let text = format!("{said}: `{stage}` of run {run}, which would touch: {}", scopes.join("; "));
    let line = json!({
        "outcome": said, "run": run, "stage": stage, "intent": request.intent,
        "scopes": request.scopes,
    });
    let resume = NextAction::verb(Verb::Resume, &[&run.to_string()]);
    Ok(call.voice.done(&text, line, &[resume]))
}

pub(crate) async fn waive(call: &mut Call) -> Answer<u8> {
    let flags: Waive = flags(call)?;
    let (run, opened) = blocked(call, &flags).await?;
    let ready = call.rebuilt(&opened).await?;
    let engine = acting(Engine::new(call.env.ledger().await?), call);
    let until = engine.waive(ready.pipeline(), run, &flags.stage, flags.lasts, flags.reason).await;
    // Whoever named none is told which one it was that was looked at.
    let until = until.map_err(|error| {
        let is_told = error.to_failure().context.iter().any(|(name, _)| name == "run");
        if flags.run.is_some() || is_told { error } else { error.with_context("run", run) }
    })?;
    let request = engine.request(call.env.target(), run).await?;
    let version = request.candidate.version.as_deref().unwrap_or("without a version");
    let text = format!(
        "waived: gate `{}` until {until}, for the candidate of run {run} alone: {version}, of {}",
        flags.stage, request.requester
    );
    let line = json!({
        "outcome": "waived", "run": run, "stage": flags.stage, "until": until,
        "candidate": request.candidate, "requester": request.requester,
    });
    // A run that has ended is not gone on with: it is shipped anew.
    let next = if has_ended(call, run).await? {
        call.ship_next()
    } else {
        NextAction::verb(Verb::Resume, &[&run.to_string()])
    };
    Ok(call.voice.done(&text, line, &[next]))
}

async fn has_ended(call: &Call, run: RunId) -> Result<bool> {
    let Some(ledger) = call.env.ledger_to_read().await? else { return Ok(false) };
    for record in ledger.read_run(call.env.target(), run).await?.iter().rev() {
        if matches!(record.decode()?.body, Body::Closed { .. }) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The run whose gate is answered for, and the arguments it was opened with: the one named, else the
/// newest that has not ended. What has ended may be anybody's: it is suggested, not taken.
async fn blocked(call: &Call, flags: &Waive) -> Answer<(RunId, Value)> {
    if flags.run.is_none()
        && let Some(ledger) = call.env.ledger_to_read().await?
    {
        let engine = Engine::new(ledger);
        if let Some(open) = engine.newest_open(call.env.target()).await? {
            return Ok((open.run, open.arguments));
        }
        let (ended, _) = opened(call, None).await?;
        let request = engine.request(call.env.target(), ended).await?;
        let error =
            Error::new(code::WAIVER_WHICH, "the newest run has ended: name the one you mean")
                .with_effect(Effect::None)
                .with_context("newest", ended)
                .with_context("asked for by", &request.requester)
                .with_context("ships", request.candidate.version.as_deref().unwrap_or("no version"))
                .with_next(NextAction::outside(waive_of(call, flags, ended)));
        return Err(error.into());
    }
    opened(call, flags.run).await
}

/// The same waiver, of a run that is named.
fn waive_of(call: &Call, flags: &Waive, run: RunId) -> String {
    let lasts = call.given.get_raw("lasts").into_iter().flatten().next().unwrap_or_default();
    let (lasts, reason) = (typed("for", &lasts.to_string_lossy()), typed("reason", &flags.reason));
    let words = format!("waive {run} --stage {} {lasts} {reason}", flags.stage);
    format!("{} {words}{}", call.voice.program, call.voice.flags)
}
