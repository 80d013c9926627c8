//! Task definitions.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{invalid, names, page};
use super::world::{ACCOUNT, REGION, World};
use crate::wire::{Fault, Reply};

/// What a description has and a registration has not: the service does not take it over.
const OWN: [&str; 9] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
    "compatibilities",
    "requiresAttributes",
];

impl World {
    pub(super) fn register(&mut self, mut definition: Value, at: Duration) -> Value {
        let family = definition["family"].as_str().unwrap_or_default().to_owned();
        let known = self.revisions.entry(family.clone()).or_default();
        let revision = known.len() + 1;
        if let Some(members) = definition.as_object_mut() {
            members.retain(|name, value| !OWN.contains(&&**name) && !value.is_null());
        }
        let arn = format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{family}:{revision}");
        definition["taskDefinitionArn"] = json!(arn);
        definition["revision"] = json!(revision);
        definition["status"] = json!("ACTIVE");
        definition["registeredAt"] = json!(self.clock.stamp(at));
        definition["registeredBy"] = json!(format!("arn:aws:iam::{ACCOUNT}:user/deployer"));
        definition["compatibilities"] = json!(["EC2", "FARGATE"]);
        for list in ["volumes", "placementConstraints", "requiresAttributes"] {
            if definition.get(list).is_none() {
                definition[list] = json!([]);
            }
        }
        known.push(definition.clone());
        definition
    }

    /// A revision by its ARN, as `family:revision`, or the newest active one of a family.
    pub(super) fn revision(&self, named: &str) -> Option<&Value> {
        let name = named.rsplit('/').next()?;
        match name.split_once(':') {
            Some((family, number)) => {
                let number: usize = number.parse().ok()?;
                self.revisions.get(family)?.get(number.checked_sub(1)?)
            }
            None => self.revisions.get(name)?.iter().rev().find(|it| it["status"] == "ACTIVE"),
        }
    }

    pub(super) fn describe_task_definition(&self, ask: &Value) -> Reply {
        let named = ask["taskDefinition"].as_str().unwrap_or_default();
        let Some(found) = self.revision(named) else {
            return Err(Fault::client("ClientException", "Unable to describe task definition."));
        };
        let (mut found, mut answer) = (found.clone(), json!({}));
        let tags = found.as_object_mut().and_then(|it| it.remove("tags"));
        if names(ask, "include").iter().any(|it| it == "TAGS") {
            answer["tags"] = tags.unwrap_or_else(|| json!([]));
        }
        answer["taskDefinition"] = found;
        Ok(answer)
    }

    pub(super) fn register_task_definition(&mut self, ask: &Value) -> Reply {
        check_definition(ask)?;
        check_tags(&ask["tags"])?;
        let now = self.now();
        let mut registered = self.register(ask.clone(), now);
        let mut answer = json!({});
        if let Some(tags) = registered.as_object_mut().and_then(|it| it.remove("tags")) {
            answer["tags"] = tags;
        }
        answer["taskDefinition"] = registered;
        Ok(answer)
    }

    pub(super) fn deregister_task_definition(&mut self, ask: &Value) -> Reply {
        let at = self.clock.stamp(self.clock.elapsed());
        let named = ask["taskDefinition"].as_str().unwrap_or_default();
        let name = named.rsplit('/').next().unwrap_or_default();
        let found = name.split_once(':').and_then(|(family, number)| {
            let index = number.parse::<usize>().ok()?.checked_sub(1)?;
            self.revisions.get_mut(family)?.get_mut(index)
        });
        let Some(found) = found else {
            let what = "The specified task definition does not exist.";
            return Err(Fault::client("ClientException", what));
        };
        found["status"] = json!("INACTIVE");
        found["deregisteredAt"] = json!(at);
        let mut told = found.clone();
        if let Some(members) = told.as_object_mut() {
            members.remove("tags");
        }
        Ok(json!({ "taskDefinition": told }))
    }

    pub(super) fn list_task_definitions(&self, ask: &Value) -> Reply {
        let family = ask["familyPrefix"].as_str();
        let status = ask["status"].as_str().unwrap_or("ACTIVE");
        // In spite of its name, the prefix is the family's whole name.
        let families = self.revisions.iter().filter(|(it, _)| family.is_none_or(|of| of == **it));
        let mut arns: Vec<_> = families
            .flat_map(|(_, revisions)| revisions)
            .filter(|it| it["status"] == status)
            .map(|it| it["taskDefinitionArn"].clone())
            .collect();
        if ask["sort"] == "DESC" {
            arns.reverse();
        }
        page(ask, "taskDefinitionArns", 100, arns)
    }
}

fn check_definition(ask: &Value) -> Result<(), Fault> {
    let refused = |what: &str| Err(Fault::client("ClientException", what));
    let family = ask["family"].as_str().unwrap_or_default();
    if family.is_empty() {
        return refused("Family should not be null or empty.");
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if family.len() > 255 || !family.chars().all(fits) {
        return refused("Family contains invalid characters.");
    }
    let containers = ask["containerDefinitions"].as_array();
    let Some(containers) = containers.filter(|it| !it.is_empty()) else {
        return refused("Container list cannot be empty.");
    };
    let mut known = BTreeSet::new();
    for container in containers {
        let of = |key: &str| container[key].as_str().unwrap_or_default();
        if of("name").is_empty() {
            return refused("Container.name should not be null or empty.");
        }
        if of("image").is_empty() {
            return refused("Container.image should not be null or empty.");
        }
        if !known.insert(of("name")) {
            return refused("Container names must be unique.");
        }
    }
    let fargate = names(ask, "requiresCompatibilities").iter().any(|it| it == "FARGATE");
    if fargate && (!ask["cpu"].is_string() || !ask["memory"].is_string()) {
        return refused("Fargate requires that 'cpu' and 'memory' be defined at the task level.");
    }
    if fargate && ask["networkMode"] != "awsvpc" {
        return refused("Fargate only supports network mode 'awsvpc'.");
    }
    Ok(())
}

fn check_tags(tags: &Value) -> Result<(), Fault> {
    if tags.is_null() {
        return Ok(());
    }
    let Some(tags) = tags.as_array().filter(|it| !it.is_empty()) else {
        return Err(invalid("Tags can not be empty."));
    };
    let mut keys = BTreeSet::new();
    for tag in tags {
        let key = tag["key"].as_str().unwrap_or_default();
        let value = tag["value"].as_str().unwrap_or_default();
        let lengths = (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256;
        if !lengths || key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid("A tag has a key or value that is not valid."));
        }
        if !keys.insert(key) {
            return Err(invalid("Duplicate tag keys found."));
        }
    }
    if tags.len() > 50 {
        return Err(invalid("There are more than 50 tags."));
    }
    Ok(())
}
