//! Processes that are gone, and processes that cannot be seen.

use std::time::Duration;

use gatekit_core::code;
use gatekit_core::ledger::{Acquired, LockState};
use gatekit_core::process::ProcessIdentity;

use super::bench::{Bench, LEASE};
use super::bodies::applying;
use super::check::{granted, must, ok, refused, same};
use super::subject::Subject;

/// A process of this machine that is gone: no process outlives its boot.
fn gone() -> ProcessIdentity {
    let mut process = ProcessIdentity::current();
    process.boot = "another boot".to_owned();
    process
}

const DAY: Duration = Duration::from_secs(86_400);

/// A holder that is proven dead frees what it had not touched, without waiting for its lease.
///
/// For a ledger that [proves deaths](super::Capability::proves_deaths).
pub async fn a_dead_holder_frees_what_it_had_not_touched(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let mut dead = bench.claim();
    dead.process = gone();
    ok(bench.ledger.enqueue(&dead).await);
    // Its own request is answered; the next look finds it gone.
    granted("whoever asks is answered", bench.ledger.acquire(&dead, DAY).await);
    let freed = "a dead holder of an untouched target frees it";
    bench.expect(freed, LockState::Free, None).await;
    bench.hold(&bench.claim()).await;
}

/// A holder that is proven dead leaves what it touched suspect, to be taken over at once.
///
/// For a ledger that [proves deaths](super::Capability::proves_deaths).
pub async fn a_dead_holder_leaves_what_it_touched_suspect(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let (mut dead, next) = (bench.claim(), bench.claim());
    dead.process = gone();
    ok(bench.ledger.enqueue(&dead).await);
    let hold = granted("whoever asks is answered", bench.ledger.acquire(&dead, DAY).await);
    ok(bench.append(&hold, applying()).await);
    let suspect = "a dead holder leaves a touched target suspect";
    bench.expect(suspect, LockState::Suspect, Some(dead.run)).await;
    ok(bench.ledger.enqueue(&next).await);
    let answer = ok(bench.ledger.acquire(&next, LEASE).await);
    let over = "nobody is granted over a suspect target";
    let (target, run, fence) = (bench.target.clone(), dead.run, hold.fence);
    same(over, answer, Acquired::Suspect { target, run, fence });
    let stranger = bench.ledger.take_over(&next, LEASE).await;
    refused("only its own run takes it over", stranger, &code::LOCK_NOT_SUSPECT);
    let taken = ok(bench.ledger.take_over(&bench.claim_of(dead.run), LEASE).await);
    must("a take-over has a new fence", taken.fence > hold.fence, &taken);
}

/// A waiter whose process is proven dead is skipped at once, and its run keeps its ticket.
///
/// For a ledger that [proves deaths](super::Capability::proves_deaths).
pub async fn a_dead_waiter_is_skipped_at_once(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let (mut dead, keen) = (bench.claim(), bench.claim());
    dead.process = gone();
    let ticket = ok(bench.ledger.enqueue(&dead).await);
    ok(bench.ledger.enqueue(&keen).await);
    let skipped = "a waiter whose process is proven dead is skipped";
    granted(skipped, bench.ledger.acquire(&keen, LEASE).await);
    let queue = bench.state().await.queue;
    let told: Vec<_> = queue.iter().map(|waiter| (waiter.ticket, waiter.alive)).collect();
    same("a skipped waiter keeps its ticket", told, vec![(ticket, false)]);
    // Another process goes on with the run, in the place that it had.
    ok(bench.ledger.enqueue(&bench.claim()).await);
    let own = bench.claim_of(dead.run);
    same("a run keeps the ticket it has", ok(bench.ledger.enqueue(&own).await), ticket);
}

/// A process that cannot be seen from here counts as alive: its lease decides.
pub async fn a_process_that_cannot_be_seen_counts_as_alive(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let mut elsewhere = bench.claim();
    elsewhere.process.namespace = "pid:[1]".to_owned();
    elsewhere.process.pid = 999_999;
    bench.hold(&elsewhere).await;
    let unproven = "a holder counts as dead only when that is proven";
    bench.expect(unproven, LockState::Held, Some(elsewhere.run)).await;
    bench.opened.advance(LEASE);
    bench.expect("otherwise its lease decides", LockState::Free, None).await;
}
