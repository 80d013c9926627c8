//! What the entries of a run must say together, whatever went wrong.

use gatekit_core::ledger::{Body, GatePhase, Mode, Word};
use gatekit_core::testing::StageKind;
use gatekit_core::{Enforcement, Outcome, RunId, StageId};

use super::journal::Journal;

impl Journal {
    /// A ship begins nothing before it was granted, and before every enforced gate has passed
    /// or was waived.
    pub(super) fn check_admitted(
        &self,
        run: RunId,
        stages: &[(StageId, StageKind)],
    ) -> Vec<String> {
        let begins = self.of(run).find(|(_, body)| matches!(body, Body::Applying { .. }));
        let Some((begins, _)) = begins else { return Vec::new() };
        let before = || self.of(run).take_while(move |(at, _)| *at < begins);
        let mut wrong = Vec::new();
        if !before().any(|(_, body)| matches!(body, Body::Granted { .. })) {
            wrong.push("a deploy is begun, and was not granted".to_owned());
        }
        for (stage, kind) in stages {
            if *kind != StageKind::Gate(GatePhase::Admission, Enforcement::Enforced) {
                continue;
            }
            let passed = before().filter_map(|(_, body)| match body {
                Body::Verdict { stage: of, verdict, .. } if of == stage => Some(verdict.is_pass()),
                Body::Waived { stage: of, .. } if of == stage => Some(true),
                _ => None,
            });
            if passed.last() != Some(true) {
                wrong.push(format!("a deploy is begun, and `{stage}` has not passed"));
            }
        }
        if before().any(|(_, body)| matches!(body, Body::Approval { word: Word::Reject, .. })) {
            wrong.push("a deploy is begun, and somebody had rejected it".to_owned());
        }
        wrong
    }

    /// Design §4: what was begun last is undone first.
    pub(super) fn check_order(&self, run: RunId) -> Vec<String> {
        let mut wrong = Vec::new();
        let undoes = match self.of(run).next() {
            Some((_, Body::Opened { mode: Mode::RollBack { undo, .. }, .. })) => undo.clone(),
            _ => vec![run],
        };
        // What stands, in the order in which it was begun.
        let mut begun: Vec<(RunId, &StageId)> = Vec::new();
        for entry in self.entries.iter().filter(|at| at.run == run || undoes.contains(&at.run)) {
            match &entry.body {
                Body::Applying { stage, .. } => begun.push((entry.run, stage)),
                Body::RollingBack { stage, of, .. } | Body::RolledBack { stage, of } => {
                    let newest = begun.last() == Some(&(*of, stage));
                    if !newest && entry.run == run {
                        let told = entry.body.kind();
                        wrong.push(format!("`{told}` of `{stage}`, and something newer stands"));
                    }
                    if matches!(entry.body, Body::RolledBack { .. })
                        && let Some(at) = begun.iter().rposition(|it| *it == (*of, stage))
                    {
                        begun.remove(at);
                    }
                }
                _ => {}
            }
        }
        wrong
    }

    /// A run ends once, and nothing comes after.
    pub(super) fn check_over(&self, run: RunId) -> Vec<String> {
        let closed = |body: &Body| matches!(body, Body::Closed { .. });
        let after = self.of(run).skip_while(|(_, body)| !closed(body)).skip(1);
        after.map(|(_, body)| format!("`{}` after the end of the run", body.kind())).collect()
    }

    /// Whether the gates at the last pause of a deploy rejected what is under way.
    pub(super) fn is_rejected(&self, run: RunId, stage: &StageId) -> bool {
        let last = self.of(run).rev().find_map(|(_, body)| match body {
            Body::Applying { stage: of, .. } if of == stage => Some(true),
            Body::Answered { stage: of, went_on, .. } if of == stage => Some(*went_on),
            _ => None,
        });
        last == Some(false)
    }

    /// How the run ended in what was journalled after the first `from` entries, if it did.
    pub(super) fn closed_since(&self, run: RunId, from: usize) -> Option<Outcome> {
        self.of(run).filter(|(at, _)| *at >= from).find_map(|(_, body)| match body {
            Body::Closed { outcome, .. } => Some(*outcome),
            _ => None,
        })
    }
}
