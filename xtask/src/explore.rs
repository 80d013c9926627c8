//! The failure explorer at its full length.

use clap::ValueEnum;

use crate::failure::Result;
use crate::lone_test::LoneTest;
use crate::servers::Servers;
use crate::step::Step;

/// A profile of its own: `dev` would walk for hours, and `release` takes longer to build.
const PROFILE: &str = "explore";

/// Which ledger the pipelines run over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ledger {
    /// The reference.
    Memory,
    /// On a PostgreSQL server.
    Postgres,
    /// On one behind PgBouncer.
    Pooler,
}

/// Walks every path of the scenes whose names contain `name`, or one path alone.
pub(crate) fn run(
    ledger: Ledger,
    name: Option<&str>,
    singles: bool,
    replay: Option<&str>,
) -> Result<()> {
    let test = match ledger {
        Ledger::Memory => return in_memory(name, singles, replay),
        Ledger::Postgres => "postgres::explored::no_fault_over_postgres_breaks_a_promise",
        Ledger::Pooler => "postgres::explored::no_fault_behind_a_pooler_breaks_a_promise",
    };
    let step = LoneTest { package: "gatekit-store", name: test, profile: PROFILE }.step()?;
    let step = step.env("GATEKIT_EXPLORE", name.unwrap_or_default());
    let step = if singles { step } else { step.env("GATEKIT_EXPLORE_PAIRS", "1") };
    Servers::databases()?.known_to(step).run()
}

fn in_memory(name: Option<&str>, singles: bool, replay: Option<&str>) -> Result<()> {
    let mut step = Step::cargo()?.args(["run", "--profile", PROFILE, "--locked"]);
    step = step.args(["--package", "gatekit-testkit", "--example", "explore", "--"]);
    if let Some(script) = replay {
        step = step.args(["--replay", script]);
    } else if !singles {
        step = step.args(["--pairs"]);
    }
    step.args(name).run()
}
