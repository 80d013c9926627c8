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
    const ALL: [Self; 6] = [
        Self::OpenAppend,
        Self::HeldAppend,
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
            Self::HeldAppend => {
                &[StopBefore, StopAfter, Fail, LoseAnswer, Lapse, LoseLease, Interrupt, LetGo]
            }
            Self::LedgerWrite => &[StopBefore, StopAfter, Fail, LoseAnswer],
            Self::LedgerRead => &[Fail],
            Self::ReadingCall => &[Fail, Repeat, Interrupt, LetGo],
            Self::WritingCall => &[Fail, LoseAnswer, Repeat, Interrupt, LetGo],
        }
    }

    const fn is_call(self) -> bool {
        matches!(self, Self::ReadingCall | Self::WritingCall)
    }

    const fn letter(self) -> char {
        match self {
            Self::OpenAppend => 'O',
            Self::HeldAppend => 'H',
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

/// Everything that can go wrong at these sites, one thing at a time.
pub(crate) fn faults(sites: &[Passed], intruder: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    for Passed { site, class } in sites {
        let kinds = class.kinds().iter().copied();
        let intrude = (intruder && class.is_call()).then_some(Kind::Intrude);
        faults.extend(kinds.chain(intrude).map(|kind| Fault { kind, site: site.clone() }));
    }
    faults
}

/// How many sites of each class there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Census {
    counts: [usize; Class::ALL.len()],
    intruder: bool,
}

impl Census {
    pub(crate) fn of(sites: &[Passed], intruder: bool) -> Self {
        let counts = Class::ALL.map(|class| sites.iter().filter(|at| at.class == class).count());
        Self { counts, intruder }
    }

    pub(crate) fn sites(&self) -> usize {
        self.counts.iter().sum()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.intruder = other.intruder;
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
    }

    fn weighed(&self) -> impl Iterator<Item = (Class, usize, usize)> {
        Class::ALL.into_iter().zip(self.counts).map(|(class, count)| {
            let intrude = usize::from(self.intruder && class.is_call());
            (class, count, class.kinds().len() + intrude)
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
