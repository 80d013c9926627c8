//! Who the deployer says it is, and what it shows.

use gatekit_core::Deployer as _;

use super::bench::Bench;
use super::subject::{DeployerSubject, DeployerWorld as _, Release, Start};
use crate::conformance::contract::{self, holds};
use crate::conformance::ear::{Ear, Secrets};
use crate::conformance::ration::Death;

/// `id` and `describe` are the same in every process that builds the deployer, before and after it has
/// written.
///
/// # Panics
/// When they are not.
pub async fn it_describes_itself_the_same_in_every_process<S: DeployerSubject>(subject: &S) {
    let bench = Bench::new(subject, Start::Old).await;
    let (run, _) = bench.ship(Release::New).await;
    for release in [Release::Old, Release::New] {
        let (one, two) = (bench.world.deployer(release), bench.world.deployer(release));
        let (one_id, two_id) = (one.id(), two.id());
        holds!(one_id == two_id && one_id == one.id(), STAGE_ID, "`{one_id}`, then `{two_id}`");
        let (described, again) = (one.describe(), two.describe());
        holds!(described == again, DESCRIBE, "{described} in one process, {again} in another");
        holds!(described == one.describe(), DESCRIBE, "{described}, then {}", one.describe());
        if release == Release::New {
            let later = run.deployer.describe();
            holds!(described == later, DESCRIBE, "{described}, and {later} after it has written");
        }
    }
}

/// No secret that the subject declares is shown: neither by the description, a change, a receipt, a
/// location, an error nor progress, and not in the journal.
///
/// # Panics
/// When one is shown. The report does not repeat it.
pub async fn no_secret_is_shown<S: DeployerSubject>(subject: &S) {
    let bench = Bench::new(subject, Start::Old).await;
    let Some(secrets) = Secrets::new(bench.world.secrets()) else { return };
    let run = bench.run(Release::New).await;
    let (ear, cx) = Ear::at(run.cx.clone());
    let run = run.told_to(cx);
    secrets.absent_in(contract::DESCRIBE_SECRET, "the description", &run.deployer.describe());
    secrets.absent_in(contract::DESCRIBE_SECRET, "the id", &run.deployer.id());
    let planned = run.planned().await;
    secrets.absent_in(contract::CHANGE_SECRET, "the change", &planned.change);
    secrets.absent(contract::CHANGE_SECRET, "the summary of the plan", &planned.summary);
    if let (Some(Err(error)), _) = run.begin(super::bench::Write::Apply, 0, Death::Overtaken).await
    {
        secrets.absent_in_error(contract::ERROR_SECRET, &error);
    }
    let receipt = run.ship().await;
    secrets.absent_in(contract::RECEIPT_SECRET, "the receipt", &receipt);
    secrets.absent_in(contract::JOURNAL_SECRET, "a location", &run.locate(Some(&receipt)).await);
    secrets.absent_in(contract::JOURNAL_SECRET, "what is live", &run.live().await);
    run.undo(Some(&receipt)).await;
    secrets.absent_in(contract::JOURNAL_SECRET, "a location", &run.locate(Some(&receipt)).await);
    secrets.absent_in(contract::JOURNAL_SECRET, "an entry", &run.journal().await);
    for message in ear.heard(&run.cx).await {
        secrets.absent(contract::PROGRESS_SECRET, "progress", &message);
    }
}
