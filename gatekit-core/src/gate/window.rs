//! The gate that keeps releases out of times when nobody wants them.

use std::fmt;

use async_trait::async_trait;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use serde_json::{Value, json};

use super::Gate;
use crate::code;
use crate::context::PlanContext;
use crate::error::{Error, NextAction, Result};
use crate::id::StageId;
use crate::verdict::{Evidence, Finding, Verdict};

/// Waits while the target is frozen: every week, or on dates.
///
/// Times are those of the clocks in its time zone, from the first moment that they show the beginning
/// to the last at which they show the end: when clocks are put back in between, or forward over one of
/// them, the freeze is the longer one. What counts is the wall clock of the machine that asks.
///
/// While it is frozen, a run parks; once it is over, `resume` goes on. Under the lock it is asked
/// again. A person can answer for a release in a freeze: see [`Engine::waive`](crate::Engine::waive).
///
/// ```
/// use gatekit_core::{Window, enforced};
///
/// let window = Window::in_zone("Europe/Berlin")?
///     .freeze_weekly("fri 15:00", "mon 08:00", "nobody is there at the weekend")?
///     .freeze("2026-12-19 00:00", "2027-01-04 08:00", "holidays")?;
/// let gate = enforced(window);
/// # Ok::<(), gatekit_core::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to `enforced(..)`"]
pub struct Window {
    id: StageId,
    zone: TimeZone,
    name: String,
    freezes: Vec<Freeze>,
}

#[derive(Debug, Clone)]
struct Freeze {
    when: When,
    why: String,
}

#[derive(Debug, Clone, Copy)]
enum When {
    Weekly((Weekday, Time), (Weekday, Time)),
    Between(DateTime, DateTime),
}

impl Window {
    /// A window in which nothing is frozen yet, with the times of that zone of the IANA database, like
    /// `Europe/Berlin` or `UTC`. Its id is `window`.
    ///
    /// # Errors
    /// `config.window` when there is no such zone.
    pub fn in_zone(zone: &str) -> Result<Self> {
        let found = TimeZone::get(zone).map_err(|source| {
            let what = format!("there is no time zone `{}`", zone.escape_debug());
            Error::new(code::CONFIG_WINDOW, what).with_source(source)
        })?;
        let name = zone.to_owned();
        Ok(Self { id: StageId::fixed("window"), zone: found, name, freezes: Vec::new() })
    }

    /// Gives it another id: a pipeline with two of them needs that.
    pub fn called(mut self, id: StageId) -> Self {
        self.id = id;
        self
    }

    /// Freezes each week from a time like `fri 15:00` up to one like `mon 08:00`.
    ///
    /// # Errors
    /// `config.window` when one of them is no such time, or both are the same.
    pub fn freeze_weekly(self, from: &str, to: &str, why: impl Into<String>) -> Result<Self> {
        let (begin, end) = (weekly(from)?, weekly(to)?);
        if begin == end {
            return Err(empty(from, to));
        }
        Ok(self.frozen(When::Weekly(begin, end), why.into()))
    }

    /// Freezes from a time like `2026-12-19 00:00` up to another.
    ///
    /// # Errors
    /// `config.window` when one of them is no such time, or the second is not after the first.
    pub fn freeze(self, from: &str, to: &str, why: impl Into<String>) -> Result<Self> {
        let (begin, end) = (dated(from)?, dated(to)?);
        if begin >= end {
            return Err(empty(from, to));
        }
        Ok(self.frozen(When::Between(begin, end), why.into()))
    }

    fn frozen(mut self, when: When, why: String) -> Self {
        self.freezes.push(Freeze { when, why });
        self
    }

    /// The freeze at that moment that ends last, and when.
    fn freeze_at(&self, now: Timestamp) -> Result<Option<(&Freeze, Zoned)>, jiff::Error> {
        let mut last: Option<(&Freeze, Zoned)> = None;
        for freeze in &self.freezes {
            for (from, to) in freeze.when.around(now.to_zoned(self.zone.clone()).date())? {
                let from = self.zone.to_ambiguous_zoned(from).earlier()?;
                let to = self.zone.to_ambiguous_zoned(to).later()?;
                let holds = from.timestamp() <= now && now < to.timestamp();
                if holds && last.as_ref().is_none_or(|(_, end)| *end < to) {
                    last = Some((freeze, to));
                }
            }
        }
        Ok(last)
    }

