//! After which failures, and after what pauses, another round follows.

use std::fmt;
use std::time::Duration;

use gatekit_core::RetryPolicy;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::gate::millis;
use crate::trouble::Cause;

/// When another round follows one that was not good.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// So often, whatever the failure was, and always after the same delay.
    Rounds { retries: u32, delay: Duration },
    /// When curl would try again.
    Curl(RetryPolicy),
}

/// What curl takes for transient only when it is told to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Also {
    pub(super) refused: bool,
    pub(super) all: bool,
}

impl Pace {
    pub(super) fn begin(self, also: Also, begun: Instant) -> Schedule {
        let (pauses, policy): (Pauses, _) = match self {
            Self::Rounds { retries, delay } => {
                let times = usize::try_from(retries).unwrap_or(usize::MAX);
                (Box::new(std::iter::repeat_n(delay, times)), None)
            }
            Self::Curl(policy) => (Box::new(policy.pauses()), Some(policy)),
        };
        Schedule { pauses, policy, also, begun }
    }

    pub(super) fn describe(self, also: Also) -> Value {
        match self {
            Self::Rounds { retries, delay } => {
                json!({"retries": retries, "delay_ms": millis(delay)})
            }
            Self::Curl(policy) => json!({
                "policy": policy,
                "retry_connrefused": also.refused,
                "retry_all_errors": also.all,
            }),
        }
    }
}

type Pauses = Box<dyn Iterator<Item = Duration> + Send>;

/// The pauses that are left.
pub(super) struct Schedule {
    pauses: Pauses,
    policy: Option<RetryPolicy>,
    also: Also,
    begun: Instant,
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Schedule {
    /// The pause before the next round, when there is to be one after these failures.
    pub(super) fn next(&mut self, failures: &[Cause]) -> Option<Duration> {
        let Some(policy) = self.policy else { return self.pauses.next() };
        if !failures.iter().all(|cause| self.is_transient(*cause)) {
            return None;
        }
        let asked_for = failures.iter().filter_map(|cause| cause.asked_for()).max();
        // As curl: never earlier than by the policy.
        let pause = self.pauses.next()?.max(asked_for.unwrap_or_default());
        let at = self.begun.elapsed().checked_add(pause)?;
        policy.allows_at(at).then_some(pause)
    }

    fn is_transient(&self, cause: Cause) -> bool {
        match cause {
            Cause::Timeout | Cause::Name | Cause::Busy(_) => true,
            Cause::Refused => self.also.refused || self.also.all,
            Cause::Lasting => self.also.all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn curl(also: Also) -> Schedule {
        Pace::Curl(RetryPolicy::curl(3, None)).begin(also, Instant::now())
    }

    #[test]
    fn only_what_curl_takes_for_transient_is_tried_again() {
        let refused = Also { refused: true, all: false };
        let all = Also { refused: false, all: true };
        for (cause, by_default, with_refused) in [
            (Cause::Timeout, true, true),
            (Cause::Name, true, true),
            (Cause::Busy(None), true, true),
            (Cause::Refused, false, true),
            (Cause::Lasting, false, false),
        ] {
            assert_eq!(curl(Also::default()).next(&[cause]).is_some(), by_default, "{cause:?}");
            assert_eq!(curl(refused).next(&[cause]).is_some(), with_refused, "{cause:?}");
            assert!(curl(all).next(&[cause]).is_some(), "{cause:?}");
        }
        let mixed = [Cause::Timeout, Cause::Lasting];
        assert_eq!(curl(Also::default()).next(&mixed), None, "one that lasts is enough");
    }

    #[test]
    fn a_server_may_ask_for_more_time_and_not_for_less() {
        let mut schedule = curl(Also::default());
        assert_eq!(schedule.next(&[Cause::Busy(Some(S * 7)), Cause::Busy(Some(S))]), Some(S * 7));
        assert_eq!(schedule.next(&[Cause::Busy(Some(S))]), Some(S * 2));
        assert_eq!(schedule.next(&[Cause::Busy(None)]), Some(S * 4));
        assert_eq!(schedule.next(&[Cause::Timeout]), None, "three retries");
    }

    #[test]
    fn who_asks_for_more_time_than_there_is_ends_it() {
        let policy = RetryPolicy::curl(3, S).within(S * 10);
        let mut schedule = Pace::Curl(policy).begin(Also::default(), Instant::now());
        assert_eq!(schedule.next(&[Cause::Busy(Some(S * 11))]), None);
        let mut schedule = curl(Also::default());
        assert_eq!(schedule.next(&[Cause::Busy(Some(Duration::MAX))]), None);
    }
}
