//! Every single fault, every ordered pair of faults, and how many paths that makes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::path::{Walk, walk};
use super::scene::Scene;
use super::script::{Fault, Kind, Script};
use super::sites::{Census, Menu};

/// Who settles a target that a path leaves suspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settles {
    /// A process that resumes; and a person who decides when that ends nowhere.
    ByResume,
    /// A person who decides at once.
    ByDecision,
}

/// Walks every path of a scene. MUST be used outside a tokio runtime: each process of a path gets one
/// of its own.
///
/// # Default
/// Single faults and pairs, of every kind; a suspect target is resumed; one thread.
#[derive(Debug)]
#[must_use = "call `.explore()`"]
pub struct Explorer<'a> {
    scene: &'a dyn Scene,
    settles: Settles,
    pairs: bool,
    without: Vec<Kind>,
    threads: usize,
}

impl<'a> Explorer<'a> {
    /// An explorer of that scene.
    pub fn new(scene: &'a dyn Scene) -> Self {
        Self { scene, settles: Settles::ByResume, pairs: true, without: Vec::new(), threads: 1 }
    }

    /// Who settles a target that a path leaves suspect.
    pub const fn settles(mut self, settles: Settles) -> Self {
        self.settles = settles;
        self
    }

    /// Leaves the pairs out.
    pub const fn singles_only(mut self) -> Self {
        self.pairs = false;
        self
    }

    /// Leaves these kinds of faults out: where each path takes long.
    pub fn without(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.without.extend(kinds);
        self
    }

    /// How many threads walk at the same time.
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// What people call this exploration.
    #[must_use]
    pub fn name(&self) -> String {
        match self.settles {
            Settles::ByResume => self.scene.name(),
            Settles::ByDecision => format!("{}, settled by a person", self.scene.name()),
        }
    }

    /// Walks one path alone: the script of one that failed, say.
    pub fn replay(&self, script: &Script) -> Replay {
        let Walk { wrong, story, .. } = walk(self.scene, self.settles, script, true);
        Replay { script: script.clone(), wrong, story }
    }

    /// Walks all paths.
    pub fn explore(&self) -> Exploration {
        let menu = Menu {
            intruder: self.scene.world().has_intruder(),
            fenced: self.scene.keeps_fences(),
            without: self.without.clone(),
        };
        let mut exploration = Exploration {
            name: self.name(),
            baseline: Census::default(),
            singles: 0,
            second: Census::default(),
            planned: 1,
            walked: 0,
            missed: 0,
            may_miss: self.scene.in_real_time(),
            failures: Vec::new(),
        };
        let nothing = Script::default();
        let baseline = walk(self.scene, self.settles, &nothing, false);
        exploration.baseline = Census::of(&baseline.trace, &menu);
        let singles = menu.faults(&baseline.trace);
        exploration.singles = singles.len();
        exploration.planned += exploration.baseline.faults();
        let broken = exploration.take(&nothing, baseline);
        // Nothing can be said of what goes wrong where all is wrong already.
        if broken {
            return exploration;
        }
        let exploration = Mutex::new(exploration);
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(first) = singles.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.walk_from(first, &menu, &exploration);
            }
        };
        thread::scope(|scope| {
            (1..self.threads).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        let mut exploration = exploration.into_inner().unwrap_or_else(PoisonError::into_inner);
        exploration.failures.sort();
        exploration
    }

    /// Walks the path of one fault, and those of every second one after it.
    fn walk_from(&self, first: &Fault, menu: &Menu, exploration: &Mutex<Exploration>) {
        let lock = || exploration.lock().unwrap_or_else(PoisonError::into_inner);
        let script = Script::default().then(first.clone());
        let single = walk(self.scene, self.settles, &script, false);
        let after = single.fired.last().map_or(&[][..], |at| &single.trace[*at..]).to_vec();
        let broken = lock().take(&script, single);
        if broken || !self.pairs {
            return;
        }
        let census = Census::of(&after, menu);
        {
            let mut exploration = lock();
            exploration.second.add(&census);
            exploration.planned += census.faults();
        }
        for second in menu.faults(&after) {
            let script = script.then(second);
            let pair = walk(self.scene, self.settles, &script, false);
            lock().take(&script, pair);
        }
    }
}

