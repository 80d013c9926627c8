//! Shipping to the service `web` of the emulated account.

use std::collections::BTreeMap;
use std::sync::Arc;

use gatekit_aws::Aws;
use gatekit_aws::ecs::{Image, PreviousRevision, Service};
use gatekit_core::ledger::MemoryLedger;
use gatekit_core::{Candidate, Digest, Engine, OnInterrupt, Outcome, Pipeline, RunReport};
use gatekit_emulators::{Aws as Account, Clock, Scenario};
use serde_json::json;

use crate::account;

pub(crate) const REPOSITORY: &str = "registry.example.com/web";

/// An account whose next deployment goes as the scenario says, in tokio's time.
pub(crate) fn account(scenario: Scenario) -> Account {
    Account::new(scenario, Clock::at_speed(1.0))
}

pub(crate) fn image(content: &str) -> Image {
    Image::new(REPOSITORY, Digest::of(content)).unwrap()
}

pub(crate) fn service(aws: &Aws) -> Service {
    Service::new(aws, "demo", "web").unwrap()
}

/// How a release is asked for.
pub(crate) fn with_image(aws: &Aws) -> Service {
    service(aws).image(image("two"))
}

pub(crate) fn pipeline(service: Service) -> Pipeline {
    let back = PreviousRevision::of(&service);
    let pipeline = Pipeline::to("production/web").on_interrupt(OnInterrupt::Unwind);
    pipeline.deploy(service).rollback_with(back).build().unwrap()
}

pub(crate) async fn ship(service: Service) -> RunReport {
    let engine = Engine::new(Arc::new(MemoryLedger::new()));
    engine.ship(&pipeline(service), Candidate::new()).await
}

/// Ships an image in virtual time.
pub(crate) async fn ship_image(account: &Account) -> RunReport {
    ship(with_image(&account::in_process(account))).await
}

/// The image that serves at first, and the one that somebody else deploys.
pub(crate) const FIRST: &str = "registry.example.com/web@sha256:\
                                0000000000000000000000000000000000000000000000000000000000000000";
pub(crate) const OTHERS: &str = "registry.example.com/web@sha256:\
                                 9999999999999999999999999999999999999999999999999999999999999999";

/// Registers a revision with these images, by container, as somebody else; tells its ARN.
pub(crate) fn register(account: &Account, images: &[(&str, &str)]) -> String {
    let container = |(name, image): &(&str, &str)| json!({ "name": name, "image": image, "essential": true, "memory": 128 });
    let containers: Vec<_> = images.iter().map(container).collect();
    let definition = json!({ "family": "web", "containerDefinitions": containers });
    let told = account.with_account(|it| it.call("RegisterTaskDefinition", &definition)).unwrap();
    told["taskDefinition"]["taskDefinitionArn"].as_str().unwrap().to_owned()
}

/// Deploys a revision as somebody else.
pub(crate) fn deploy(account: &Account, revision: &str) {
    let update = json!({ "cluster": "demo", "service": "web", "taskDefinition": revision });
    account.with_account(|it| it.call("UpdateService", &update)).unwrap();
}

/// The image that serves, when all is quiet; otherwise what is under way.
pub(crate) fn serving(account: &Account) -> Result<String, String> {
    account.with_account(gatekit_emulators::Account::serving).map(|images| images.join(", "))
}

/// What the release ended with, and the code of why.
pub(crate) fn end(report: &RunReport) -> (Outcome, &str) {
    (report.outcome, report.failure.as_ref().map_or("", |it| it.code.as_str()))
}

/// Why it ended like that.
pub(crate) fn why(report: &RunReport) -> String {
    report.failure.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// How often each operation was called.
pub(crate) fn called(account: &Account) -> BTreeMap<String, usize> {
    let mut called = BTreeMap::new();
    for call in account.calls() {
        *called.entry(call.operation).or_default() += 1;
    }
    called
}
