//! How often, and after what pauses, something is tried again.

use std::time::Duration;

use backon::{BackoffBuilder as _, ConstantBuilder, ExponentialBuilder};
use serde::{Deserialize, Serialize};

/// The first pause of [`RetryPolicy::curl`] without a delay; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(1);

/// The longest pause of [`RetryPolicy::curl`] without a delay.
const LONGEST: Duration = Duration::from_secs(600);

/// How often, and after what pauses, something is tried again. What is worth another try is for
/// whoever tries to know.
///
/// ```
/// use std::time::Duration;
/// use gatekit_core::RetryPolicy;
///
/// let seconds = |policy: RetryPolicy| policy.pauses().map(|pause| pause.as_secs()).collect::<Vec<_>>();
/// assert_eq!(seconds(RetryPolicy::curl(3, Duration::from_secs(5))), [5, 5, 5]);
/// assert_eq!(seconds(RetryPolicy::curl(4, None)), [1, 2, 4, 8]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How often at most, not counting the first try.
    pub times: u32,
    /// The pause before each retry; `None` for 1 s that doubles up to 10 min.
    pub delay: Option<Duration>,
    /// No retry begins later than that after the first try began; `None` for no such limit.
    pub within: Option<Duration>,
}

impl RetryPolicy {
    /// Tries once.
    #[must_use]
    pub const fn never() -> Self {
        Self { times: 0, delay: None, within: None }
    }

    /// The pauses of curl: `times` is its `--retry`, `delay` its `--retry-delay`. Without a delay, or
    /// with one of zero, they begin at 1 s and double up to 10 min.
    ///
    /// Follows curl's manual (`--retry`, `--retry-delay`).
    #[must_use]
    pub fn curl(times: u32, delay: impl Into<Option<Duration>>) -> Self {
        let delay = delay.into().filter(|delay| !delay.is_zero());
        Self { times, delay, within: None }
    }

    /// Begins no retry later than that after the first try began: curl's `--retry-max-time`.
    #[must_use]
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// The pause before each retry, as many as there are retries.
    pub fn pauses(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        let times = usize::try_from(self.times).unwrap_or(usize::MAX);
        match self.delay {
            Some(delay) => {
                Pauses::Same(ConstantBuilder::new().with_delay(delay).with_max_times(times).build())
            }
            None => Pauses::Doubled(
                ExponentialBuilder::new()
                    .with_min_delay(FIRST)
                    .with_max_delay(LONGEST)
                    .with_factor(2.0)
                    .with_max_times(times)
                    .build(),
            ),
        }
    }

    /// Whether a retry may begin that long after the first try began.
    #[must_use]
    pub fn allows_at(&self, since_first: Duration) -> bool {
        self.within.is_none_or(|limit| since_first <= limit)
    }
}

enum Pauses {
    Same(<ConstantBuilder as backon::BackoffBuilder>::Backoff),
    Doubled(<ExponentialBuilder as backon::BackoffBuilder>::Backoff),
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        match self {
            Self::Same(pauses) => pauses.next(),
            Self::Doubled(pauses) => pauses.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_ten_minutes() {
        let pauses: Vec<_> = RetryPolicy::curl(12, None).pauses().map(|p| p.as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
    }

    #[test]
    fn no_delay_is_none_as_for_curl() {
        assert_eq!(RetryPolicy::curl(2, Duration::ZERO), RetryPolicy::curl(2, None));
    }

    #[test]
    fn who_never_retries_never_pauses() {
        assert_eq!(RetryPolicy::never().pauses().count(), 0);
    }

    #[test]
    fn time_is_limited_only_when_a_limit_is_given() {
        let policy = RetryPolicy::curl(9, None);
        assert!(policy.allows_at(Duration::MAX));
        let limited = policy.within(Duration::from_secs(3));
        assert!(limited.allows_at(Duration::from_secs(3)));
        assert!(!limited.allows_at(Duration::from_millis(3001)));
    }
}
