//! An entry as people read it.

use super::entry::{Body, Entry, StageScope, Word};

impl Entry {
    /// What happened in one line for people; `None` for what adds nothing to its neighbours. The text
    /// may change with every version, and quotes what stages and people said, which may span lines.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        Some(match &self.body {
            Body::Opened { candidate, .. } => {
                let version = candidate.version.as_deref().unwrap_or("without a version");
                format!("opened by {}: candidate {version}", self.actor)
            }
            Body::Continued { process } => format!("carried on by process {}", process.pid),
            Body::Verdict { stage, verdict, .. } => match verdict.finding() {
                None => format!("gate {stage}: pass"),
                Some(finding) => format!("gate {stage}: {}, {}", verdict.word(), finding.message),
            },
            Body::Planned { scopes, .. } => format!("asks people about: {}", summaries(scopes)),
            Body::Approval { stage, word: Word::Approve, comment, .. } => {
                format!("{stage}: approved by {}{}", self.actor, aside(comment))
            }
            Body::Approval { stage, comment, .. } => {
                format!("{stage}: rejected by {}{}", self.actor, aside(comment))
            }
            Body::Waiver { stage, until, reason, .. } => {
                format!("{stage}: waived by {} until {until}, because: {reason}", self.actor)
            }
            Body::Waived { stage, waiver, .. } => {
                format!("gate {stage}: passed by waiver {waiver}")
            }
            Body::Queued { ticket } => format!("queued with ticket {ticket}"),
            Body::Parked { why, .. } => format!("parked: {why}"),
            Body::Granted { scopes, .. } => {
                let fence = self.fence.unwrap_or_default();
                format!("granted under fence {fence}{}", aside(&summaries(scopes)))
            }
            Body::LockedAlong { with, head } => {
                format!("{} is locked along with {with}, entries after {}", self.target, head.seq)
            }
            Body::Applying { stage, .. } => format!("{stage}: applying"),
            Body::Calling { stage, call } => format!("{stage}: {call}"),
            Body::Checkpoint { .. } | Body::Applied { .. } => return None,
            Body::Answered { stage, pause, went_on } => {
                let answer = if *went_on { "go on" } else { "roll back" };
                format!("{stage}: paused at {}, answered: {answer}", pause.hook)
            }
            Body::Settled { stage, already: true } => format!("{stage}: live already"),
            Body::Settled { stage, .. } => format!("{stage}: live"),
            Body::StageFailed { stage, failure, location, .. } => {
                format!("{stage}: not live ({location}): {failure}")
            }
            Body::Recovering { stage, recovery, attempt, scope, .. } => {
                format!("{stage}: recovering by {recovery}, time {attempt}: {}", scope.summary)
            }
            Body::Unwinding { cause } => format!("unwinding: {cause}"),
            Body::RollingBack { stage, .. } => format!("{stage}: rolling back"),
            Body::RolledBack { stage, .. } => format!("{stage}: undone"),
            Body::Resumed { old, new } => format!("resumed: fence {old} becomes {new}"),
            Body::Reconciled { decision, reason, .. } => {
                format!("reconciled by {}: {decision:?}, because: {reason}", self.actor)
            }
            Body::Left { why } => format!("left: {why}"),
            Body::Stuck { failure } => format!("stuck: {failure}"),
            Body::Closed { outcome, failure, .. } => match failure {
                None => format!("closed: {}", outcome.as_str()),
                Some(failure) => {
                    format!("closed: {}, {failure} [{}]", outcome.as_str(), failure.code)
                }
            },
            other => other.kind().to_owned(),
        })
    }
}

fn summaries(scopes: &[StageScope]) -> String {
    let summaries: Vec<_> = scopes.iter().map(|scope| scope.summary.as_str()).collect();
    summaries.join("; ")
}

fn aside(comment: &str) -> String {
    if comment.is_empty() { String::new() } else { format!(": {comment}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::id::{RunId, StageId, TargetName};
    use crate::ledger::GatePhase;
    use crate::time::Timestamp;

    fn line(body: Body) -> Option<String> {
        Entry::new(TargetName::new("t").unwrap(), RunId::generate(), "ann", None, body).line()
    }

    #[test]
    fn what_is_asked_about_and_granted_tells_what_would_be_touched() {
        let scope = |stage, summary| {
            StageScope::new(StageId::new(stage).unwrap(), Digest::of(summary), summary)
        };
        let scopes = vec![scope("db", "one migration"), scope("web", "two replicas")];
        let asks = Body::Planned { scopes, hears: [].into() };
        assert_eq!(line(asks).unwrap(), "asks people about: one migration; two replicas");
    }

    #[test]
    fn what_people_said_names_who_and_why() {
        let stage = || StageId::new("approval").unwrap();
        let word = |word, comment: &str| Body::Approval {
            stage: stage(),
            word,
            intent: Digest::of("i"),
            scope: Digest::of("s"),
            comment: comment.to_owned(),
        };
        assert_eq!(line(word(Word::Approve, "")).unwrap(), "approval: approved by ann");
        assert_eq!(line(word(Word::Reject, "no")).unwrap(), "approval: rejected by ann: no");
        let until = Timestamp::try_from("2026-01-02T03:04:05Z".to_owned()).unwrap();
        let reason = "the checker is broken".to_owned();
        let waiver = Body::Waiver { stage: stage(), intent: Digest::of("i"), until, reason };
        assert_eq!(
            line(waiver).unwrap(),
            "approval: waived by ann until 2026-01-02T03:04:05.000Z, because: the checker is broken"
        );
        let waived = Body::Waived { stage: stage(), phase: GatePhase::Admission, waiver: 7 };
        assert_eq!(line(waived).unwrap(), "gate approval: passed by waiver 7");
    }

    #[test]
    fn every_kind_has_a_line_or_is_silent_and_none_is_empty() {
        assert_eq!(line(Body::Queued { ticket: 4 }).unwrap(), "queued with ticket 4");
        assert_eq!(line(Body::Unknown).unwrap(), "unknown");
        let stage = StageId::new("web").unwrap();
        assert_eq!(line(Body::Applied { stage, receipt: 1.into() }), None);
    }
}
