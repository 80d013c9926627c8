//! The steps of a move.

use std::fmt;
use std::time::Duration;

use gatekit_core::ledger::Ledger as _;
use gatekit_core::{Effect, Error, NextAction, Result};

use super::inventory::{Destination, Inventory, Stock};
use super::report::Moved;
use super::verified::Verified;
use crate::code;
use crate::postgres::{PostgresLedger, PostgresLedgerBuilder};
use crate::sqlite::{SqliteLedger, SqliteLedgerBuilder};

/// Moves a ledger from its file to a server: the chains of all targets, record by record as they are,
/// the state and the fence of each lock, and the places in the queues.
///
/// The file is closed before anything arrives, and stays so: it can be read, and nobody, of whichever
/// build, is granted anything from it or writes to it any more, or two ledgers would each grant the
/// same target. Until everything has arrived, the new ledger knows the targets by name and refuses to
/// be used for them (`ledger.arriving`).
///
/// Idempotent: a move that was cut off, at any point, is completed by the same call, and one that was
/// completed is checked and told again. Cancel-safe in the same sense. It needs the owner of the
/// server's schema, or a member of that role: to write records that are hashed already is more than
/// those may who run releases.
///
/// # Default
/// - `on_progress`: nobody is told
///
/// ```no_run
/// # async fn example() -> gatekit_core::Result<()> {
/// use gatekit_store::{LedgerMove, PostgresLedger, SqliteLedger};
///
/// let from = SqliteLedger::builder("/var/lib/gatekit/ledger.db");
/// let to = PostgresLedger::builder("postgres://owner@db.example.org/gatekit")?;
/// let moved = LedgerMove::new(from, to).run().await?;
/// for target in &moved.targets {
///     println!("{}: {} entries", target.target, target.head.seq);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "call `run()` to move the ledger"]
pub struct LedgerMove {
    from: SqliteLedgerBuilder,
    to: PostgresLedgerBuilder,
    on_progress: Box<dyn Fn(u64, u64) + Send + Sync>,
}

impl fmt::Debug for LedgerMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerMove")
            .field("from", &self.from)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

impl LedgerMove {
    /// Moves the ledger at `from`, which is not created, to that at `to`, which is.
    pub fn new(from: SqliteLedgerBuilder, to: PostgresLedgerBuilder) -> Self {
        Self { from, to, on_progress: Box::new(|_, _| {}) }
    }

    /// Tells, while entries are sent, how many of how many are.
    pub fn on_progress(mut self, told: impl Fn(u64, u64) + Send + Sync + 'static) -> Self {
        self.on_progress = Box::new(told);
        self
    }

    /// Moves it, and reads all of it back from the server before it says so.
    ///
    /// # Errors
    /// Before anything is changed in the file:
    /// - `ledger.in_use`: a run holds a target or waits for one. A holder that is dead or whose lease
    ///   has lapsed is in nobody's way; parked runs keep their places.
    /// - `log.broken`: a chain is not whole.
    /// - `ledger.conflict`: the server's ledger knows one of the targets by another history.
    /// - `ledger.io`: the actor of a parked run has a character that PostgreSQL cannot hold.
    /// - `ledger.moved`: the ledger was moved elsewhere.
    /// - `ledger.denied`: the user of the server is not the owner of the schema.
    /// - those of opening either ledger.
    ///
    /// After that, those of a server that cannot be reached: the same call completes the move.
    pub async fn run(self) -> Result<Moved> {
        let from = SqliteLedger::open_to_move(self.from)?;
        let mut seen = survey(&from).await?;
        let to = match (self.to.build().await, &seen.destination) {
            (Err(error), Some(_)) => return Err(cut_off(error)),
            (to, _) => to?,
        };
        let (patient, mut own) = (to.unhurried(PAGE_TIME)?, None);
        let arrival = loop {
            let Some(arrival) = to.expect_arrival(&seen, own).await? else {
                return Err(from.moved_elsewhere(&seen));
            };
            own = Some(arrival.errand);
            if arrival.is_complete {
                check(&seen, &patient, true).await?;
            }
            let there = Destination { place: to.database(), errand: arrival.errand };
            if seen.destination.is_some() || close(&from, &seen, &there, &to).await? {
                break arrival;
            }
            // What has changed since has not been checked.
            seen = survey(&from).await?;
        };
        if !arrival.is_complete {
            let received = to.receive(&from, &seen, arrival.errand, &self.on_progress).await;
            received.map_err(cut_off)?;
            check(&seen, &patient, false).await.map_err(cut_off)?;
        }
        Ok(Moved::new(to.database(), arrival.is_complete, seen))
    }
}

/// How long a page of entries may take to be read back.
const PAGE_TIME: Duration = Duration::from_secs(60);

/// Closes the file. Where it could not be, for certain, nothing stays announced.
async fn close(
    from: &SqliteLedger,
    seen: &Inventory,
    there: &Destination,
    to: &PostgresLedger,
) -> Result<bool> {
    match from.close(seen, there).await {
        // Another call has been faster, or this one has closed it and does not know.
        Err(_) if from.moved_to().await?.is_some() => Ok(false),
        Err(error) => {
            to.withdraw(seen, there.errand).await?;
            Err(error)
        }
        closed => closed,
    }
}

/// What is in the ledger, all of its chains checked.
async fn survey(from: &SqliteLedger) -> Result<Inventory> {
    let seen = from.inventory().await?;
    for stock in &seen.targets {
        Verified::new(from, &stock.target, &stock.head).drain().await?;
    }
    Ok(seen)
}

/// Checks that the new ledger goes on from where the old one has ended; or, before anybody has been at
/// work in it, that it stands as the old one.
async fn check(seen: &Inventory, to: &PostgresLedger, has_gone_on: bool) -> Result<()> {
    for stock in &seen.targets {
        let Stock { target, head, fence, state, run, along } = stock;
        let last = to.read(target, head.seq.saturating_sub(1), 1).await?;
        let goes_on = head.seq == 0 || last.first().is_some_and(|last| last.hash == head.hash);
        let now = to.state(target).await?;
        // The lock of what is locked along is that of another one.
        let is_same = along.is_some() || now.state == *state && now.run == *run;
        let is_same = is_same || now.head != *head || now.fence > *fence;
        if !goes_on || now.fence < *fence || !(has_gone_on || is_same) {
            return Err(parted(stock));
        }
        Verified::new(to, target, head).drain().await?;
    }
    Ok(())
}

/// Both were used after one had become the other: a copy of the file, or one out of a backup.
fn parted(stock: &Stock) -> Error {
    let what = "the ledger was used after it was moved: the two differ";
    let next = "find out which of the two tells the truth of the target, and never use the other";
    Error::new(code::LEDGER_CONFLICT, what)
        .with_effect(Effect::None)
        .with_context("target", &stock.target)
        .with_context("head", &stock.head)
        .with_context("fence", stock.fence)
        .with_next(NextAction::outside(next).by("operator"))
}

/// The file is closed, and the server may or may not have it all.
fn cut_off(error: Error) -> Error {
    let next = "make the same call again: it goes on where this one ended";
    error.with_effect(Effect::Unknown).with_next(NextAction::outside(next))
}
