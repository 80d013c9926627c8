//! SIGKILL at random moments of `ship`, `rollback`, `resume` and `reconcile`, and SIGSTOP beyond the
//! lease. Whatever was hit, and whoever settles it: exactly one of the two releases runs and
//! serves, alone, it is the one that was reported, and the log verifies.

mod call;
mod journal;
mod tally;
mod zombie;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use gatekit_core::Outcome;
use gatekit_core::ledger::Entry;
use gatekit_peers::{Via, new_database};
use serde_json::Value;

use crate::site::{Done, PROGRAM, Site};
use call::{Call, End, Moment, Verb};
use journal::Journal;
use tally::Tally;

/// How much of it: read from the environment here and nowhere else.
#[derive(Debug, Clone, Copy)]
struct Settings {
    kills: usize,
    seed: u64,
}

impl Settings {
    /// # Default
    /// 20 kills, and a seed that was never used before.
    fn from_env() -> Self {
        let number = |name: &str| {
            let text = env::var(name).ok()?;
            Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is no number: `{text}`")))
        };
        Self {
            kills: number("GATEKIT_CHAOS_KILLS").map_or(20, |kills| kills.try_into().unwrap()),
            seed: number("GATEKIT_CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000)),
        }
    }
}

#[test]
fn whatever_is_killed_at_any_moment_one_release_serves_and_it_is_the_reported_one() {
    play(Site::new());
}

#[test]
fn the_same_with_its_ledger_on_a_server() {
    play(Site::new().with_ledger(new_database(Via::Server).unwrap()));
}

#[test]
fn the_same_with_its_ledger_behind_a_pooler() {
    play(Site::new().with_ledger(new_database(Via::Pooler).unwrap()));
}

fn play(site: Site) {
    let settings = Settings::from_env();
    println!("chaos: {} kills, seed {}", settings.kills, settings.seed);
    let mut chaos = Chaos::new(settings, site);
    chaos.play();
    println!("{}", chaos.tally);
}

/// What a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    /// A ship of a release that verifies.
    Good,
    /// A ship of one that does not.
    Bad,
    /// The way back to the release before.
    Back,
}

/// A whole run of a sort, when nobody hits it.
#[derive(Debug, Clone, Copy)]
struct Measure {
    lasts: Duration,
    entries: u64,
    /// The number of the entry that begins to change the target.
    begins: u64,
}

/// One run, and what is to become of it.
#[derive(Debug)]
struct Story {
    sort: Sort,
    /// How many entries there were before it.
    since: u64,
    old: String,
    new: String,
    /// A process was stopped, and may hold what others need.
    stopped: bool,
}

struct Chaos {
    settings: Settings,
    site: Site,
    journal: Journal,
    tally: Tally,
    rng: Rng,
    round: usize,
    versions: usize,
    /// The releases in effect, the live one last.
    stack: Vec<String>,
    /// The end of the journal when everything was at rest last.
    head: String,
    measures: BTreeMap<Sort, Measure>,
    /// Moments are dealt out in turn, so that every entry has its kill.
    dealt: BTreeMap<(Verb, Option<Sort>, u64), u64>,
}

impl Chaos {
    fn new(settings: Settings, site: Site) -> Self {
        site.ship("v1").expect(0, "released", "");
        let journal = Journal::of(&site);
        let mut chaos = Self {
            settings,
            site,
            journal,
            tally: Tally::new(settings.seed),
            rng: Rng::with_seed(settings.seed),
            round: 0,
            versions: 1,
            stack: vec!["v1".to_owned()],
            head: String::new(),
            measures: BTreeMap::new(),
            dealt: BTreeMap::new(),
        };
        for sort in [Sort::Good, Sort::Bad, Sort::Good, Sort::Back] {
            let began = Instant::now();
            let (story, call) = chaos.begin(sort);
            let name = call.name.clone();
            let done = call.run();
            assert!(chaos.agrees(&story, &name, &done), "{done:?}");
            let entries = chaos.journal.after(story.since);
            let begins = (1..=entries.len()).find(|end| journal::touched(&entries[..*end]));
            let measure = Measure {
                lasts: began.elapsed(),
                entries: entries.len().try_into().unwrap(),
                begins: begins.unwrap().try_into().unwrap(),
            };
            chaos.measures.insert(sort, measure);
            chaos.assert_true(&story);
        }
        chaos
    }

    /// Until there were as many kills as asked for, half of them after `Applying` and a fifth of
    /// them in the settling.
    fn play(&mut self) {
        let wanted = self.settings.kills;
        while self.tally.kills < wanted
            || self.tally.after_applying * 2 < wanted
            || self.tally.others() * 5 < wanted
        {
            self.round += 1;
            assert!(self.round < 3 * wanted + 20, "the kills miss too often:\n{}", self.tally);
            let round = u64::try_from(self.round).unwrap();
            self.rng =
                Rng::with_seed(self.settings.seed.wrapping_mul(0x9e37_79b9).wrapping_add(round));
            self.kill();
            if self.tally.stops * 10 < self.tally.kills {
                self.stop();
            }
        }
    }

