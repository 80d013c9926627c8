//! Journal entries and what is in them, out of bytes: of a property test or of a fuzzer.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use gatekit_core::ledger::{
    Body, Decision, Entry, GatePhase, Head, Lineage, Mode, StageScope, Word,
};
use gatekit_core::process::ProcessIdentity;
use gatekit_core::{
    Candidate, Code, Digest, Effect, Enforcement, Error, Evidence, Failure, Fence, Finding, Live,
    Location, NextAction, Outcome, Pause, Rollout, RunId, StageId, TargetName, Then, Timestamp,
    Verb, Verdict,
};
use serde_json::{Map, Number, Value, json};

pub(crate) fn target(u: &mut Unstructured<'_>) -> Result<TargetName> {
    let name = u.choose(&["t", "local/app", "production/api", "a.b:c_d-e/f"])?;
    Ok(TargetName::new(*name).unwrap())
}

fn stage(u: &mut Unstructured<'_>) -> Result<StageId> {
    Ok(StageId::new(*u.choose(&["s", "release-dir", "web/smoke"])?).unwrap())
}

fn run(u: &mut Unstructured<'_>) -> Result<RunId> {
    let id: u128 = u.arbitrary()?;
    let text = format!("{id:032x}");
    Ok(text.parse().unwrap())
}

fn digest(u: &mut Unstructured<'_>) -> Result<Digest> {
    Ok(Digest::of(u.arbitrary::<[u8; 2]>()?))
}

fn digit(u: &mut Unstructured<'_>) -> Result<Number> {
    Ok(match u.int_in_range(0..=2)? {
        0 => Number::from(u.arbitrary::<u64>()?),
        1 => Number::from(u.arbitrary::<i64>()?),
        // What is no number in JSON becomes one.
        _ => Number::from_f64(u.arbitrary()?).unwrap_or_else(|| Number::from(0)),
    })
}

/// Any JSON, a few levels deep.
pub(crate) fn any_json(u: &mut Unstructured<'_>, depth: u8) -> Result<Value> {
    Ok(match u.int_in_range(0..=if depth == 0 { 3 } else { 5 })? {
        0 => Value::Null,
        1 => Value::Bool(u.arbitrary()?),
        2 => Value::Number(digit(u)?),
        3 => Value::String(u.arbitrary()?),
        4 => {
            let items = (0..u.int_in_range(0..=3)?).map(|_| any_json(u, depth - 1));
            Value::Array(items.collect::<Result<_>>()?)
        }
        _ => {
            let mut map = Map::new();
            for _ in 0..u.int_in_range(0..=3)? {
                map.insert(u.arbitrary()?, any_json(u, depth - 1)?);
            }
            Value::Object(map)
        }
    })
}

fn mode(u: &mut Unstructured<'_>) -> Result<Mode> {
    if u.arbitrary()? {
        return Ok(Mode::Ship);
    }
    let undo = (0..u.int_in_range(0..=2)?).map(|_| run(u)).collect::<Result<_>>()?;
    Ok(Mode::RollBack { to: run(u)?, undo, reason: u.arbitrary()? })
}

fn candidate(u: &mut Unstructured<'_>) -> Result<Candidate> {
    let mut candidate = Candidate::new();
    if u.arbitrary()? {
        candidate = candidate.with_version(u.arbitrary::<String>()?);
    }
    if u.arbitrary()? {
        candidate = candidate.with_artifact(u.arbitrary::<String>()?, digest(u)?);
        candidate = candidate.with_input(u.arbitrary::<String>()?, u.arbitrary::<String>()?);
    }
    Ok(candidate)
}

fn process(u: &mut Unstructured<'_>) -> Result<ProcessIdentity> {
    let (boot, namespace): (String, String) = u.arbitrary()?;
    let (pid, started): (u32, Option<u64>) = u.arbitrary()?;
    let process = json!({"boot": boot, "namespace": namespace, "pid": pid, "started": started});
    Ok(serde_json::from_value(process).unwrap())
}

