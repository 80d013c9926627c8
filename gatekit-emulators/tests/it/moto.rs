//! What moto knows as well, it tells alike: in the same shapes, with the same errors.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use gatekit_emulators::{Aws, Clock, Scenario};
use gatekit_peers::Shared;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::ecs_shapes::definition;

/// An account of moto's that no other test has, and no earlier run.
fn account() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("{:012}", now.as_micros() % 1_000_000_000_000)
}

/// Calls an operation of ECS, and returns what it answered or how it erred.
async fn call((url, account): (&str, &str), operation: &str, ask: &Value) -> Result<Value, Value> {
    let host = url.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(host).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let signature = "AWS4-HMAC-SHA256 Credential=test/20261122/us-east-1/ecs/aws4_request, \
                     SignedHeaders=host, Signature=0";
    let request = Request::post("/")
        .header("host", host)
        .header("authorization", signature)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("AmazonEC2ContainerServiceV20141113.{operation}"))
        .header("x-moto-account-id", account)
        .body(Full::new(Bytes::from(ask.to_string())))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let succeeded = response.status().is_success();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    connection.abort();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    if succeeded { Ok(body) } else { Err(body) }
}

/// Where two answers tell the same member in different types.
fn unlike(ours: &Value, theirs: &Value, at: &str, found: &mut BTreeSet<String>) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (name, value) in ours {
                if let Some(other) = theirs.get(name) {
                    unlike(value, other, &format!("{at}.{name}"), found);
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            if let (Some(ours), Some(theirs)) = (ours.first(), theirs.first()) {
                unlike(ours, theirs, &format!("{at}[]"), found);
            }
        }
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_))
        | (_, Value::Null) => {}
        _ => {
            found.insert(format!("{at}: {ours} and {theirs}"));
        }
    }
}

#[tokio::test]
async fn what_moto_knows_as_well_is_told_in_the_same_shapes() {
    let (moto, account) = (Shared::Moto.place().unwrap(), account());
    let moto = (&*moto, &*account);
    for (operation, ask) in [
        ("CreateCluster", json!({ "clusterName": "demo" })),
        ("RegisterTaskDefinition", definition()),
        (
            "CreateService",
            json!({
                "cluster": "demo", "serviceName": "web", "taskDefinition": "web:1",
                "desiredCount": 2,
            }),
        ),
    ] {
        call(moto, operation, &ask).await.unwrap();
    }
    let emulator = Aws::new(Scenario::Ok, Clock::at_speed(1.0));
    let listening = emulator.listen(0).await.unwrap();
    let url = listening.url();
    let own = (&*url, &*account);
    let mut found = BTreeSet::new();
    for (operation, ask) in [
        ("RegisterTaskDefinition", definition()),
        ("DescribeTaskDefinition", json!({ "taskDefinition": "web:2", "include": ["TAGS"] })),
        ("DescribeTaskDefinition", json!({ "taskDefinition": "nothing" })),
        ("ListTaskDefinitions", json!({ "familyPrefix": "web", "sort": "DESC" })),
        ("DescribeClusters", json!({ "clusters": ["demo", "nowhere"] })),
        ("ListServices", json!({ "cluster": "demo" })),
        ("DescribeServices", json!({ "cluster": "demo", "services": ["web", "nothing"] })),
        ("DescribeServices", json!({ "cluster": "nowhere", "services": ["web"] })),
        (
            "UpdateService",
            json!({ "cluster": "demo", "service": "web", "taskDefinition": "web:2" }),
        ),
        ("UpdateService", json!({ "cluster": "demo", "service": "nothing", "desiredCount": 2 })),
        (
            "UpdateService",
            json!({ "cluster": "demo", "service": "web", "taskDefinition": "web:99" }),
        ),
        ("ListTasks", json!({ "cluster": "demo", "serviceName": "web" })),
        ("DeregisterTaskDefinition", json!({ "taskDefinition": "web:1" })),
    ] {
        let (ours, theirs) = (call(own, operation, &ask).await, call(moto, operation, &ask).await);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => unlike(&ours, &theirs, operation, &mut found),
            (Err(ours), Err(theirs)) => {
                if ours["__type"] != theirs["__type"] {
                    found.insert(format!("{operation} {ask}: {ours} and {theirs}"));
                }
            }
            (ours, theirs) => {
                found.insert(format!("{operation} {ask}: {ours:?} and {theirs:?}"));
            }
        }
    }
    assert_eq!(found, BTreeSet::new());
}
