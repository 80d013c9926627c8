//! The service-deployment API.

use serde_json::{Value, json};

use super::api::{invalid, missing, must_be_the_service, names, page};
use super::render::{course_arn, service_revision_arn};
use super::world::World;
use crate::wire::{Fault, Reply};

impl World {
    pub(super) fn list_service_deployments(&mut self, ask: &Value) -> Reply {
        self.now();
        must_be_the_service(ask, "service")?;
        let after = ask["createdAt"]["after"].as_f64().unwrap_or(f64::MIN);
        let before = ask["createdAt"]["before"].as_f64().unwrap_or(f64::MAX);
        let statuses = names(ask, "status");
        let mut told: Vec<_> =
            self.service.all().into_iter().filter_map(|it| self.brief(it)).collect();
        told.retain(|it| {
            let meant = |status| statuses.iter().any(|it| it == status);
            it["createdAt"].as_f64().is_some_and(|at| at >= after && at <= before)
                && (statuses.is_empty() || it["status"].as_str().is_some_and(meant))
        });
        page(ask, "serviceDeployments", 20, told)
    }

    pub(super) fn describe_service_deployments(&mut self, ask: &Value) -> Reply {
        self.now();
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        let arns = names(ask, "serviceDeploymentArns");
        if arns.is_empty() || arns.len() > 20 {
            return Err(invalid("From 1 to 20 service deployments can be described."));
        }
        for arn in arns {
            let named = self.named(&arn).and_then(|number| self.service.find(number));
            match named.and_then(|it| self.course_json(&self.service, it)) {
                Some(told) => found.push(told),
                None => failures.push(missing(&arn)),
            }
        }
        Ok(json!({ "serviceDeployments": found, "failures": failures }))
    }

    pub(super) fn describe_service_revisions(&mut self, ask: &Value) -> Reply {
        self.now();
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        let arns = names(ask, "serviceRevisionArns");
        if arns.is_empty() || arns.len() > 20 {
            return Err(invalid("From 1 to 20 service revisions can be described."));
        }
        for arn in arns {
            let all = self.service.all();
            match all.into_iter().find(|it| service_revision_arn(it.number) == arn) {
                Some(it) => found.push(self.service_revision(it)),
                None => failures.push(missing(&arn)),
            }
        }
        Ok(json!({ "serviceRevisions": found, "failures": failures }))
    }

    pub(super) fn stop_service_deployment(&mut self, ask: &Value) -> Reply {
        let now = self.now();
        let arn = ask["serviceDeploymentArn"].as_str().unwrap_or_default();
        let number = self.named(arn).ok_or_else(not_found)?;
        let roll_back = ask["stopType"] != "ABORT";
        if !self.service.stop(number, roll_back, now) {
            return Err(Fault::client("ConflictException", "The deployment is over already."));
        }
        Ok(json!({ "serviceDeploymentArn": arn }))
    }

    pub(super) fn continue_service_deployment(&mut self, ask: &Value) -> Reply {
        let now = self.now();
        let arn = ask["serviceDeploymentArn"].as_str().unwrap_or_default();
        let hook = ask["hookId"].as_str().unwrap_or_default();
        let go_on = ask["action"] != "ROLLBACK";
        let number = self.named(arn).ok_or_else(not_found)?;
        if !self.service.answer(number, hook, go_on, now) {
            return Err(invalid("No such hook is waiting."));
        }
        Ok(json!({ "serviceDeploymentArn": arn }))
    }

    /// Which deployment an ARN names.
    fn named(&self, arn: &str) -> Option<u64> {
        let all = self.service.all();
        let named = all.into_iter().find(|it| it.course.is_some() && course_arn(it.number) == arn);
        named.map(|it| it.number)
    }
}

fn not_found() -> Fault {
    Fault::client("ServiceDeploymentNotFoundException", "Service deployment not found.")
}