fn next(u: &mut Unstructured<'_>) -> Result<NextAction> {
    let args: [&str; 2] = [u.arbitrary()?, "--reason"];
    let verb = *u.choose(&[Verb::Ship, Verb::Resume, Verb::Reconcile, Verb::Log])?;
    Ok(if u.arbitrary()? {
        NextAction::verb(verb, &args).by("operator")
    } else {
        NextAction::outside(u.arbitrary::<String>()?)
    })
}

fn failure(u: &mut Unstructured<'_>) -> Result<Failure> {
    let mut error = Error::new(Code::new("test.code"), u.arbitrary::<String>()?)
        .with_context("name", u.arbitrary::<String>()?)
        .with_effect(*u.choose(&[Effect::None, Effect::Unknown, Effect::Done])?);
    if u.arbitrary()? {
        error = error.retry_later().with_next(next(u)?);
    }
    if u.arbitrary()? {
        error = error.with_source(u.arbitrary::<String>()?);
    }
    Ok(error.to_failure())
}

fn evidence(u: &mut Unstructured<'_>) -> Result<Evidence> {
    Ok(Evidence::read(u.arbitrary::<String>()?, u.arbitrary::<[u8; 1]>()?, any_json(u, 2)?))
}

fn verdict(u: &mut Unstructured<'_>) -> Result<Verdict> {
    if u.arbitrary()? {
        return Ok(Verdict::pass([evidence(u)?]));
    }
    let mut finding = Finding::new(Code::new("test.finding"), u.arbitrary::<String>()?);
    if u.arbitrary()? {
        finding = finding.with_evidence([evidence(u)?]).with_next(next(u)?);
    }
    Ok(match u.int_in_range(0..=2)? {
        0 => Verdict::Fail(finding),
        1 => Verdict::Wait(finding),
        _ => Verdict::Inconclusive(finding),
    })
}

fn live(u: &mut Unstructured<'_>) -> Result<Live> {
    Ok(Live::new(u.arbitrary::<String>()?, u.arbitrary()?))
}

fn location(u: &mut Unstructured<'_>) -> Result<Location> {
    Ok(match u.int_in_range(0..=4)? {
        0 => Location::Before,
        1 => Location::After,
        2 => Location::Between(u.arbitrary()?),
        3 => Location::Elsewhere(live(u)?),
        _ => Location::Unknown(u.arbitrary()?),
    })
}

fn rollout(u: &mut Unstructured<'_>) -> Result<Rollout> {
    Ok(match u.int_in_range(0..=6)? {
        0 => Rollout::InProgress { poll_after: u.arbitrary()? },
        1 => Rollout::Settled,
        2 => Rollout::Failed(u.arbitrary()?),
        3 => Rollout::RolledBack { by: u.arbitrary()?, why: u.arbitrary()? },
        4 => Rollout::Superseded { by: u.arbitrary()? },
        5 => Rollout::NothingRan,
        _ => Rollout::Paused(Pause::at(u.arbitrary::<String>()?)),
    })
}

fn fence(u: &mut Unstructured<'_>) -> Result<Fence> {
    Ok(Fence(u.arbitrary()?))
}