    fn judge(&self, now: Timestamp) -> Result<Verdict> {
        let unknown = |source| {
            Error::new(code::CONFIG_WINDOW, "the freezes cannot be worked out").with_source(source)
        };
        let shown = now.to_zoned(self.zone.clone()).to_string();
        Ok(match self.freeze_at(now).map_err(unknown)? {
            None => {
                let facts = json!({"now": shown, "frozen": false});
                Verdict::pass([Evidence::read("clock", shown, facts)])
            }
            Some((freeze, end)) => {
                let facts =
                    json!({"now": shown, "frozen": freeze.to_string(), "until": end.to_string()});
                let message = format!("frozen until {end}: {}", freeze.why);
                let finding = Finding::new(code::WINDOW_FROZEN, message)
                    .with_evidence([Evidence::read("clock", shown, facts)])
                    .with_next(NextAction::outside(format!("resume after {end}")));
                Verdict::Wait(finding)
            }
        })
    }
}

impl When {
    /// Its beginnings and ends that may hold on that day.
    fn around(self, today: Date) -> Result<Vec<(DateTime, DateTime)>, jiff::Error> {
        let ((first, begin), (last, end)) = match self {
            Self::Between(from, to) => return Ok(vec![(from, to)]),
            Self::Weekly(from, to) => (from, to),
        };
        // The last time it began: on this very day, or before.
        let since = i64::from(first.until(today.weekday()));
        let mut days = i64::from(first.until(last));
        if days == 0 && end <= begin {
            days = 7;
        }
        // One of the week before may not be over. Clocks that are put forward over midnight can have the
        // coming one begin today.
        [since - 7, since, since + 7]
            .into_iter()
            .map(|ago| {
                let day = today.checked_sub(ago.days())?;
                Ok((day.to_datetime(begin), day.checked_add(days.days())?.to_datetime(end)))
            })
            .collect()
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.when {
            When::Weekly((first, begin), (last, end)) => {
                write!(f, "every {first:?} {begin} to {last:?} {end}")
            }
            When::Between(from, to) => write!(f, "{from} to {to}"),
        }
    }
}

#[async_trait]
impl Gate for Window {
    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        let freezes: Vec<_> = self.freezes.iter().map(ToString::to_string).collect();
        json!({"window": {"zone": self.name, "freezes": freezes}})
    }

    async fn check(&self, _: &PlanContext) -> Result<Verdict> {
        self.judge(Timestamp::now())
    }
}

fn weekly(text: &str) -> Result<(Weekday, Time)> {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let parsed = text.split_once(' ').and_then(|(day, time)| {
        let index = DAYS.iter().position(|known| day.eq_ignore_ascii_case(known))?;
        let day = Weekday::from_monday_zero_offset(i8::try_from(index).ok()?).ok()?;
        Some((day, Time::strptime("%H:%M", time).ok()?))
    });
    parsed.ok_or_else(|| no_time(text, "fri 15:00"))
}

fn dated(text: &str) -> Result<DateTime> {
    DateTime::strptime("%Y-%m-%d %H:%M", text)
        .map_err(|source| no_time(text, "2026-12-19 00:00").with_source(source))
}

fn no_time(text: &str, like: &str) -> Error {
    Error::new(code::CONFIG_WINDOW, format!("`{}` is no time like `{like}`", text.escape_debug()))
}

