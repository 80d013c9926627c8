//! `repair`: the history is told that versions are applied, or that they are not.

use clap::{Args, ValueEnum};
use gatekit_cli::{Env, Shipment};
use gatekit_core::{Candidate, Code, Effect, Error, NextAction, Pipeline, Result};
use gatekit_supabase::migrations::{Proof, Repair, RestoreRows};
use serde::{Deserialize, Serialize};

use crate::functions::PROJECT;
use crate::site::{DATABASE, Site};

/// A probe is none.
const USAGE_PROBE: Code = Code::new("usage.probe");

/// What is repaired. Journalled: it holds no secrets.
#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct Ask {
    #[command(flatten)]
    site: Site,

    /// What the history is to say of the versions
    #[arg(long, value_enum)]
    status: Status,

    /// A query that proves that a version is applied, where its objects do not: it gives one row, true
    #[arg(long = "probe", value_name = "ID=QUERY")]
    probes: Vec<String>,

    /// The versions
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// They are applied, as the objects that their files create prove, or a probe.
    Applied,
    /// They are not: their rows go, and are kept for the way back.
    Reverted,
}

pub(crate) async fn shipment(mut ask: Ask, env: Env) -> Result<Shipment> {
    if env.plans_anew() {
        ask.site = ask.site.at_home()?;
    }
    let database = ask.site.database(&env)?;
    if env.plans_anew() {
        ask.site.is_of_target(&env, &database).await?;
    }
    let noted = database.name();
    let project = env.noted(PROJECT).await?;
    let repair = match ask.status {
        Status::Reverted => Repair::reverted(database, &ask.ids)?,
        Status::Applied => {
            let proof = ask.probes.iter().try_fold(Proof::objects(), |proof, probe| {
                let (id, query) = probe.split_once('=').ok_or_else(|| no_probe(probe))?;
                Ok::<_, Error>(proof.or_probe(id, query))
            })?;
            Repair::applied(database, ask.site.migrations(), &ask.ids, proof)?
        }
    };
    let back = RestoreRows::of(&repair);
    let pipeline =
        Pipeline::to(env.target().as_str()).deploy(repair).rollback_with(back).build()?;
    let status = match ask.status {
        Status::Applied => "applied",
        Status::Reverted => "reverted",
    };
    let candidate = Candidate::new()
        .with_version(format!("repair {status} {}", ask.ids.join(" ")))
        .with_input("status", status)
        .with_input("versions", ask.ids.join(" "));
    let shipment = Shipment::new(pipeline).with_candidate(move || Ok(candidate));
    let shipment = shipment.with_arguments(&ask)?.with_note(DATABASE, noted);
    Ok(match project {
        Some(project) => shipment.with_note(PROJECT, project),
        None => shipment,
    })
}

fn no_probe(given: &str) -> Error {
    Error::new(USAGE_PROBE, "a probe has no version before its query")
        .with_effect(Effect::None)
        .with_context("given", given)
        .with_next(NextAction::outside("give it as `--probe 20260101000000='SELECT ..'`"))
}
