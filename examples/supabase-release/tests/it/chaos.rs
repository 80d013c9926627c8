//! Pushes of the real program that are hit at random moments, by SIGKILL, SIGTERM, cut connections and
//! restarts of the server. Whatever was hit: what was said is true, no file is applied in part or twice, and
//! whoever goes on as the program says ends with everything applied, and with nothing that nobody knows.

mod call;
mod folder;
mod journal;
mod judge;
mod servers;
mod tally;

use std::collections::BTreeMap;
use std::env;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use gatekit_core::ledger::Body;
use gatekit_peers::Via;

use crate::site::{Done, Site};
use call::{Away, Blow, Call, Moment, Side};
use folder::{Found, Sort};
use journal::Journal;
use judge::Told;
use servers::Servers;
use tally::{Kind, Tally};

/// How much of it: read from the environment here and nowhere else.
#[derive(Debug, Clone, Copy)]
struct Settings {
    kills: usize,
    seed: u64,
}

impl Settings {
    /// # Default
    /// 36 blows, and a seed that was never used before.
    fn from_env() -> Self {
        let number = |name: &str| {
            let text = env::var(name).ok()?;
            Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is no number: `{text}`")))
        };
        Self {
            kills: number("GATEKIT_CHAOS_KILLS").map_or(36, |kills| kills.try_into().unwrap()),
            seed: number("GATEKIT_CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000)),
        }
    }
}

/// What is played side by side, each on a server of its own: how the database is reached, and what is pushed.
/// Behind a pooler no file may need a session.
const LANES: [(Via, &[Sort]); 3] = [
    (Via::Server, &[Sort::Plain, Sort::Downs]),
    (Via::Server, &[Sort::Alone]),
    (Via::Pooler, &[Sort::Plain, Sort::Downs]),
];

/// Every so many restarts the server stays away until the call has ended: that takes a minute.
const STAYS_AWAY: usize = 12;

#[test]
fn pushes_that_are_hit_at_any_moment_tell_what_is_true_and_end_with_everything_applied() {
    let settings = Settings::from_env();
    println!("chaos: {} blows, seed {}", settings.kills, settings.seed);
    let tally = thread::scope(|scope| {
        let lanes = LANES.iter().zip(0..).map(|(lane, number)| {
            scope.spawn(move || {
                let mut chaos = Chaos::new(settings, *lane, number);
                chaos.play();
                std::mem::take(&mut chaos.tally)
            })
        });
        let lanes: Vec<_> = lanes.collect();
        lanes.into_iter().fold(Tally::default(), |all, lane| all.and(lane.join().unwrap()))
    });
    println!("{tally}");
    let (all, at_work) = (tally.blows(), tally.at_work());
    assert!(all >= settings.kills && at_work * 3 >= all, "{at_work} of {all} were at work");
}

/// A whole push, when nobody hits it.
#[derive(Debug, Clone, Copy)]
struct Measure {
    lasts: Duration,
    entries: u64,
    /// The number of the entry that begins to change the target.
    begins: u64,
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Ship,
    Resume,
    Reconcile(&'static str),
}

impl Verb {
    fn words(self) -> Vec<&'static str> {
        match self {
            Self::Ship => vec!["ship"],
            Self::Resume => vec!["resume"],
            Self::Reconcile(decision) => vec!["reconcile", decision, "--reason", "chaos"],
        }
    }

