//! The emulators' time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Time that passes as tokio's does, only faster: where a test pauses tokio's, it stands still too.
///
/// It never goes back, also where tokio's does: each runtime whose time is paused has one of its own.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Seconds since 1970 when it began.
    epoch: f64,
    speed: f64,
    /// When it was read last, by tokio's time and by its own.
    read: Arc<Mutex<(Instant, Duration)>>,
}

impl Clock {
    /// A clock that begins now and runs `speed` times as fast as the wall's.
    #[must_use]
    pub fn at_speed(speed: f64) -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            epoch: epoch.as_secs_f64(),
            speed: speed.max(f64::EPSILON),
            read: Arc::new(Mutex::new((Instant::now(), Duration::ZERO))),
        }
    }

    /// How much of its time has passed.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let passed = now.saturating_duration_since(read.0).mul_f64(self.speed);
        *read = (now, read.1 + passed);
        read.1
    }

    /// Such a moment as the services write it: seconds since 1970.
    pub(crate) fn stamp(&self, moment: Duration) -> f64 {
        // To the millisecond, as they do.
        ((self.epoch + moment.as_secs_f64()) * 1000.0).round() / 1000.0
    }

    /// How long a wait of its time takes.
    pub(crate) fn wait(&self, time: Duration) -> Duration {
        time.div_f64(self.speed)
    }
}
