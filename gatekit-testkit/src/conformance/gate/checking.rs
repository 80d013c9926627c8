//! `check`: the right verdict, on what is there now, without a trace.

use std::time::Duration;

use gatekit_core::{Freshness, Gate as _, Timestamp, Verdict};
use tokio::time::{Instant, timeout};

use super::bench::{Bench, bounded, gist, telling};
use super::subject::{GateSubject, GateWorld as _, Scene};
use crate::conformance::contract::{self, broken, holds};
use crate::conformance::drops::{POINTS, dropped_at};
use crate::conformance::ear::{Ear, Secrets};

/// How much later than its deadline a gate may end.
const LATE: Duration = Duration::from_secs(1);

/// The deadline that a gate is given when its source hangs.
const SOON: Duration = Duration::from_secs(1);

/// `id`, `describe` and `fresh_for` are the same in every process, whatever the gate has seen.
///
/// # Panics
/// When they are not.
pub async fn it_describes_itself_the_same_in_every_process<S: GateSubject>(subject: &S) {
    let bench = Bench::new(subject).await;
    let (id, described, fresh) = (bench.gate.id(), bench.gate.describe(), bench.gate.fresh_for());
    for scene in bench.scenes() {
        let _ = bench.see(scene).await;
        for gate in [&bench.gate, &bench.world.gate()] {
            let again = gate.id();
            holds!(again == id, STAGE_ID, "`{id}`, and then `{again}`");
            let again = gate.describe();
            holds!(again == described, DESCRIBE, "{described}, and then {again}");
            let again = gate.fresh_for();
            holds!(again == fresh, FRESHNESS, "{fresh:?}, and then {again:?}");
        }
    }
}

/// When all is well it passes, with evidence that says where and when it was read, and whose facts are
/// bounded.
///
/// # Panics
/// When it does not pass, or its evidence is old, empty or too large.
pub async fn it_passes_with_evidence<S: GateSubject>(subject: &S) {
    let bench = Bench::new(subject).await;
    let began = Timestamp::now().unix_millis();
    let verdict = match bench.see(Scene::Passes).await {
        Ok(Verdict::Pass(proof)) => proof,
        other => broken(contract::PASS, format_args!("all is well, and it says {other:?}")),
    };
    for evidence in verdict.evidence() {
        bounded(evidence);
        let read = evidence.read_at().unix_millis();
        let oldest = match bench.gate.fresh_for() {
            Freshness::For(age) => {
                began.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
            }
            Freshness::BoundToCandidate => i64::MIN,
            _ => began,
        };
        let age = began.saturating_sub(read);
        holds!(read >= oldest, CHECK_AFRESH, "evidence read {age} ms before the check");
        let future = read.saturating_sub(Timestamp::now().unix_millis());
        holds!(future <= 0, EVIDENCE, "evidence read {future} ms in the future");
    }
}

/// When something is wrong it fails, with a finding that has a code and a message. For
/// [`Capability::fails`](super::Capability).
///
/// # Panics
/// When it says anything else.
pub async fn it_fails_with_a_finding<S: GateSubject>(subject: &S) {
    let bench = Bench::new(subject).await;
    if !bench.capability.fails {
        return;
    }
    match bench.see(Scene::Fails).await {
        Ok(Verdict::Fail(finding)) => telling(&finding),
        other => broken(contract::FAIL, format_args!("something is wrong, and it says {other:?}")),
    }
}

/// What it cannot read, and an empty answer, are inconclusive or an error: neither a pass nor a fail.
///
/// # Panics
/// When it says anything else.
pub async fn it_does_not_judge_what_it_cannot_read<S: GateSubject>(subject: &S) {
    let bench = Bench::new(subject).await;
    for scene in bench.scenes() {
        if !matches!(scene, Scene::Unreadable | Scene::Empty) {
            continue;
        }
        match bench.see(scene).await {
            Ok(Verdict::Inconclusive(finding)) => telling(&finding),
            Err(error) => {
                let (code, message) = (error.code(), error.to_string());
                let dotted = code.as_str().split_once('.').is_some();
                holds!(dotted && !message.is_empty(), CODE, "`{code}`: {message}");
            }
            other => {
                broken(contract::CHECK_READS, format_args!("{scene:?}, and it says {other:?}"))
            }
        }
    }
}

/// When somebody has to act first it waits, and says for what. For
/// [`Capability::waits`](super::Capability).
///
/// # Panics
/// When it says anything else.
pub async fn it_waits_with_a_finding<S: GateSubject>(subject: &S) {
    let bench = Bench::new(subject).await;
    if !bench.capability.waits {
        return;
    }
    match bench.see(Scene::Waits).await {
        Ok(Verdict::Wait(finding)) => telling(&finding),
        other => broken(contract::WAIT, format_args!("it has to wait, and it says {other:?}")),
    }
}

/// Checking writes nothing, whatever it sees.
///
/// # Panics
/// When something was written.
pub async fn checking_writes_nothing<S: GateSubject>(subject: &S) {
    let bench = Bench::new(subject).await;
    for scene in bench.scenes() {
        bench.world.show(scene).await;
        let before = bench.world.trace().await;
        let answer = gist(&bench.check().await);
        holds!(bench.world.trace().await == before, CHECK, "it wrote ({scene:?}, {answer:?})");
    }
}

