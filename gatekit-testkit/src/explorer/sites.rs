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

/// What can go wrong in some worlds only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extras {
    /// Somebody else can release.
    pub(crate) intruder: bool,
    /// The resources keep the newest fence, so that a write which comes late is refused there.
    pub(crate) fenced: bool,
}

impl Extras {
    fn at(self, class: Class) -> Option<Kind> {
        match class {
            Class::ReadingCall | Class::WritingCall => self.intruder.then_some(Kind::Intrude),
            Class::Permit => self.fenced.then_some(Kind::Freeze),
            _ => None,
        }
    }
}

/// Everything that can go wrong at these sites, one thing at a time.
pub(crate) fn faults(sites: &[Passed], extras: Extras) -> Vec<Fault> {
    let mut faults = Vec::new();
    for Passed { site, class } in sites {
        let kinds = class.kinds().iter().copied().chain(extras.at(*class));
        faults.extend(kinds.map(|kind| Fault { kind, site: site.clone() }));
    }
    faults
}

/// How many sites of each class there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Census {
    counts: [usize; Class::ALL.len()],
    extras: Extras,
}

impl Census {
    pub(crate) fn of(sites: &[Passed], extras: Extras) -> Self {
        let counts = Class::ALL.map(|class| sites.iter().filter(|at| at.class == class).count());
        Self { counts, extras }
    }

    pub(crate) fn sites(&self) -> usize {
        self.counts.iter().sum()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.extras = other.extras;
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
    }

    fn weighed(&self) -> impl Iterator<Item = (Class, usize, usize)> {
        Class::ALL.into_iter().zip(self.counts).map(|(class, count)| {
            let extra = usize::from(self.extras.at(class).is_some());
            (class, count, class.kinds().len() + extra)
        })
    }

    /// How many faults that makes: the sum over the classes, sites times kinds.
    pub(crate) fn faults(&self) -> usize {
        self.weighed().map(|(_, count, kinds)| count * kinds).sum()
    }
}

/// `2O·6 + 7H·8 + …`
impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut terms = self.weighed().filter(|(_, count, _)| *count > 0).peekable();
        while let Some((class, count, kinds)) = terms.next() {
            let more = if terms.peek().is_some() { " + " } else { "" };
            write!(f, "{count}{}·{kinds}{more}", class.letter())?;
        }
        Ok(())
    }
}
