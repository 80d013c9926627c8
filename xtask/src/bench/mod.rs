//! Figures, beside their targets and what a user would run instead.

mod aws;
mod figures;
mod ledger;
mod rows;
mod server;
mod status;
mod supabase;
mod table;

use clap::ValueEnum;

use crate::failure::{Failure, Result};

pub(crate) use status::run as status;

/// What of the caller's environment would make `local-release` use another ledger or other rules.
pub(crate) const FOREIGN: [&str; 2] = ["GATEKIT_LEDGER", "GITHUB_ACTIONS"];

/// What `core` and `ledger` measure with.
const PACKAGES: [&str; 2] = ["gatekit-bench", "local-release"];

pub(crate) fn core(rows: &[String], runs: usize, check: bool) -> Result<()> {
    rows::run(&chosen(rows)?, runs, check)
}

pub(crate) fn ledger(rows: &[String], runs: usize, check: bool) -> Result<()> {
    ledger::run(&chosen(rows)?, runs, check)
}

pub(crate) fn aws(rows: &[String], runs: usize, long: bool, check: bool) -> Result<()> {
    aws::run(&chosen(rows)?, runs, long, check)
}

pub(crate) fn supabase(rows: &[String], runs: usize, check: bool) -> Result<()> {
    supabase::run(&chosen(rows)?, runs, check)
}

/// The rows of those names.
fn chosen<R: ValueEnum>(names: &[String]) -> Result<Vec<R>> {
    let of = |name: &String| {
        R::from_str(name, false).map_err(|_| {
            let known: Vec<_> = R::value_variants()
                .iter()
                .filter_map(|row| Some(row.to_possible_value()?.get_name().to_owned()))
                .collect();
            let message = format!("no row `{name}`; there are {}", known.join(", "));
            Failure { message, code: 2 }
        })
    };
    names.iter().map(of).collect()
}
