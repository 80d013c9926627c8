//! The gate before a release: everything that can be seen beforehand to be in its way, at once.

use std::collections::BTreeMap;

use async_trait::async_trait;
use gatekit_core::{Error, Evidence, Finding, Gate, PlanContext, Result, StageId, Verdict};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::definition::Definition;
use super::image::{Image, assigned};
use super::reading::Reading;
use super::service::{Service, Wish};
use crate::call::{goes_without, patiently};
use crate::code;
use crate::ecr::{Platform, Platforms, Repository, pinned};

/// A gate that looks at everything that can be seen beforehand to be in the way of a release, and
/// tells all of it at once.
///
/// It fails when the service is missing, not active or of another controller; when another deployment
/// is under way; when no task is desired; when it cannot be told which container gets an image, or a
/// revision is not there; when an image, also of a revision that is there, is not in its repository, or
/// for another platform; and when an alarm of the service fires already, because ECS ignores such an
/// alarm during the deployment.
///
/// What it may not read is advice in its evidence, not a failure; so are a circuit breaker that does
/// not roll back, and what this caller will have to go without.
///
/// # Default
/// id `ecs-preflight`. What it read is stale at once: under the lock it looks again.
///
/// # Example
/// ```no_run
/// use gatekit_aws::{Aws, ecs};
/// use gatekit_core::{Pipeline, enforced};
///
/// # fn example(aws: &Aws) -> gatekit_core::Result<()> {
/// let service = ecs::Service::new(aws, "production", "api")?.revision("api:42");
/// let back = ecs::PreviousRevision::of(&service);
/// let pipeline = Pipeline::to("production/api")
///     .gate(enforced(ecs::Preflight::of(&service)?))
///     .deploy(service)
///     .rollback_with(back)
///     .build()?;
/// # let _ = pipeline;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to a pipeline"]
pub struct Preflight {
    id: StageId,
    service: Service,
}

impl Preflight {
    /// Looks at what that deployer is to do.
    ///
    /// # Errors
    /// `config.name`, if the id that it has by default could not be one.
    pub fn of(service: &Service) -> Result<Self> {
        Ok(Self { id: StageId::new("ecs-preflight")?, service: service.clone() })
    }

    /// Names the gate in its pipeline.
    pub fn with_id(mut self, id: StageId) -> Self {
        self.id = id;
        self
    }
}

/// What was found.
#[derive(Debug, Default)]
struct Findings {
    problems: Vec<String>,
    advice: Vec<String>,
    facts: BTreeMap<&'static str, Value>,
}

impl Findings {
    fn elsewhere(&mut self, image: &str) {
        let advice = "is not in this region's ECR: nobody has looked whether it is there";
        self.advice.push(format!("`{image}` {advice}"));
    }

    /// What an answer says; a refusal for want of permission is advice, and any other a problem.
    fn take<T>(&mut self, what: &str, answer: Result<T>) -> Result<Option<T>> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if goes_without(&error) => {
                self.advice.push(format!("{what} cannot be seen: {error}"));
                Ok(None)
            }
            // Whatever passes says nothing of the service.
            Err(error) if error.is_temporary() => Err(error),
            Err(error) => {
                self.problems.push(told(&error));
                Ok(None)
            }
        }
    }
}

fn told(error: &Error) -> String {
    format!("{error} [{}]", error.code())
}

#[async_trait]
impl Gate for Preflight {
    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        let site = &self.service.site;
        json!({ "kind": "ecs_preflight", "cluster": site.cluster, "service": site.service })
    }

    /// # Errors
    /// What passes and does not do so before the deadline, and credentials that are not accepted.
    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        let (deadline, mut found) = (cx.deadline(), Findings::default());
        let site = &self.service.site;
        let reading = site.read(deadline).await;
        if reading.as_ref().is_err_and(|error| *error.code() == code::CREDENTIALS) {
            return reading.map(|_| Verdict::pass([]));
        }
        match found.take("the service", reading)? {
            Some(Some(reading)) => self.look_at(deadline, &reading, &mut found).await?,
            Some(None) => found.problems.push(told(&site.missing())),
            None => found.problems.push("without the service nothing can be told".to_owned()),
        }
        let source = format!("ecs:{}/{}", site.cluster, site.service);
        found.facts.insert("advice", json!(found.advice));
        let facts = json!(found.facts);
        let read = Evidence::read(source, facts.to_string(), facts);
        if found.problems.is_empty() {
            return Ok(Verdict::pass([read]));
        }
        let message = found.problems.join("; ");
        Ok(Verdict::Fail(Finding::new(code::PREFLIGHT, message).with_evidence([read])))
    }
}

