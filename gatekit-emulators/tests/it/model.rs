//! What botocore's models say of a service, and whether an answer is what they promise.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use gatekit_peers::Shared;
use serde_json::Value;

/// The model of one service.
pub(crate) struct Model(Value);

/// Errors of any operation: the models do not list them.
const COMMON: [&str; 5] = [
    "AccessDeniedException",
    "ExpiredTokenException",
    "ServerException",
    "ThrottlingException",
    "UnknownOperationException",
];

impl Model {
    /// That of a service, as `ecs`, of that version.
    pub(crate) fn of(service: &str, version: &str) -> Self {
        let data = Shared::Botocore.place().unwrap();
        let plain = Path::new(&data).join(service).join(version).join("service-2.json");
        let text = fs::read(&plain).unwrap_or_else(|_| {
            let mut text = Vec::new();
            let packed = File::open(plain.with_extension("json.gz")).unwrap();
            GzDecoder::new(packed).read_to_end(&mut text).unwrap();
            text
        });
        Self(serde_json::from_slice(&text).unwrap())
    }

    /// What is wrong with what was asked.
    pub(crate) fn of_ask(&self, operation: &str, ask: &Value) -> Vec<String> {
        self.of_part(operation, "input", ask)
    }

    /// What is wrong with an answer.
    pub(crate) fn of_answer(&self, operation: &str, answer: &Value) -> Vec<String> {
        self.of_part(operation, "output", answer)
    }

    /// What is wrong with an error: it must be one of those of the operation.
    pub(crate) fn of_error(&self, operation: &str, error: &Value) -> Vec<String> {
        let listed = self.0["operations"][operation]["errors"].as_array().into_iter().flatten();
        let known = listed.filter_map(|it| it["shape"].as_str()).chain(COMMON);
        let kind = error["__type"].as_str().unwrap_or_default();
        let mut wrong = Vec::new();
        if !known.collect::<Vec<_>>().contains(&kind) {
            wrong.push(format!("{operation} has no error `{kind}`"));
        }
        if !error["message"].is_string() {
            wrong.push(format!("{operation}: `{kind}` without a message"));
        }
        wrong
    }

    fn of_part(&self, operation: &str, part: &str, value: &Value) -> Vec<String> {
        let shape = &self.0["operations"][operation][part]["shape"];
        let mut wrong = Vec::new();
        match shape.as_str() {
            Some(shape) => self.walk(shape, value, &format!("{operation}.{part}"), &mut wrong),
            None => wrong.push(format!("the model has no operation `{operation}`")),
        }
        wrong
    }

    fn walk(&self, shape: &str, value: &Value, at: &str, wrong: &mut Vec<String>) {
        let shape = &self.0["shapes"][shape];
        let kind = shape["type"].as_str().unwrap_or_default();
        let fits = match kind {
            "structure" => value.is_object(),
            "list" => value.is_array(),
            "map" => value.is_object(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.as_i64().is_some_and(|it| i32::try_from(it).is_ok()),
            "long" => value.is_i64(),
            "double" | "float" | "timestamp" => value.is_number(),
            _ => false,
        };
        if !fits {
            wrong.push(format!("{at}: {value} is no {kind}"));
            return;
        }
        match kind {
            "structure" => self.walk_members(shape, value, at, wrong),
            "list" => {
                let of = shape["member"]["shape"].as_str().unwrap();
                for (index, item) in value.as_array().unwrap().iter().enumerate() {
                    self.walk(of, item, &format!("{at}[{index}]"), wrong);
                }
            }
            "map" => {
                let of = shape["value"]["shape"].as_str().unwrap();
                for (key, item) in value.as_object().unwrap() {
                    self.walk(of, item, &format!("{at}.{key}"), wrong);
                }
            }
            _ => {}
        }
        if shape["enum"].as_array().is_some_and(|values| !values.contains(value)) {
            wrong.push(format!("{at}: {value} is none of {}", shape["enum"]));
        }
    }

    fn walk_members(&self, shape: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
        let members = shape["members"].as_object().unwrap();
        for (name, item) in value.as_object().unwrap() {
            let at = format!("{at}.{name}");
            match members.get(name) {
                Some(member) => self.walk(member["shape"].as_str().unwrap(), item, &at, wrong),
                None => wrong.push(format!("{at}: the model does not know it")),
            }
        }
        for name in shape["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if value.get(name).is_none() {
                wrong.push(format!("{at}: {name} is missing"));
            }
        }
    }
}

#[test]
fn what_breaks_a_model_is_named() {
    let model = Model::of("ecs", "2014-11-13");
    let answer = serde_json::json!({ "services": [{
        "serviceName": 1, "createdAt": "today", "launchType": "BOAT", "mood": "good",
        "deploymentConfiguration": { "deploymentCircuitBreaker": { "enable": true } },
    }] });
    let wrong = model.of_answer("DescribeServices", &answer).join("\n");
    for expected in [
        "services[0].serviceName: 1 is no string",
        "services[0].createdAt: \"today\" is no timestamp",
        "services[0].launchType: \"BOAT\" is none of",
        "services[0].mood: the model does not know it",
        "deploymentCircuitBreaker: rollback is missing",
    ] {
        assert!(wrong.contains(expected), "{expected} is not in\n{wrong}");
    }
    assert_eq!(wrong.lines().count(), 5, "{wrong}");
    let refused = serde_json::json!({ "__type": "NoSuchException" });
    assert_eq!(model.of_error("DescribeServices", &refused).len(), 2);
}
