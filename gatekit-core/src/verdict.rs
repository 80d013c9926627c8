//! What a gate says, and the evidence without which it cannot say yes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::digest::Digest;
use crate::error::{Code, Failure, NextAction};
use crate::time::Timestamp;

/// The most facts, in bytes of JSON, that one piece of evidence carries.
pub const FACTS_LIMIT: usize = 16 * 1024;

/// What a gate saw: where, when, the digest of it, and a few facts taken from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    source: String,
    digest: Digest,
    read_at: Timestamp,
    facts: Value,
}

impl Evidence {
    /// Evidence read just now from `source` (a URL without secrets, a command, a table).
    ///
    /// `raw` is what was read: only its SHA-256 digest is kept. `facts` are the few values that a
    /// later reader needs, MUST NOT contain secrets, and are replaced by their size and digest when
    /// they exceed [`FACTS_LIMIT`].
    #[must_use]
    pub fn read(source: impl Into<String>, raw: impl AsRef<[u8]>, facts: Value) -> Self {
        Self::digested(source, Digest::of(raw), facts)
    }

    /// As [`Evidence::read`], for what was hashed while it was read.
    #[must_use]
    pub fn digested(source: impl Into<String>, digest: Digest, facts: Value) -> Self {
        let size = facts.to_string().len();
        let facts = if size <= FACTS_LIMIT {
            facts
        } else {
            json!({"facts_omitted": {"bytes": size, "digest": Digest::of_json(&facts)}})
        };
        Self { source: source.into(), digest, read_at: Timestamp::now(), facts }
    }

    /// Where it was read.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The SHA-256 digest of what was read.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// When it was read, by the reader's wall clock.
    #[must_use]
    pub fn read_at(&self) -> Timestamp {
        self.read_at
    }

    /// The facts taken from it.
    #[must_use]
    pub fn facts(&self) -> &Value {
        &self.facts
    }
}

/// One or more pieces of evidence: the only thing a pass can be made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Evidence>")]
pub struct Proof(Vec<Evidence>);

impl Proof {
    /// The evidence, at least one piece.
    #[must_use]
    pub fn evidence(&self) -> &[Evidence] {
        &self.0
    }
}

impl TryFrom<Vec<Evidence>> for Proof {
    type Error = &'static str;

    fn try_from(evidence: Vec<Evidence>) -> Result<Self, Self::Error> {
        if evidence.is_empty() { Err("a pass without evidence") } else { Ok(Self(evidence)) }
    }
}

impl From<Proof> for Vec<Evidence> {
    fn from(proof: Proof) -> Self {
        proof.0
    }
}

/// Why a gate does not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// The stable name, like `smoke.status`.
    pub code: Code,
    /// What was found. MUST NOT contain secrets.
    pub message: String,
    /// What was read on the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// What may be done next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<NextAction>,
}

impl Finding {
    /// A finding with that code and message.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), evidence: Vec::new(), next: Vec::new() }
    }

    /// Adds what was read.
    #[must_use]
    pub fn with_evidence(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    /// Adds something that may be done next.
    #[must_use]
    pub fn with_next(mut self, next: NextAction) -> Self {
        self.next.push(next);
        self
    }
}

/// What a gate says.
///
/// A pass cannot be built without evidence; neither by hand nor from JSON:
///
/// ```
/// use gatekit_core::{Evidence, Verdict};
/// use serde_json::json;
///
/// let seen = Evidence::read("https://example.com/health", b"ok", json!({"status": 200}));
/// assert!(Verdict::pass([seen]).is_pass());
/// assert!(!Verdict::pass([]).is_pass(), "zero checks are inconclusive");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Yes, and here is why.
    Pass(Proof),
    /// No.
    Fail(Finding),
    /// It could not be told: blocks an enforced gate.
    Inconclusive(Finding),
    /// Not yet: somebody or something has to act first. Before the first write it parks the run;
    /// among the verify gates it holds until the deadline and then counts as inconclusive.
    Wait(Finding),
}

