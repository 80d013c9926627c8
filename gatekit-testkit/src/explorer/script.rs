//! What goes wrong, and where: as data that is printed, parsed and replayed.

use std::fmt;
use std::str::FromStr;

use gatekit_core::StageId;
use gatekit_core::testing::Call;

/// A place on a path where something can go wrong. Ordinals count over the whole path, from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Site {
    /// An entry is appended to the journal: `append 14 rolled_back`.
    Append {
        /// Which append of the path it is.
        nth: usize,
        /// The kind of the entry.
        kind: String,
    },
    /// Another call of the ledger: `acquire, 1st call`.
    Ledger {
        /// The method.
        op: Op,
        /// Which call of that method it is.
        nth: usize,
    },
    /// A call of a stage: `apply web, 1st call`.
    Call {
        /// The method.
        call: Call,
        /// The stage.
        stage: StageId,
        /// Which call of that method of that stage it is.
        nth: usize,
    },
}

/// A method of the ledger other than `append`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the methods of `Ledger` are explained there")]
#[non_exhaustive]
pub enum Op {
    Enqueue,
    Acquire,
    Leave,
    Release,
    TakeOver,
    State,
    Read,
    ReadRun,
    ReadKind,
}

impl Op {
    const ALL: [Self; 9] = [
        Self::Enqueue,
        Self::Acquire,
        Self::Leave,
        Self::Release,
        Self::TakeOver,
        Self::State,
        Self::Read,
        Self::ReadRun,
        Self::ReadKind,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Enqueue => "enqueue",
            Self::Acquire => "acquire",
            Self::Leave => "leave",
            Self::Release => "release",
            Self::TakeOver => "take_over",
            Self::State => "state",
            Self::Read => "read",
            Self::ReadRun => "read_run",
            Self::ReadKind => "read_kind",
        }
    }

    /// Whether it changes the ledger.
    pub(crate) const fn writes(self) -> bool {
        matches!(self, Self::Enqueue | Self::Acquire | Self::Leave | Self::Release | Self::TakeOver)
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The process is cut off from its ledger before the call, for good.
    StopBefore,
    /// The call happens, and the process is cut off before it hears of it.
    StopAfter,
    /// This one call errs and does nothing.
    Fail,
    /// This one call happens, and its answer is lost.
    LoseAnswer,
    /// The lease has lapsed, and nobody has noticed yet.
    Lapse,
    /// The lease has lapsed, and somebody else has asked for the lock.
    LoseLease,
    /// The first interrupt.
    Interrupt,
    /// Both interrupts.
    LetGo,
    /// The call is made twice.
    Repeat,
    /// Somebody else releases to the target just before the call.
    Intrude,
    /// The process has its permit and is stopped; it goes on when others have settled its run.
    Freeze,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::StopBefore,
        Self::StopAfter,
        Self::Fail,
        Self::LoseAnswer,
        Self::Lapse,
        Self::LoseLease,
        Self::Interrupt,
        Self::LetGo,
        Self::Repeat,
        Self::Intrude,
        Self::Freeze,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::StopBefore => "stop-before",
            Self::StopAfter => "stop-after",
            Self::Fail => "fail",
            Self::LoseAnswer => "lose-answer",
            Self::Lapse => "lapse",
            Self::LoseLease => "lose-lease",
            Self::Interrupt => "interrupt",
            Self::LetGo => "let-go",
            Self::Repeat => "repeat",
            Self::Intrude => "intrude",
            Self::Freeze => "freeze",
        }
    }
}

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// Where.
    pub site: Site,
}

/// What goes wrong on a path, in this order. Printed as
/// `fail(apply web, 1st call) then stop-after(append 14 rolled_back)`, and parsed from that; a path
/// on which nothing goes wrong is `nothing`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Script(pub Vec<Fault>);

impl Script {
    /// This script, and then `fault`.
    #[must_use]
    pub fn then(&self, fault: Fault) -> Self {
        Self(self.0.iter().cloned().chain([fault]).collect())
    }
}

