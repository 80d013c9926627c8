//! Several targets that are locked along with one: all at once or none, and as one from then on.

use std::collections::BTreeMap;

use gatekit_core::ledger::{Acquired, Claim, Hold, LockState};
use gatekit_core::{Fence, Outcome, RunId, TargetName, code};

use super::bench::{Bench, LEASE, entry, name};
use super::bodies::{applying, calling, closed, left, locked_along};
use super::check::{granted, must, ok, refused, same};
use super::subject::Subject;

/// The target that is locked along with the bench's own.
fn second() -> TargetName {
    name("production/db")
}

/// A claim of a new run on both.
fn both(bench: &Bench) -> Claim {
    bench.claim().along([second()])
}

/// A claim of a new run on the second alone.
fn lone() -> Claim {
    Claim::new(second(), RunId::generate(), "somebody else")
}

/// The fence of the second target.
fn fence_of(hold: &Hold) -> Fence {
    hold.fence_of(&second()).unwrap_or_default()
}

async fn waits(sentence: &str, bench: &Bench, claim: &Claim) {
    let answer = ok(bench.ledger.acquire(claim, LEASE).await);
    must(sentence, matches!(answer, Acquired::Waiting { .. }), &answer);
}

/// Fails unless both targets are in that state because of that run, the second along with the first.
async fn expect_both(sentence: &str, bench: &Bench, state: LockState, run: Option<RunId>) {
    bench.expect(sentence, state, run).await;
    let told = ok(bench.ledger.state(&second()).await);
    let with = run.map(|_| bench.target.clone());
    same(sentence, (told.state, told.run, told.along_with), (state, run, with));
}

/// A claim on several targets is granted all of them at once, each under a fence of its own, or none:
/// while another run has one of them, the rest stay free.
pub async fn several_targets_are_granted_at_once_or_not_at_all(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let (claim, other) = (both(&bench), lone());
    // The second target's fences are ahead of the first one's.
    let before = bench.hold(&other).await;
    ok(bench.ledger.release(&before).await);
    let other = lone();
    let held = bench.hold(&other).await;
    ok(bench.ledger.enqueue(&claim).await);
    let partly = "a claim on several targets waits while another run holds one of them";
    waits(partly, &bench, &claim).await;
    bench.expect("and takes none of the others meanwhile", LockState::Free, None).await;
    ok(bench.ledger.release(&held).await);
    let hold = granted("all are free", bench.ledger.acquire(&claim, LEASE).await);
    let along: Vec<_> = hold.also.keys().cloned().collect();
    same("a hold names the targets that are locked along", along, vec![second()]);
    must(
        "each has a fence greater than any before of its own",
        fence_of(&hold) > held.fence,
        &hold,
    );
    let all = "all are held by the run that claimed them";
    expect_both(all, &bench, LockState::Held, Some(claim.run)).await;
    let told = ok(bench.ledger.state(&second()).await);
    same("the state tells a target's own fence", told.fence, fence_of(&hold));
    must("and an empty queue", told.queue.is_empty(), &told.queue);
    let again =
        granted("a claim is given its hold again", bench.ledger.acquire(&claim, LEASE).await);
    same("a hold that is given again is the same", again, hold.clone());
    let later = lone();
    ok(bench.ledger.enqueue(&later).await);
    waits("nobody is granted a target that is locked along", &bench, &later).await;
    must("an untouched hold is released", ok(bench.ledger.release(&hold).await), &hold);
    expect_both("a release frees all", &bench, LockState::Free, None).await;
    granted("and the next in line is granted", bench.ledger.acquire(&later, LEASE).await);
}