fn empty(from: &str, to: &str) -> Error {
    Error::new(code::CONFIG_WINDOW, "a freeze ends when it begins, or before")
        .with_context("from", from)
        .with_context("to", to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frozen(window: &Window, at: &str) -> Option<String> {
        let found = window.freeze_at(at.parse().unwrap()).unwrap();
        found.map(|(_, end)| end.timestamp().to_string())
    }

    #[test]
    fn a_week_wraps_around_its_end() {
        let window = Window::in_zone("UTC").unwrap();
        let window = window.freeze_weekly("fri 15:00", "mon 08:00", "weekend").unwrap();
        for (at, is) in [
            ("2026-11-20T14:59:59Z", false),
            ("2026-11-20T15:00:00Z", true),
            ("2026-11-22T12:00:00Z", true),
            ("2026-11-23T07:59:59Z", true),
            ("2026-11-23T08:00:00Z", false),
            ("2026-11-25T12:00:00Z", false),
        ] {
            assert_eq!(frozen(&window, at).is_some(), is, "{at}");
        }
    }

    /// Santiago's clocks go from 24:00 on Saturday to 01:00: its Sunday begins an hour before itself.
    #[test]
    fn a_week_begins_early_where_clocks_are_put_forward_over_midnight() {
        let window = || Window::in_zone("America/Santiago").unwrap();
        let weekly = window().freeze_weekly("sun 00:00", "sun 12:00", "why").unwrap();
        let dated = window().freeze("2026-09-06 00:00", "2026-09-06 12:00", "why").unwrap();
        for at in ["2026-09-06T02:59:59Z", "2026-09-06T03:30:00Z", "2026-09-06T04:30:00Z"] {
            assert_eq!(frozen(&weekly, at), frozen(&dated, at), "{at}");
        }
        assert!(frozen(&weekly, "2026-09-06T03:30:00Z").is_some());
    }

    #[test]
    fn nearly_a_whole_week_is_frozen_but_for_its_gap() {
        let window = Window::in_zone("UTC").unwrap();
        let window = window.freeze_weekly("tue 12:00", "tue 10:00", "all but tuesday").unwrap();
        for (at, is) in [
            ("2026-11-24T09:59:00Z", true),
            ("2026-11-24T10:00:00Z", false),
            ("2026-11-24T11:59:00Z", false),
            ("2026-11-24T12:00:00Z", true),
            ("2026-11-23T12:00:00Z", true),
        ] {
            assert_eq!(frozen(&window, at).is_some(), is, "{at}");
        }
    }

    /// In Berlin clocks go back from 03:00 to 02:00 on 2026-10-25, and forward from 02:00 to 03:00 on
    /// 2026-03-29.
    #[test]
    fn a_change_of_the_clocks_makes_a_freeze_longer_never_shorter() {
        let berlin = || Window::in_zone("Europe/Berlin").unwrap();
        let window = berlin().freeze("2026-10-25 02:30", "2026-10-25 02:45", "twice").unwrap();
        for (at, is) in [
            ("2026-10-25T00:29:59Z", false),
            ("2026-10-25T00:30:00Z", true),
            ("2026-10-25T01:15:00Z", true),
            ("2026-10-25T01:44:59Z", true),
            ("2026-10-25T01:45:00Z", false),
        ] {
            assert_eq!(frozen(&window, at).is_some(), is, "{at}");
        }
        let window = berlin().freeze_weekly("sun 02:30", "sun 02:45", "never shown").unwrap();
        for (at, is) in [
            ("2026-03-29T00:29:59Z", false),
            ("2026-03-29T00:30:00Z", true),
            ("2026-03-29T01:44:59Z", true),
            ("2026-03-29T01:45:00Z", false),
        ] {
            assert_eq!(frozen(&window, at).is_some(), is, "{at}");
        }
    }

    #[test]
    fn of_several_freezes_the_one_that_ends_last_is_told() {
        let window = Window::in_zone("UTC").unwrap();
        let window = window.freeze("2026-12-01 00:00", "2026-12-03 00:00", "one").unwrap();
        let window = window.freeze("2026-12-02 00:00", "2026-12-05 00:00", "two").unwrap();
        assert_eq!(frozen(&window, "2026-12-02T01:00:00Z").unwrap(), "2026-12-05T00:00:00Z");
        let verdict = window.judge("2026-12-02T01:00:00Z".parse().unwrap()).unwrap();
        let finding = verdict.finding().unwrap();
        assert_eq!(finding.code, code::WINDOW_FROZEN);
        assert_eq!(finding.message, "frozen until 2026-12-05T00:00:00+00:00[UTC]: two");
        assert!(window.judge("2026-12-06T01:00:00Z".parse().unwrap()).unwrap().is_pass());
    }

    #[test]
    fn what_is_no_time_is_told_with_an_example() {
        let window = || Window::in_zone("UTC").unwrap();
        for (from, to) in [("friday", "mon 08:00"), ("fri 25:00", "mon 08:00"), ("fri 1", "fri 1")]
        {
            let error = window().freeze_weekly(from, to, "w").unwrap_err();
            assert_eq!(error.code(), &code::CONFIG_WINDOW, "{error}");
        }
        for (from, to) in
            [("2026-02-30 00:00", "2026-03-01 00:00"), ("tomorrow", "2026-03-01 00:00")]
        {
            let error = window().freeze(from, to, "w").unwrap_err();
            assert!(error.to_string().contains("2026-12-19 00:00"), "{error}");
        }
        assert!(window().freeze("2026-03-02 00:00", "2026-03-01 00:00", "w").is_err());
        assert!(Window::in_zone("Mars/Olympus").is_err());
    }
}
