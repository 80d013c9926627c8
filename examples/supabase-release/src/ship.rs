//! `ship`: the migrations that are pending, and the functions after them.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gatekit_cli::{Env, Shipment};
use gatekit_core::{Approval, Candidate, Pipeline, Replan, Result, enforced, on};
use gatekit_supabase::code;
use gatekit_supabase::functions::Restore;
use gatekit_supabase::migrations::{
    Destructive, Down, FolderReader, Orphans, Push, Repair, RestoreRows, Unattended,
};
use serde::{Deserialize, Serialize};

use crate::functions::{Functions, PROJECT};
use crate::site::{DATABASE, Site};

/// What is released. Journalled: it holds no secrets.
#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct Ship {
    #[command(flatten)]
    site: Site,

    #[command(flatten)]
    functions: Functions,

    /// Do that without a person: `reverted` removes rows of the history that no file has, of which nothing is
    /// in the database
    #[arg(long, value_name = "WHAT", value_enum)]
    unattended: Vec<Conclusion>,

    /// How many others have to approve; 0 for none
    #[arg(long, value_name = "N", default_value_t = 0)]
    approvals: u32,

    /// Also apply files that are older than the newest that is applied
    #[arg(long)]
    include_out_of_order: bool,
}

/// A conclusion about versions that no file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Conclusion {
    /// Nothing of it is in the database: the row goes.
    Reverted,
}

pub(crate) async fn shipment(mut ship: Ship, env: Env) -> Result<Shipment> {
    if env.plans_anew() {
        ship.site = ship.site.at_home()?;
        ship.functions = ship.functions.at_home()?;
    }
    let database = ship.site.database(&env)?;
    if env.plans_anew() {
        ship.site.is_of_target(&env, &database).await?;
    }
    let noted = database.name();
    let mut push = Push::new(database, ship.site.migrations())?.leaving_orphans();
    if ship.include_out_of_order {
        push = push.including_out_of_order();
    }
    let unattended = if ship.unattended.contains(&Conclusion::Reverted) {
        Unattended::none().reverted()
    } else {
        Unattended::none()
    };
    let orphans = Orphans::of(&push)?.unattended(unattended);
    let repair = Repair::orphans(&orphans)?;
    let back = RestoreRows::of(&repair);
    let (present, deploy) = ship.functions.parts(&ship.site, &env)?;
    let project = ship.functions.of_target(&env).await?;

    let mut gates = vec![enforced(orphans), enforced(Destructive::of(push.clone())?)];
    gates.extend(present.map(enforced));
    let mut gated = Pipeline::to(env.target().as_str()).gates(gates);
    if let Some(approvals) = NonZeroU32::new(ship.approvals) {
        gated = gated.gate(enforced(Approval::quorum(approvals.get())));
    }
    let down = Down::of(&push);
    let pushed = gated.deploy(push);
    let pushed = if ship.site.has_downs() {
        pushed.rollback_with(down)
    } else {
        pushed.irreversible("a migration is mended by the next one")
    };
    let mut pipeline = pushed
        .recover(on(code::ORPHANED).deploy(repair).rollback_with(back).then(Replan).at_most(2));
    if let Some(deploy) = deploy {
        let restore = Restore::of(&deploy);
        pipeline = pipeline.deploy(deploy).rollback_with(restore);
    }
    let (migrations, functions) = (ship.site.migrations(), ship.functions.names().join(","));
    let shipment = Shipment::new(pipeline.build()?)
        .with_candidate(move || candidate(migrations, &functions))
        .with_arguments(&ship)?;
    let shipment = shipment.with_note(DATABASE, noted);
    Ok(match project {
        Some(project) => shipment.with_note(PROJECT, project),
        None => shipment,
    })
}

/// What is shipped, by the newest of its migrations.
fn candidate(migrations: PathBuf, functions: &str) -> Result<Candidate> {
    let newest = FolderReader::of(migrations).list()?.entries.pop();
    let mut candidate = Candidate::new();
    if let Some(newest) = newest {
        candidate = candidate.with_version(format!("{}_{}", newest.version, newest.name));
    }
    if !functions.is_empty() {
        candidate = candidate.with_input("functions", functions);
    }
    Ok(candidate)
}