/// One path, walked alone.
#[derive(Debug)]
#[must_use = "look at `wrong`, or print it"]
pub struct Replay {
    /// The script.
    pub script: Script,
    /// What is wrong; nothing on a path that holds.
    pub wrong: Vec<String>,
    /// What happened, process by process.
    pub story: Vec<String>,
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.script)?;
        self.story.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        self.wrong.iter().try_for_each(|wrong| writeln!(f, "  WRONG: {wrong}"))
    }
}

/// What an exploration came to: the line of a table, and the scripts of the paths that failed.
#[derive(Debug)]
#[must_use = "call `.assert_sound()`, or look at `failures`"]
pub struct Exploration {
    name: String,
    baseline: Census,
    singles: usize,
    second: Census,
    planned: usize,
    walked: usize,
    missed: usize,
    may_miss: bool,
    failures: Vec<(Script, Vec<String>)>,
}

impl Exploration {
    /// Takes a path's result in; tells whether it failed.
    fn take(&mut self, script: &Script, walk: Walk) -> bool {
        // A path on which a fault did not come to pass was not walked.
        if walk.fired.len() == script.0.len() {
            self.walked += 1;
        } else {
            self.missed += 1;
        }
        let failed = !walk.wrong.is_empty();
        if failed {
            self.failures.push((script.clone(), walk.wrong));
        }
        failed
    }

    /// How many paths the formula predicts.
    #[must_use]
    pub fn predicted(&self) -> usize {
        self.planned
    }

    /// How many paths were walked.
    #[must_use]
    pub fn walked(&self) -> usize {
        self.walked
    }

    /// On how many paths a fault did not come to pass. In real time a stage may be polled once less
    /// than before; otherwise each of them is a failure.
    #[must_use]
    pub fn missed(&self) -> usize {
        self.missed
    }

    /// The paths that failed, each with what is wrong.
    #[must_use]
    pub fn failures(&self) -> &[(Script, Vec<String>)] {
        &self.failures
    }

    /// Whether every predicted path was walked, and none failed. In real time one in ten may be
    /// missed.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let may_miss = if self.may_miss { self.planned / 10 } else { 0 };
        self.failures.is_empty()
            && self.missed <= may_miss
            && self.walked + self.missed == self.planned
    }

    /// Asserts that every predicted path was walked, and none failed.
    ///
    /// # Panics
    /// Otherwise, with the scripts of the first paths that failed.
    #[track_caller]
    pub fn assert_sound(&self) {
        assert!(self.is_sound(), "{self}");
    }
}

/// How many kinds of failures are printed, and how many of each.
const KINDS: usize = 12;
const SHOWN: usize = 3;

impl fmt::Display for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} sites; 1 + ({}) + ({}) = 1 + {} + {} = {} paths, walked {}",
            self.name,
            self.baseline.sites(),
            self.baseline,
            self.second,
            self.singles,
            self.second.faults(),
            self.planned,
            self.walked,
        )?;
        if self.missed > 0 {
            write!(f, ", missed {}", self.missed)?;
        }
        if !self.failures.is_empty() {
            write!(f, "; {} failed", self.failures.len())?;
        }
        // One mistake breaks many paths: alike ones are told together, the shortest script first.
        let mut alike = BTreeMap::<_, Vec<_>>::new();
        for (script, wrong) in &self.failures {
            alike.entry(wrong).or_default().push(script);
        }
        let mut alike: Vec<_> = alike.into_iter().collect();
        alike.sort_by_key(|(_, scripts)| std::cmp::Reverse(scripts.len()));
        let kinds = alike.len();
        for (wrong, mut scripts) in alike.into_iter().take(KINDS) {
            scripts.sort_by_key(|script| script.0.len());
            write!(f, "\n  {} paths:", scripts.len())?;
            wrong.iter().try_for_each(|wrong| write!(f, " {wrong};"))?;
            let mut shown = scripts.iter().take(SHOWN);
            shown.try_for_each(|script| write!(f, "\n    {script}"))?;
        }
        if kinds > KINDS {
            write!(f, "\n  and {} more kinds of failures", kinds - KINDS)?;
        }
        Ok(())
    }
}
