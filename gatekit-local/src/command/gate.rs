//! The gate that runs a program.

use std::os::unix::process::ExitStatusExt as _;

use async_trait::async_trait;
use gatekit_core::{
    Digest, Evidence, Finding, Freshness, Gate, PlanContext, Result, StageId, Verdict,
};
use serde_json::{Value, json};

use super::mark::Mark;
use super::program::Program;
use super::run::{Dialogue, Ended, run};
use crate::code;

/// How many lines of a program's output a refusal quotes.
const QUOTED: usize = 12;

/// Passes when a program ends with exit code 0.
///
/// The program MUST NOT change the target: what does is a [`CommandDeploy`](crate::CommandDeploy).
/// It runs in a process group of its own. When it takes longer than its limit, or the gate is dropped, that
/// group is ended; so is what it leaves there when it ends by itself. On Linux that includes what has
/// left the group, as long as it keeps the environment: it is found by `GATEKIT_COMMAND` in it. On other
/// systems what has left the group lives on, and so does anywhere what has left both.
///
/// Another exit code is a `Fail`, `command.exit`, and quotes the last lines of the output, without the
/// secrets that the [`Program`] was given: of any other it MUST NOT print. A program that was ended
/// by a signal (`command.signal`), took too long (`command.timeout`) or cannot be started
/// (`command.not_started`) tells nothing: `Inconclusive`.
///
/// Evidence is the exit code, the time it took, the length of its output, and the SHA-256 digests of
/// standard output (the digest of the evidence) and standard error (the fact `stderr`). When the output
/// contains one of the program's secrets, the fact `withheld` is true, and the evidence's digest is that of
/// the facts instead: nothing that is recorded is derived from the output but its length.
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
        let mut facts = json!({
            "exit": ended.status.and_then(|status| status.code()),
            "output_bytes": ended.stdout.bytes() + ended.stderr.bytes(),
            "millis": u64::try_from(ended.took.as_millis()).unwrap_or(u64::MAX),
        });
        let digest = match (ended.stdout.digest(), ended.stderr.digest()) {
            (Some(stdout), Some(stderr)) => {
                facts["stderr"] = json!(stderr);
                stdout
            }
            _ => {
                facts["withheld"] = json!(true);
                Digest::of_json(&facts)
            }
        };
        Evidence::digested(self.program.to_string(), digest, facts)
    }

    fn judge(&self, ended: &Ended) -> Verdict {
        let evidence = self.evidence(ended);
        let Some(status) = ended.status else {
            let late = self.with_tail(ended.late(&self.program), ended);
            let finding = Finding::new(code::COMMAND_TIMEOUT, late);
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
        let tail = ended.tail(&self.program, QUOTED);
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
        let mark = Mark::of_reading();
        let ended = run(&self.program, limit, Dialogue::default(), mark, |_| false).await;
        Ok(self.judge(&ended?))
    }
}