    fn name(self) -> String {
        self.words().into_iter().take(2).collect::<Vec<_>>().join(" ")
    }
}

/// A project, and what is to become of it.
#[derive(Debug)]
struct Story {
    sort: Sort,
    site: Site,
    database: String,
    journal: Journal,
    /// What was there when the run began.
    base: Found,
    blows: usize,
}

struct Chaos {
    settings: Settings,
    lane: u64,
    via: Via,
    sorts: &'static [Sort],
    servers: Servers,
    tally: Tally,
    rng: Rng,
    round: u64,
    measures: BTreeMap<Sort, Measure>,
}

impl Chaos {
    fn new(settings: Settings, (via, sorts): (Via, &'static [Sort]), lane: u64) -> Self {
        let mut chaos = Self {
            settings,
            lane,
            via,
            sorts,
            servers: Servers::start(),
            tally: Tally::default(),
            rng: Rng::with_seed(settings.seed),
            round: 0,
            measures: BTreeMap::new(),
        };
        for sort in sorts {
            let mut story = chaos.begin(*sort);
            let began = Instant::now();
            assert!(chaos.call(&mut story, Verb::Ship, false).is_over());
            let entries = story.journal.after(0);
            let begins = |body: &Body| matches!(body, Body::Applying { .. });
            let begins = entries.iter().position(|entry| begins(&entry.body)).unwrap() + 1;
            let measure = Measure {
                lasts: began.elapsed(),
                entries: entries.len().try_into().unwrap(),
                begins: begins.try_into().unwrap(),
            };
            chaos.measures.insert(*sort, measure);
            chaos.assert_at_rest(&story);
        }
        chaos
    }

    /// This lane's share of the blows.
    fn share(&self) -> usize {
        self.settings.kills.div_ceil(LANES.len())
    }

    fn play(&mut self) {
        let most = 3 * u64::try_from(self.share()).unwrap() + 20;
        while self.tally.blows() < self.share() {
            self.round += 1;
            assert!(self.round < most, "the blows miss too often:\n{}", self.tally);
            let seed = self.settings.seed.wrapping_mul(0x9e37_79b9);
            self.rng = Rng::with_seed(seed.wrapping_add(self.round << 2 | self.lane));
            let sort = self.sorts[self.rng.usize(..self.sorts.len())];
            let story = self.begin(sort);
            self.bring_to_its_end(story);
            if self.round.is_multiple_of(20) {
                println!("lane {}: {} blows", self.lane, self.tally.blows());
            }
        }
    }

    fn begin(&mut self, sort: Sort) -> Story {
        let database = self.servers.database();
        let site = Site::of(&self.servers.url(self.via, &database));
        sort.lay_out(&site, &self.servers, &database);
        let journal = Journal::at(&site.ledger());
        Story { sort, site, database, journal, base: Found::default(), blows: 0 }
    }

    /// Ships, and goes on as the program says until everything is applied; hits the first call, and now and
    /// then another.
    fn bring_to_its_end(&mut self, mut story: Story) {
        let mut told = self.call(&mut story, Verb::Ship, true);
        for attempt in 0.. {
            if told.is_over() {
                return self.assert_at_rest(&story);
            }
            assert!(attempt < 15, "it does not come to its end: {told:?}");
            let verb = self.next(&story, &told);
            let is_hit = story.blows < 3 && attempt < 8 && self.rng.u8(..4) == 0;
            told = self.call(&mut story, verb, is_hit);
        }
    }

    /// What the program says that is to be done now.
    fn next(&mut self, story: &Story, told: &Told) -> Verb {
        let status = self.quick(story, &["status"]).line();
        match status["state"].as_str() {
            Some("suspect") if told.is_stuck() => {}
            Some("suspect") => return Verb::Resume,
            // It has touched nothing: it may be gone on with, or left.
            Some("free") if told.may_go_on() && self.rng.bool() => return Verb::Resume,
            Some("free") => return Verb::Ship,
            _ => panic!("who holds it? {status:#}"),
        }
        let looked = self.quick(story, &["reconcile"]);
        self.servers.rest(&story.database);
        let found = Found::of(story.sort, &self.servers, &story.database);
        judge::assert_undecided(story, &looked, &found);
        let next = looked.line()["next"].to_string();
        let decisions = ["--adopt", "--confirm-old", "--roll-back", "--override"];
        let is_of_use = |flag: &&str| *flag != "--roll-back" || story.sort == Sort::Downs;
        let decision = decisions.into_iter().filter(is_of_use).find(|flag| next.contains(flag));
        Verb::Reconcile(decision.unwrap_or_else(|| panic!("what now? {looked:?}")))
    }

    fn quick(&self, story: &Story, words: &[&str]) -> Done {
        self.prepared(story, words).run()
    }

    fn prepared<'s>(&self, story: &'s Story, words: &[&str]) -> Call<'s> {
        Call {
            command: story.site.json_command(words),
            journal: &story.journal,
            database: &story.database,
            folder: story.site.dir.path(),
        }
    }

