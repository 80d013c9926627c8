//! The gate that runs a program.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::{
    Error, Evidence, Finding, Freshness, Gate, PlanContext, Result, StageId, Verdict,
};
use serde_json::{Value, json};

use super::program::Program;
use super::run::{Dialogue, Ended, Leftovers, run};
use crate::code;

/// How many lines of a program's output a refusal quotes.
const QUOTED: usize = 12;

/// Passes when a program ends with exit code 0.
///
/// The program MUST NOT change the target: what does is a [`CommandDeploy`](crate::CommandDeploy).
/// It runs in a process group of its own. When it takes longer than its limit, or the gate is dropped, it is
/// ended with everything that it has started; what it leaves behind when it ends by itself is ended
/// too. On Linux that includes what has left the process group, by a mark in the environment.
///
/// Another exit code is a `Fail`, `command.exit`, and quotes the last lines of the output, without the
/// secrets that the [`Program`] was given: of any other it MUST NOT print. A program that was ended
/// by a signal (`command.signal`), took too long (`command.timeout`) or cannot be started
/// (`command.not_started`) tells nothing: `Inconclusive`.
///
/// Evidence is the exit code, the time it took, and length and digest of its output.
///
/// ```
/// use gatekit_core::enforced;
/// use gatekit_local::{Command, Program};
///
/// let gate = enforced(Command::new("tests", Program::new("cargo").args(["test"]))?);
/// # Ok::<(), gatekit_core::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to `enforced(..)` or `advisory(..)`"]
pub struct Command {
    id: StageId,
    program: Program,
    freshness: Freshness,
}

impl Command {
    /// A gate of that id which runs `program`.
    ///
    /// # Errors
    /// `config.name` when the id is not valid: see [`StageId::new`].
    pub fn new(id: impl Into<String>, program: Program) -> Result<Self> {
        Ok(Self { id: StageId::new(id)?, program, freshness: Freshness::Immediate })
    }

    /// How long a pass may be relied on: by default not at all, so that the program runs again under
    /// the lock. Tests of the candidate alone are [`Freshness::BoundToCandidate`].
    pub fn fresh_for(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    fn evidence(&self, ended: &Ended) -> Evidence {
        let facts = json!({
            "exit": ended.status.and_then(|status| status.code()),
            "output_bytes": ended.output.bytes(),
            "millis": u64::try_from(ended.took.as_millis()).unwrap_or(u64::MAX),
        });
        Evidence::digested(self.program.to_string(), ended.output.digest(), facts)
    }

    fn judge(&self, ended: &Ended, limit: Duration) -> Verdict {
        let evidence = self.evidence(ended);
        let Some(status) = ended.status else {
            let late = format!("`{}` did not end within {limit:?}", self.program);
            let finding = Finding::new(code::COMMAND_TIMEOUT, self.with_tail(late, ended));
            return Verdict::Inconclusive(finding.with_evidence([evidence]));
        };
        match (status.code(), status.signal()) {
            (Some(0), _) => Verdict::pass([evidence]),
            (Some(exit), _) => {
                let what = format!("`{}` ended with exit code {exit}", self.program);
                let finding = Finding::new(code::COMMAND_EXIT, self.with_tail(what, ended));
                Verdict::Fail(finding.with_evidence([evidence]))
            }
            (None, signal) => {
                let signal = signal.unwrap_or_default();
                let what = format!("`{}` was ended by signal {signal}", self.program);
                let finding = Finding::new(code::COMMAND_SIGNAL, self.with_tail(what, ended));
                Verdict::Inconclusive(finding.with_evidence([evidence]))
            }
        }
    }

    fn with_tail(&self, what: String, ended: &Ended) -> String {
        let tail = self.program.masked(&ended.output.tail(QUOTED));
        if tail.is_empty() { what } else { format!("{what}:\n{tail}") }
    }
}

#[async_trait]
impl Gate for Command {
    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        json!({"command": self.program.describe()})
    }

    fn fresh_for(&self) -> Freshness {
        self.freshness
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        // A little before the engine stops listening, or the finding is lost.
        let left = cx.remaining().mul_f64(0.95);
        let limit = self.program.limited_to().min(left);
        cx.progress(format!("runs `{}`", self.program));
        let ended = run(&self.program, limit, Dialogue::default(), Leftovers::End).await;
        let ended = ended.map_err(|source| not_started(&self.program, source))?;
        Ok(self.judge(&ended, limit))
    }
}

pub(super) fn not_started(program: &Program, source: std::io::Error) -> Error {
    Error::new(code::COMMAND_NOT_STARTED, format!("`{program}` cannot be started"))
        .with_source(source)
}