/// Asked again about the same scene, in the same process or in another one, it gives the same verdict.
///
/// # Panics
/// When it does not.
pub async fn checking_is_repeatable<S: GateSubject>(subject: &S) {
    let bench = Bench::new(subject).await;
    for scene in bench.scenes() {
        let first = gist(&bench.see(scene).await);
        for gate in [&bench.gate, &bench.world.gate()] {
            let again = gist(&bench.check_with(gate).await);
            holds!(again == first, CHECK_AGAIN, "{first:?}, and then {again:?} ({scene:?})");
        }
    }
}

/// Dropped wherever it waits and asked again, it gives the verdict that it would have given.
///
/// # Panics
/// When it does not, or when the dropped check wrote.
pub async fn checking_is_cancel_safe<S: GateSubject>(subject: &S) {
    let bench = Bench::new(subject).await;
    for scene in bench.scenes() {
        let whole = gist(&bench.see(scene).await);
        let before = bench.world.trace().await;
        for point in 1..=POINTS {
            if dropped_at(bench.check(), point).await.is_some() {
                break;
            }
            let again = gist(&bench.check().await);
            holds!(
                again == whole,
                CHECK_DROPPED,
                "{whole:?}, and {again:?} after a check was dropped where it waited ({scene:?})"
            );
            holds!(bench.world.trace().await == before, CHECK, "a dropped check wrote ({scene:?})");
        }
    }
}

/// The same gate sees what is there now: a pass that has become a failure, and the other way round.
/// Not for evidence that is bound to the candidate.
///
/// # Panics
/// When it repeats what it saw before.
pub async fn it_looks_afresh<S: GateSubject>(subject: &S) {
    let bench = Bench::new(subject).await;
    if bench.gate.fresh_for() == Freshness::BoundToCandidate {
        return;
    }
    let turns = [
        (Scene::Passes, "pass"),
        (Scene::Fails, "fail"),
        (Scene::Passes, "pass"),
        (Scene::Unreadable, "inconclusive"),
    ];
    let scenes = bench.scenes();
    for (scene, wanted) in turns.into_iter().filter(|(scene, _)| scenes.contains(scene)) {
        let (word, _) = gist(&bench.see(scene).await);
        let told = word == wanted || (scene == Scene::Unreadable && word == "error");
        holds!(told, CHECK_AFRESH, "the source has come to {scene:?}, and it says `{word}`");
    }
}

/// When its source gives no answer it ends by the deadline of its context, without a pass; and it can
/// be dropped before. For [`Capability::hangs`](super::Capability).
///
/// # Panics
/// When it goes on for longer, or passes.
pub async fn it_ends_by_the_deadline<S: GateSubject>(subject: &S) {
    let bench = Bench::new(subject).await;
    if !bench.capability.hangs {
        return;
    }
    bench.world.show(Scene::Hangs).await;
    let cx = bench.context(SOON);
    match timeout(SOON + LATE, bench.gate.check(&cx)).await {
        Ok(Ok(verdict)) if verdict.is_pass() => {
            broken(contract::CHECK_READS, "its source gave no answer, and it passes")
        }
        Ok(_) => {}
        Err(_) => broken(contract::CHECK_ENDS, format_args!("still asking {LATE:?} after it")),
    }
    let began = Instant::now();
    let dropped = timeout(SOON / 4, bench.check()).await.is_err();
    let blocked = began.elapsed() > SOON;
    holds!(
        !blocked,
        CHECK_DROPPED,
        "dropped, and it blocked for {:?} (dropped: {dropped})",
        began.elapsed()
    );
    let (word, _) = gist(&bench.see(Scene::Passes).await);
    holds!(word == "pass", CHECK_DROPPED, "after a check that hung was dropped it says `{word}`");
}

/// No secret that the subject declares is shown: neither by the description, a verdict, an error nor
/// progress.
///
/// # Panics
/// When one is shown. The report does not repeat it.
pub async fn no_secret_is_shown<S: GateSubject>(subject: &S) {
    let bench = Bench::new(subject).await;
    let Some(secrets) = Secrets::new(bench.world.secrets()) else { return };
    secrets.absent_in(contract::DESCRIBE_SECRET, "the description", &bench.gate.describe());
    secrets.absent_in(contract::DESCRIBE_SECRET, "the id", &bench.gate.id());
    secrets.absent(contract::DESCRIBE_SECRET, "its `Debug`", &format!("{:?}", bench.gate));
    for scene in bench.scenes() {
        bench.world.show(scene).await;
        let (ear, cx) = Ear::at(bench.context(bench.capability.patience));
        match bench.gate.check(&cx).await {
            Ok(verdict) => {
                let what = format!("the verdict on {scene:?}");
                secrets.absent_in(contract::FACTS_SECRET, &what, &verdict);
            }
            Err(error) => secrets.absent_in_error(contract::ERROR_SECRET, &error),
        }
        for message in ear.heard(&cx).await {
            secrets.absent(contract::PROGRESS_SECRET, "progress", &message);
        }
    }
}