    /// Makes a call, and judges it.
    fn call(&mut self, story: &mut Story, verb: Verb, is_hit: bool) -> Told {
        // A ship finds nobody else at work; what follows a blow may.
        let before = (verb == Verb::Ship || self.rng.bool()).then(|| {
            self.servers.rest(&story.database);
            Found::of(story.sort, &self.servers, &story.database)
        });
        if let (Verb::Ship, Some(found)) = (verb, &before) {
            story.base = found.clone();
        }
        let since = story.journal.length();
        let (blow, moment) = (self.blow(), self.moment(story, verb));
        let stays_away = is_hit && blow == Blow::Restart(Away::ToTheEnd);
        let mut words = verb.words();
        if stays_away {
            words.extend(["--deadline", "20s"]);
        }
        let call = self.prepared(story, &words);
        let (done, hit) = if is_hit {
            let end = call.strike(blow, moment, &mut self.servers);
            (end.done, end.hit_at_work)
        } else {
            (Some(call.run()), None)
        };
        let told = Told { verb, since, before, is_unreachable: stays_away, done };
        match hit {
            Some(at_work) => {
                story.blows += 1;
                self.tally.hit(blow.kind(), at_work, &told);
            }
            None => self.tally.ended(&told),
        }
        let found = Found::of(story.sort, &self.servers, &story.database);
        let at = format!("{verb:?} {blow:?} {moment:?}, hit {hit:?}");
        judge::assert_told(story, &told, &found, &at);
        told
    }

    /// Each kind in turn.
    fn blow(&mut self) -> Blow {
        let kinds = [Kind::Kill, Kind::Term, Kind::Cut, Kind::Restart];
        let kind = kinds.into_iter().min_by_key(|kind| self.tally.of(*kind));
        match kind.unwrap_or(Kind::Kill) {
            Kind::Kill => Blow::Kill,
            Kind::Term => Blow::Term,
            Kind::Cut if self.rng.bool() => Blow::Cut(Side::Line),
            Kind::Cut => Blow::Cut(Side::Server),
            Kind::Restart if self.tally.of(Kind::Restart) % STAYS_AWAY == STAYS_AWAY - 1 => {
                Blow::Restart(Away::ToTheEnd)
            }
            Kind::Restart => {
                let most = if self.rng.bool() { 1 } else { 1500 };
                Blow::Restart(Away::For(Duration::from_millis(self.rng.u64(..most))))
            }
        }
    }

    /// When to hit: at any time, at an entry or soon after it, and mostly while something is applied.
    fn moment(&mut self, story: &Story, verb: Verb) -> Moment {
        let whole = Measure { lasts: Duration::from_secs(1), entries: 8, begins: 1 };
        let measure = match verb {
            Verb::Ship => *self.measures.get(&story.sort).unwrap_or(&whole),
            _ => whole,
        };
        let soon = Duration::from_millis(if self.rng.bool() { 0 } else { self.rng.u64(..50) });
        let share = self.rng.f64();
        match self.rng.u8(..8) {
            0 => Moment::Delay(measure.lasts.mul_f64(share)),
            1 => Moment::Entry(self.rng.u64(..measure.begins), soon),
            2..=4 => Moment::Entry(self.rng.u64(measure.begins..measure.entries), soon),
            _ => Moment::Entry(measure.begins, measure.lasts.mul_f64(share * 0.9)),
        }
    }

    /// Everything is applied, nobody holds anything, and the journal is whole.
    #[track_caller]
    fn assert_at_rest(&self, story: &Story) {
        self.servers.rest(&story.database);
        let found = Found::of(story.sort, &self.servers, &story.database);
        assert!(found.is_all(), "{found:?}");
        let status = self.quick(story, &["status"]).line();
        assert_eq!(status["state"], "free", "{status:#}");
        assert_eq!(status["asking"], serde_json::json!([]), "{status:#}");
        let verified = self.quick(story, &["log", "--verify"]);
        assert_eq!(verified.exit, Some(0), "{verified:?}");
        let again = self.quick(story, &["ship"]);
        again.expect(0, "unchanged", None);
    }
}

impl Drop for Chaos {
    /// Whoever looks into a failure finds what there was.
    fn drop(&mut self) {
        if thread::panicking() {
            let Self { settings, lane, round, tally, .. } = self;
            eprintln!(
                "chaos failed in round {round} of lane {lane}, seed {}\n{tally}",
                settings.seed
            );
        }
    }
}
