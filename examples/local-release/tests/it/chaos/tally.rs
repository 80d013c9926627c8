//! What was hit where, and what became of it.

use std::collections::BTreeMap;
use std::fmt;

use super::call::{VERBS, Verb};

/// The order of the histogram's rows; what is called after them is sorted by name.
const ORDER: [&str; 21] = [
    "(no entry)",
    "opened",
    "queued",
    "granted",
    "applying",
    "continued",
    "resumed",
    "calling fence off",
    "reconciled",
    "calling stage release",
    "calling stop service",
    "calling switch link",
    "calling start service",
    "calling prune releases",
    "applied",
    "settled",
    "stage_failed",
    "verdict",
    "unwinding",
    "rolling_back",
    "rolled_back",
];

/// The last column.
const STOPPED: usize = VERBS.len();

#[derive(Debug)]
pub(super) struct Tally {
    pub(super) seed: u64,
    pub(super) kills: usize,
    /// Kills of a run that had changed its target and not ended.
    pub(super) after_applying: usize,
    pub(super) stops: usize,
    /// Calls that ended before the kill: not counted among them.
    pub(super) missed: usize,
    by_verb: BTreeMap<Verb, usize>,
    rows: BTreeMap<(usize, String), [usize; STOPPED + 1]>,
    settled: BTreeMap<String, usize>,
    zombies: BTreeMap<&'static str, usize>,
}

impl Tally {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            kills: 0,
            after_applying: 0,
            stops: 0,
            missed: 0,
            by_verb: BTreeMap::new(),
            rows: BTreeMap::new(),
            settled: BTreeMap::new(),
            zombies: BTreeMap::new(),
        }
    }

    pub(super) fn of(&self, verb: Verb) -> usize {
        self.by_verb.get(&verb).copied().unwrap_or_default()
    }

    /// Kills of anything but a ship.
    pub(super) fn others(&self) -> usize {
        self.kills - self.of(Verb::Ship)
    }

    pub(super) fn killed(&mut self, verb: Verb, position: String, after_applying: bool) {
        self.kills += 1;
        self.after_applying += usize::from(after_applying);
        *self.by_verb.entry(verb).or_default() += 1;
        self.at(position, verb as usize);
    }

    pub(super) fn stopped(&mut self, position: String) {
        self.stops += 1;
        self.at(position, STOPPED);
    }

    fn at(&mut self, position: String, column: usize) {
        let order = ORDER.iter().position(|known| *known == position).unwrap_or(ORDER.len());
        self.rows.entry((order, position)).or_default()[column] += 1;
    }

    pub(super) fn settled(&mut self, how: String) {
        *self.settled.entry(how).or_default() += 1;
    }

    pub(super) fn zombie(&mut self, came_to: &'static str) {
        *self.zombies.entry(came_to).or_default() += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, kills, after_applying, stops, missed, .. } = self;
        writeln!(
            f,
            "seed {seed}: {kills} kills, {after_applying} of them after `applying` and before the end"
        )?;
        writeln!(f, "{missed} calls ended before their kill, and were checked all the same")?;
        writeln!(f, "\nthe last entry at the kill (`stopped`: at the SIGSTOP)")?;
        write!(f, "{:<24}", "")?;
        for verb in VERBS {
            write!(f, "{:>10}", verb.as_str())?;
        }
        writeln!(f, "{:>10}", "stopped")?;
        for ((_, name), counts) in &self.rows {
            write!(f, "{name:<24}")?;
            for count in counts {
                write!(f, "{count:>10}")?;
            }
            writeln!(f)?;
        }
        write!(f, "{:<24}", "all")?;
        for verb in VERBS {
            write!(f, "{:>10}", self.of(verb))?;
        }
        writeln!(f, "{stops:>10}")?;
        writeln!(f, "\nhow they were settled")?;
        for (how, count) in &self.settled {
            writeln!(f, "{count:>6}  {how}")?;
        }
        writeln!(f, "\nwhat the stopped ones came to after SIGCONT")?;
        for (what, count) in &self.zombies {
            writeln!(f, "{count:>6}  {what}")?;
        }
        Ok(())
    }
}
