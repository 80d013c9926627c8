//! What was hit, and what became of it.

use std::collections::BTreeMap;
use std::fmt;

use super::call::Blow;
use super::judge::Told;

/// The kinds of blows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Kill,
    Term,
    Cut,
    Restart,
}

impl Blow {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Kill => Kind::Kill,
            Self::Term => Kind::Term,
            Self::Cut(_) => Kind::Cut,
            Self::Restart(_) => Kind::Restart,
        }
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "SIGKILL",
            Self::Term => "SIGTERM",
            Self::Cut => "connections cut",
            Self::Restart => "server restarted",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    /// All blows, and those that fell while something was being changed.
    blows: BTreeMap<Kind, (usize, usize)>,
    /// How calls ended that were hit.
    hit: BTreeMap<String, usize>,
    /// How others ended, among them those that were faster than their blow.
    ended: BTreeMap<String, usize>,
}

impl Tally {
    pub(super) fn of(&self, kind: Kind) -> usize {
        self.blows.get(&kind).copied().unwrap_or_default().0
    }

    pub(super) fn blows(&self) -> usize {
        self.blows.values().map(|(all, _)| all).sum()
    }

    pub(super) fn at_work(&self) -> usize {
        self.blows.values().map(|(_, at_work)| at_work).sum()
    }

    pub(super) fn hit(&mut self, kind: Kind, at_work: bool, told: &Told) {
        let (all, of_these) = self.blows.entry(kind).or_default();
        *all += 1;
        *of_these += usize::from(at_work);
        let how = format!("{}, {}", kind.name(), said(told));
        *self.hit.entry(how).or_default() += 1;
    }

    pub(super) fn ended(&mut self, told: &Told) {
        *self.ended.entry(said(told)).or_default() += 1;
    }

    /// Both of them.
    pub(super) fn and(mut self, other: Self) -> Self {
        for (kind, (all, at_work)) in other.blows {
            let sums = self.blows.entry(kind).or_default();
            *sums = (sums.0 + all, sums.1 + at_work);
        }
        for (how, count) in other.hit {
            *self.hit.entry(how).or_default() += count;
        }
        for (how, count) in other.ended {
            *self.ended.entry(how).or_default() += count;
        }
        self
    }
}

fn said(told: &Told) -> String {
    let away = if told.is_unreachable { " while the server was away" } else { "" };
    let code = told.code();
    let code = if code.is_empty() { code } else { format!(" [{code}]") };
    format!("{}{away}: {}{code}", told.verb.name(), told.outcome().replace('_', " "))
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} blows, {} of them while something was changed",
            self.blows(),
            self.at_work()
        )?;
        for (kind, (all, at_work)) in &self.blows {
            writeln!(f, "{all:>6}  {}, {at_work} of them then", kind.name())?;
        }
        writeln!(f, "\nwhat calls that were hit came to")?;
        for (how, count) in &self.hit {
            writeln!(f, "{count:>6}  {how}")?;
        }
        writeln!(f, "\nand the others")?;
        for (how, count) in &self.ended {
            writeln!(f, "{count:>6}  {how}")?;
        }
        Ok(())
    }
}
