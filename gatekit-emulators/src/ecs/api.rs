//! The operations of the API: those of the service, and the way to all others.

use serde_json::{Value, json};

use super::render::{cluster_arn, service_arn};
use super::scenario::Scenario;
use super::world::{CLUSTER, SERVICE, World};
use crate::wire::{Fault, Reply};

impl World {
    /// Answers one call.
    pub(super) fn answer(&mut self, operation: &str, ask: &Value) -> Reply {
        match operation {
            "DescribeServices"
            | "UpdateService"
            | "ListServices"
            | "ListServiceDeployments"
            | "ListTasks"
            | "DescribeTasks" => is_the_cluster(ask)?,
            _ => {}
        }
        match operation {
            "DescribeClusters" => Ok(describe_clusters(ask)),
            "ListServices" => page(ask, "serviceArns", 10, self.names_of_services()),
            "DescribeServices" => self.describe_services(ask),
            "UpdateService" => self.update_service(ask),
            "DescribeTaskDefinition" => self.describe_task_definition(ask),
            "RegisterTaskDefinition" => self.register_task_definition(ask),
            "DeregisterTaskDefinition" => self.deregister_task_definition(ask),
            "ListTaskDefinitions" => self.list_task_definitions(ask),
            "ListServiceDeployments" => self.list_service_deployments(ask),
            "DescribeServiceDeployments" => self.describe_service_deployments(ask),
            "DescribeServiceRevisions" => self.describe_service_revisions(ask),
            "StopServiceDeployment" => self.stop_service_deployment(ask),
            "ContinueServiceDeployment" => self.continue_service_deployment(ask),
            "ListTasks" => self.list_tasks(ask),
            "DescribeTasks" => self.describe_tasks(ask),
            _ => Err(Fault::client("UnknownOperationException", "")),
        }
    }

    fn names_of_services(&mut self) -> Vec<Value> {
        let listed = self.read().is_some_and(|it| it.status == "ACTIVE");
        listed.then(|| json!(service_arn())).into_iter().collect()
    }

    fn describe_services(&mut self, ask: &Value) -> Reply {
        let (mut services, mut failures) = (Vec::new(), Vec::new());
        let names = names(ask, "services");
        if names.is_empty() {
            return Err(invalid("Services cannot be empty."));
        }
        if names.len() > 10 {
            return Err(invalid("Cannot describe more than 10 services."));
        }
        for name in names {
            let found = if is_the_service(&name) { self.read().cloned() } else { None };
            match found {
                Some(service) => services.push(self.service_json(&service)),
                None => failures.push(missing(&service_arn_of(&name))),
            }
        }
        Ok(json!({ "services": services, "failures": failures }))
    }

    fn update_service(&mut self, ask: &Value) -> Reply {
        self.now();
        must_be_the_service(ask, "service")?;
        if self.service.status != "ACTIVE" {
            return Err(Fault::client("ServiceNotActiveException", "Service was not ACTIVE."));
        }
        let force = ask["forceNewDeployment"].as_bool().unwrap_or_default();
        let named = ask["taskDefinition"].as_str();
        if self.scenario == Scenario::ExternalController && (named.is_some() || force) {
            let what = "Cannot deploy a service that has the EXTERNAL deployment controller: \
                        create a task set.";
            return Err(invalid(what));
        }
        let revision = match named.map(|named| self.revision(named)) {
            None => None,
            Some(Some(found)) if found["status"] == "ACTIVE" => {
                found["taskDefinitionArn"].as_str().map(str::to_owned)
            }
            Some(Some(_)) => {
                return Err(Fault::client("ClientException", "TaskDefinition is inactive"));
            }
            Some(None) => {
                let what = "The specified task definition does not exist.";
                return Err(Fault::client("ClientException", what));
            }
        };
        let desired = match &ask["desiredCount"] {
            Value::Null => None,
            count => match count.as_u64().and_then(|count| u32::try_from(count).ok()) {
                Some(count) => Some(count),
                None => return Err(invalid("Desired count cannot be negative.")),
            },
        };
        self.update(revision.as_deref(), desired, force);
        Ok(json!({ "service": self.service_json(&self.service) }))
    }
}

fn describe_clusters(ask: &Value) -> Value {
    let (mut clusters, mut failures) = (Vec::new(), Vec::new());
    let named = names(ask, "clusters");
    // Without a name, the cluster `default` is meant.
    let named = if named.is_empty() { vec!["default".to_owned()] } else { named };
    for name in named {
        if name == CLUSTER || name == cluster_arn() {
            clusters.push(json!({
                "clusterArn": cluster_arn(), "clusterName": CLUSTER, "status": "ACTIVE",
                "activeServicesCount": 1,
            }));
        } else {
            failures.push(missing(&name));
        }
    }
    json!({ "clusters": clusters, "failures": failures })
}

/// Errs unless the cluster is named: `default`, which is meant otherwise, is not there.
fn is_the_cluster(ask: &Value) -> Result<(), Fault> {
    match ask["cluster"].as_str() {
        Some(named) if named == CLUSTER || named == cluster_arn() => Ok(()),
        _ => Err(Fault::client("ClusterNotFoundException", "Cluster not found.")),
    }
}

pub(super) fn must_be_the_service(ask: &Value, key: &str) -> Result<(), Fault> {
    if ask[key].as_str().is_some_and(is_the_service) {
        return Ok(());
    }
    Err(Fault::client("ServiceNotFoundException", "Service not found."))
}

fn is_the_service(name: &str) -> bool {
    name == SERVICE || name == service_arn()
}

fn service_arn_of(name: &str) -> String {
    let short = name.rsplit('/').next().unwrap_or(name);
    if name.starts_with("arn:") { name.to_owned() } else { service_arn().replace(SERVICE, short) }
}

pub(super) fn missing(arn: &str) -> Value {
    json!({ "arn": arn, "reason": "MISSING" })
}

pub(super) fn invalid(what: &str) -> Fault {
    Fault::client("InvalidParameterException", what)
}

pub(super) fn names(ask: &Value, key: &str) -> Vec<String> {
    let listed = ask[key].as_array().into_iter().flatten();
    listed.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The page of a list that is asked for; `usual` is its size where nobody says.
pub(super) fn page(ask: &Value, key: &str, usual: usize, all: Vec<Value>) -> Reply {
    let number = |value: &Value| value.as_u64().and_then(|it| usize::try_from(it).ok());
    let from = match ask["nextToken"].as_str() {
        None => 0,
        Some(token) => token.parse().map_err(|_| invalid("Invalid token."))?,
    };
    let size = match &ask["maxResults"] {
        Value::Null => usual,
        size => number(size)
            .filter(|size| (1..=100).contains(size))
            .ok_or_else(|| invalid("maxResults must be from 1 to 100."))?,
    };
    let mut answer = json!({});
    if all.len() > from + size {
        answer["nextToken"] = json!((from + size).to_string());
    }
    answer[key] = all.into_iter().skip(from).take(size).collect();
    Ok(answer)
}
