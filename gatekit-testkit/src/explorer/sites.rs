//! The sites of a path, what can go wrong at each, and the formula for how many paths that makes.

use std::fmt;

use super::script::{Fault, Kind, Site};

/// What is alike in what can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// An append that needs no lock.
    OpenAppend,
    /// An append under the lock.
    HeldAppend,
    /// The append of a permit.
    Permit,
    /// Another change of the ledger.
    LedgerWrite,
    /// A look into the ledger.
    LedgerRead,
    /// A call of a stage that only reads.
    ReadingCall,
    /// A call of a stage that may write.
    WritingCall,
}

impl Class {
    const ALL: [Self; 7] = [
        Self::OpenAppend,
        Self::HeldAppend,
        Self::Permit,
        Self::LedgerWrite,
        Self::LedgerRead,
        Self::ReadingCall,
        Self::WritingCall,
    ];

    const fn kinds(self) -> &'static [Kind] {
        use Kind::{
            Fail, Interrupt, Lapse, LetGo, LoseAnswer, LoseLease, Repeat, StopAfter, StopBefore,
        };
        match self {
            Self::OpenAppend => &[StopBefore, StopAfter, Fail, LoseAnswer, Interrupt, LetGo],
            Self::HeldAppend | Self::Permit => {
                &[StopBefore, StopAfter, Fail, LoseAnswer, Lapse, LoseLease, Interrupt, LetGo]
            }
            Self::LedgerWrite => &[StopBefore, StopAfter, Fail, LoseAnswer],
            Self::LedgerRead => &[Fail],
            Self::ReadingCall => &[Fail, Repeat, Interrupt, LetGo],
            Self::WritingCall => &[Fail, LoseAnswer, Repeat, Interrupt, LetGo],
        }
    }

    const fn letter(self) -> char {
        match self {
            Self::OpenAppend => 'O',
            Self::HeldAppend => 'H',
            Self::Permit => 'P',
            Self::LedgerWrite => 'L',
            Self::LedgerRead => 'R',
            Self::ReadingCall => 'C',
            Self::WritingCall => 'W',
        }
    }
}

/// A site that a path has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) site: Site,
    pub(crate) class: Class,
}

/// What goes wrong in an exploration, class by class.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Menu {
    /// Somebody else can release.
    pub(crate) intruder: bool,
    /// The resources keep the newest fence, so that a write which comes late is refused there.
    pub(crate) fenced: bool,
    /// What is left out.
    pub(crate) without: Vec<Kind>,
}

impl Menu {
    fn kinds(&self, class: Class) -> Vec<Kind> {
        let more = match class {
            Class::ReadingCall | Class::WritingCall => self.intruder.then_some(Kind::Intrude),
            Class::Permit => self.fenced.then_some(Kind::Freeze),
            _ => None,
        };
        let kinds = class.kinds().iter().copied().chain(more);
        kinds.filter(|kind| !self.without.contains(kind)).collect()
    }

    /// Everything that can go wrong at these sites, one thing at a time.
    pub(crate) fn faults(&self, sites: &[Passed]) -> Vec<Fault> {
        let mut faults = Vec::new();
        for Passed { site, class } in sites {
            let kinds = self.kinds(*class).into_iter();
            faults.extend(kinds.map(|kind| Fault { kind, site: site.clone() }));
        }
        faults
    }
}

/// How many sites of each class there are, and how many kinds of faults at each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Census([(usize, usize); Class::ALL.len()]);

impl Census {
    pub(crate) fn of(sites: &[Passed], menu: &Menu) -> Self {
        Self(Class::ALL.map(|class| {
            let count = sites.iter().filter(|at| at.class == class).count();
            (count, menu.kinds(class).len())
        }))
    }

    pub(crate) fn sites(&self) -> usize {
        self.0.iter().map(|(count, _)| count).sum()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for ((count, kinds), (more, of)) in self.0.iter_mut().zip(other.0) {
            *count += more;
            *kinds = of;
        }
    }

    /// How many faults that makes: the sum over the classes, sites times kinds.
    pub(crate) fn faults(&self) -> usize {
        self.0.iter().map(|(count, kinds)| count * kinds).sum()
    }
}

/// `2O·6 + 7H·8 + …`
impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = Class::ALL.into_iter().zip(self.0);
        let mut terms = all.filter(|(_, (count, _))| *count > 0).peekable();
        while let Some((class, (count, kinds))) = terms.next() {
            let more = if terms.peek().is_some() { " + " } else { "" };
            write!(f, "{count}{}·{kinds}{more}", class.letter())?;
        }
        Ok(())
    }
}
