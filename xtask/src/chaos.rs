//! The chaos tests at their full length.

use clap::ValueEnum;

use crate::failure::Result;
use crate::lone_test::LoneTest;
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

/// Kills calls of `local-release`.
pub(crate) fn releases(ledger: Ledger, kills: u16, seed: Option<u64>) -> Result<()> {
    peers::require(&peers::OF_TESTS)?;
    let test = LoneTest { package: "local-release", name: ledger.test(), profile: "release" };
    let step = seeded(test.step()?, seed).env("GATEKIT_CHAOS_KILLS", kills.to_string());
    if ledger == Ledger::Sqlite {
        return step.run();
    }
    Servers::databases()?.known_to(step).run()
}

/// Kills workers, servers and connections of a ledger on a server.
pub(crate) fn workers(minutes: u16, seed: Option<u64>) -> Result<()> {
    let name = "postgres::chaos::whatever_dies_nothing_is_granted_twice_lost_or_out_of_turn";
    let seconds = u32::from(minutes) * 60;
    let test = LoneTest { package: "gatekit-store", name, profile: "release" };
    seeded(test.step()?, seed).env("GATEKIT_CHAOS_SECONDS", seconds.to_string()).run()
}

/// Hits pushes of `supabase-release`, each on a server that the test starts.
pub(crate) fn migrations(blows: u16, seed: Option<u64>) -> Result<()> {
    let name = "chaos::pushes_that_are_hit_at_any_moment_tell_what_is_true_and_end_with_everything_applied";
    let test = LoneTest { package: "supabase-release", name, profile: "test" };
    seeded(test.step()?, seed).env("GATEKIT_CHAOS_KILLS", blows.to_string()).run()
}

fn seeded(step: Step, seed: Option<u64>) -> Step {
    match seed {
        Some(seed) => step.env("GATEKIT_CHAOS_SEED", seed.to_string()),
        None => step,
    }
}
