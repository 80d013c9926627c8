//! What the processes of a path report, and how its run ends, beside what is true.

use gatekit_core::testing::Call;
use gatekit_core::{Outcome, RunId, RunReport, code};

use super::harm::{Harm, harm};
use super::path::Path;
use super::scene::Truth;
use super::script::{Fault, Kind, Site};

impl Path<'_> {
    /// Design §8.1: what a process says is true.
    pub(super) fn check_report(&self, run: RunId, report: &RunReport, now: &[Fault]) {
        let journal = &self.journal;
        // Somebody who releases after the last look at a stage cannot be seen: when the others are
        // looked at, or what is live is read for the report.
        let late = now.iter().any(|fault| {
            let last = |call| matches!(call, Call::Locate | Call::Live);
            fault.kind == Kind::Intrude
                && matches!(fault.site, Site::Call { call, .. } if last(call))
        });
        let unseen = late && self.control.is_unseen();
        let truth = self.world.truth();
        let code = report.failure.as_ref().map(|failure| &failure.code);
        let nothing =
            code.is_some_and(|it| [code::RESUME_NOTHING, code::RECONCILE_NOTHING].contains(it));
        let outcome = report.outcome;
        let expected = match outcome {
            Outcome::Released => Some(Truth::New),
            Outcome::Unchanged if !nothing => Some(Truth::New),
            Outcome::RolledBack => Some(Truth::Old),
            _ => None,
        };
        if let Some(expected) = expected {
            if truth != expected && !unseen {
                self.wrong(format!("{}, and live is {truth:?}", outcome.as_str()));
            }
            if journal.closed(run) != Some(outcome) {
                self.wrong(format!("{}, and the journal does not say so", outcome.as_str()));
            }
        }
        let untouched = matches!(
            outcome,
            Outcome::Refused | Outcome::Superseded | Outcome::Failed | Outcome::Waiting
        );
        if untouched && journal.has_written(run) {
            self.wrong(format!("{}, and the run has written", outcome.as_str()));
        }
    }

    /// The mirror image of §8.1: no end is worse than what went wrong.
    pub(super) fn check_final(&self, run: RunId) {
        let journal = &self.journal;
        let mut worst = self.script.0.iter().map(harm).max().unwrap_or(Harm::None);
        if !self.script.0.is_empty() && !self.scene.recognises() {
            worst = worst.max(Harm::Stage);
        }
        let touched = journal.is_touched(run);
        let Some(end) = journal.closed(run) else {
            if journal.is_opened(run) || worst == Harm::None && self.script.0.is_empty() {
                self.wrong("the run has not ended");
            }
            return;
        };
        let untouched =
            !touched && matches!(end, Outcome::Failed | Outcome::Refused | Outcome::Superseded);
        let fits = end == self.scene.ends()
            || match worst {
                Harm::None => false,
                Harm::Ledger => untouched,
                Harm::Stage => untouched || end == Outcome::RolledBack,
                Harm::Intruder => true,
            }
            // A person chose so, and a process that resumes might have gone on.
            || (end == Outcome::RolledBack && journal.was_given_up(run))
            || (end == Outcome::Overridden && self.scene.may_need_override());
        if !fits {
            self.wrong(format!(
                "the run ends {}, without faults it ends {}",
                end.as_str(),
                self.scene.ends().as_str()
            ));
        }
    }

    /// What a process says in which nothing went wrong is what its entries say, and who is done keeps
    /// nobody waiting.
    pub(super) fn check_quiet(&self, run: RunId, report: &RunReport, from: usize) {
        let (journal, outcome) = (&self.journal, report.outcome);
        if let Some(closed) = journal.closed_since(run, from)
            && closed != outcome
        {
            let (said, closed) = (outcome.as_str(), closed.as_str());
            self.wrong(format!("{said}, and the journal says {closed}"));
        }
        let unfinished = matches!(outcome, Outcome::Stuck | Outcome::Waiting);
        if unfinished && report.next.is_empty() {
            self.wrong(format!("{}, and nothing to do about it is named", outcome.as_str()));
        }
        if outcome != Outcome::Stuck && journal.state.run == Some(run) {
            self.wrong(format!("{}, and the run still holds the target", outcome.as_str()));
        }
        if !unfinished && journal.state.queue.iter().any(|waiter| waiter.run == run) {
            self.wrong(format!("{}, and the run still waits in the queue", outcome.as_str()));
        }
    }

    /// A process goes on whose run others have settled meanwhile: it claims nothing.
    pub(super) fn check_overtaken(&self, report: &RunReport) {
        if !matches!(report.outcome, Outcome::Stuck | Outcome::Interrupted) {
            let outcome = report.outcome.as_str();
            self.wrong(format!("a stopped process goes on, is overtaken, and says {outcome}"));
        }
    }
}
