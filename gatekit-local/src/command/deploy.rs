//! A deployer made of programs that speak a small JSON protocol.

use async_trait::async_trait;
use gatekit_core::{
    ApplyContext, Deployer, Digest, Effect, Error, Live, Location, PlanContext, Planned, Result,
    Reversibility, Rollback, Rollout, StageId,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::gate::not_started;
use super::program::Program;
use super::run::{Dialogue, Ended, Leftovers, run};
use crate::code;

/// The most that a program may answer, in bytes.
const ANSWER: usize = 1 << 20;

/// How many lines of a program's output an error quotes.
const QUOTED: usize = 12;

/// The version of the protocol.
const VERSION: u32 = 1;

/// Makes a change live by programs: any script becomes a deployer. [`CommandUndo`] is its rollback.
///
/// A program is called with the name of the call as its last argument, is told the question as one JSON
/// object on its standard input, answers with one JSON object on its standard output, and ends with
/// exit code 0. What it prints on standard error is quoted when it fails, without the secrets that
/// the [`Program`] was given; it MUST NOT print any other, and MUST NOT answer with any: answers are
/// journalled.
///
/// Every question has `v` (1), `call`, `target`, `run` and `candidate` (`version`, `commit`,
/// `artifacts`, `inputs`).
///
/// | call | is also told | answers | writes |
/// |---|---|---|---|
/// | `plan` | | `change`: anything that the other calls need; `scope`: what it would touch, without the state before; `summary`: a line for people; `one_way`: why it could not be undone, or nothing | no |
/// | `apply` | `change`, `earlier` (the receipt of an earlier attempt or null), `fence` | `receipt`: by what its effect is recognised | yes |
/// | `locate` | `change`, `receipt` or null | `at`: `before`, `after`, `between`, `elsewhere` or `unknown`; `why`; with `elsewhere` also `live` | no |
/// | `undo` | `change`, `receipt` or null, `fence` | nothing: `{}` | yes |
/// | `live` | | `live`: `{"release": "..", "version": ".."}`, or null | no |
///
/// What [`Deployer`] asks of an implementor it asks of these programs. Above all: `apply` is called
/// again with the same `change` after a crash and MUST look for its own effect first, by `run`, which it
/// has to leave beside the resource, or by `earlier`; `locate` with a receipt MUST say `after` for the
/// effect of *that* write only. `apply` and `undo` return once it is done: nobody polls them.
///
/// A call that writes is given a permit and is never dropped; it is ended only by its [`Program`]'s own
/// limit, and then nobody knows what it has done. A program that fails can say so itself with an answer
/// `{"error": {"message": "..", "effect": "none"}}`; without one, a failed write is of unknown effect.
///
/// ```
/// use gatekit_core::Pipeline;
/// use gatekit_local::{CommandDeploy, Program};
///
/// let image = CommandDeploy::new("image", Program::new("./deploy-image.sh"))?;
/// let undo = image.undo();
/// let pipeline = Pipeline::to("production/api").deploy(image).rollback_with(undo).build()?;
/// # Ok::<(), gatekit_core::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to `.deploy(..)`"]
pub struct CommandDeploy {
    id: StageId,
    program: Program,
    apply: Option<Program>,
    undo: Option<Program>,
}

/// Undoes what a [`CommandDeploy`] did, by its call `undo`: see [`CommandDeploy::undo`].
#[derive(Debug, Clone)]
pub struct CommandUndo(CommandDeploy);

/// What a [`CommandDeploy`] planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CommandChange {
    /// What its program answered.
    pub change: Value,
    /// Why it could not be undone, if so.
    pub one_way: Option<String>,
}

impl CommandDeploy {
    /// A deploy of that id by `program`, for every call.
    ///
    /// # Errors
    /// `config.name` when the id is not valid: see [`StageId::new`].
    pub fn new(id: impl Into<String>, program: Program) -> Result<Self> {
        Ok(Self { id: StageId::new(id)?, program, apply: None, undo: None })
    }

    /// Applies by another program: one with secrets that the reading calls need not have, or with
    /// another limit.
    pub fn apply_with(mut self, program: Program) -> Self {
        self.apply = Some(program);
        self
    }