    /// A run of that sort that is about to begin.
    fn begin(&mut self, sort: Sort) -> (Story, Call) {
        let old = self.stack.last().unwrap().clone();
        let (name, new, command) = match sort {
            Sort::Back => {
                let new = self.stack[self.stack.len() - 2].clone();
                (Verb::Rollback, new, self.site.command(["rollback", "--reason", "chaos"]))
            }
            Sort::Good | Sort::Bad => {
                self.versions += 1;
                let new = format!("v{}", self.versions);
                let app = self.site.app(&new);
                if sort == Sort::Bad {
                    fs::write(app.join("ready"), "500 Not Yet").unwrap();
                }
                let command = self.site.ship_app(&app, &new);
                (Verb::Ship, new, command)
            }
        };
        let story = Story { sort, since: self.journal.length(), old, new, stopped: false };
        (story, Call { verb: name, name: name.as_str().to_owned(), command })
    }

    /// Kills a run, maybe several times, and settles it.
    fn kill(&mut self) {
        let (rollbacks, resumes) = (self.tally.of(Verb::Rollback), self.tally.of(Verb::Resume));
        let sort = if self.wants_others() && rollbacks <= resumes && self.stack.len() > 1 {
            Sort::Back
        } else if self.rng.u8(..3) == 0 {
            Sort::Bad
        } else {
            Sort::Good
        };
        let (story, call) = self.begin(sort);
        let ended = self.strike(&story, call);
        if !ended {
            self.settle(&story, true);
        }
        self.assert_true(&story);
    }

    fn wants_others(&self) -> bool {
        self.tally.others() * 4 <= self.tally.kills
    }

    /// Kills a call of a story; tells whether the call had settled it before.
    fn strike(&mut self, story: &Story, call: Call) -> bool {
        let (verb, name) = (call.verb, call.name.clone());
        let (moment, before) = (self.moment(story, verb), self.journal.length());
        match call.strike(moment, &self.journal) {
            End::Done(done) => {
                self.tally.missed += 1;
                self.ended(story, &name, &done)
            }
            End::Killed => {
                let (entries, status) = self.standing(story);
                let own = self.journal.after(before);
                let position = own.last().map_or("(no entry)".to_owned(), journal::name);
                let under_way = journal::under_way(&entries);
                self.tally.killed(verb, position, under_way);
                if self.tally.kills.is_multiple_of(20) {
                    println!("{} kills", self.tally.kills);
                }
                let state = if under_way { "suspect" } else { "free" };
                assert_eq!(status["state"], state, "killed {name} at {moment:?}: {status:#}");
                false
            }
        }
    }

    /// The story's entries, and the status that goes with them: what the dead has asked a server for may
    /// land a moment after its death.
    fn standing(&self, story: &Story) -> (Vec<Entry>, Value) {
        loop {
            let entries = self.journal.after(story.since);
            let status = self.site.status();
            if self.journal.length() == story.since + u64::try_from(entries.len()).unwrap() {
                return (entries, status);
            }
        }
    }

    /// When to hit: at any time, or at the next entry in turn.
    fn moment(&mut self, story: &Story, verb: Verb) -> Moment {
        let measure = self.measures[&story.sort];
        let settles = matches!(verb, Verb::Resume | Verb::Reconcile);
        let late = Duration::from_millis(if self.rng.bool() { 0 } else { self.rng.u64(..40) });
        // Ships and rollbacks are also hit before they change anything, as long as the half that is
        // to be hit after it is ahead.
        let ahead = !settles && self.tally.after_applying * 10 > self.tally.kills * 6;
        let choice = self.rng.u8(..8);
        let (first, last) = match choice {
            0 => return Moment::Delay(measure.lasts.mul_f64(self.rng.f64() * 1.1)),
            1 if ahead => return Moment::Delay(measure.lasts.mul_f64(self.rng.f64() * 0.2)),
            2 | 3 if ahead => (0, measure.begins),
            _ if settles => (0, 8),
            _ => (measure.begins, measure.entries),
        };
        let key = (verb, (!settles).then_some(story.sort), first);
        let start = self.rng.u64(..16);
        let dealt = self.dealt.entry(key).or_insert(start);
        *dealt += 1;
        Moment::Entry(first + *dealt % (last - first), late)
    }

    /// Brings a story to its end: `resume`, else `reconcile`, either of which may be killed too.
    fn settle(&mut self, story: &Story, kill: bool) {
        for attempt in 0.. {
            assert!(attempt < 12, "it cannot be settled");
            let hit = kill && attempt < 5 && self.wants_others();
            let call = self.settling(story, hit, attempt);
            let settled = if hit {
                self.strike(story, call)
            } else {
                let name = call.name.clone();
                let done = call.run();
                self.ended(story, &name, &done)
            };
            if settled {
                return;
            }
        }
    }

