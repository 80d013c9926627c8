//! The container service: one cluster, one service, and what becomes of its deployments.
//!
//! | module | what it knows |
//! |---|---|
//! | `scenario` | how a deployment goes, by name |
//! | `step` | what can happen to a deployment |
//! | `service` | how a service stands |
//! | `happen` | what each step makes of it |
//! | `world` | the service, and the revisions of its task definitions |
//! | `api`, `courses`, `definitions`, `tasks` | the operations |
//! | `render` | the account as the API tells it |

mod api;
mod courses;
mod definitions;
mod happen;
mod render;
mod scenario;
mod service;
mod step;
mod tasks;
mod world;

use std::fmt;
use std::time::Duration;

use serde_json::Value;

pub(crate) use render::ALARM;
pub use scenario::Scenario;
use world::World;

use crate::clock::Clock;
use crate::wire::Reply;

/// What an account has.
pub struct Account(World);

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("scenario", &self.0.scenario).finish_non_exhaustive()
    }
}

impl Account {
    pub(crate) fn new(scenario: Scenario, clock: Clock) -> Self {
        Self(World::new(scenario, clock))
    }

    /// Makes a call as somebody else: it is not among those that came in, meets no trouble, and the
    /// scenario is not about what it deploys.
    ///
    /// # Errors
    /// The body of a refusal.
    pub fn call(&mut self, operation: &str, ask: &Value) -> Result<Value, Value> {
        let was_over = std::mem::replace(&mut self.0.is_over, true);
        let told = self.answer(operation, ask).map_err(|fault| fault.body());
        self.0.is_over = was_over;
        told
    }

    /// The images that serve, by digest, when all is quiet.
    ///
    /// # Errors
    /// What is under way, or broken.
    pub fn serving(&mut self) -> Result<Vec<String>, String> {
        self.0.serving()
    }

    /// Lets everything happen at once that is to come.
    pub fn hasten(&mut self) {
        self.0.advance(Duration::MAX);
    }

    /// Pushes other images under all tags: what is deployed from now on gets those.
    pub fn push(&mut self) {
        self.0.service.pushes += 1;
    }

    /// How many effects calls have had so far: revisions, deployments, stops and answers.
    #[must_use]
    pub fn effects(&self) -> usize {
        self.0.effects()
    }

    pub(crate) fn answer(&mut self, operation: &str, ask: &Value) -> Reply {
        self.0.answer(operation, ask)
    }

    /// When an alarm gave up a deployment, if one did.
    pub(crate) fn alarmed(&mut self) -> Option<Duration> {
        self.0.now();
        self.0.service.all().into_iter().find_map(|it| it.course.as_ref()?.alarmed)
    }
}