    /// Undoes by another program than the one that applies.
    pub fn undo_with(mut self, program: Program) -> Self {
        self.undo = Some(program);
        self
    }

    /// Its rollback: the call `undo`. It is not made when `locate` finds the change undone, or
    /// somebody else's release in its place.
    #[must_use]
    pub fn undo(&self) -> CommandUndo {
        CommandUndo(self.clone())
    }

    fn program(&self, call: &str) -> &Program {
        let own = match call {
            "apply" => self.apply.as_ref(),
            "undo" => self.undo.as_ref().or(self.apply.as_ref()),
            _ => None,
        };
        own.unwrap_or(&self.program)
    }

    /// Asks a call that reads. Its limit is also that of the stage; cancel-safe.
    async fn ask<T: DeserializeOwned>(
        &self,
        cx: &PlanContext,
        call: &str,
        told: Value,
    ) -> Result<T> {
        let program = self.program(call).clone().arg(call);
        let limit = program.limited_to().min(cx.remaining().mul_f64(0.95));
        let dialogue = dialogue(cx, call, told);
        let ended = run(&program, limit, dialogue, Leftovers::End).await;
        let ended = ended.map_err(|source| not_started(&program, source));
        ended.and_then(|ended| answer(&program, &ended)).map_err(|e| e.with_effect(Effect::None))
    }

    /// Makes a call that writes, by a permit.
    async fn write<T: DeserializeOwned>(
        &self,
        cx: &ApplyContext,
        call: &str,
        mut told: Value,
    ) -> Result<T> {
        told["fence"] = json!(cx.fence()?);
        let program = self.program(call).clone().arg(call);
        let dialogue = dialogue(cx, call, told);
        let _permit = cx.permit(call).await?;
        let ended = run(&program, program.limited_to(), dialogue, Leftovers::Stay).await;
        let ended =
            ended.map_err(|source| not_started(&program, source).with_effect(Effect::None))?;
        answer(&program, &ended)
    }
}

fn dialogue(cx: &PlanContext, call: &str, told: Value) -> Dialogue {
    let mut question = json!({
        "v": VERSION, "call": call, "target": cx.target(), "run": cx.run(),
        "candidate": cx.candidate(),
    });
    if let (Value::Object(question), Value::Object(told)) = (&mut question, told) {
        question.extend(told);
    }
    Dialogue { told: format!("{question}\n").into_bytes(), asked: Some(ANSWER) }
}

#[derive(Deserialize)]
struct Failed {
    error: Complaint,
}

#[derive(Deserialize)]
struct Complaint {
    message: String,
    #[serde(default)]
    effect: Option<Effect>,
}

/// The answer of a program that has ended.
fn answer<T: DeserializeOwned>(program: &Program, ended: &Ended) -> Result<T> {
    let failed = |code, what: String| {
        let tail = program.masked(&ended.output.tail(QUOTED));
        let error = Error::new(code, what);
        if tail.is_empty() { error } else { error.with_context("it printed", tail) }
    };
    let Some(status) = ended.status else {
        let late = format!("`{program}` did not end in time, and was ended");
        return Err(failed(code::COMMAND_TIMEOUT, late));
    };
    if let Ok(Failed { error }) = serde_json::from_slice(&ended.answer) {
        let what = format!("`{program}` says: {}", program.masked(&error.message));
        let failed = failed(code::COMMAND_FAILED, what);
        return Err(failed.with_effect(error.effect.unwrap_or(Effect::Unknown)));
    }
    if !status.success() {
        return Err(failed(code::COMMAND_EXIT, format!("`{program}` ended with {status}")));
    }
    if ended.flooded {
        let what = format!("`{program}` answered more than {ANSWER} bytes");
        return Err(failed(code::COMMAND_PROTOCOL, what));
    }
    serde_json::from_slice(&ended.answer).map_err(|source| {
        let what = format!("`{program}` gave no answer that can be read: one JSON object is");
        failed(code::COMMAND_PROTOCOL, what).with_source(source)
    })
}

#[derive(Deserialize)]
struct PlanAnswer {
    change: Value,
    scope: Value,
    summary: String,
    #[serde(default)]
    one_way: Option<String>,
}

