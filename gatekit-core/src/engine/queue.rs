//! The queue: waiting for the lock, taking it, giving it back untouched.

use std::time::Duration;

use tokio::time::Instant;

use super::LONGEST;
use super::run::{Run, Stop};
use crate::code;
use crate::error::{Error, NextAction, Result, Verb};
use crate::id::{Fence, RunId, TargetName};
use crate::ledger::refusal::{left_suspect, suspect_next};
use crate::ledger::{Acquired, Body, Hold, Holder};
use crate::outcome::Outcome;

/// How long evidence may be rechecked under the lock.
pub(crate) const RECHECK_LIMIT: Duration = Duration::from_secs(30);

/// How often the lock of a holder that may be dead is asked for.
const POLL: Duration = Duration::from_millis(100);

impl Run {
    /// Joins the queue, waits, and takes the lock. Gives the ticket.
    pub(crate) async fn queue(&mut self) -> Result<u64, Stop> {
        let mut ticket = self.take_ticket().await?;
        let patience = Instant::now() + self.settings.queue_timeout;
        let mut told = None;
        loop {
            let acquired = self.ledger.acquire(&self.claim, self.settings.lease).await;
            match acquired {
                Ok(Acquired::Granted(hold)) => {
                    if let Some(error) = self.not_claimed(&hold) {
                        self.ledger
                            .release(&hold)
                            .await
                            .map_err(|error| self.ledger_stop(error))?;
                        return Err(Stop::End(Outcome::Failed, error));
                    }
                    self.hold(hold)?;
                    return Ok(ticket);
                }
                Ok(Acquired::Suspect { target, run, fence }) => {
                    return Err(suspect(self.pipeline.target(), &target, run, fence));
                }
                Ok(Acquired::Waiting { ahead, holder }) => {
                    let now = waiting(ahead, holder.as_ref());
                    if told.is_none() {
                        self.record(Body::Queued { ticket }).await?;
                    }
                    if told.as_ref() != Some(&now) {
                        self.recorder.progress(None, now.clone());
                        told = Some(now);
                    }
                }
                // Another process that carries the run was granted by it, which may be over.
                Err(error) if *error.code() == code::LOCK_NO_TICKET => {
                    self.safe_point()?;
                    ticket = self.take_ticket().await?;
                    continue;
                }
                // Others are busy with the ledger: the ticket keeps its place.
                Err(error) if error.is_temporary() => {}
                Err(error) => return Err(self.ledger_stop(error)),
            }
            if Instant::now() >= patience {
                let late = Error::new(code::QUEUE_TIMEOUT, "the wait in the queue took too long")
                    .with_context("waited", format!("{:?}", self.settings.queue_timeout))
                    .with_context("queue", told.unwrap_or_default())
                    .with_next(NextAction::verb(Verb::Resume, &[&self.id().to_string()]))
                    .with_next(NextAction::verb(Verb::Status, &[]));
                return Err(Stop::Park(None, late));
            }
            let longest = patience.saturating_duration_since(Instant::now());
            tokio::select! {
                biased;
                stop = self.stopped() => return Err(stop),
                () = self.ledger.wait_for_turn(&self.claim, longest) => {}
            }
        }
    }

    /// Why what was granted is not what was claimed: a ledger that knows nothing of further targets
    /// would leave them to anybody.
    pub(crate) fn not_claimed(&self, hold: &Hold) -> Option<Error> {
        let claimed: Vec<_> = self.claim.targets().skip(1).collect();
        if hold.also.keys().eq(claimed.iter().copied()) {
            return None;
        }
        let held: Vec<_> = hold.also.keys().collect();
        let what = "the ledger has locked other targets along than those that were claimed";
        Some(
            Error::new(code::LEDGER_GUARD, what)
                .with_context("claimed", format!("{claimed:?}"))
                .with_context("locked", format!("{held:?}"))
                .with_next(NextAction::verb(Verb::Status, &[])),
        )
    }

