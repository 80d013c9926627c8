//! The gate on what migrations would destroy.

use std::fmt::{Debug, Write as _};

use async_trait::async_trait;
use gatekit_core::{
    Action, Approval, Effect, Error, Evidence, Finding, Gate, NextAction, PlanContext, Result,
    StageId, Verb, Verdict,
};
use serde_json::{Value, json};

use super::concern::{Concern, Sort, review};
use crate::code;
use crate::migrations::File;

/// How many concerns are told in words.
const TOLD: usize = 10;

/// Of how many files and concerns the evidence has the place: it is cut off as a whole where it is too long. Its
/// digest is that of all.
const KEPT: usize = 50;

/// Says which migrations are to be applied.
#[async_trait]
pub trait PendingFiles: Debug + Send + Sync + 'static {
    /// The configuration that matters, for the fingerprint of a pipeline: see [`Gate::describe`].
    fn describe(&self) -> Value;

    /// The files that a push would apply now. MUST read the history afresh; MUST NOT write.
    ///
    /// # Errors
    /// `Err` means that it could not be read.
    async fn pending(&self, cx: &PlanContext) -> Result<Vec<File>>;
}

/// Passes when no pending migration destroys anything, as far as [`review`] can tell.
///
/// What destroys something is a failure, `migration.destructive`; what nobody can tell beforehand is
/// inconclusive, `migration.unanalysable`. Both block where the gate is enforced. A person may
/// [waive](gatekit_core::Engine::waive) them; or, with [`or_approved`](Self::or_approved), the run waits for a
/// second person to have read the files, and cannot be waived.
///
/// Nothing pending is a pass: the evidence says so.
///
/// # Default
/// The id `destructive`; nobody is asked.
#[derive(Debug)]
#[must_use = "give it to `enforced(..)` or `advisory(..)`"]
pub struct Destructive<P> {
    id: StageId,
    pending: P,
    approval: Option<Approval>,
}

impl<P: PendingFiles> Destructive<P> {
    /// The gate on what `pending` says is to be applied.
    ///
    /// # Errors
    /// None: the id is valid.
    pub fn of(pending: P) -> Result<Self> {
        Ok(Self { id: StageId::new("destructive")?, pending, approval: None })
    }

    /// Asks people where there is something to look at. What they approve is what the deployers have planned:
    /// with a push among these, exactly these files.
    pub fn or_approved(mut self, approval: Approval) -> Self {
        self.approval = Some(approval);
        self
    }

    /// Gives it another id: a pipeline with two of them needs that.
    pub fn with_id(mut self, id: StageId) -> Self {
        self.id = id;
        self
    }

    /// What a second person says.
    async fn asked(
        &self,
        cx: &PlanContext,
        approval: &Approval,
        report: Report,
    ) -> Result<Verdict> {
        Ok(match approval.check(cx).await? {
            Verdict::Pass(proof) => {
                let mut evidence = Vec::from(proof);
                evidence.push(report.evidence);
                Verdict::pass(evidence)
            }
            Verdict::Wait(mut finding) => {
                for next in &mut finding.next {
                    if let Action::Verb(Verb::Approve, args) = &mut next.action {
                        args.extend(["--stage".to_owned(), cx.stage().to_string()]);
                    }
                }
                finding.message = format!("{}; {}", finding.message, report.words);
                Verdict::Wait(finding.with_evidence([report.evidence]))
            }
            Verdict::Fail(finding) => Verdict::Fail(finding.with_evidence([report.evidence])),
            other => other,
        })
    }
}

#[async_trait]
impl<P: PendingFiles> Gate for Destructive<P> {
    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        let approval = self.approval.as_ref().map(Gate::describe);
        json!({"destructive": {"pending": self.pending.describe(), "approval": approval}})
    }

    fn may_be_waived(&self) -> bool {
        self.approval.is_none()
    }

    fn hears_people(&self) -> bool {
        self.approval.is_some()
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        let files = self.pending.pending(cx).await?;
        // A review of megabytes takes a while.
        let report =
            tokio::task::spawn_blocking(move || Report::of(&files)).await.map_err(|error| {
                Error::new(code::UNANALYSABLE, "the review of the migrations failed")
                    .with_effect(Effect::None)
                    .with_source(error)
            })?;
        let Some(worst) = report.worst else { return Ok(Verdict::pass([report.evidence])) };
        if let Some(approval) = &self.approval {
            return self.asked(cx, approval, report).await;
        }
        let Report { words, nexts, evidence, .. } = report;
        let finding = |code| {
            let finding = Finding::new(code, words).with_evidence([evidence]);
            nexts.into_iter().fold(finding, Finding::with_next)
        };
        Ok(match worst {
            Sort::Destructive => Verdict::Fail(finding(code::DESTRUCTIVE)),
            Sort::Unanalysable => Verdict::Inconclusive(finding(code::UNANALYSABLE)),
        })
    }
}

/// What is said of the files.
struct Report {
    worst: Option<Sort>,
    words: String,
    nexts: Vec<NextAction>,
    evidence: Evidence,
}

impl Report {
    fn of(files: &[File]) -> Self {
        let concerns = review(&files.iter().collect::<Vec<_>>());
        let mut words = String::new();
        let mut nexts: Vec<NextAction> = Vec::new();
        for concern in concerns.iter().take(TOLD) {
            let Concern { rule, file, line, statement, why, safe_pattern, .. } = concern;
            let apart = if words.is_empty() { "" } else { "; " };
            let file = file.display();
            // Writing to a text cannot fail.
            let _ = write!(words, "{apart}{file}:{line}: `{statement}`: {why} ({rule})");
            let next = NextAction::outside(safe_pattern.clone());
            if !nexts.contains(&next) {
                nexts.push(next);
            }
        }
        if let Some(more) = concerns.len().checked_sub(TOLD).filter(|more| *more > 0) {
            let _ = write!(words, "; and {more} more");
        }
        let pending = |most| -> Vec<_> {
            let files = files.iter().take(most);
            files.map(|it| json!({"file": it.file_name(), "digest": it.digest})).collect()
        };
        let all = json!({"pending": pending(usize::MAX), "concerns": concerns});
        let places: Vec<_> = concerns.iter().take(KEPT).map(place).collect();
        let facts = json!({
            "pending": pending(KEPT), "pending_in_all": files.len(),
            "concerns": places, "concerns_in_all": concerns.len(),
        });
        let evidence = Evidence::read("migrations: pending files", all.to_string(), facts);
        Self { worst: concerns.iter().map(|it| it.sort).min(), words, nexts, evidence }
    }
}

/// Where a concern is, without what is said of each of its kind.
fn place(concern: &Concern) -> Value {
    let Concern { sort, rule, file, line, .. } = concern;
    json!({"sort": sort, "rule": rule, "file": file, "line": line})
}
