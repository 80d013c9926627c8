//! The flags of every release to a service: which one it is, and what it must answer.

use std::time::Duration;

use clap::Args;
use gatekit_aws::Aws;
use gatekit_aws::cloudwatch::Alarms;
use gatekit_aws::ecs::{Image, Service};
use gatekit_cli::Env;
use gatekit_core::{Code, Effect, Error, NextAction, Result};
use gatekit_http::Smoke;
use serde::{Deserialize, Serialize};

/// The target is that of another service.
const USAGE_SERVICE: Code = Code::new("usage.service");
/// The alarms would bake for longer than the whole run may take.
const USAGE_BAKE: Code = Code::new("usage.bake");

/// How long a release takes at most unless it is told otherwise: a load balancer that drains the tasks
/// of before for five minutes is usual, and they have to start and be healthy first.
pub const DEADLINE: &str = "30m";

/// The note that tells which service a target stands for.
pub const SERVICE: &str = "service";

/// How long one answer to a check may take.
const ANSWER: Duration = Duration::from_secs(5);

/// The service that is released to.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct Site {
    /// The cluster, by name or ARN
    #[arg(long, value_name = "CLUSTER", value_parser = not_empty)]
    pub cluster: String,

    /// The service, by name
    #[arg(long, value_name = "SERVICE", value_parser = not_empty)]
    pub service: String,

    /// The container that gets the image, where it cannot be told by its repository
    #[arg(long, value_name = "NAME", value_parser = not_empty)]
    pub container: Option<String>,
}

impl Site {
    /// As it is journalled: what a target stands for.
    #[must_use]
    pub fn noted(&self) -> String {
        // A cluster may be given by its ARN, too.
        let cluster = self.cluster.rsplit('/').next().unwrap_or(&self.cluster);
        format!("{cluster}/{}", self.service)
    }

    /// Refuses a target that was released to another service: its lock, its journal and its way back
    /// are that service's.
    ///
    /// # Errors
    /// `usage.service`; those of the ledger.
    pub async fn is_of_target(&self, env: &Env) -> Result<()> {
        let noted = self.noted();
        let Some(journalled) = env.noted(SERVICE).await?.filter(|it| *it != noted) else {
            return Ok(());
        };
        let journalled = journalled.as_str().unwrap_or_default();
        let what = format!("target `{}` is another service", env.target());
        let next = "name this service's own target by `--target`";
        Err(Error::new(USAGE_SERVICE, what)
            .with_effect(Effect::None)
            .with_context("journalled", journalled)
            .with_context("given", noted)
            .with_next(NextAction::outside(next)))
    }

    /// The deployer that has no image yet.
    ///
    /// # Errors
    /// `ecs.config`.
    pub fn deployer(&self, aws: &Aws) -> Result<Service> {
        Service::new(aws, &self.cluster, &self.service)
    }

    /// The deployer of that image.
    ///
    /// # Errors
    /// `ecs.config`.
    pub fn deployer_of(&self, aws: &Aws, image: Image) -> Result<Service> {
        let service = self.deployer(aws)?;
        Ok(match &self.container {
            Some(container) => service.image_of(container, image),
            None => service.image(image),
        })
    }
}

/// What is believed of a release.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct Checks {
    /// Where the service answers, with its scheme
    #[arg(long, value_name = "URL", value_parser = not_empty)]
    pub base_url: String,

    /// How often a failed round of smoke checks is repeated
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub smoke_retries: u32,

    /// How long to wait between two rounds: seconds, or a time like 500ms
    #[arg(long, value_name = "S", default_value = "3", value_parser = seconds)]
    pub smoke_delay: Duration,

    /// An alarm of CloudWatch that must stay quiet after the deploy; may be given several times
    #[arg(long = "alarm", value_name = "NAME", value_parser = not_empty)]
    pub alarms: Vec<String>,

    /// For how long the alarms must stay quiet: seconds, or a time like 5m
    #[arg(long, value_name = "TIME", default_value = "60", value_parser = seconds)]
    pub alarm_bake: Duration,
}

impl Checks {
    /// The gate on what the service answers at these paths.
    ///
    /// # Errors
    /// `smoke.url` and its like.
    pub fn smoke(&self, paths: &[&str]) -> Result<Smoke> {
        // All rounds fit, however slow the answers; the run's own deadline holds as well.
        let rounds = self.smoke_retries.saturating_add(1);
        let deadline = self.smoke_delay.saturating_add(ANSWER).saturating_mul(rounds);
        let smoke = Smoke::at(&self.base_url)
            .with_retries(self.smoke_retries)
            .with_delay(self.smoke_delay)
            .with_attempt_timeout(ANSWER)
            .with_deadline(deadline);
        paths.iter().fold(smoke, |smoke, path| smoke.get(*path)).build()
    }

    /// The gates on alarms, before and after the deploy; `None` when none is named. What is unknown, or
    /// fires already, is told before anything is touched.
    ///
    /// # Errors
    /// `usage.bake` when they would bake for longer than the whole release may take; `alarm.config`.
    pub fn alarms(&self, aws: &Aws, env: &Env) -> Result<Option<(Alarms, Alarms)>> {
        if self.alarms.is_empty() {
            return Ok(None);
        }
        if self.alarm_bake >= env.deadline() {
            let what = "the alarms would bake for longer than the whole release may take";
            let next = "bake for a shorter time, or allow more by `--deadline`";
            return Err(Error::new(USAGE_BAKE, what)
                .with_effect(Effect::None)
                .with_next(NextAction::outside(next)));
        }
        let before = Alarms::of(aws, "alarms-before", &self.alarms)?;
        let after = Alarms::of(aws, "alarms", &self.alarms)?.bake(self.alarm_bake);
        Ok(Some((before, after)))
    }
}

/// A time, of which a bare number is seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let span: jiff::SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from(span).map_err(|_| "it must not be negative".to_owned())
}

fn not_empty(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("it must not be empty") } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_seconds() {
        for (text, time) in [
            ("3", Duration::from_secs(3)),
            ("500ms", Duration::from_millis(500)),
            ("2m", Duration::from_secs(120)),
        ] {
            assert_eq!(seconds(text), Ok(time), "{text}");
        }
        for text in ["", "-1", "-1s", "soon", "99999999999999999999999"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