    /// Leaves in the chains of the targets that are locked along where this run's entries are: before
    /// anything of theirs may be touched.
    pub(crate) async fn point_along(&self) -> Result<(), Stop> {
        if self.recorder.hold().is_none_or(|hold| hold.also.is_empty()) {
            return Ok(());
        }
        let state = self.ledger.state(self.pipeline.target()).await;
        let head = state.map_err(|error| self.ledger_stop(error))?.head;
        self.recorder.point_along(&head).await.map_err(|error| self.ledger_stop(error))
    }

    async fn take_ticket(&self) -> Result<u64, Stop> {
        let ticket = self.ledger.enqueue(&self.claim).await;
        ticket.map_err(|error| self.ledger_stop(error))
    }

    /// Takes a target over that this run left suspect: at once when its holder is proven dead, else
    /// when the lease has lapsed.
    pub(crate) async fn take_over(&mut self) -> Result<(), Stop> {
        let state = self.ledger.state(self.pipeline.target()).await;
        let state = state.map_err(not_taken_over)?;
        let lapses = state.lease_left.unwrap_or_default().min(LONGEST);
        let patience = Instant::now() + lapses + Duration::from_secs(1);
        let mut told = false;
        loop {
            match self.ledger.take_over(&self.claim, self.settings.lease).await {
                Ok(hold) => {
                    self.report_takeover(&hold).await;
                    self.recorder.set_touched();
                    self.hold(hold)?;
                    return self.point_along().await;
                }
                Err(error) if Instant::now() < patience && *error.code() == code::LOCK_HELD => {
                    if !told {
                        let wait = "the holder is not proven dead: waiting for its lease to lapse";
                        self.recorder.progress(None, wait.to_owned());
                        told = true;
                    }
                    self.pause(POLL).await?;
                }
                Err(error) if Instant::now() < patience && error.is_temporary() => {
                    self.pause(POLL).await?;
                }
                Err(error) => return Err(not_taken_over(error)),
            }
        }
    }

    /// The ledger itself journalled the takeover: reporters are told of that entry here.
    async fn report_takeover(&self, hold: &Hold) {
        let last = self.ledger.read_kind(self.pipeline.target(), "resumed", None, 1).await;
        for record in last.unwrap_or_default() {
            if let Ok(entry) = record.decode()
                && entry.fence == Some(hold.fence)
            {
                self.recorder.step(&record, entry);
            }
        }
    }
}

/// Gives lock and ticket back: nothing was touched.
pub(crate) async fn give_back(run: &mut Run) -> Result<()> {
    run.keeper = None;
    if let Some(hold) = run.recorder.hold() {
        run.ledger.release(&hold).await?;
        run.recorder.set_hold(None);
    }
    Ok(())
}

/// A run that has touched its target stays as it is.
fn not_taken_over(error: Error) -> Stop {
    let mut error = error.with_next(NextAction::verb(Verb::Status, &[]));
    // Another process has it in hand.
    if [code::LOCK_HELD, code::LOCK_NOT_SUSPECT].contains(error.code()) {
        return Stop::End(Outcome::Refused, error);
    }
    for next in suspect_next() {
        error = error.with_next(next);
    }
    Stop::End(Outcome::Stuck, error)
}

/// A target that another run left suspect ends a call at once.
pub(crate) fn suspect(own: &TargetName, target: &TargetName, run: RunId, fence: Fence) -> Stop {
    Stop::End(Outcome::Stuck, left_suspect(own, target, run, fence))
}

fn waiting(ahead: u64, holder: Option<&Holder>) -> String {
    let held = match holder {
        Some(holder) => {
            format!("held by run {} of {} (pid {})", holder.run, holder.actor, holder.pid)
        }
        None => "nobody holds what it claims".to_owned(),
    };
    format!("waiting in the queue: {ahead} ahead, {held}")
}
