//! How far the deliveries are, as the reporter and its thread both see it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// What was dropped, and what is done with.
#[derive(Debug, Default)]
pub(super) struct Count {
    dropped: AtomicU64,
    done: Mutex<u64>,
    changed: Condvar,
}

impl Count {
    /// One more event that nobody was told of.
    pub(super) fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// One more event of the queue was delivered or given up.
    pub(super) fn one_done(&self) {
        self.set(|done| *done = done.saturating_add(1));
    }

    /// Nothing more will be done.
    pub(super) fn all_done(&self) {
        self.set(|done| *done = u64::MAX);
    }

    fn set(&self, change: impl FnOnce(&mut u64)) {
        change(&mut self.done.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// Waits until so many are done, but not longer than `limit`. How many are.
    pub(super) fn wait(&self, many: u64, limit: Duration) -> u64 {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(done, limit, |done| *done < many);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