#[derive(Deserialize)]
struct Applied {
    receipt: Value,
}

#[derive(Deserialize)]
struct Undone {}

#[derive(Deserialize)]
struct LiveAnswer {
    live: Option<LiveRelease>,
}

#[derive(Deserialize)]
struct LiveRelease {
    release: String,
    #[serde(default)]
    version: Option<String>,
}

impl From<LiveRelease> for Live {
    fn from(live: LiveRelease) -> Self {
        Self::new(live.release, live.version)
    }
}

#[derive(Deserialize)]
#[serde(tag = "at", rename_all = "lowercase")]
enum Located {
    Before,
    After,
    Between { why: String },
    Elsewhere { live: LiveRelease },
    Unknown { why: String },
}

impl From<Located> for Location {
    fn from(located: Located) -> Self {
        match located {
            Located::Before => Self::Before,
            Located::After => Self::After,
            Located::Between { why } => Self::Between(why),
            Located::Elsewhere { live } => Self::Elsewhere(live.into()),
            Located::Unknown { why } => Self::Unknown(why),
        }
    }
}

#[async_trait]
impl Deployer for CommandDeploy {
    type Change = CommandChange;
    type Receipt = Value;

    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        json!({"command_deploy": {
            "program": self.program.describe(),
            "apply": self.apply.as_ref().map(Program::describe),
            "undo": self.undo.as_ref().map(Program::describe),
        }})
    }

    async fn plan(&self, cx: &PlanContext) -> Result<Planned<CommandChange>> {
        let PlanAnswer { change, scope, summary, one_way } =
            self.ask(cx, "plan", json!({})).await?;
        let change = CommandChange { change, one_way };
        Ok(Planned { change, scope: Digest::of_json(&scope), summary })
    }

    async fn apply(
        &self,
        cx: &ApplyContext,
        change: &CommandChange,
        earlier: Option<&Value>,
    ) -> Result<Value> {
        let told = json!({"change": change.change, "earlier": earlier});
        let Applied { receipt } = self.write(cx, "apply", told).await?;
        Ok(receipt)
    }

    /// Its program has returned, so it is done; [`locate`](Self::locate) tells whether it worked.
    async fn observe(&self, _: &PlanContext, _: &CommandChange, _: &Value) -> Result<Rollout> {
        Ok(Rollout::Settled)
    }

    async fn locate(
        &self,
        cx: &PlanContext,
        change: &CommandChange,
        receipt: Option<&Value>,
    ) -> Result<Location> {
        let told = json!({"change": change.change, "receipt": receipt});
        self.ask::<Located>(cx, "locate", told).await.map(Location::from)
    }

    async fn live(&self, cx: &PlanContext) -> Result<Option<Live>> {
        let LiveAnswer { live } = self.ask(cx, "live", json!({})).await?;
        Ok(live.map(Live::from))
    }
}

#[async_trait]
impl Rollback<CommandDeploy> for CommandUndo {
    fn reversibility(&self, change: &CommandChange) -> Reversibility {
        change.one_way.clone().map_or(Reversibility::Free, Reversibility::OneWay)
    }

    async fn roll_back(
        &self,
        cx: &ApplyContext,
        change: &CommandChange,
        receipt: Option<&Value>,
    ) -> Result<()> {
        match self.0.locate(cx, change, receipt).await? {
            Location::Before => return Ok(()),
            Location::Elsewhere(live) => {
                let other = "another release is live, and it is not touched";
                return Err(Error::new(code::COMMAND_ELSEWHERE, other)
                    .with_context("live", live)
                    .with_effect(Effect::None));
            }
            _ => {}
        }
        if let Some(why) = &change.one_way {
            return Err(Error::new(code::COMMAND_ONE_WAY, "the change cannot be undone")
                .with_context("why", why)
                .with_effect(Effect::None));
        }
        let told = json!({"change": change.change, "receipt": receipt});
        let Undone {} = self.0.write(cx, "undo", told).await?;
        Ok(())
    }

    async fn observe_back(
        &self,
        _: &PlanContext,
        _: &CommandChange,
        _: Option<&Value>,
    ) -> Result<Rollout> {
        Ok(Rollout::Settled)
    }
}
