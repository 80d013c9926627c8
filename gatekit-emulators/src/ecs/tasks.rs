//! Tasks.

use std::time::Duration;

use serde_json::{Value, json};

use super::api::{invalid, missing, must_be_the_service, names, page};
use super::render::task_arn;
use super::world::World;
use crate::wire::Reply;

/// How long a task that stopped is told of.
const MEMORY: Duration = Duration::from_secs(3600);

impl World {
    pub(super) fn list_tasks(&mut self, ask: &Value) -> Reply {
        let now = self.now();
        let by = ask["startedBy"].as_str();
        if !ask["serviceName"].is_null() {
            must_be_the_service(ask, "serviceName")?;
            if by.is_some() {
                return Err(invalid("startedBy must be the only filter."));
            }
        }
        let stopped = ask["desiredStatus"] == "STOPPED";
        let told = self.service.tasks.iter().rev().filter(|it| match &it.stopped {
            Some(stop) => stopped && now < stop.at + MEMORY,
            None => !stopped,
        });
        let told = told.filter(|it| by.is_none_or(|by| by == format!("ecs-svc/{}", it.deployment)));
        page(ask, "taskArns", 100, told.map(|it| json!(task_arn(it))).collect())
    }

    pub(super) fn describe_tasks(&mut self, ask: &Value) -> Reply {
        let now = self.now();
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        let asked = names(ask, "tasks");
        if asked.is_empty() || asked.len() > 100 {
            return Err(invalid("From 1 to 100 tasks can be described."));
        }
        for name in asked {
            let known = |arn: &str| arn == name || arn.rsplit('/').next() == Some(&*name);
            let task = self.service.tasks.iter().find(|it| known(&task_arn(it)));
            let task = task.filter(|it| it.stopped.as_ref().is_none_or(|it| now < it.at + MEMORY));
            match task {
                Some(task) => found.push(self.task_json(task)),
                None => failures.push(missing(&name)),
            }
        }
        Ok(json!({ "tasks": found, "failures": failures }))
    }
}