/// Claims on the same targets stand in the same order in every queue, whichever of them they lead
/// with: none waits for another in a circle.
pub async fn claims_on_the_same_targets_never_wait_in_a_circle(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let first = both(&bench);
    let across = lone().along([bench.target.clone()]);
    let last = both(&bench);
    for claim in [&first, &across, &last] {
        ok(bench.ledger.enqueue(claim).await);
    }
    for (turn, claim) in [&first, &across, &last].into_iter().enumerate() {
        for later in [&first, &across, &last].into_iter().skip(turn + 1) {
            waits("who came later waits", &bench, later).await;
        }
        let hold = granted("first come, first served", bench.ledger.acquire(claim, LEASE).await);
        ok(bench.ledger.release(&hold).await);
    }
}

/// Who leaves leaves every queue that it joined.
pub async fn leaving_gives_every_place_up(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let (claim, other) = (both(&bench), lone());
    let ticket = ok(bench.ledger.enqueue(&claim).await);
    same("a run keeps its ticket", ok(bench.ledger.enqueue(&claim).await), ticket);
    ok(bench.ledger.enqueue(&other).await);
    waits("a run is in the queue of each target that it claims", &bench, &other).await;
    ok(bench.ledger.leave(&claim.target, claim.run).await);
    granted("nobody waits before it any more", bench.ledger.acquire(&other, LEASE).await);
    let none = bench.ledger.acquire(&claim, LEASE).await;
    refused("a run that left has no ticket", none, &code::LOCK_NO_TICKET);
    must("in no queue", bench.state().await.queue.is_empty(), &bench.state().await.queue);
}

/// A run whose claim has other targets than before joins all their queues at the end.
pub async fn a_claim_that_changes_joins_every_queue_anew(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let narrow = bench.claim();
    let other = both(&bench);
    ok(bench.ledger.enqueue(&narrow).await);
    ok(bench.ledger.enqueue(&other).await);
    let wide = bench.claim_of(narrow.run).along([second()]);
    let without = bench.ledger.acquire(&wide, LEASE).await;
    refused("a ticket is for what was claimed", without, &code::LOCK_NO_TICKET);
    ok(bench.ledger.enqueue(&wide).await);
    waits("what is claimed anew comes last", &bench, &wide).await;
    let hold = granted("whoever was behind", bench.ledger.acquire(&other, LEASE).await);
    ok(bench.ledger.release(&hold).await);
    granted("comes first", bench.ledger.acquire(&wide, LEASE).await);
}

/// A run that vanishes leaves all of them suspect; they are taken over together, each under a new
/// fence, whatever the claim names, and not one by one.
pub async fn what_is_locked_along_is_suspect_and_taken_over_with_its_leading_target(
    subject: &dyn Subject,
) {
    for lapses in [true, false] {
        let bench = Bench::open(subject).await;
        let (claim, other) = (both(&bench), lone());
        let hold = bench.mutating(&claim).await;
        expect_both("a touch is of all", &bench, LockState::Mutating, Some(claim.run)).await;
        if lapses {
            bench.opened.advance(LEASE);
        } else {
            ok(bench.append(&hold, left()).await);
        }
        let suspect = "a run that vanished leaves all of its targets suspect";
        expect_both(suspect, &bench, LockState::Suspect, Some(claim.run)).await;
        ok(bench.ledger.enqueue(&other).await);
        let answer = ok(bench.ledger.acquire(&other, LEASE).await);
        let (target, run, fence) = (bench.target.clone(), claim.run, hold.fence);
        let named = "it names the target that the run is resumed by, and its fence";
        same(named, answer, Acquired::Suspect { target, run, fence });
        let mut alone = lone();
        alone.run = claim.run;
        for taker in [&alone, &other] {
            let taken = bench.ledger.take_over(taker, LEASE).await;
            let not = "a target that is locked along is not taken over by itself";
            refused(not, taken, &code::LOCK_NOT_SUSPECT);
        }
        let heir = bench.claim_of(claim.run);
        let taken = ok(bench.ledger.take_over(&heir, LEASE).await);
        let newer = "a take-over gives each a new fence";
        must(newer, taken.fence > hold.fence && fence_of(&taken) > fence_of(&hold), &taken);
        expect_both("and all are mutating", &bench, LockState::Mutating, Some(claim.run)).await;
        same("it is repeated", ok(bench.ledger.take_over(&heir, LEASE).await), taken.clone());
        let stale = write(&bench, &hold, fence_of(&hold)).await;
        refused("nobody writes under an overtaken fence", stale, &code::LOCK_LOST);
        ok(write(&bench, &taken, fence_of(&taken)).await);
        ok(bench.append(&taken, closed(Outcome::RolledBack)).await);
        expect_both("the end of the run frees all", &bench, LockState::Free, None).await;
        granted("for whoever waits", bench.ledger.acquire(&other, LEASE).await);
    }
}