fn maybe<T>(
    u: &mut Unstructured<'_>,
    make: fn(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Option<T>> {
    Ok(if u.arbitrary()? { Some(make(u)?) } else { None })
}

const PHASES: [GatePhase; 4] =
    [GatePhase::Admission, GatePhase::Recheck, GatePhase::Pause, GatePhase::Verify];

const LINEAGES: [Lineage; 5] =
    [Lineage::Same, Lineage::Newer, Lineage::Older, Lineage::Diverged, Lineage::Unknown];

const DECISIONS: [Decision; 4] =
    [Decision::Adopt, Decision::ConfirmOld, Decision::RollBack, Decision::Override];

const OUTCOMES: [Outcome; 10] = [
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

/// What happened: any kind, with any content.
pub(crate) fn body(u: &mut Unstructured<'_>) -> Result<Body> {
    Ok(match u.int_in_range(0..=27)? {
        0 => Body::Opened {
            mode: mode(u)?,
            candidate: candidate(u)?,
            fingerprint: digest(u)?,
            intent: digest(u)?,
            arguments: any_json(u, 3)?,
            process: process(u)?,
        },
        1 => Body::Continued { process: process(u)? },
        2 => Body::Verdict {
            stage: stage(u)?,
            phase: *u.choose(&PHASES)?,
            enforcement: *u.choose(&[Enforcement::Enforced, Enforcement::Advisory])?,
            verdict: verdict(u)?,
        },
        3 => Body::Queued { ticket: u.arbitrary()? },
        4 => Body::Parked { stage: maybe(u, stage)?, why: u.arbitrary()? },
        5 => Body::Granted {
            ticket: u.arbitrary()?,
            lineage: *u.choose(&LINEAGES)?,
            scopes: vec![scope(u)?],
            also: if u.arbitrary()? { [(target(u)?, fence(u)?)].into() } else { [].into() },
        },
        6 => Body::Applying { stage: stage(u)?, change: any_json(u, 3)? },
        7 => Body::Calling { stage: stage(u)?, call: u.arbitrary()? },
        8 => Body::Checkpoint { stage: stage(u)?, receipt: any_json(u, 3)? },
        9 => Body::Applied { stage: stage(u)?, receipt: any_json(u, 3)? },
        10 => Body::Answered {
            stage: stage(u)?,
            pause: Pause::at(u.arbitrary::<String>()?),
            went_on: u.arbitrary()?,
        },
        11 => Body::Settled { stage: stage(u)?, already: u.arbitrary()? },
        12 => Body::StageFailed {
            stage: stage(u)?,
            failure: failure(u)?,
            rollout: maybe(u, rollout)?,
            location: location(u)?,
        },
        13 => Body::Unwinding { cause: failure(u)? },
        14 => Body::RollingBack {
            stage: stage(u)?,
            of: run(u)?,
            change: any_json(u, 3)?,
            // Written, `null` and no receipt are the same: nothing is decided by the difference.
            receipt: maybe(u, |u| any_json(u, 3))?.filter(|receipt| !receipt.is_null()),
        },
        15 => Body::RolledBack { stage: stage(u)?, of: run(u)? },
        16 => Body::Resumed { old: fence(u)?, new: fence(u)? },
        17 => Body::Reconciled {
            decision: *u.choose(&DECISIONS)?,
            reason: u.arbitrary()?,
            found: vec![(stage(u)?, location(u)?)],
        },
        18 => Body::Left { why: u.arbitrary()? },
        19 => Body::Stuck { failure: failure(u)? },
        20 => Body::Closed {
            outcome: *u.choose(&OUTCOMES)?,
            failure: maybe(u, failure)?,
            live: maybe(u, live)?,
        },
        21 => Body::Recovering {
            stage: stage(u)?,
            recovery: stage(u)?,
            attempt: u.arbitrary()?,
            then: *u.choose(&[Then::Replan, Then::SameChange])?,
            scope: scope(u)?,
        },
        22 => Body::Planned { scopes: vec![scope(u)?], hears: [stage(u)?].into() },
        23 => Body::Approval {
            stage: stage(u)?,
            word: *u.choose(&[Word::Approve, Word::Reject])?,
            intent: digest(u)?,
            scope: digest(u)?,
            comment: u.arbitrary()?,
        },
        24 => Body::Waiver {
            stage: stage(u)?,
            intent: digest(u)?,
            until: Timestamp::now().after(Duration::from_millis(u.arbitrary()?)),
            reason: u.arbitrary()?,
        },
        25 => Body::Waived { stage: stage(u)?, phase: *u.choose(&PHASES)?, waiver: u.arbitrary()? },
        26 => Body::LockedAlong {
            with: target(u)?,
            head: Head { seq: u.arbitrary()?, hash: digest(u)? },
        },
        _ => Body::Unknown,
    })
}

fn scope(u: &mut Unstructured<'_>) -> Result<StageScope> {
    Ok(StageScope::new(stage(u)?, digest(u)?, u.arbitrary::<String>()?))
}

/// An entry of any kind about `target`.
pub(crate) fn entry(u: &mut Unstructured<'_>, target: TargetName) -> Result<Entry> {
    let (run, actor, fence) = (run(u)?, u.arbitrary::<String>()?, maybe(u, fence)?);
    Ok(Entry::new(target, run, actor, fence, body(u)?))
}
