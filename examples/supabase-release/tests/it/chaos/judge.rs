//! Whether what was said is true.

use gatekit_core::ledger::{Body, Entry};
use gatekit_core::{Effect, Location, Outcome};

use super::folder::{FILES, Found, Sort};
use super::{Story, Verb};
use crate::site::{Done, version};

/// What a call said.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) verb: Verb,
    /// How many entries there were before it.
    pub(super) since: u64,
    /// What the database showed before it, where nobody was at work any more.
    pub(super) before: Option<Found>,
    /// Whether the server stayed away until its end.
    pub(super) is_unreachable: bool,
    /// `None` of one that was killed.
    pub(super) done: Option<Done>,
}

impl Told {
    pub(super) fn outcome(&self) -> String {
        let outcome = |done: &Done| match done.line()["outcome"].as_str() {
            Some(outcome) => outcome.to_owned(),
            None => panic!("it came to nothing: {done:?}"),
        };
        self.done.as_ref().map_or("killed".to_owned(), outcome)
    }

    pub(super) fn code(&self) -> String {
        let line = self.done.as_ref().map(Done::line).unwrap_or_default();
        line["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether it said that everything is applied.
    pub(super) fn is_over(&self) -> bool {
        let outcome = self.outcome();
        outcome == "released" || outcome == "unchanged" && self.code().is_empty()
    }

    /// Whether a resume said that it cannot go on.
    pub(super) fn is_stuck(&self) -> bool {
        self.verb != Verb::Ship && self.outcome() == "stuck" && !self.is_unreachable
    }

    /// Whether there may be a run to go on with.
    pub(super) fn may_go_on(&self) -> bool {
        ["killed", "interrupted"].contains(&&*self.outcome())
    }
}

/// What a call said is true, by what the database shows and what was journalled.
#[track_caller]
pub(super) fn assert_told(story: &Story, told: &Told, found: &Found, at: &str) {
    let entries = story.journal.after(told.since);
    let at = format!("{at}\n{told:?}\n{:?}, {found:?}\n{}", story.base, listed(&entries));
    let Some(done) = &told.done else { return };
    let line = done.line();
    assert_eq!(line["exit"].as_i64(), done.exit.map(i64::from), "{at}");
    let closed = entries.iter().rev().find_map(|entry| match entry.body {
        Body::Closed { outcome, .. } => Some(outcome),
        _ => None,
    });
    let (exit, outcome, code) = (done.exit.unwrap_or_default(), told.outcome(), told.code());
    match (exit, &*outcome) {
        (0, "released") => {
            assert!(found.is_all() && closed == Some(Outcome::Released), "{at}");
            assert_eq!(line["live"]["release"], version(FILES), "{at}");
        }
        (0, "unchanged") if code.is_empty() => assert!(found.is_all(), "{at}"),
        (0, "unchanged") => assert_eq!(code, "resume.nothing", "{at}"),
        (0, "overridden") => assert_eq!(closed, Some(Outcome::Overridden), "{at}"),
        (3, "rolled_back") => {
            assert!(*found == story.base && closed == Some(Outcome::RolledBack), "{at}");
        }
        // Nothing was touched by this call.
        (1, "refused") | (5, "failed") | (130, "interrupted") => {
            assert!(told.before.as_ref().is_none_or(|it| it == found), "{at}");
        }
        (4, "stuck") => assert_ne!(closed, Some(Outcome::Released), "{at}"),
        _ => panic!("what nothing explains: {at}"),
    }
    if outcome != "released" && outcome != "unchanged" {
        assert!(line["next"].as_array().is_some_and(|next| !next.is_empty()), "what now? {at}");
    }
    assert_journalled(story, told, found, &entries, &at);
}

/// The same of what was journalled on the way: where the database stood when a deploy had failed, and what that
/// has changed. It still stands there unless something was taken back since.
#[track_caller]
fn assert_journalled(story: &Story, told: &Told, found: &Found, entries: &[Entry], at: &str) {
    let goes_back = |entry: &Entry| matches!(entry.body, Body::RollingBack { .. });
    let stays = !entries.iter().any(goes_back);
    for entry in entries {
        let location = match &entry.body {
            Body::StageFailed { failure, location, .. } => {
                if failure.effect == Effect::None && stays {
                    assert!(told.before.as_ref().is_none_or(|it| it == found), "{at}");
                }
                assert!(failure.effect != Effect::Unknown || told.is_unreachable, "{at}");
                location
            }
            Body::Reconciled { found, .. } => &found.first().unwrap().1,
            _ => continue,
        };
        let is_unknown = matches!(location, Location::Unknown(_));
        assert!(!is_unknown || told.is_unreachable, "{at}");
        // A decision to go on is followed by what it did.
        if stays && !is_unknown && !told.is_over() {
            assert!(is_there(story, found, &location.to_string()), "{location} {at}");
        }
    }
}

/// What `reconcile` finds is there.
#[track_caller]
pub(super) fn assert_undecided(story: &Story, looked: &Done, found: &Found) {
    let line = looked.line();
    assert_eq!((looked.exit, line["code"].as_str()), (Some(4), Some("reconcile.undecided")));
    let message = line["message"].as_str().unwrap();
    let (_, location) = message.split_once("(found: `migrations` ").unwrap();
    let location = location.strip_suffix(')').unwrap();
    assert!(is_there(story, found, location), "{location}: {found:?} of {:?}", story.base);
}

/// Whether a database that shows that stands there.
fn is_there(story: &Story, found: &Found, location: &str) -> bool {
    let (applied, all) = (found.rows - story.base.rows, FILES - story.base.rows);
    let expected = match found.half {
        None if found.is_all() => "after the change".to_owned(),
        None if applied == 0 => "before the change".to_owned(),
        None => format!("between: {applied} of {all} files are applied; "),
        Some((done, _)) => {
            assert_eq!(story.sort, Sort::Alone);
            let version = version(found.rows + 1);
            format!("between: {done} statements of migration {version} are applied, ")
        }
    };
    location.starts_with(&expected)
}

fn listed(entries: &[Entry]) -> String {
    let lines: Vec<_> = entries.iter().map(|entry| format!("  {:?}\n", entry.body)).collect();
    lines.concat()
}