impl Verdict {
    /// A pass on `evidence`; inconclusive when there is none.
    #[must_use]
    pub fn pass(evidence: impl IntoIterator<Item = Evidence>) -> Self {
        Proof::try_from(evidence.into_iter().collect::<Vec<_>>()).map_or_else(
            |why| Self::Inconclusive(Finding::new(crate::code::GATE_NO_EVIDENCE, why)),
            Self::Pass,
        )
    }

    /// Whether it is a pass.
    #[must_use]
    pub fn is_pass(&self) -> bool {
        matches!(self, Self::Pass(_))
    }

    /// Why it does not pass.
    #[must_use]
    pub fn finding(&self) -> Option<&Finding> {
        match self {
            Self::Pass(_) => None,
            Self::Fail(finding) | Self::Inconclusive(finding) | Self::Wait(finding) => {
                Some(finding)
            }
        }
    }

    /// The word for it: `pass`, `fail`, `inconclusive` or `wait`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pass(_) => "pass",
            Self::Fail(_) => "fail",
            Self::Inconclusive(_) => "inconclusive",
            Self::Wait(_) => "wait",
        }
    }

    /// How much it weighs in a set: Fail over Inconclusive over Wait over Pass.
    #[must_use]
    pub fn severity(&self) -> u8 {
        match self {
            Self::Pass(_) => 0,
            Self::Wait(_) => 1,
            Self::Inconclusive(_) => 2,
            Self::Fail(_) => 3,
        }
    }
}

impl From<Failure> for Verdict {
    /// An error while reading evidence tells nothing, so it is inconclusive.
    fn from(failure: Failure) -> Self {
        let message = match failure.causes.as_slice() {
            [] => failure.to_string(),
            causes => format!("{failure}: {}", causes.join(": ")),
        };
        Self::Inconclusive(Finding {
            code: failure.code,
            message,
            evidence: Vec::new(),
            next: failure.next,
        })
    }
}

/// How long evidence may be relied on before the gate has to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Freshness {
    /// It ages at once: the gate looks again under the lock.
    #[default]
    Immediate,
    /// It holds for that long.
    For(Duration),
    /// It is about the candidate alone, which never changes: it never ages.
    BoundToCandidate,
}

impl Freshness {
    /// Of two pieces of evidence, how long both may be relied on.
    #[must_use]
    pub fn shorter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Immediate, _) | (_, Self::Immediate) => Self::Immediate,
            (Self::For(one), Self::For(other)) => Self::For(one.min(other)),
            (Self::BoundToCandidate, aging) | (aging, Self::BoundToCandidate) => aging,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_cannot_smuggle_a_pass_without_evidence_in() {
        assert!(serde_json::from_str::<Verdict>(r#"{"pass":[]}"#).is_err());
        let verdict = Verdict::pass([Evidence::read("s", b"x", json!({}))]);
        let text = serde_json::to_string(&verdict).unwrap();
        assert_eq!(
            serde_json::from_str::<Verdict>(&text).unwrap().word(),
            "pass",
            "a pass with evidence survives the journal"
        );
    }

    #[test]
    fn facts_are_bounded() {
        let evidence = Evidence::read("s", b"x", json!("y".repeat(FACTS_LIMIT)));
        assert!(evidence.facts().to_string().len() < 200);
        assert_eq!(evidence.facts()["facts_omitted"]["bytes"], FACTS_LIMIT + 2);
    }

    #[test]
    fn a_set_is_as_bad_as_its_worst() {
        let finding = || Finding::new(Code::new("a.b"), "m");
        let order = [
            Verdict::pass([Evidence::read("s", b"x", json!(1))]),
            Verdict::Wait(finding()),
            Verdict::Inconclusive(finding()),
            Verdict::Fail(finding()),
        ];
        assert!(order.is_sorted_by_key(Verdict::severity));
    }
}
