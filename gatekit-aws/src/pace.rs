//! How fast AWS is asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// A token bucket: so many calls at once, and then one after each pause.
///
/// The limits of AWS are those of the account, for all who call from it: ours take half.
#[derive(Debug)]
pub(crate) struct Pace {
    pause: Duration,
    burst: u32,
    /// When the next call would be, had they all been made at that pace.
    next: Mutex<Option<Instant>>,
}

impl Pace {
    const fn new(per_second: u32, burst: u32) -> Self {
        let pause = Duration::from_micros(1_000_000 / per_second as u64);
        Self { pause, burst, next: Mutex::new(None) }
    }

    /// Waits for the turn of the next call.
    pub(crate) async fn turn(&self) {
        let now = Instant::now();
        let turn = self.reserve(now);
        // A timer takes a millisecond even for nothing.
        if turn > now {
            sleep_until(turn).await;
        }
    }

    fn reserve(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(self.pause * self.burst).unwrap_or(now);
        let turn = next.map_or(earliest, |next| next.max(earliest));
        *next = Some(turn + self.pause);
        turn.max(now)
    }
}

/// The paces of one account in one region, all of which half of what the documents give an account:
/// so many calls in a second, and so many at once.
#[derive(Debug)]
pub(crate) struct Paces {
    /// Of ECS (`AmazonECS/latest/APIReference/request-throttling`), for each kind of resource.
    pub(crate) services: Pace,
    pub(crate) service_deployments: Pace,
    pub(crate) cluster_resources: Pace,
    pub(crate) definitions: Pace,
    pub(crate) images: Pace,
    /// Of findings: they have a limit of their own.
    pub(crate) scans: Pace,
    pub(crate) image_writes: Pace,
    pub(crate) alarms: Pace,
}

/// Whose limits they are: those of an account in a region, behind an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Limits {
    pub(crate) account: Option<String>,
    pub(crate) region: String,
    pub(crate) endpoint: Option<String>,
}

/// The paces that are in use anywhere in this process.
static PACES: Mutex<BTreeMap<Limits, Weak<Paces>>> = Mutex::new(BTreeMap::new());

impl Paces {
    /// The paces that all who have the same limits share, as long as one of them is there.
    pub(crate) fn of(limits: Limits) -> Arc<Self> {
        let mut paces = PACES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = paces.get(&limits).and_then(Weak::upgrade) {
            return shared;
        }
        paces.retain(|_, it| it.strong_count() > 0);
        let new = Arc::new(Self::new());
        paces.insert(limits, Arc::downgrade(&new));
        new
    }

    const fn new() -> Self {
        Self {
            services: Pace::new(10, 9),
            service_deployments: Pace::new(10, 9),
            cluster_resources: Pace::new(10, 9),
            definitions: Pace::new(10, 9),
            images: Pace::new(20, 40),
            scans: Pace::new(5, 20),
            image_writes: Pace::new(5, 10),
            alarms: Pace::new(4, 4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_a_burst_calls_are_spaced() {
        let (pace, begun) = (Pace::new(10, 4), Instant::now());
        tokio::time::advance(Duration::from_secs(60)).await;
        let mut waits = Vec::new();
        for _ in 0..8 {
            pace.turn().await;
            waits.push((begun.elapsed() - Duration::from_secs(60)).as_millis());
        }
        assert_eq!(waits, [0, 0, 0, 0, 0, 100, 200, 300]);
    }

    #[test]
    fn one_account_has_one_pace_in_a_region() {
        let of = |account: Option<&str>, region: &str| {
            let account = account.map(str::to_owned);
            Paces::of(Limits { account, region: region.to_owned(), endpoint: None })
        };
        let (first, second) = (of(None, "here"), of(None, "here"));
        assert!(Arc::ptr_eq(&first, &second));
        assert!(!Arc::ptr_eq(&first, &of(None, "there")), "another region");
        assert!(!Arc::ptr_eq(&first, &of(Some("123456789012"), "here")), "another account");
    }
}
