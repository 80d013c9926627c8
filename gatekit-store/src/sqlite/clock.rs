//! The ledger's own clock: the boot of the machine, and the time since, sleep included.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gatekit_core::process::boot_id;
use rustix::time::{ClockId, clock_gettime};

// Linux: goes on while the machine sleeps, and nobody can set it. macOS' monotonic clock does too.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::Monotonic;

#[derive(Debug, Clone)]
pub(super) struct Clock {
    boot: Arc<str>,
    /// Milliseconds by which a test has moved the clock forward.
    offset: Option<Arc<AtomicU64>>,
}

impl Clock {
    pub(super) fn new(offset: Option<Arc<AtomicU64>>) -> Self {
        Self { boot: boot_id().into(), offset }
    }

    pub(super) fn now(&self) -> Moment {
        let time = clock_gettime(CLOCK);
        let millis = time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000);
        let offset = self.offset.as_ref().map_or(0, |offset| offset.load(Ordering::SeqCst));
        let millis = u64::try_from(millis).unwrap_or_default().saturating_add(offset);
        Moment { boot: Arc::clone(&self.boot), millis }
    }
}

/// A moment: comparable only with moments of the same boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) boot: Arc<str>,
    pub(super) millis: u64,
}

impl Moment {
    pub(super) fn after(&self, delay: Duration) -> Self {
        let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        Self { boot: Arc::clone(&self.boot), millis: self.millis.saturating_add(delay) }
    }

    /// How long it is until `end`, which lies at most `longest` ahead; nothing when it has passed
    /// or is of another boot.
    pub(super) fn until(&self, end: &Self, longest: Duration) -> Duration {
        self.until_end(&end.boot, end.millis, longest)
    }

    /// [`until`](Self::until), for an end that is `millis` since that boot.
    pub(super) fn until_end(&self, boot: &str, millis: u64, longest: Duration) -> Duration {
        if &*self.boot != boot {
            return Duration::ZERO;
        }
        let left = Duration::from_millis(millis.saturating_sub(self.millis));
        // Without boot ids, an end too far ahead tells that the clock has begun anew.
        if self.boot.is_empty() && left > longest { Duration::ZERO } else { left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(boot: &str, millis: u64) -> Moment {
        Moment { boot: boot.into(), millis }
    }

    #[test]
    fn nothing_is_left_of_an_end_that_passed_or_is_of_another_boot() {
        let hour = Duration::from_secs(3600);
        let now = moment("a", 1000);
        assert_eq!(now.until(&moment("a", 1500), hour), Duration::from_millis(500));
        assert_eq!(now.until(&moment("a", 1000), hour), Duration::ZERO);
        assert_eq!(now.until(&moment("a", 999), hour), Duration::ZERO);
        assert_eq!(now.until(&moment("b", 1500), hour), Duration::ZERO);
    }

    #[test]
    fn without_boot_ids_a_clock_that_began_anew_is_noticed() {
        let minute = Duration::from_secs(60);
        let now = moment("", 1000);
        assert_eq!(now.until(&now.after(minute), minute), minute);
        assert_eq!(now.until(&moment("", 5_000_000), minute), Duration::ZERO);
    }

    #[test]
    fn it_runs_and_can_be_moved_forward() {
        let offset = Arc::new(AtomicU64::new(0));
        let clock = Clock::new(Some(Arc::clone(&offset)));
        let before = clock.now();
        offset.store(60_000, Ordering::SeqCst);
        assert!(clock.now().millis >= before.millis + 60_000);
    }
}
