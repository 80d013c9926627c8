//! The oracles at their full length.

use clap::ValueEnum;

use crate::failure::Result;
use crate::lone_test::LoneTest;
use crate::servers::Servers;

/// What gatekit is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Oracle {
    /// The command lines of Supabase.
    Supabase,
}

/// Lets both apply that many folders, from that seed on or another one each time.
pub(crate) fn run(oracle: Oracle, folders: u16, seed: Option<u32>) -> Result<()> {
    let Oracle::Supabase = oracle;
    let name = "oracle::folders_at_random_differ_only_where_it_is_listed";
    let step = LoneTest { package: "gatekit-supabase", name, profile: "test" }.step()?;
    let seed = seed.unwrap_or_else(another);
    let step = step.env("GATEKIT_ORACLE_FOLDERS", folders.to_string());
    let step = step.env("GATEKIT_ORACLE_SEED", seed.to_string());
    Servers::databases()?.with_supabase()?.known_to(step).run()
}

/// A seed that was hardly there before.
fn another() -> u32 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |it| it.subsec_nanos())
}
