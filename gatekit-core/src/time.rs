//! Wall-clock times, for people.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// A moment by the wall clock of the process that wrote it, in RFC 3339 and UTC, to the millisecond.
///
/// Leases and queue order never look at it: those use the ledger's own clock. The age of an approval,
/// the end of a waiver and the time that a promotion soaks do, because they are agreed among people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// The present moment.
    #[must_use]
    pub fn now() -> Self {
        Self::of(jiff::Timestamp::now())
    }

    /// What is written is what was meant: finer than a millisecond would be lost on the way.
    fn of(at: jiff::Timestamp) -> Self {
        let finer = SignedDuration::from_nanos(i64::from(at.subsec_nanosecond() % 1_000_000));
        Self(at.checked_sub(finer).unwrap_or(at))
    }

    /// That long after this moment; the last one there is, if that is later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self::of(self.0.checked_add(time).unwrap_or(jiff::Timestamp::MAX))
    }

    /// How long this moment is after `earlier`; zero when it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::try_from(self.0.duration_since(earlier.0)).unwrap_or_default()
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix_millis(self) -> i64 {
        self.0.as_millisecond()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl From<Timestamp> for String {
    fn from(at: Timestamp) -> Self {
        at.to_string()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = jiff::Error;

    fn try_from(text: String) -> std::result::Result<Self, jiff::Error> {
        text.parse().map(Self::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_the_same_moment() {
        for text in
            ["2026-11-20T12:00:00.123456789Z", "1969-12-31T23:59:59.9999Z", "0000-01-01T00:00:00Z"]
        {
            let at = Timestamp::try_from(text.to_owned()).unwrap();
            assert_eq!(Timestamp::try_from(at.to_string()).unwrap(), at, "{text}");
        }
        let last = Timestamp::now().after(Duration::MAX);
        assert_eq!(Timestamp::try_from(String::from(last)).unwrap(), last);
        let now = Timestamp::now();
        assert_eq!(Timestamp::try_from(String::from(now)).unwrap(), now);
    }
}