    /// The next call that may settle it: what the findings allow.
    fn settling(&mut self, story: &Story, hit: bool, attempt: usize) -> Call {
        let suspect = self.site.status()["state"] == "suspect";
        let reconcile = if hit {
            self.tally.of(Verb::Reconcile) < self.tally.of(Verb::Resume)
        } else {
            attempt < 8 && self.rng.u8(..3) == 0
        };
        if !suspect || !reconcile {
            let command = self.site.command(["resume"]);
            return Call { verb: Verb::Resume, name: "resume".to_owned(), command };
        }
        let found = self.site.run(["reconcile"]);
        assert_eq!((found.exit, found.code()), (Some(4), "reconcile.undecided"), "{found:?}");
        let next = found.report()["next"].to_string();
        let allowed: Vec<_> = ["--adopt", "--confirm-old", "--roll-back"]
            .into_iter()
            .filter(|flag| next.contains(flag))
            // Found live, and yet not to be adopted: it does not verify.
            .filter(|flag| attempt < 3 || story.sort != Sort::Bad || *flag != "--adopt")
            .collect();
        let flag = allowed[self.rng.usize(..allowed.len())];
        let command = self.site.command(["reconcile", flag, "--reason", "chaos"]);
        Call { verb: Verb::Reconcile, name: format!("reconcile {flag}"), command }
    }

    /// A call came to its end: what it reported is what serves. Tells whether that settled it.
    fn ended(&mut self, story: &Story, name: &str, done: &Done) -> bool {
        let settled = self.agrees(story, name, done);
        let outcome = match (done.outcome(), done.code()) {
            (_, "resume.nothing") => "nothing to do".to_owned(),
            ("released" | "rolled_back", _) => done.outcome().replace('_', " "),
            (outcome, code) => format!("{outcome} [{code}]"),
        };
        let of = match story.sort {
            Sort::Good => "a good release",
            Sort::Bad => "a bad release",
            Sort::Back => "a rollback",
        };
        self.tally.settled(format!("{of}: {name}, {outcome}"));
        settled
    }

    #[track_caller]
    fn agrees(&mut self, story: &Story, name: &str, done: &Done) -> bool {
        let report = done.report();
        assert_eq!(report["exit"], Value::from(done.exit), "{name}: {done:?}");
        let entries = self.journal.after(story.since);
        let by_journal = match journal::closed(&entries) {
            Some(Outcome::Released) => &story.new,
            _ => &story.old,
        };
        let live = match (done.exit, done.outcome()) {
            (Some(0), "released") => &story.new,
            (Some(3), "rolled_back") => &story.old,
            (Some(0), "unchanged") => by_journal,
            (Some(1), "refused") if story.sort == Sort::Back => &story.old,
            (Some(4), "stuck") if story.stopped => return false,
            (Some(4), "stuck") if story.sort == Sort::Bad && name == "reconcile --adopt" => {
                return false;
            }
            (Some(1 | 5), _) if story.stopped => return false,
            _ => panic!("{name} came to what nothing explains: {done:?}"),
        };
        assert_eq!(live, by_journal, "{name}: report and journal differ: {done:?}");
        let may_release = story.sort != Sort::Bad;
        assert!(may_release || *live == story.old, "a bad release was released: {done:?}");
        // A busy machine may use up the short deadline that a stopped ship is settled with.
        if may_release && done.outcome() == "rolled_back" && !story.stopped {
            assert!(journal::was_rejected(&entries), "failure for what is good: {done:?}");
        }
        if let Some(told) = report["live"]["version"].as_str() {
            assert_eq!(told, live, "{name}: {done:?}");
        }
        if *live == story.new {
            match story.sort {
                Sort::Back => drop(self.stack.pop()),
                Sort::Good | Sort::Bad => self.stack.push(story.new.clone()),
            }
        }
        true
    }

    /// Outcome and truth agree, it is the release that the reports led to, and the journal has only
    /// grown.
    #[track_caller]
    fn assert_true(&mut self, story: &Story) {
        self.site.assert_true(&format!("{story:?}"));
        assert_eq!(self.site.answers().as_ref(), self.stack.last(), "{story:?}");
        if !self.head.is_empty() {
            let grown = self.site.run(["log", "--verify", "--against", &self.head]);
            assert_eq!(grown.exit, Some(0), "{story:?}: {grown:?}");
        }
        self.head = self.journal.head();
    }
}

impl Drop for Chaos {
    /// Whoever looks into a failure finds what there was.
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        let Self { settings, round, tally, .. } = self;
        eprintln!("chaos failed in round {round} of seed {}\n{tally}", settings.seed);
        let mut log = Command::new(PROGRAM);
        log.arg("log").args(self.site.place());
        let log = log.output().map(|log| String::from_utf8_lossy(&log.stdout).into_owned());
        let lines: Vec<_> = log.iter().flat_map(|log| log.lines()).collect();
        for line in &lines[lines.len().saturating_sub(60)..] {
            eprintln!("{line}");
        }
        eprintln!("kept for inspection: {}", self.site.keep().display());
    }
}
