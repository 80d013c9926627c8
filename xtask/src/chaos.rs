//! The chaos test of `local-release` at its full length.

use clap::ValueEnum;

use crate::failure::{Failure, Result};
use crate::peers;
use crate::servers::Servers;
use crate::step::Step;

/// Where the ledger is whose users are killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ledger {
    /// In a file.
    Sqlite,
    /// On a PostgreSQL server.
    Postgres,
    /// On one behind PgBouncer.
    Pooler,
}

impl Ledger {
    fn test(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "chaos::whatever_is_killed_at_any_moment_one_release_serves_and_it_is_the_reported_one"
            }
            Self::Postgres => "chaos::the_same_with_its_ledger_on_a_server",
            Self::Pooler => "chaos::the_same_with_its_ledger_behind_a_pooler",
        }
    }
}

pub(crate) fn run(ledger: Ledger, kills: u16, seed: Option<u64>) -> Result<()> {
    peers::require(&peers::OF_TESTS)?;
    let name = ledger.test();
    // A name that matches nothing would count as a success.
    if !test(name)?.args(["--list"]).read()?.contains(name) {
        return Err(Failure::new(format!("local-release has no test `{name}`")));
    }
    let step = test(name)?.args(["--nocapture"]).env("GATEKIT_CHAOS_KILLS", kills.to_string());
    let step = match seed {
        Some(seed) => step.env("GATEKIT_CHAOS_SEED", seed.to_string()),
        None => step,
    };
    if ledger == Ledger::Sqlite {
        return step.run();
    }
    let servers = Servers::start()?;
    servers.known_to(step).run()
}

/// By cargo's own runner: nextest would hold the output back, and end what takes long.
fn test(name: &str) -> Result<Step> {
    let step = Step::cargo()?.args(["test", "--release", "--locked"]);
    Ok(step.args(["--package", "local-release", "--test", "it", "--", "--exact", name]))
}
