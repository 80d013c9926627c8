//! What the rounds saw, and the verdict it makes.

use std::net::SocketAddr;
use std::time::Duration;

use gatekit_core::{Code, Evidence, Finding, NextAction, Verdict};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::gate::millis;
use crate::address::Address;
use crate::client::Answer;
use crate::code;
use crate::trouble::Cause;
use crate::version::{Expected, Shown};

/// What one attempt of one check came to.
#[derive(Debug)]
pub(super) enum Outcome {
    Good(Good),
    Bad(Bad),
    /// The end of all came before the end of the attempt: it says nothing.
    CutOff,
    /// The round ended before.
    NotAsked,
}

impl Outcome {
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Bad(Bad { weight: Weight::Final, .. }))
    }

    pub(super) fn is_bad(&self) -> bool {
        matches!(self, Self::Bad(_))
    }

    /// What kind of failure it was, if it was one.
    pub(super) fn cause(&self) -> Option<Cause> {
        match self {
            Self::Bad(bad) => Some(bad.cause),
            Self::CutOff => Some(Cause::Timeout),
            Self::Good(_) | Self::NotAsked => None,
        }
    }
}

/// An answer that counts.
#[derive(Debug)]
pub(super) struct Good {
    pub(super) answer: Answer,
    pub(super) shown: Option<Shown>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) took: Duration,
    pub(super) facts: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Nothing can be told.
    Maybe,
    /// It says no.
    No,
    /// It says no, and will not say anything else.
    Final,
}

/// Why a check does not pass.
#[derive(Debug, Clone)]
pub(super) struct Bad {
    code: Code,
    seen: String,
    weight: Weight,
    cause: Cause,
}

impl Bad {
    pub(super) fn no(code: Code, seen: String) -> Self {
        Self { code, seen, weight: Weight::No, cause: Cause::Lasting }
    }

    pub(super) fn maybe(code: Code, seen: String) -> Self {
        Self { code, seen, weight: Weight::Maybe, cause: Cause::Lasting }
    }

    pub(super) fn of(is_no: bool, code: Code, seen: String) -> Self {
        if is_no { Self::no(code, seen) } else { Self::maybe(code, seen) }
    }

    pub(super) fn because(mut self, cause: Cause) -> Self {
        self.cause = cause;
        self
    }

    pub(super) fn gone(why: &str) -> Self {
        let seen = format!("our process does not run: {why}");
        let cause = Cause::Lasting;
        Self { code: code::SMOKE_NOT_RUNNING, seen, weight: Weight::Final, cause }
    }
}

/// The rounds so far.
#[derive(Debug)]
pub(super) struct Tally<'a> {
    checks: &'a [Address],
    expected: Option<&'a Expected>,
    started: Instant,
    rounds: u32,
    /// Per check, why it did not pass when it was last heard of.
    last: Vec<Option<Bad>>,
    /// Per check, what people were told last.
    told: Vec<String>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(
        checks: &'a [Address],
        expected: Option<&'a Expected>,
        started: Instant,
    ) -> Self {
        let n = checks.len();
        Self {
            checks,
            expected,
            started,
            rounds: 0,
            last: vec![None; n],
            told: vec![String::new(); n],
        }
    }

    pub(super) fn is_final(&self) -> bool {
        self.last.iter().flatten().any(|bad| bad.weight == Weight::Final)
    }

    fn elapsed_ms(&self) -> u64 {
        millis(self.started.elapsed())
    }

    /// Counts a round that did not decide. Returns what is new to people.
    pub(super) fn note(&mut self, outcomes: Vec<Outcome>) -> Vec<String> {
        self.rounds = self.rounds.saturating_add(1);
        let mut news = Vec::new();
        for (i, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Outcome::Good(_) => self.last[i] = None,
                Outcome::Bad(bad) => self.last[i] = Some(bad),
                Outcome::CutOff => {
                    // What it said before tells more than that there was no time to say it again.
                    self.last[i].get_or_insert_with(|| {
                        let seen = "no complete answer before the deadline".to_owned();
                        Bad::maybe(code::SMOKE_TIMEOUT, seen)
                    });
                }
                Outcome::NotAsked => {}
            }
            let seen = self.last[i].as_ref().map_or("", |bad| bad.seen.as_str());
            if self.told[i] != seen {
                seen.clone_into(&mut self.told[i]);
                if !seen.is_empty() {
                    let attempt = self.rounds;
                    news.push(format!("waiting for {}: {seen}, attempt {attempt}", self.checks[i]));
                }
            }
        }
        news
    }

    /// The pass on a round in which all was good.
    pub(super) fn pass(&self, round: &[&Good]) -> Verdict {
        let evidence = self.checks.iter().zip(round).map(|(address, good)| {
            let version = match (&good.shown, self.expected) {
                (Some(Shown::Expected), Some(expected)) => Some(expected.version.as_str()),
                _ => None,
            };
            let facts = json!({
                "status": good.answer.status,
                "version": version,
                "bytes": good.answer.bytes,
                "redirects": good.answer.redirects,
                "attempts": self.rounds.saturating_add(1),
                "elapsed_ms": self.elapsed_ms(),
                "latency_ms": millis(good.took),
                "peer": good.peer.map(|peer| peer.to_string()),
                "answered_by": good.facts,
            });
            Evidence::digested(address.to_string(), good.answer.digest.clone(), facts)
        });
        Verdict::pass(evidence)
    }

    /// The verdict when there is no time for as many good rounds as are demanded.
    pub(super) fn too_few(&self, in_a_row: u32, demanded: u32) -> Verdict {
        let time = self.started.elapsed().as_secs_f64();
        let message = format!(
            "{in_a_row} good rounds in a row within {time:.1} s, and {demanded} are demanded"
        );
        let code = code::SMOKE_SUCCESSES;
        let next = NextAction::outside(advice(&code));
        Verdict::Inconclusive(Finding::new(code, message).with_next(next))
    }

    /// The verdict when no round was good: the worst of what the checks showed last.
    pub(super) fn verdict(&self) -> Verdict {
        let failing: Vec<_> = self
            .checks
            .iter()
            .zip(&self.last)
            .filter_map(|(a, bad)| Some((a, bad.as_ref()?)))
            .collect();
        // The first of the worst: `max_by_key` would give the last.
        let worst = failing.iter().rev().max_by_key(|(_, bad)| bad.weight);
        let Some((_, worst)) = worst else {
            return Verdict::pass([]);
        };
        let list: Vec<_> = failing.iter().map(|(a, bad)| format!("`{a}`: {}", bad.seen)).collect();
        let message = format!(
            "{} of {} checks did not pass in {} within {:.1} s: {}",
            failing.len(),
            self.checks.len(),
            if self.rounds == 1 {
                "1 attempt".to_owned()
            } else {
                format!("{} attempts", self.rounds)
            },
            self.started.elapsed().as_secs_f64(),
            list.join("; "),
        );
        let evidence = failing.iter().map(|(address, bad)| {
            let facts = json!({
                "code": bad.code,
                "seen": bad.seen,
                "attempts": self.rounds,
                "elapsed_ms": self.elapsed_ms(),
            });
            Evidence::read(address.to_string(), &bad.seen, facts)
        });
        let finding = Finding::new(worst.code.clone(), message)
            .with_evidence(evidence)
            .with_next(NextAction::outside(advice(&worst.code)));
        if worst.weight == Weight::Maybe {
            Verdict::Inconclusive(finding)
        } else {
            Verdict::Fail(finding)
        }
    }
}

