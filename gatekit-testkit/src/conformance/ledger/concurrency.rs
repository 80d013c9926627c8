//! Many handles at once, and what is left when they are gone.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use gatekit_core::ledger::{Acquired, Body, Claim, Guard, Hold, Ledger, LockState, Record};
use gatekit_core::{Outcome, Result, RunId, TargetName};
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;

use super::bench::{Bench, LEASE, entry};
use super::bodies::{applying, calling, closed, queued};
use super::check::{must, ok, same};
use super::subject::Subject;

const THREADS: usize = 8;
const ROUNDS: usize = 4;

/// How long a thread waits for its turn before it takes the ledger for stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// A handle from `reconnect` works from another thread with another runtime; runs that compete
/// through such handles are granted one at a time, each under a fence of its own.
pub async fn many_threads_are_granted_one_at_a_time(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let inside: Arc<Mutex<Option<RunId>>> = Arc::default();
    let held = in_threads(&bench, move |ledger, target| {
        let inside = Arc::clone(&inside);
        async move {
            let mut fences = Vec::new();
            for _ in 0..ROUNDS {
                let claim = Claim::new(target.clone(), RunId::generate(), "somebody");
                let hold = wait(&*ledger, &claim).await;
                let enter = |who| {
                    let mut inside = inside.lock().unwrap_or_else(PoisonError::into_inner);
                    std::mem::replace(&mut *inside, who)
                };
                same("one holder at a time", enter(Some(claim.run)), None);
                for body in [applying(), calling()] {
                    ok(append(&*ledger, &hold, body).await);
                    tokio::task::yield_now().await;
                }
                same("one holder at a time", enter(None), Some(claim.run));
                ok(append(&*ledger, &hold, closed(Outcome::Released)).await);
                fences.push(hold.fence.0);
            }
            fences
        }
    })
    .await;
    let mut fences: Vec<u64> = held.into_iter().flatten().collect();
    fences.sort_unstable();
    fences.dedup();
    same("every grant has a fence of its own", fences.len(), THREADS * ROUNDS);
    let records = bench.verify().await;
    same("every entry that was answered is there", records.len(), THREADS * ROUNDS * 3);
    for three in records.chunks(3) {
        let told: Vec<_> = three.iter().map(|record| ok(record.decode())).collect();
        let kinds: Vec<_> = told.iter().map(|entry| entry.body.kind()).collect();
        same(
            "nobody writes in the middle of another's change",
            kinds,
            vec!["applying", "calling", "closed"],
        );
        let one = told.iter().all(|entry| (entry.run, entry.fence) == (told[0].run, told[0].fence));
        must("nobody writes in the middle of another's change", one, &told);
    }
    bench.expect("the last one freed the target", LockState::Free, None).await;
}

/// Appends through many handles make one chain, without a gap or a fork.
pub async fn many_handles_append_to_one_chain(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let seqs = in_threads(&bench, |ledger, target| async move {
        let mut seqs = Vec::new();
        for _ in 0..ROUNDS * 4 {
            let entry = entry(&target, RunId::generate(), None, queued());
            seqs.push(ok(ledger.append(&target, &entry, Guard::Open).await).seq);
        }
        seqs
    })
    .await;
    let mut seqs: Vec<u64> = seqs.into_iter().flatten().collect();
    seqs.sort_unstable();
    let all: Vec<u64> = (1..).take(THREADS * ROUNDS * 4).collect();
    same("every append has a number of its own, without gaps", seqs, all);
    same("appends make one chain", bench.verify().await.len(), THREADS * ROUNDS * 4);
}

/// What was answered is there when every handle is gone: lock, fence, queue and journal.
///
/// For a ledger that is [persistent](super::Capability::persistent).
pub async fn what_was_answered_outlives_every_handle(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let (claim, waiter) = (bench.claim(), bench.claim());
    let hold = bench.mutating(&claim).await;
    let ticket = ok(bench.ledger.enqueue(&waiter).await);
    let (before, records) = (bench.state().await, bench.verify().await);
    let Bench { opened, ledger, target } = bench;
    drop(ledger);
    let ledger = ok(opened.reopen().await);
    let bench = Bench { opened, ledger, target };
    let kept = "what was answered outlives every handle";
    let after = bench.state().await;
    same(kept, (after.state, after.run, after.fence), (before.state, before.run, before.fence));
    same(kept, (after.holder, after.queue, after.head), (before.holder, before.queue, before.head));
    same(kept, bench.verify().await, records);
    same("a run keeps the ticket it has", ok(bench.ledger.enqueue(&waiter).await), ticket);
    ok(bench.append(&hold, calling()).await);
    ok(bench.ledger.renew(&hold).await);
}

/// Runs `work` in many threads, each with a handle and a runtime of its own.
async fn in_threads<F, T>(
    bench: &Bench,
    work: impl Fn(Arc<dyn Ledger>, TargetName) -> F + Clone + Send + 'static,
) -> Vec<T>
where
    F: Future<Output = T>,
    T: Send + 'static,
{
    let (ledger, target) = (Arc::clone(&bench.ledger), bench.target.clone());
    let all = spawn_blocking(move || {
        let thread = |_| {
            let (ledger, target, work) = (Arc::clone(&ledger), target.clone(), work.clone());
            thread::spawn(move || -> std::io::Result<T> {
                let runtime = Builder::new_current_thread().enable_all().build()?;
                Ok(runtime.block_on(async {
                    let own = ok(ledger.reconnect().await);
                    work(own, target).await
                }))
            })
        };
        let threads: Vec<_> = (0..THREADS).map(thread).collect();
        // A thread that broke the contract has said so itself.
        let join = |thread: thread::JoinHandle<std::io::Result<T>>| thread.join().ok()?.ok();
        threads.into_iter().map(join).collect::<Option<Vec<T>>>()
    });
    super::check::there(
        "a handle works from another thread with another runtime",
        all.await.ok().flatten(),
    )
}

/// Queues for the lock until it is granted.
async fn wait(ledger: &dyn Ledger, claim: &Claim) -> Hold {
    ok(ledger.enqueue(claim).await);
    let began = Instant::now();
    loop {
        let answer = ok(ledger.acquire(claim, LEASE).await);
        if let Acquired::Granted(hold) = answer {
            return hold;
        }
        must("whoever waits is granted in the end", began.elapsed() < PATIENCE, &answer);
        ledger.wait_for_turn(claim, Duration::from_millis(200)).await;
    }
}

async fn append(ledger: &dyn Ledger, hold: &Hold, body: Body) -> Result<Record> {
    let entry = entry(&hold.target, hold.run, Some(hold.fence), body);
    let guard = Guard::Holder { run: hold.run, fence: hold.fence, lease_left: LEASE / 3 };
    ledger.append(&hold.target, &entry, guard).await
}
