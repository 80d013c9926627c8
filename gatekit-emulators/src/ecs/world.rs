//! The emulated account: its service, and the revisions of its task definitions.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::render::digest_of_tags;
use super::scenario::Scenario;
use super::service::Service;
use super::step::Step;
use crate::clock::Clock;

pub(super) const ACCOUNT: &str = "123456789012";
pub(super) const REGION: &str = "us-east-1";
/// The one cluster, its one service, and the family of its task definitions.
pub(super) const CLUSTER: &str = "demo";
pub(super) const SERVICE: &str = "web";

#[derive(Debug)]
pub(super) struct World {
    pub(super) clock: Clock,
    pub(super) scenario: Scenario,
    /// Whether the deployment that the scenario is about has begun, or somebody else calls: other
    /// deployments go well.
    pub(super) is_over: bool,
    pub(super) service: Service,
    /// By family, the first revision first.
    pub(super) revisions: BTreeMap<String, Vec<Value>>,
}

impl World {
    pub(super) fn new(scenario: Scenario, clock: Clock) -> Self {
        let mut world = Self {
            clock,
            scenario,
            is_over: false,
            service: Service::new(if scenario == Scenario::DesiredZero { 0 } else { 2 }),
            revisions: BTreeMap::new(),
        };
        let revision = world.register(definition('0'), Duration::ZERO);
        let before = world.service.deploy(&arn_of(&revision), Duration::ZERO);
        world.service.complete(before, Duration::ZERO);
        world
    }

    /// How the service stands now, after all that has happened meanwhile.
    pub(super) fn now(&mut self) -> Duration {
        let now = self.clock.elapsed();
        self.advance(now);
        now
    }

    /// Lets everything happen that is to come until then.
    pub(super) fn advance(&mut self, until: Duration) {
        while let Some((at, number, step)) = self.service.due(until) {
            if step == Step::OthersDeploy {
                let revision = self.register(definition('9'), at);
                self.service.overtake(&arn_of(&revision), at);
            } else {
                self.service.happen(at, number, step);
            }
        }
    }

    /// How a read finds the service; `None` when it is told to be missing.
    pub(super) fn read(&mut self) -> Option<&Service> {
        let now = self.now();
        self.service.as_read(now)
    }

    /// Updates the service; begins a deployment unless nothing of it changes.
    pub(super) fn update(&mut self, revision: Option<&str>, desired: Option<u32>, force: bool) {
        let now = self.now();
        let before = self.service.clone();
        let service = &mut self.service;
        service.desired = desired.unwrap_or(service.desired);
        let Some(primary) = service.deployments.first() else { return };
        let (number, current) = (primary.number, primary.revision.clone());
        let revision = revision.unwrap_or(&current);
        let scenario = if self.is_over { Scenario::Ok } else { self.scenario };
        if (revision == current && !force) || scenario == Scenario::NoNewDeployment {
            service.scale(number, now);
            return;
        }
        let number = service.deploy(revision, now);
        let revision = revision.to_owned();
        let agenda = if self.can_be_pulled(&revision) {
            self.is_over = true;
            scenario.agenda()
        } else {
            Scenario::Unpullable.agenda()
        };
        let service = &mut self.service;
        service.will(number, now, agenda);
        let (stale, missing) = (self.scenario.stale_for(), self.scenario.missing_for());
        service.hide(before, now + stale, now + missing);
    }

    /// Whether its images are there: those whose digest is of one letter `f` alone are not.
    fn can_be_pulled(&self, revision: &str) -> bool {
        let missing = "f".repeat(64);
        self.named_images(revision).iter().all(|image| !image.ends_with(&missing))
    }

    /// The images of a revision, as it names them.
    fn named_images(&self, revision: &str) -> Vec<String> {
        let containers = self.revision(revision).map(|it| &it["containerDefinitions"]);
        let listed = containers.and_then(Value::as_array).into_iter().flatten();
        listed.filter_map(|it| it["image"].as_str().map(str::to_owned)).collect()
    }

    /// The images that serve, by digest, when all is quiet; otherwise what is under way or broken.
    pub(super) fn serving(&mut self) -> Result<Vec<String>, String> {
        self.now();
        let [only] = &*self.service.deployments else {
            return Err(format!("{} deployments", self.service.deployments.len()));
        };
        if self.service.status != "ACTIVE" || only.rollout != "COMPLETED" || only.running == 0 {
            return Err(format!("{} {}, {} run", self.service.status, only.rollout, only.running));
        }
        let images = self.named_images(&only.revision).into_iter();
        let resolved = images.map(|image| match image.rsplit_once(':') {
            Some((name, _)) if !image.contains('@') => {
                format!("{name}@{}", digest_of_tags(only.pushes))
            }
            _ => image,
        });
        Ok(resolved.collect())
    }

    /// How many effects calls have had so far: revisions, deployments, stops and answers.
    pub(super) fn effects(&self) -> usize {
        let courses = || self.service.all().into_iter().filter_map(|it| it.course.as_ref());
        let stopped = courses().filter(|it| it.stopped.is_some()).count();
        let answered = courses().filter_map(|it| it.hook);
        let answered = answered.filter(|it| it.status != "AWAITING_ACTION").count();
        let revisions: usize = self.revisions.values().map(Vec::len).sum();
        revisions + courses().count() + stopped + answered
    }
}

/// A task definition whose image has a digest of that digit alone.
fn definition(digit: char) -> Value {
    let image = format!("registry.example.com/web@sha256:{}", digit.to_string().repeat(64));
    json!({
        "family": SERVICE, "cpu": "256", "memory": "512", "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "containerDefinitions": [{
            "name": SERVICE, "image": image, "essential": true, "cpu": 0, "memory": 128,
            "portMappings": [], "environment": [], "mountPoints": [], "volumesFrom": [],
        }],
    })
}

fn arn_of(definition: &Value) -> String {
    definition["taskDefinitionArn"].as_str().unwrap_or_default().to_owned()
}
