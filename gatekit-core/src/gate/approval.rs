//! Gates at which people decide.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::Gate;
use crate::code;
use crate::context::{PlanContext, Vote};
use crate::error::{NextAction, Result, Verb};
use crate::id::StageId;
use crate::ledger::{StageScope, Word};
use crate::time::Timestamp;
use crate::verdict::{Evidence, Finding, Verdict};

/// How far the clock of who approves may be ahead.
const AHEAD: Duration = Duration::from_secs(5 * 60);

/// Waits until enough people have approved the run, and refuses it when one of them rejects it.
///
/// An approval is of one run, and holds only while that ships and touches what it did when it was
/// asked for: another plan makes it void. It counts for nothing when it comes from who asked for the
/// release, from somebody not named by [`by`](Self::by), or when it is older than
/// [`within`](Self::within) says; of several words of one person the last one counts. It is used up
/// when the run begins its first deploy, because nothing asks for it any more. It cannot be waived.
/// Where fewer may approve than are needed, it refuses instead of waiting for ever.
/// A rejection counts from those who may approve and from who asked, however old it is and whatever the
/// run would touch by now, until the same person approves what it would.
///
/// It belongs among the gates before the first deploy: nobody is heard about a run that holds its
/// target, so that at a pause or as a verification it never passes.
///
/// While too few have approved, the run parks. [`Engine::answer`](crate::Engine::answer) is how
/// people are heard, and `resume` goes on.
///
/// Until approvals are signed, who approves is a claim on one machine: whoever can write the ledger
/// can claim to be anybody.
///
/// ```
/// # use std::time::Duration;
/// use gatekit_core::{Approval, enforced};
///
/// let four_hours = Duration::from_secs(4 * 3600);
/// let gate = enforced(Approval::quorum(1).by(["ann", "bea"]).within(four_hours));
/// ```
///
/// # Default
/// The id `approval`; anybody but who asked; no limit of age.
#[derive(Debug, Clone)]
#[must_use = "give it to `enforced(..)`"]
pub struct Approval {
    id: StageId,
    quorum: u32,
    who: Option<BTreeSet<String>>,
    age: Option<Duration>,
}

impl Approval {
    /// Asks for the approval of so many people. Zero is taken for one.
    pub fn quorum(people: u32) -> Self {
        Self { id: StageId::fixed("approval"), quorum: people.max(1), who: None, age: None }
    }

    /// Gives it another id: a pipeline with two of them needs that.
    pub fn called(mut self, id: StageId) -> Self {
        self.id = id;
        self
    }

    /// Counts these people only.
    pub fn by(mut self, people: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.who = Some(people.into_iter().map(Into::into).collect());
        self
    }

    /// Counts approvals for that long after they were given, by the wall clocks of who gave it and of
    /// who asks.
    pub fn within(mut self, time: Duration) -> Self {
        self.age = Some(time);
        self
    }

    /// Why nobody needs to wait: fewer may approve than have to.
    fn too_few(&self, requester: &str) -> Option<Finding> {
        let may: Vec<&str> = self.who.iter().flatten().map(|who| &**who).collect();
        let others = may.iter().filter(|who| **who != requester).count();
        if self.who.is_none() || others >= self.needed() {
            return None;
        }
        let own = if others < may.len() {
            format!(", but for {requester}, who asks")
        } else {
            String::new()
        };
        let why =
            format!("{} have to approve, and only these may: {}{own}", self.quorum, may.join(", "));
        let more = "have somebody else ask, name more people in `Approval::by`, or ask for fewer";
        let next = NextAction::outside(more);
        Some(Finding::new(code::APPROVAL_TOO_FEW, why).with_next(next))
    }

    fn needed(&self) -> usize {
        usize::try_from(self.quorum).unwrap_or(usize::MAX)
    }

    /// Why a word counts for nothing.
    fn objection(&self, vote: &Vote, requester: &str, now: Timestamp) -> Option<&'static str> {
        let may = self.who.as_ref().is_none_or(|who| who.contains(&vote.by));
        let own = vote.by == requester;
        if vote.word == Word::Reject {
            // Who asked may take it back. Neither a clock nor another plan makes a rejection void.
            return (!may && !own).then_some("may not reject it");
        }
        if !vote.binds {
            return Some("judged another plan");
        }
        let (age, ahead) = (now.since(vote.at), vote.at.since(now));
        if own {
            Some("asked for it")
        } else if !may {
            Some("may not approve it")
        } else if ahead > AHEAD {
            Some("approved it in the future: a clock is wrong")
        } else if self.age.is_some_and(|limit| age > limit) {
            Some("approved it too long ago")
        } else {
            None
        }
    }
}