/// An entry in the chain of the second target, under that fence.
async fn write(bench: &Bench, hold: &Hold, fence: Fence) -> gatekit_core::Result<()> {
    let hold = Hold::new(second(), hold.run, fence, LEASE);
    bench.append(&hold, locked_along()).await.map(drop)
}

/// A lapse that is recorded for one of them is recorded for all.
pub async fn a_lapse_is_recorded_for_all_that_are_locked_together(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let (claim, other) = (both(&bench), lone());
    let hold = bench.hold(&claim).await;
    bench.opened.advance(LEASE);
    expect_both("what was not touched is free again", &bench, LockState::Free, None).await;
    let taken = bench.hold(&other).await;
    must("its fence is greater than any before", taken.fence > fence_of(&hold), &taken);
    let lost = "who lost one of its targets has lost them all";
    refused(lost, bench.ledger.renew(&hold).await, &code::LOCK_LOST);
    refused(lost, bench.append(&hold, applying()).await, &code::LOCK_LOST);
    same(lost, ok(bench.ledger.release(&hold).await), false);
    bench.expect("the rest stays free", LockState::Free, None).await;
    let told = ok(bench.ledger.state(&second()).await);
    let own = (LockState::Held, Some(other.run), None);
    same("and the one is its new holder's", (told.state, told.run, told.along_with), own);
}

/// The chain of a target that is locked along takes entries of the holder under the target's own
/// fence, as long as they leave the lock alone; only the leading target's do something to that.
pub async fn entries_of_a_target_that_is_locked_along_leave_the_lock_alone(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let other = lone();
    let before = bench.hold(&other).await;
    ok(bench.ledger.release(&before).await);
    let claim = both(&bench);
    let hold = bench.hold(&claim).await;
    ok(write(&bench, &hold, fence_of(&hold)).await);
    let along = Hold::new(second(), hold.run, fence_of(&hold), LEASE);
    ok(bench.append(&along, calling()).await);
    for body in [applying(), left(), closed(Outcome::Refused)] {
        let changed = bench.append(&along, body).await;
        refused("its lock is changed by the leading target alone", changed, &code::LEDGER_GUARD);
    }
    let leading = write(&bench, &hold, hold.fence).await;
    refused("the leading target's fence is another", leading, &code::LOCK_LOST);
    let foreign = Hold::new(second(), other.run, fence_of(&hold), LEASE);
    let foreign = bench.append(&foreign, calling()).await;
    refused("so is another run", foreign, &code::LOCK_LOST);
    refused(
        "it is renewed by its leading target",
        bench.ledger.renew(&along).await,
        &code::LOCK_LOST,
    );
    same("and released by it", ok(bench.ledger.release(&along).await), false);
    expect_both("nothing has changed", &bench, LockState::Held, Some(claim.run)).await;
    let open = entry(&second(), RunId::generate(), None, super::bodies::queued());
    let target = second();
    ok(bench.ledger.append(&target, &open, gatekit_core::ledger::Guard::Open).await);
    let records = ok(super::bench::verify(&*bench.ledger, &target).await);
    same("each target has a chain of its own", records.len(), 3);
    same("and the leading one is as it was", bench.verify().await.len(), 0);
    must("a claim alone has nothing along", before.also == BTreeMap::new(), &before);
}
