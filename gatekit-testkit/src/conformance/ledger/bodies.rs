//! What the suite writes into a journal.

use std::collections::BTreeMap;

use gatekit_core::ledger::{Body, Decision, GatePhase, Head, Lineage, Mode, StageScope};
use gatekit_core::process::ProcessIdentity;
use gatekit_core::{
    Candidate, Code, Digest, Enforcement, Error, Evidence, Failure, Fence, Live, Location, Outcome,
    Pause, Rollout, RunId, StageId, Then, Verdict,
};
use serde_json::json;

use super::bench::name;
use super::check::ok;

fn stage() -> StageId {
    ok(StageId::new("deploy"))
}

pub(super) fn applying() -> Body {
    Body::Applying { stage: stage(), change: json!({"from": "v1", "to": "v2"}) }
}

pub(super) fn calling() -> Body {
    Body::Calling { stage: stage(), call: "write".to_owned() }
}

pub(super) fn locked_along() -> Body {
    Body::LockedAlong { with: name("production/web"), head: Head::genesis() }
}

pub(super) fn queued() -> Body {
    Body::Queued { ticket: 1 }
}

pub(super) fn left() -> Body {
    Body::Left { why: "interrupted".to_owned() }
}

pub(super) fn stuck() -> Body {
    Body::Stuck { failure: failure() }
}

fn failure() -> Failure {
    Error::new(Code::new("test.failure"), "it failed").to_failure()
}

pub(super) fn closed(outcome: Outcome) -> Body {
    Body::Closed { outcome, failure: None, live: None }
}

/// One body at least of every kind, and of every way to be open or not.
pub(super) fn bodies() -> Vec<Body> {
    let verdict = |phase| Body::Verdict {
        stage: stage(),
        phase,
        enforcement: Enforcement::Enforced,
        verdict: Verdict::pass([Evidence::read("a test", b"raw", json!({"status": 200}))]),
    };
    let run = RunId::generate();
    let mut bodies = vec![
        Body::Opened {
            mode: Mode::Ship,
            candidate: Candidate::new().with_version("1.0.0"),
            fingerprint: Digest::of("pipeline"),
            intent: Digest::of("intent"),
            arguments: json!({"dir": "dist"}),
            process: ProcessIdentity::current(),
        },
        Body::Continued { process: ProcessIdentity::current() },
        verdict(GatePhase::Admission),
        verdict(GatePhase::Recheck),
        verdict(GatePhase::Pause),
        verdict(GatePhase::Verify),
        queued(),
        Body::Parked { stage: None, why: "the queue is long".to_owned() },
        Body::Granted {
            ticket: 1,
            lineage: Lineage::Newer,
            scopes: vec![StageScope::new(stage(), Digest::of("scope"), "the service")],
            also: BTreeMap::from([(name("production/db"), Fence(1))]),
        },
        locked_along(),
        applying(),
        calling(),
        Body::Checkpoint { stage: stage(), receipt: json!("a receipt") },
        Body::Applied { stage: stage(), receipt: json!("a receipt") },
        Body::Answered { stage: stage(), pause: Pause::at("hook"), went_on: true },
        Body::Settled { stage: stage(), already: false },
        Body::StageFailed {
            stage: stage(),
            failure: failure(),
            rollout: Some(Rollout::NothingRan),
            location: Location::Elsewhere(Live::new("v0", None)),
        },
        Body::Recovering {
            stage: stage(),
            recovery: stage(),
            attempt: 1,
            then: Then::Replan,
            scope: StageScope::new(stage(), Digest::of("scope"), "the repair"),
        },
        Body::Unwinding { cause: failure() },
        Body::RollingBack { stage: stage(), of: run, change: json!(1), receipt: None },
        Body::RolledBack { stage: stage(), of: run },
        Body::Resumed { old: Fence(1), new: Fence(2) },
        Body::Reconciled {
            decision: Decision::Adopt,
            reason: "it is live".to_owned(),
            found: vec![(stage(), Location::After)],
        },
        left(),
        stuck(),
        Body::Unknown,
    ];
    let outcomes = [
        Outcome::Released,
        Outcome::Unchanged,
        Outcome::Refused,
        Outcome::Superseded,
        Outcome::RolledBack,
        Outcome::Stuck,
        Outcome::Failed,
        Outcome::Waiting,
        Outcome::Interrupted,
        Outcome::Overridden,
    ];
    bodies.extend(outcomes.map(closed));
    bodies
}
