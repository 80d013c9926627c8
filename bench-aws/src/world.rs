//! The emulated account in which everything is measured, and a release to it.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_types::SdkConfig;
use aws_types::region::Region;
use gatekit_aws::Aws;
use gatekit_aws::ecs::{Image, PreviousRevision, Service};
use gatekit_core::ledger::MemoryLedger;
use gatekit_core::{
    Candidate, Digest, Engine, Evidence, Pipeline, RunReport, Verdict, enforced, gate_fn,
};
use gatekit_emulators::{Aws as Account, Clock, Scenario};
use serde_json::json;

use crate::Result;

const REPOSITORY: &str = "registry.example.com/web";

/// An account, and its time.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) account: Account,
    pub(crate) clock: Clock,
}

impl World {
    pub(crate) fn new(scenario: Scenario, speed: f64) -> Self {
        let clock = Clock::at_speed(speed);
        Self { account: Account::new(scenario, clock.clone()), clock }
    }

    /// What reaches it without a network, for time that passes by itself.
    pub(crate) fn in_process(&self) -> SdkConfig {
        config("http://account.invalid")
            .into_builder()
            .http_client(self.account.http_client())
            .build()
    }

    /// What serves when all is quiet, or what is under way.
    pub(crate) fn serving(&self) -> std::result::Result<Vec<String>, String> {
        self.account.with_account(gatekit_emulators::Account::serving)
    }

    /// Makes a call as the owner of the account does.
    pub(crate) fn call(
        &self,
        operation: &str,
        ask: &serde_json::Value,
    ) -> Result<serde_json::Value> {
        let told = self.account.with_account(|it| it.call(operation, ask));
        told.map_err(|refused| format!("{operation}: {refused}").into())
    }
}

/// What reaches the endpoint, as any program does.
pub(crate) fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "bench");
    SdkConfig::builder()
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
        .build()
}

/// The image that is released.
pub(crate) fn image() -> Result<Image> {
    Ok(Image::new(REPOSITORY, Digest::of("two"))?)
}

/// A task definition with that image.
pub(crate) fn definition(image: &str) -> serde_json::Value {
    json!({
        "family": "web", "cpu": "256", "memory": "512", "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "containerDefinitions": [
            { "name": "web", "image": image, "essential": true, "memory": 128 },
        ],
    })
}

/// How a service is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Another image.
    Image,
    /// The same revision, whose tag names another image now.
    Again,
}

/// The service to release to.
pub(crate) fn service(config: &SdkConfig, wish: Wish) -> Result<Service> {
    let service = Service::new(&Aws::new(config), "demo", "web")?;
    Ok(match wish {
        Wish::Image => service.image(image()?),
        Wish::Again => service.force(),
    })
}

/// Rollouts that are measured take longer than an engine waits unless it is told to.
const DEADLINE: Duration = Duration::from_secs(3600);

/// Releases to it through the engine, and lets every pause go on.
pub(crate) async fn ship(service: Service) -> Result<RunReport> {
    let back = PreviousRevision::of(&service);
    let go_on = gate_fn("go-on", |_| async {
        Ok(Verdict::pass([Evidence::read("the bench", "yes", json!({ "go": "on" }))]))
    })?;
    let pipeline = Pipeline::to("production/web").deploy(service).rollback_with(back);
    let pipeline = pipeline.at_pause([enforced(go_on)]).build()?;
    let engine = Engine::new(Arc::new(MemoryLedger::new())).with_deadline(DEADLINE);
    Ok(engine.ship(&pipeline, Candidate::new()).await)
}
