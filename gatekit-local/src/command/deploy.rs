//! A deployer made of programs that speak a small JSON protocol.

use std::io;

use async_trait::async_trait;
use gatekit_core::{
    ApplyContext, Deployer, Digest, Effect, Error, Live, Location, PlanContext, Planned, Result,
    Reversibility, Rollback, Rollout, StageId,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::mark::{MARKS, Mark, writes_still};
use super::program::Program;
use super::protocol::{Answer, Applied, LiveAnswer, Located, PlanAnswer, Undone, answer, dialogue};
use super::run::{Ended, GRACE, run, stays};
use super::tree::GONE;
use crate::{code, platform};

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
/// The answer is one object; what else is in it is ignored. `live` must be there also when nothing is
/// live; `scope` and `receipt` must not be null.
///
/// What [`Deployer`] asks of an implementor it asks of these programs. Above all: `apply` is called
/// again with the same `change` after a crash and MUST look for its own effect first, by `run`, which it
/// has to leave beside the resource, or by `earlier`; `locate` with a receipt MUST say `after` for the
/// effect of *that* write only. `apply` and `undo` return once it is done: nobody polls them.
///
/// # Failures
/// A program that fails answers `{"error": {"message": "..", "effect": "none", "code": "image.too_big"}}`,
/// with whatever exit code. An answer with `error` is never a success, whatever else is in it. Only
/// `message` has to be there. `effect` is `none`, `unknown` or `done`, and `unknown` when it is left out, as
/// it is when a program that writes fails without such an answer. `code` is one of the program's own, by
/// which a recovery (`.recover(on(code)..)`) can tell this failure from others; without it the code is
/// `command.failed`. It is at most 64 letters, digits and `_`, in lower case, with dots between its parts,
/// and its first part is none that gatekit's own codes have, like `lock`, `deploy` or `command`.
///
/// # What is left behind
/// A call that writes is given a permit, and the engine waits for its end. It is ended by its
/// [`Program`]'s own limit, or when the process lets go at once, after a second interrupt; then nobody
/// knows what it has done.
///
/// What a call has started lives on when it was `apply` or `undo` and succeeded: exit code 0 and an answer
/// that can be read. Such a service MUST NOT write to the target. After any other end it is ended, as a
/// [`Command`](crate::Command) is: with the process group, and on Linux also by the environment.
///
/// A gatekit that is killed ends nothing: its program goes on. Whoever takes its run over
/// ([`fence_off`](Deployer::fence_off)) therefore ends, before anything is judged, what it finds of that
/// run's earlier writing calls: each process has the run and the fence in `GATEKIT_COMMAND`. Spared is what
/// a call that succeeded has left running, which an empty file `gatekit-kept-..` in the temporary directory
/// says; without that file it is ended, too.
///
/// Some it cannot find: programs on another machine, or under another user, those that have left their
/// environment and their process group, and the program that a gatekit, stopped just after its permit,
/// starts once it is continued. The `fence` is there for these: it grows with every takeover, and
/// whatever is asked to write SHOULD keep the greatest and refuse a lesser one, at the resource itself. On
/// other systems than Linux nothing is found, and a run that was in the middle of a change can only be
/// settled by an override.
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
    async fn ask<T: Answer>(&self, cx: &PlanContext, call: &str, told: Value) -> Result<T> {
        let program = self.program(call).clone().arg(call);
        // A little before the engine stops listening, or the reason is lost.
        let limit = program.limited_to().min(cx.remaining().mul_f64(0.95));
        let dialogue = dialogue(cx, call, told);
        let ended = run(&program, limit, dialogue, Mark::of_reading(), |_| false).await;
        ended.and_then(|ended| answer(&program, &ended)).map_err(|e| e.with_effect(Effect::None))
    }

    /// Makes a call that writes, by a permit. What it has started lives on only if it succeeded.
    async fn write<T: Answer>(&self, cx: &ApplyContext, call: &str, mut told: Value) -> Result<T> {
        let fence = cx.fence()?;
        told["fence"] = json!(fence);
        let program = self.program(call).clone().arg(call);
        let dialogue = dialogue(cx, call, told);
        let mark = Mark::of_writing(cx.run(), fence);
        let succeeded = |ended: &Ended| answer::<T>(&program, ended).is_ok();
        let _permit = cx.permit(call).await?;
        let ended = run(&program, program.limited_to(), dialogue, mark, succeeded).await?;
        let answer = answer(&program, &ended);
        match (answer, ended.stays) {
            (Err(error), Some(source)) => {
                let what = "something that a failed write has started may still run";
                Err(stays(what, source).with_context("the failure", error))
            }
            (answer, _) => answer,
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
        let one_way = one_way.map(|why| self.program.shown_line(&why));
        let change = CommandChange { change, one_way };
        let summary = self.program.shown_line(&summary);
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

    /// Ends what calls of this run that wrote before it was taken over have started, and waits until it
    /// is gone.
    ///
    /// # Errors
    /// `command.stays` when it is not, or when that cannot be told: on other systems than Linux, always.
    async fn fence_off(&self, cx: &ApplyContext) -> Result<()> {
        let (run, fence) = (cx.run(), cx.fence()?);
        let ended = spawn_blocking(move || {
            let older = |marks: &[u8]| writes_still(marks, run, fence);
            platform::end_marked(MARKS, &older, GRACE, GONE)
        });
        let ended = ended.await.map_err(io::Error::other).and_then(|ended| ended);
        ended.map_err(|source| {
            stays("an earlier call of this run may still write", source)
                .with_context("found by", format!("{MARKS}=*{run}/*"))
        })
    }

    async fn locate(
        &self,
        cx: &PlanContext,
        change: &CommandChange,
        receipt: Option<&Value>,
    ) -> Result<Location> {
        let told = json!({"change": change.change, "receipt": receipt});
        let located: Located = self.ask(cx, "locate", told).await?;
        Ok(located.told_by(&self.program))
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
