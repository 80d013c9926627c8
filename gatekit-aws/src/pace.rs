//! How fast AWS is asked.

use std::sync::{Mutex, PoisonError};
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
    pub(crate) const fn new(per_second: u32, burst: u32) -> Self {
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
}
