//! The account as the API tells it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::scenario::Scenario;
use super::service::{Course, Deployment, Service, Status, Task};
use super::world::{ACCOUNT, CLUSTER, REGION, SERVICE, World};

/// The alarm that the service watches, where it watches one.
pub(crate) const ALARM: &str = "web-5xx";

pub(super) fn cluster_arn() -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{CLUSTER}")
}

pub(super) fn service_arn() -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:service/{CLUSTER}/{SERVICE}")
}

/// Its number is nothing that could be read from the ARN: only that of its revision says which
/// deployment it is.
pub(super) fn course_arn(number: u64) -> String {
    let id = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:service-deployment/{CLUSTER}/{SERVICE}/{id:021x}")
}

pub(super) fn service_revision_arn(number: u64) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:service-revision/{CLUSTER}/{SERVICE}/{number}")
}

impl World {
    pub(super) fn service_json(&self, service: &Service) -> Value {
        let external = self.scenario == Scenario::ExternalController;
        let primary = service.deployments.first();
        let running: u32 = service.deployments.iter().map(|it| it.running).sum();
        let mut told = json!({
            "serviceArn": service_arn(), "serviceName": SERVICE, "clusterArn": cluster_arn(),
            "status": service.status, "desiredCount": service.desired, "runningCount": running,
            "pendingCount": primary.map_or(0, pending), "launchType": "FARGATE",
            "deploymentController": { "type": if external { "EXTERNAL" } else { "ECS" } },
            "deploymentConfiguration": self.configuration(),
            "deployments": [],
            "events": service.events.iter().map(|it| json!({
                "id": format!("event-{}", it.id), "createdAt": self.clock.stamp(it.at),
                "message": it.message,
            })).collect::<Vec<_>>(),
            "createdAt": self.clock.stamp(Duration::ZERO), "schedulingStrategy": "REPLICA",
            "loadBalancers": [], "serviceRegistries": [], "enableECSManagedTags": false,
            "propagateTags": "NONE", "enableExecuteCommand": false,
        });
        if let Some(primary) = primary {
            told["taskDefinition"] = json!(primary.revision);
        }
        if external {
            // Another controller's tasks are in sets; the service has no deployments of its own.
            told["taskSets"] = service.deployments.iter().map(|it| self.task_set(it)).collect();
            return told;
        }
        told["deployments"] = service.deployments.iter().map(|it| self.deployment(it)).collect();
        told["currentServiceRevisions"] = service.deployments.iter().map(revision_counts).collect();
        if let Some(newest) = service.all().into_iter().find(|it| it.course.is_some()) {
            told["currentServiceDeployment"] = json!(course_arn(newest.number));
        }
        told
    }

    fn task_set(&self, it: &Deployment) -> Value {
        let id = format!("ecs-svc/{}", it.number);
        json!({
            "id": id, "taskSetArn": service_arn().replace(":service/", ":task-set/") + "/" + &id,
            "serviceArn": service_arn(), "clusterArn": cluster_arn(), "status": "PRIMARY",
            "taskDefinition": it.revision, "computedDesiredCount": it.desired,
            "pendingCount": pending(it), "runningCount": it.running, "launchType": "FARGATE",
            "createdAt": self.clock.stamp(it.created), "updatedAt": self.clock.stamp(it.updated),
            "scale": { "value": 100.0, "unit": "PERCENT" }, "stabilityStatus": "STEADY_STATE",
        })
    }

    fn has_breaker(&self) -> bool {
        !matches!(self.scenario, Scenario::CrashLoop | Scenario::Unpullable)
    }