/// What to do about it.
fn advice(code: &Code) -> &'static str {
    match code.as_str() {
        "smoke.status" => "read the log of the service that answers",
        "smoke.version" => "find out which version runs there, and whether the new one was started",
        "smoke.json" => "ask a URL that answers in JSON, or read the version from elsewhere",
        "smoke.json_value" | "smoke.body" => "read what the service says of itself, and its log",
        "smoke.slow" => "find out what takes the service so long, or allow it more time",
        "smoke.successes" => "allow the gate more time, or demand fewer rounds",
        "smoke.body_too_large" => "check a smaller page, or raise the body limit",
        "smoke.redirect_loop" => "mend the redirects of the service",
        "smoke.redirect_elsewhere" => "check the URL it redirects to, if that one is meant",
        "smoke.timeout" => "see whether the service hangs, or allow it more time",
        "smoke.unreadable" => {
            "see what listens there, and whether it crashes: it gives no whole HTTP answer"
        }
        "smoke.stranger" => "stop what holds that port, or give the service another one",
        "smoke.not_running" => "read the log of the service: its process has ended",
        "smoke.whose_unknown" => "find out what listens there, and why it cannot be identified",
        _ => "see that the service runs and listens at that address",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(seen: &str) -> Outcome {
        Outcome::Bad(Bad::no(code::SMOKE_STATUS, seen.to_owned()))
    }

    #[test]
    fn people_are_told_changes_only_and_no_query() {
        let checks = [Address::parse("check 1", "http://h/x?token=CANARY").unwrap()];
        let mut tally = Tally::new(&checks, None, Instant::now());
        let first = tally.note(vec![bad("status 503")]);
        assert_eq!(first, ["waiting for http://h/x?…: status 503, attempt 1"]);
        assert!(tally.note(vec![bad("status 503")]).is_empty());
        assert_eq!(tally.note(vec![bad("status 500")]).len(), 1);
    }

    #[test]
    fn a_round_cut_off_keeps_what_was_seen_but_never_a_pass() {
        let checks = [Address::parse("check 1", "http://h/").unwrap()];
        let mut tally = Tally::new(&checks, None, Instant::now());
        tally.note(vec![bad("status 503")]);
        tally.note(vec![Outcome::CutOff]);
        assert_eq!(tally.verdict().finding().unwrap().code, code::SMOKE_STATUS);

        let mut tally = Tally::new(&checks, None, Instant::now());
        tally.note(vec![Outcome::CutOff]);
        assert_eq!(tally.verdict().finding().unwrap().code, code::SMOKE_TIMEOUT);
        assert!(!Tally::new(&checks, None, Instant::now()).verdict().is_pass());
    }

    #[test]
    fn the_first_of_the_worst_gives_the_code() {
        let checks: Vec<_> = ["http://a/", "http://b/", "http://c/"]
            .map(|url| Address::parse("check", url).unwrap())
            .into();
        let mut tally = Tally::new(&checks, None, Instant::now());
        tally.note(vec![
            Outcome::Bad(Bad::maybe(code::SMOKE_TIMEOUT, "t".into())),
            Outcome::Bad(Bad::no(code::SMOKE_STRANGER, "s".into())),
            bad("status 500"),
        ]);
        let verdict = tally.verdict();
        assert_eq!(verdict.word(), "fail");
        assert_eq!(verdict.finding().unwrap().code, code::SMOKE_STRANGER);
        assert_eq!(verdict.finding().unwrap().evidence.len(), 3);
    }
}
