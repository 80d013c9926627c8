//! `Present`, the gate that secrets are set.

use std::collections::BTreeSet;

use async_trait::async_trait;
use gatekit_core::{
    Effect, Error, Evidence, Finding, Gate, NextAction, PlanContext, Result, StageId, Verdict,
};
use serde_json::{Value, json};

use crate::code;
use crate::management::Project;

/// Passes when a project has all secrets of these names.
///
/// Whether their values are right nobody can read: the API gives their digests alone, which are not looked at.
/// gatekit sets no secret, so that none passes through it: who lacks one is told to set it. Where somebody has to
/// confirm that a value was changed, a [`Manual`](gatekit_core::Manual) gate beside this one waits for that.
///
/// # Example
/// ```no_run
/// # fn example(project: gatekit_supabase::Project) -> gatekit_core::Result<()> {
/// use gatekit_core::{Manual, enforced};
/// use gatekit_supabase::secrets::Present;
///
/// let gates = [
///     enforced(Present::of(&project, "secrets", ["STRIPE_KEY", "OPENAI_API_KEY"])?),
///     enforced(Manual::new("stripe-key", "set `STRIPE_KEY` to the live key, in the dashboard")?),
/// ];
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to `enforced(..)`"]
pub struct Present {
    id: StageId,
    project: Project,
    names: BTreeSet<String>,
}

impl Present {
    /// A gate of that id, for secrets of these names.
    ///
    /// # Errors
    /// `config.name` when the id is not valid; `supabase.config` without names, or with an empty one.
    pub fn of<S: Into<String>>(
        project: &Project,
        id: impl Into<String>,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let names: BTreeSet<_> = names.into_iter().map(Into::into).collect();
        if names.is_empty() || names.contains("") {
            let what = "no name of a secret is given, or an empty one";
            return Err(Error::new(code::CONFIG, what).with_effect(Effect::None));
        }
        Ok(Self { id: StageId::new(id)?, project: project.clone(), names })
    }
}

#[async_trait]
impl Gate for Present {
    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        json!({
            "kind": "supabase_secrets", "project": self.project.place(), "names": self.names,
        })
    }

    /// Reads the names of the secrets that are set.
    ///
    /// # Errors
    /// `supabase.*`, as when the token lacks the scope `secrets:read`.
    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        let set: BTreeSet<_> = self.project.secrets(cx.deadline()).await?.into_iter().collect();
        let missing: Vec<_> = self.names.difference(&set).map(String::as_str).collect();
        let present: Vec<_> = self.names.intersection(&set).map(String::as_str).collect();
        // Not of the answer: the digests of the values are in it.
        let read = Evidence::read(
            format!("the secrets of {}", self.project.place()),
            set.iter().map(String::as_str).collect::<Vec<_>>().join("\n"),
            json!({ "present": present, "missing": missing }),
        );
        if missing.is_empty() {
            return Ok(Verdict::pass([read]));
        }
        let missing = missing.join(", ");
        let next = format!(
            "set {missing} in the project `{}`, by `supabase secrets set` or in the dashboard; ship again",
            self.project.reference()
        );
        let what = format!("secrets are not set: {missing}");
        let finding = Finding::new(code::SECRETS_MISSING, what).with_evidence([read]);
        Ok(Verdict::Fail(finding.with_next(NextAction::outside(next).by("operator"))))
    }
}
