//! How much may go wrong on behalf of a fault: the mirror image of a false success.

use gatekit_core::testing::Call;

use super::script::{Fault, Kind, Site};

/// How much a fault may change of how a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Harm {
    /// Nothing: whoever goes on must come to the same end.
    None,
    /// A run that has touched nothing may fail.
    Ledger,
    /// It may be refused, fail or be rolled back.
    Stage,
    /// Anything that is true.
    Intruder,
}

pub(super) fn harm(fault: &Fault) -> Harm {
    match (fault.kind, &fault.site) {
        (Kind::Intrude, _) => Harm::Intruder,
        (Kind::Interrupt, _) => Harm::Stage,
        (
            Kind::Fail | Kind::LoseAnswer,
            Site::Call {
                call: Call::Check | Call::Plan | Call::Apply | Call::Observe | Call::Proceed,
                ..
            },
        ) => Harm::Stage,
        (Kind::Fail | Kind::LoseAnswer, Site::Append { .. } | Site::Ledger { .. }) => Harm::Ledger,
        _ => Harm::None,
    }
}
