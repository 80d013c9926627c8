//! Processes that wait for one lock, hold it for a moment and give it back.
//!
//! Each prints `waits`, later `held FROM TO` in nanoseconds of the shared clock, and answers every
//! line on its standard input with `used MICROSECONDS`, what it has used of a core.

use std::fs;
use std::io::{self, BufRead as _};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gatekit_core::ledger::Body;
use gatekit_core::{Candidate, Engine, Event, EventBody, Outcome, Pipeline, Reporter, StageId};
use gatekit_store::SqliteLedger;

use crate::clock::{now, used};
use crate::line::say;
use crate::nothing::{Back, Nothing};
use crate::{Result, queue};

/// How long each holds what it waited for.
const HOLD: Duration = Duration::from_millis(20);

/// Ships nothing through gatekit, as any deploy tool would.
pub(crate) async fn wait(ledger: &Path) -> Result<()> {
    answer();
    let deploy = Nothing::new(StageId::new("nothing")?, HOLD);
    let pipeline =
        Pipeline::to(queue::TARGET).deploy(deploy.clone()).rollback_with(Back).build()?;
    let ledger = SqliteLedger::builder(ledger).durable(true).create(false).build()?;
    let engine = Engine::new(Arc::new(ledger)).reporter(Teller);
    let version = std::process::id().to_string();
    let report = engine.ship(&pipeline, Candidate::new().with_version(version)).await;
    if report.outcome != Outcome::Released {
        return Err(format!("{:?}: {:?}", report.outcome, report.failure).into());
    }
    let world = deploy.world();
    // The first plan is made before the queue, the last one as soon as the lock is granted; what is
    // live is asked for right before the entry that frees the target.
    match (world.planned.last(), world.told.last()) {
        (Some(from), Some(to)) if world.planned.len() == 2 => held(*from, *to),
        _ => Err("the run did not plan twice".into()),
    }
}

/// Says that it waits once its place in the queue is journalled.
#[derive(Debug)]
struct Teller;

impl Reporter for Teller {
    fn event(&mut self, event: &Event) {
        if let EventBody::Step { entry, .. } = &event.event
            && let Body::Queued { ticket } = entry.body
        {
            // Nobody else listens.
            let _ = say("waits", ticket);
        }
    }
}

/// Tries to make a directory, and sleeps between its tries.
pub(crate) fn poll(lock: &Path, pause: Duration) -> Result<()> {
    answer();
    say("waits", 0)?;
    while let Err(error) = fs::create_dir(lock) {
        if error.kind() != io::ErrorKind::AlreadyExists {
            return Err(error.into());
        }
        thread::sleep(pause);
    }
    hold()?;
    Ok(fs::remove_dir(lock)?)
}

/// Holds for a moment what is locked already.
pub(crate) fn hold() -> Result<()> {
    let from = now()?;
    thread::sleep(HOLD);
    held(from, now()?)
}

fn held(from: Duration, to: Duration) -> Result<()> {
    say("held", format_args!("{} {}", from.as_nanos(), to.as_nanos()))
}

fn answer() {
    thread::spawn(|| {
        for _ in io::stdin().lock().lines() {
            // Whoever asked has gone if it cannot be told.
            let _ = used().and_then(|used| say("used", used.as_micros()));
        }
    });
}