    fn configuration(&self) -> Value {
        let breaker = self.has_breaker();
        let rollback = breaker && self.scenario != Scenario::BreakerStop;
        let mut told = json!({
            "deploymentCircuitBreaker": { "enable": breaker, "rollback": rollback },
            "maximumPercent": 200, "minimumHealthyPercent": 100, "strategy": "ROLLING",
            "bakeTimeInMinutes": 0,
        });
        match self.scenario {
            Scenario::BlueGreenPause => {
                told["strategy"] = json!("BLUE_GREEN");
                told["lifecycleHooks"] = json!([{
                    "targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"],
                }]);
            }
            Scenario::AlarmRollback => {
                told["alarms"] = json!({ "alarmNames": [ALARM], "enable": true, "rollback": true });
            }
            _ => {}
        }
        told
    }

    fn deployment(&self, it: &Deployment) -> Value {
        json!({
            "id": format!("ecs-svc/{}", it.number), "taskDefinition": it.revision,
            "status": if it.status == Status::Primary { "PRIMARY" } else { "ACTIVE" },
            "desiredCount": it.desired, "pendingCount": pending(it), "runningCount": it.running,
            "failedTasks": it.failed, "createdAt": self.clock.stamp(it.created),
            "updatedAt": self.clock.stamp(it.updated), "launchType": "FARGATE",
            "rolloutState": it.rollout, "rolloutStateReason": it.reason,
        })
    }

    pub(super) fn course_json(&self, service: &Service, it: &Deployment) -> Option<Value> {
        let course = it.course.as_ref()?;
        let mut told = json!({
            "serviceDeploymentArn": course_arn(it.number), "serviceArn": service_arn(),
            "clusterArn": cluster_arn(), "createdAt": self.clock.stamp(it.created),
            "startedAt": self.clock.stamp(it.created), "updatedAt": self.clock.stamp(it.updated),
            "status": course.status, "targetServiceRevision": revision_counts(it),
            "sourceServiceRevisions": course.source.and_then(|it| service.find(it))
                .map(revision_counts).into_iter().collect::<Vec<_>>(),
            "deploymentConfiguration": self.configuration(),
            "deploymentCircuitBreaker": {
                "status": watch(self.has_breaker(), course.tripped, course),
                "failureCount": it.failed, "threshold": 3,
            },
        });
        self.decorate(&mut told, course);
        Some(told)
    }

    fn decorate(&self, told: &mut Value, course: &Course) {
        if let Some(reason) = &course.reason {
            told["statusReason"] = json!(reason);
        }
        if let Some(stage) = course.stage {
            told["lifecycleStage"] = json!(stage);
        }
        if let Some(hook) = course.hook {
            told["lifecycleHookDetails"] = json!([{
                "hookId": hook.id, "targetType": "PAUSE", "status": hook.status,
                "timeoutAction": "ROLLBACK", "expiresAt": self.clock.stamp(hook.expires),
            }]);
        }
        if let Some(stopped) = course.stopped {
            told["stoppedAt"] = json!(self.clock.stamp(stopped));
        }
        if let Some((back, why, at)) = &course.rollback {
            told["rollback"] = json!({
                "reason": why, "startedAt": self.clock.stamp(*at),
                "serviceRevisionArn": service_revision_arn(*back),
            });
        }
        if self.scenario == Scenario::AlarmRollback {
            let triggered: &[&str] = if course.alarmed.is_some() { &[ALARM] } else { &[] };
            told["alarms"] = json!({
                "status": watch(true, course.alarmed.is_some(), course), "alarmNames": [ALARM],
                "triggeredAlarmNames": triggered,
            });
        }
        if let Some(finished) = course.finished {
            told["finishedAt"] = json!(self.clock.stamp(finished));
        }
    }

    /// The same in a list.
    pub(super) fn brief(&self, it: &Deployment) -> Option<Value> {
        let course = it.course.as_ref()?;
        let mut told = json!({
            "serviceDeploymentArn": course_arn(it.number), "serviceArn": service_arn(),
            "clusterArn": cluster_arn(), "createdAt": self.clock.stamp(it.created),
            "startedAt": self.clock.stamp(it.created), "status": course.status,
            "targetServiceRevisionArn": service_revision_arn(it.number),
        });
        if let Some(reason) = &course.reason {
            told["statusReason"] = json!(reason);
        }
        if let Some(finished) = course.finished {
            told["finishedAt"] = json!(self.clock.stamp(finished));
        }
        Some(told)
    }

    pub(super) fn service_revision(&self, it: &Deployment) -> Value {
        json!({
            "serviceRevisionArn": service_revision_arn(it.number), "serviceArn": service_arn(),
            "clusterArn": cluster_arn(), "taskDefinition": it.revision, "launchType": "FARGATE",
            "containerImages": self.images(&it.revision, it.pushes),
            "createdAt": self.clock.stamp(it.created),
        })
    }

    /// The images of a revision, as the service has resolved them.
    fn images(&self, revision: &str, pushes: u64) -> Value {
        let containers = self.revision(revision).map(|it| &it["containerDefinitions"]);
        let image = |it: &Value| {
            let image = it["image"].as_str().unwrap_or_default();
            let digest = image.split_once('@').map(|(_, digest)| digest.to_owned());
            let digest = digest.unwrap_or_else(|| digest_of_tags(pushes));
            json!({ "containerName": it["name"], "image": image, "imageDigest": digest })
        };
        containers.and_then(Value::as_array).into_iter().flatten().map(image).collect()
    }

    pub(super) fn task_json(&self, task: &Task) -> Value {
        let pushes = self.service.find(task.deployment).map_or(0, |it| it.pushes);
        let images = self.images(&task.revision, pushes);
        let container = |image: &Value| {
            let mut told = Map::new();
            for (key, value) in [
                ("name", image["containerName"].clone()),
                ("image", image["image"].clone()),
                ("imageDigest", image["imageDigest"].clone()),
                ("lastStatus", json!(status_of(task))),
            ] {
                told.insert(key.to_owned(), value);
            }
            if let Some(stop) = &task.stopped {
                match stop.exit_code {
                    Some(code) => told.insert("exitCode".to_owned(), json!(code)),
                    None => told.insert("reason".to_owned(), json!(stop.reason)),
                };
            }
            Value::Object(told)
        };
        let mut told = json!({
            "taskArn": task_arn(task), "clusterArn": cluster_arn(),
            "taskDefinitionArn": task.revision, "startedBy": format!("ecs-svc/{}", task.deployment),
            "group": format!("service:{SERVICE}"), "lastStatus": status_of(task),
            "desiredStatus": status_of(task), "launchType": "FARGATE",
            "createdAt": self.clock.stamp(task.created),
            "containers": images.as_array().into_iter().flatten().map(container)
                .collect::<Vec<_>>(),
        });
        if let Some(stop) = &task.stopped {
            told["stoppedAt"] = json!(self.clock.stamp(stop.at));
            told["stoppedReason"] = json!(stop.reason);
            told["stopCode"] = json!(stop.code);
        }
        if task.stopped.as_ref().is_none_or(|it| it.exit_code.is_some()) {
            told["startedAt"] = json!(self.clock.stamp(task.created));
        }
        told
    }
}

/// What every tag names, after so many pushes.
pub(super) fn digest_of_tags(pushes: u64) -> String {
    format!("sha256:{:064x}", 0x7777_0000 + pushes)
}

pub(super) fn task_arn(task: &Task) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task/{CLUSTER}/{:032x}", task.id)
}

fn status_of(task: &Task) -> &'static str {
    if task.stopped.is_some() { "STOPPED" } else { "RUNNING" }
}

fn pending(it: &Deployment) -> u32 {
    it.desired.saturating_sub(it.running)
}

/// The state of what watches a deployment.
fn watch(enabled: bool, triggered: bool, course: &Course) -> &'static str {
    match (enabled, triggered, course.finished) {
        (false, ..) => "DISABLED",
        (_, true, _) => "TRIGGERED",
        (_, _, Some(_)) => "MONITORING_COMPLETE",
        _ => "MONITORING",
    }
}

fn revision_counts(it: &Deployment) -> Value {
    json!({
        "arn": service_revision_arn(it.number), "requestedTaskCount": it.desired,
        "runningTaskCount": it.running, "pendingTaskCount": pending(it),
    })
}