#[async_trait]
impl Gate for Approval {
    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        json!({"approval": {"quorum": self.quorum, "by": self.who, "within": self.age}})
    }

    fn may_be_waived(&self) -> bool {
        false
    }

    fn hears_people(&self) -> bool {
        true
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        if let Some(finding) = self.too_few(cx.requester()) {
            return Ok(Verdict::Fail(finding));
        }
        let now = Timestamp::now();
        // The last word of each, about this plan if there is one: it takes back what was said before.
        // A rejection is of the run, whatever it would touch by now.
        let mut last: BTreeMap<&str, &Vote> = BTreeMap::new();
        for vote in cx.votes() {
            let rejects = vote.word == Word::Reject;
            if rejects || vote.binds || last.get(&*vote.by).is_none_or(|earlier| !earlier.binds) {
                last.insert(&vote.by, vote);
            }
        }
        let mut counted = BTreeMap::new();
        let mut ignored = Vec::new();
        for (by, vote) in last {
            match self.objection(vote, cx.requester(), now) {
                None => {
                    counted.insert(by, vote);
                }
                Some(why) => ignored.push(format!("{by} {why}")),
            }
        }
        if let Some(vote) = counted.values().find(|vote| vote.word == Word::Reject) {
            let why = format!("{} rejected it: {}", vote.by, vote.comment);
            let finding = Finding::new(code::APPROVAL_REJECTED, why).with_evidence([seen(vote)]);
            return Ok(Verdict::Fail(finding));
        }
        if counted.len() >= self.needed() {
            return Ok(Verdict::pass(counted.values().map(|vote| seen(vote))));
        }
        let mut told = vec![format!("{} of {} have approved", counted.len(), self.quorum)];
        told.extend(cx.planned().iter().map(|scope| format!("{}: {}", scope.stage, scope.summary)));
        if !ignored.is_empty() {
            told.push(format!("not counted: {}", ignored.join(", ")));
        }
        let run = cx.run().to_string();
        // Whoever types it has read this, and not what comes later.
        let scope = StageScope::of_all(cx.planned());
        let approve = NextAction::verb(Verb::Approve, &[&run, "--scope", scope.short()]);
        let finding = Finding::new(code::APPROVAL_WAITING, told.join("; "))
            .with_next(approve.by("somebody else"))
            .with_next(NextAction::verb(Verb::Resume, &[&run]));
        Ok(Verdict::Wait(finding))
    }
}

/// Waits until a person has done something that no program does, like an upload to a shop or a
/// secret in a dashboard, and has confirmed it. Whoever asked for the release may be the one.
///
/// The confirmation is of one run and one plan, a rejection of the run; both belong before the first
/// deploy, like an [`Approval`]. It is what a person says: the gate has not looked.
///
/// ```
/// use gatekit_core::{Manual, enforced};
///
/// let gate = enforced(Manual::new("upload", "upload build 42 to the shop")?);
/// # Ok::<(), gatekit_core::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to `enforced(..)`"]
pub struct Manual {
    id: StageId,
    what: String,
}

impl Manual {
    /// Waits for somebody to do `what`, one sentence for people.
    ///
    /// # Errors
    /// `config.name` when the id is not valid: see [`StageId::new`].
    pub fn new(id: impl Into<String>, what: impl Into<String>) -> Result<Self> {
        Ok(Self { id: StageId::new(id)?, what: what.into() })
    }
}

#[async_trait]
impl Gate for Manual {
    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        json!({"manual": self.what})
    }

    fn hears_people(&self) -> bool {
        true
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        let counts = |vote: &&Vote| vote.binds || vote.word == Word::Reject;
        let word = cx.votes().filter(counts).last();
        Ok(match word {
            Some(vote) if vote.word == Word::Approve => Verdict::pass([seen(vote)]),
            Some(vote) => {
                let why = format!("{} could not do it: {}: {}", vote.by, self.what, vote.comment);
                Verdict::Fail(Finding::new(code::MANUAL_REJECTED, why).with_evidence([seen(vote)]))
            }
            None => {
                let (run, id) = (cx.run().to_string(), cx.stage().to_string());
                let confirm = NextAction::verb(Verb::Approve, &[&run, "--stage", &id]);
                let finding = Finding::new(code::MANUAL_WAITING, &*self.what)
                    .with_next(NextAction::outside(self.what.clone()))
                    .with_next(confirm)
                    .with_next(NextAction::verb(Verb::Resume, &[&run]));
                Verdict::Wait(finding)
            }
        })
    }
}

/// What a person said, as evidence.
fn seen(vote: &Vote) -> Evidence {
    let facts = json!({
        "by": vote.by, "word": vote.word, "at": vote.at, "comment": vote.comment, "entry": vote.entry,
    });
    Evidence::read("journal", facts.to_string(), facts)
}
