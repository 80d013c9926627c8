//! The lease, renewed on a thread of the engine's own with a connection of its own, so that blocking
//! user code or a current-thread runtime cannot starve it.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::runtime::{Builder, Handle};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::code;
use crate::error::{Error, Failure, Result};
use crate::ledger::{Hold, Ledger};

/// Keeps a lease until it is dropped.
#[derive(Debug)]
pub(crate) struct LeaseKeeper {
    lost: CancellationToken,
    /// Cancelled with `lost`, and when the run is interrupted.
    stop: CancellationToken,
    why: Arc<Mutex<Option<Failure>>>,
    renewal: AbortHandle,
}

impl Drop for LeaseKeeper {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl LeaseKeeper {
    /// Starts to renew `hold` at a third of its lease. An interrupt does not end that.
    ///
    /// # Errors
    /// `lock.lost` when no thread can be started: a lease that nobody renews is not to be relied on.
    pub(crate) fn start(
        ledger: Arc<dyn Ledger>,
        hold: Hold,
        interrupted: &CancellationToken,
    ) -> Result<Self> {
        let (lost, stop) = (CancellationToken::new(), interrupted.child_token());
        let why = Arc::new(Mutex::new(None));
        let (tokens, reason) = ([lost.clone(), stop.clone()], Arc::clone(&why));
        let renewal = renewals().map_err(no_keeper)?.spawn(async move {
            let error = renew_until_lost(ledger, &hold).await;
            *reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_failure());
            for token in tokens {
                token.cancel();
            }
        });
        Ok(Self { lost, stop, why, renewal: renewal.abort_handle() })
    }

    /// Cancelled when the lock is lost.
    pub(crate) fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Cancelled when the run is interrupted, and when the lock is lost.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Why it is lost.
    pub(crate) fn why(&self) -> Failure {
        let why = self.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        why.unwrap_or_else(|| Error::new(code::LOCK_LOST, "the lock was lost").to_failure())
    }
}

fn no_keeper(source: std::io::Error) -> Error {
    Error::new(code::LOCK_LOST, "the lease cannot be renewed: no thread").with_source(source)
}

/// Where all leases of this process are renewed: started with the first, and kept, because a thread
/// is dearer than the few renewals of a short run.
fn renewals() -> std::io::Result<Handle> {
    static RUNNING: Mutex<Option<Handle>> = Mutex::new(None);
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*running {
        return Ok(handle.clone());
    }
    // All that is compiled in: a ledger may be asked over the network.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let serve = move || runtime.block_on(std::future::pending::<()>());
    thread::Builder::new().name("gatekit-leases".into()).spawn(serve)?;
    Ok(running.insert(handle).clone())
}

/// Renews until that is refused, or until it has failed for a whole lease.
async fn renew_until_lost(ledger: Arc<dyn Ledger>, hold: &Hold) -> Error {
    let mut own: Option<Arc<dyn Ledger>> = None;
    let mut renewed = Instant::now();
    let mut pause = hold.lease / 3;
    loop {
        tokio::time::sleep(pause).await;
        // The lease is as old as the question, however late the answer.
        let asked = Instant::now();
        match renew(&ledger, &mut own, hold, renewed).await {
            Ok(()) => {
                renewed = asked;
                pause = hold.lease / 3;
            }
            Err(Some(error)) if *error.code() == code::LOCK_LOST => return error,
            Err(why) if renewed.elapsed() >= hold.lease => {
                let silent = "the ledger did not answer before the lease lapsed";
                return match why {
                    Some(why) => {
                        let what = "the lease could not be renewed in time";
                        Error::new(code::LOCK_LOST, what).with_source(why)
                    }
                    None => Error::new(code::LOCK_LOST, silent),
                };
            }
            Err(_) => pause = (hold.lease / 20).max(Duration::from_millis(10)),
        }
    }
}

/// Renews over a connection of its own or, where none is to be had for now, over the run's. Errs with
/// nothing when the ledger was silent.
async fn renew(
    ledger: &Arc<dyn Ledger>,
    own: &mut Option<Arc<dyn Ledger>>,
    hold: &Hold,
    renewed: Instant,
) -> std::result::Result<(), Option<Error>> {
    // A store that hangs must count as lost when its lease has lapsed.
    let left = || hold.lease.saturating_sub(renewed.elapsed());
    let over_own = async {
        let connection = match own {
            Some(connection) => connection,
            None => own.insert(ledger.reconnect().await?),
        };
        connection.renew(hold).await
    };
    let own = match answered(left() / 2, over_own).await {
        Some(Ok(())) => return Ok(()),
        // A refusal stands: where the ledger is gone, the run's connection may not have noticed.
        Some(Err(error)) if !error.is_temporary() => return Err(Some(error)),
        Some(Err(error)) => Some(error),
        None => None,
    };
    match answered(left(), ledger.renew(hold)).await {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) if *error.code() == code::LOCK_LOST => Err(Some(error)),
        shared => Err(own.or(shared.and_then(Result::err))),
    }
}

/// What a ledger answers within that time.
async fn answered(
    limit: Duration,
    renewal: impl Future<Output = Result<()>>,
) -> Option<Result<()>> {
    let renewal = tokio::time::timeout(limit, AssertUnwindSafe(renewal).catch_unwind());
    Some(renewal.await.ok()?.unwrap_or_else(|_| {
        Err(Error::new(code::ENGINE_PANIC, "the ledger panicked while it renewed the lease"))
    }))
}