impl Preflight {
    async fn look_at(
        &self,
        deadline: Instant,
        reading: &Reading,
        found: &mut Findings,
    ) -> Result<()> {
        let site = &self.service.site;
        if !reading.is_active() {
            found.problems.push(format!("the service is {}, and not active", reading.status));
            return Ok(());
        }
        if let Err(error) = self.service.settled(reading) {
            found.problems.push(told(&error));
        }
        if reading.desired == 0 {
            found.problems.push("no task is desired: nothing would run".to_owned());
        }
        if !reading.rolls_back_by_itself {
            let advice = "the circuit breaker does not roll back: turn it on, with rollback";
            found.advice.push(advice.to_owned());
        }
        found.facts.insert("desired", json!(reading.desired));
        found.facts.insert("strategy", json!(reading.strategy));
        self.look_at_alarms(deadline, reading, found).await?;
        let listed = patiently(deadline, || site.list_courses()).await;
        found.take("a pause or a rollback in the service-deployment API", listed)?;
        let listed = patiently(deadline, || site.list_stopped()).await;
        found.take("why a task stops", listed)?;
        let Some(primary) = reading.primary() else { return Ok(()) };
        found.facts.insert("deployment", json!(primary.id));
        found.facts.insert("revision", json!(primary.revision.to_string()));
        let definition = site.definition(deadline, reading.ran().unwrap_or(primary)).await;
        let Some(definition) = found.take("the running revision", definition)? else {
            return Ok(());
        };
        self.look_at_wish(deadline, &definition, found).await
    }

    async fn look_at_wish(
        &self,
        deadline: Instant,
        definition: &Definition,
        found: &mut Findings,
    ) -> Result<()> {
        match &self.service.wish {
            Wish::Images(wished) => {
                let assigned = assigned(wished, &definition.images);
                let assigned = found.take("which container gets an image", assigned)?;
                for image in assigned.unwrap_or_default().values() {
                    self.look_at_image(image, definition, found).await?;
                }
                Ok(())
            }
            Wish::Revision(name) => {
                let given = self.service.given(deadline, name).await;
                match found.take("the revision", given)? {
                    Some(given) => self.look_at_images_of(&given, found).await,
                    None => Ok(()),
                }
            }
            Wish::Again => self.look_at_images_of(definition, found).await,
            Wish::Nothing => Ok(()),
        }
    }

    /// Looks at what a revision names already: also by tags, which ECS resolves when it deploys.
    async fn look_at_images_of(&self, definition: &Definition, found: &mut Findings) -> Result<()> {
        for reference in definition.images.values() {
            let image = match pinned(self.service.site.aws(), reference).await {
                Err(error) if [code::IMAGE, code::ECR_CONFIG].contains(error.code()) => {
                    found.elsewhere(reference);
                    continue;
                }
                pinned => found.take("the image", pinned.and_then(|it| it.parse::<Image>()))?,
            };
            if let Some(image) = image {
                self.look_at_image(&image, definition, found).await?;
            }
        }
        Ok(())
    }

    async fn look_at_image(
        &self,
        image: &Image,
        definition: &Definition,
        found: &mut Findings,
    ) -> Result<()> {
        let of_image = Repository::of_image(self.service.site.aws(), &image.to_string());
        let Some((repository, digest)) = of_image else {
            found.elsewhere(&image.to_string());
            return Ok(());
        };
        let platforms = repository.platforms(&digest).await;
        let wanted = definition.platform();
        match (found.take("the image", platforms)?, wanted) {
            (Some(None), _) => {
                found.problems.push(format!("there is no image `{image}` [ecr.no_image]"));
            }
            (Some(Some(Platforms::Told(told))), Some(wanted))
                if !told.iter().any(|it| fits(it, &wanted)) =>
            {
                let told: Vec<_> = told.iter().map(ToString::to_string).collect();
                found.problems.push(format!(
                    "`{image}` is for {}, and the tasks run on {}/{}",
                    told.join(", "),
                    wanted.0,
                    wanted.1
                ));
            }
            (Some(Some(Platforms::NotTold(why))), _) => {
                found.advice.push(format!("for which platform `{image}` is cannot be seen: {why}"));
            }
            _ => {}
        }
        Ok(())
    }

    async fn look_at_alarms(
        &self,
        deadline: Instant,
        reading: &Reading,
        found: &mut Findings,
    ) -> Result<()> {
        if reading.alarms.is_empty() {
            return Ok(());
        }
        let cloudwatch = self.service.site.aws().cloudwatch();
        let read = patiently(deadline, || cloudwatch.firing(&reading.alarms)).await;
        for alarm in found.take("the service's alarms", read)?.unwrap_or_default() {
            found.problems.push(format!(
                "alarm `{alarm}` fires already, and ECS ignores it during a deployment then"
            ));
        }
        Ok(())
    }
}

/// Whether an image is for that operating system and architecture.
fn fits(platform: &Platform, (os, architecture): &(&str, &str)) -> bool {
    platform.os == *os && platform.architecture == *architecture
}
