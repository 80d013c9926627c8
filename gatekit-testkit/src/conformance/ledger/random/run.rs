//! Draws the sequences, shrinks what fails, and tells it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use gatekit_core::ledger::{Ledger, MemoryLedger};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use tokio::runtime::{Builder, Runtime};

use super::super::subject::{Opened, Subject};
use super::cast::Cast;
use super::op::{Act, Draw, Op, STEP, TARGETS, sequences};
use super::oracle::Oracle;
use super::side::{Answer, Side};

/// The longest sequence.
const LONGEST: usize = 80;

/// Drives the subject through `cases` random interleavings of what several processes of several runs
/// may do (tickets, grants, entries of every kind, renewals, take-overs, calls that are repeated,
/// forged or late, time that goes by, processes that are killed), and compares every answer, state
/// and journal with those of [`MemoryLedger`], and with the few things that must never happen.
///
/// A case takes up to 80 calls. The same `seed` draws the same cases. Blocks; runs on a thread and a
/// runtime of its own.
///
/// # Panics
/// When an answer differs, with the shortest such sequence that was found and the seed that draws it
/// again.
pub fn random_interleavings(subject: &dyn Subject, cases: u32, seed: u64) {
    let failure = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| error.to_string())?;
            (0..cases).try_for_each(|case| {
                let seed = seed.wrapping_add(u64::from(case));
                one(&runtime, subject, seed).map_err(|what| {
                    format!("{what}\nto see it again: random_interleavings(&subject, 1, {seed})")
                })
            })
        });
        thread.join().unwrap_or_else(|_| Err("the subject panicked".to_owned()))
    });
    if let Err(what) = failure {
        failed(&what);
    }
}

#[expect(clippy::panic, reason = "a suite fails by panicking, as tests do")]
fn failed(what: &str) {
    panic!("the contract of a ledger is broken: {what}");
}

/// Draws one sequence and tries it; `Err` tells the shortest one that fails.
fn one(runtime: &Runtime, subject: &dyn Subject, seed: u64) -> Result<(), String> {
    let config = Config {
        cases: 1,
        failure_persistence: None,
        max_global_rejects: 100,
        max_shrink_iters: 500,
        ..Config::default()
    };
    // In every second case most runs claim two targets at once.
    let along = seed.is_multiple_of(2);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let play = |draws: &[Draw]| {
        let began = Instant::now();
        let mut calls = Vec::new();
        let failed = runtime.block_on(follow(subject, along, draws, &mut calls));
        // Real time may have changed an answer then.
        let slow = began.elapsed() > STEP / 3;
        failed.map_err(|what| Failed { what, calls, slow })
    };
    let attempt = |draws: Vec<Draw>| {
        play(&draws).map_err(|failed| match failed.slow {
            true => TestCaseError::reject("the machine is too slow to judge"),
            false => TestCaseError::fail(failed.what),
        })
    };
    match TestRunner::new_with_rng(config, rng).run(&sequences(LONGEST, along), attempt) {
        Ok(()) => Ok(()),
        Err(TestError::Abort(why)) => Err(why.to_string()),
        Err(TestError::Fail(why, draws)) => {
            let Err(mut shortest) = play(&draws) else { return Err(why.to_string()) };
            // Now that it is known who acted, more can be left out.
            for left_out in (0..shortest.calls.len()).rev() {
                let calls = shortest.calls.iter().map(|(op, _)| Draw::from(op));
                let mut fewer: Vec<Draw> = calls.collect();
                if left_out < fewer.len() {
                    fewer.remove(left_out);
                    shortest = play(&fewer).err().filter(|failed| !failed.slow).unwrap_or(shortest);
                }
            }
            Err(shortest.tell())
        }
    }
}

/// A sequence that fails.
struct Failed {
    what: String,
    /// Each call, and its answer.
    calls: Vec<(Op, Option<Answer>)>,
    slow: bool,
}

impl Failed {
    fn tell(&self) -> String {
        let mut text = self.what.clone();
        for (i, (op, answer)) in self.calls.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{:>4}. {op:?}", i + 1);
            if let Some(answer) = answer {
                let _ = write!(text, " -> {answer:?}");
            }
        }
        text
    }
}

/// Plays `draws` on the subject and on the reference, and notes the `calls`; `Err` tells how they
/// differ.
async fn follow(
    subject: &dyn Subject,
    along: bool,
    draws: &[Draw],
    calls: &mut Vec<(Op, Option<Answer>)>,
) -> Result<(), String> {
    let deaths = draws.iter().any(|draw| matches!(draw.act, Act::Die));
    let cast = Cast::new(deaths && subject.capability().proves_deaths, along);
    let mut cast = cast.map_err(|error| error.to_string())?;
    let opened = subject.open().await.map_err(told)?;
    let mut subject = Side::new(opened, &cast).await.map_err(told)?;
    let mut reference = Side::new(Box::new(Reference::new()), &cast).await.map_err(told)?;
    let mut oracle = Oracle::default();
    for draw in draws {
        let op = cast.resolve(draw);
        calls.push((op.clone(), None));
        match op.act {
            Act::Die => cast.kill(op.agent),
            Act::Anew => cast.anew(op.agent).map_err(|error| error.to_string())?,
            _ => {}
        }
        let answer = subject.perform(&op, &cast).await?;
        if let Some((_, told)) = calls.last_mut() {
            *told = Some(answer.clone());
        }
        let expected = reference.perform(&op, &cast).await?;
        if !along {
            oracle.hear(&op, &answer, &cast)?;
        }
        if !answer.agrees(&expected) {
            return Err(format!("the last call must be answered {expected:?}"));
        }
        cast.hear(&op, &answer);
        for target in 0..TARGETS {
            let told_now = subject.told(target).await.map_err(told)?;
            let expected = reference.told(target).await.map_err(told)?;
            if told_now != expected {
                return Err(format!("it tells {told_now:?} afterwards, not {expected:?}"));
            }
            if !along {
                oracle.compare(target, &told_now)?;
            }
        }
    }
    for target in 0..TARGETS {
        let journal = subject.journal(target).await.map_err(told)?;
        let expected = reference.journal(target).await.map_err(told)?;
        if journal != expected {
            return Err(format!("the journal is {journal:?}, not {expected:?}"));
        }
    }
    Ok(())
}

/// The message of an error, and of those below it.
fn told(error: gatekit_core::Error) -> String {
    let failure = error.to_failure();
    let mut text = format!("`{}`: {failure}", failure.code);
    for cause in &failure.causes {
        let _ = write!(text, ": {cause}");
    }
    text
}

/// The reference, on a clock of its own.
#[derive(Debug)]
struct Reference {
    ledger: MemoryLedger,
    clock: Arc<AtomicU64>,
}

impl Reference {
    fn new() -> Self {
        let clock = Arc::new(AtomicU64::new(0));
        Self { ledger: MemoryLedger::with_clock_offset(Arc::clone(&clock)), clock }
    }
}

#[async_trait]
impl Opened for Reference {
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(self.ledger.clone())
    }

    fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.clock.fetch_add(millis, Ordering::SeqCst);
    }
}