const NOTHING: &str = "nothing";
const THEN: &str = " then ";

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append { nth, kind } => write!(f, "append {nth} {kind}"),
            Self::Ledger { op, nth } => write!(f, "{op}, {} call", Ordinal(*nth)),
            Self::Call { call, stage, nth } => write!(f, "{call} {stage}, {} call", Ordinal(*nth)),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.kind, self.site)
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = self.0.as_slice() else { return f.write_str(NOTHING) };
        write!(f, "{first}")?;
        rest.iter().try_for_each(|fault| write!(f, "{THEN}{fault}"))
    }
}

/// A count as people say it.
struct Ordinal(usize);

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = match (self.0 % 10, self.0 % 100) {
            (_, 11..=13) => "th",
            (1, _) => "st",
            (2, _) => "nd",
            (3, _) => "rd",
            _ => "th",
        };
        write!(f, "{}{ending}", self.0)
    }
}

/// A text that is no script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAScript(String);

impl fmt::Display for NotAScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a fault like `fail(apply web, 1st call)`", self.0.escape_debug())
    }
}

impl std::error::Error for NotAScript {}

impl FromStr for Script {
    type Err = NotAScript;

    fn from_str(text: &str) -> Result<Self, NotAScript> {
        if text.trim() == NOTHING {
            return Ok(Self::default());
        }
        text.split(THEN).map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Fault {
    type Err = NotAScript;

    fn from_str(text: &str) -> Result<Self, NotAScript> {
        fault(text.trim()).ok_or_else(|| NotAScript(text.to_owned()))
    }
}

fn fault(text: &str) -> Option<Fault> {
    let (kind, site) = text.strip_suffix(')')?.split_once('(')?;
    let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind)?;
    if let Some(append) = site.strip_prefix("append ") {
        let (nth, entry) = append.split_once(' ')?;
        let site = Site::Append { nth: nth.parse().ok()?, kind: entry.to_owned() };
        return Some(Fault { kind, site });
    }
    let (what, ordinal) = site.strip_suffix(" call")?.split_once(", ")?;
    let nth = ordinal.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse().ok()?;
    let site = match what.split_once(' ') {
        None => Site::Ledger { op: Op::ALL.into_iter().find(|op| op.as_str() == what)?, nth },
        Some((call, stage)) => {
            Site::Call { call: call.parse().ok()?, stage: stage.parse().ok()?, nth }
        }
    };
    Some(Fault { kind, site })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_is_printed_parses_back() {
        let stage = || StageId::new("web/a:b_c.d").unwrap();
        let mut sites = vec![Site::Append { nth: 14, kind: "rolled_back".to_owned() }];
        sites.extend(Op::ALL.map(|op| Site::Ledger { op, nth: 2 }));
        sites.extend(Call::ALL.map(|call| Site::Call { call, stage: stage(), nth: 113 }));
        for first in &sites {
            for kind in Kind::ALL {
                let one = Script::default().then(Fault { kind, site: first.clone() });
                let two = one.then(Fault { kind: Kind::Repeat, site: sites[0].clone() });
                for script in [Script::default(), one, two] {
                    assert_eq!(script.to_string().parse::<Script>().unwrap(), script, "{script}");
                }
            }
        }
    }

    #[test]
    fn a_script_reads_as_a_sentence() {
        let script = "fail(apply web, 1st call) then stop-after(append 14 rolled_back)";
        assert_eq!(script.parse::<Script>().unwrap().to_string(), script);
        assert_eq!(Ordinal(11).to_string() + &Ordinal(22).to_string(), "11th22nd");
    }

    #[test]
    fn what_is_no_script_is_refused() {
        for text in ["", "fail", "fail()", "burn(append 1 opened)", "fail(append x opened)"] {
            assert!(text.parse::<Script>().is_err(), "{text}");
        }
        let error = "fail(read web)".parse::<Script>().unwrap_err();
        assert!(error.to_string().starts_with("`fail(read web)` is not a fault"), "{error}");
    }
}
