//! What becomes of a deployment in each scenario, and what the service refuses.

use std::time::Duration;

use gatekit_emulators::{Aws, Clock, Scenario};
use serde_json::{Value, json};
use tokio::time::advance;

use crate::ecs_shapes::definition;

/// An account, and how a caller uses it.
struct Caller(Aws);

impl Caller {
    fn new(scenario: Scenario) -> Self {
        Self(Aws::new(scenario, Clock::at_speed(1.0)))
    }

    fn call(&self, operation: &str, ask: &Value) -> Value {
        self.0.call(operation, ask).unwrap()
    }

    /// The kind of the error, and its message.
    fn refused(&self, operation: &str, ask: &Value) -> (String, String) {
        let error = self.0.call(operation, ask).unwrap_err();
        let of = |key: &str| error[key].as_str().unwrap().to_owned();
        (of("__type"), of("message"))
    }

    /// Registers another revision, deploys it and returns the id of its deployment.
    fn deploy(&self) -> String {
        let registered = self.call("RegisterTaskDefinition", &definition());
        let arn = &registered["taskDefinition"]["taskDefinitionArn"];
        let ask = json!({ "cluster": "demo", "service": "web", "taskDefinition": arn });
        let service = &self.call("UpdateService", &ask)["service"];
        service["deployments"][0]["id"].as_str().unwrap().to_owned()
    }

    fn service(&self) -> Value {
        let ask = json!({ "cluster": "demo", "services": ["web"] });
        self.call("DescribeServices", &ask)["services"][0].take()
    }

    /// The newest service-deployment.
    fn course(&self) -> Value {
        let listed = json!({ "cluster": "demo", "service": "web" });
        let listed = self.call("ListServiceDeployments", &listed);
        let arns = json!([listed["serviceDeployments"][0]["serviceDeploymentArn"]]);
        let ask = json!({ "serviceDeploymentArns": arns });
        self.call("DescribeServiceDeployments", &ask)["serviceDeployments"][0].take()
    }

    /// Those that run or have stopped, as `(startedBy, stopCode)`.
    fn tasks(&self, status: &str) -> Vec<(String, Value)> {
        let ask = json!({ "cluster": "demo", "serviceName": "web", "desiredStatus": status });
        let arns = self.call("ListTasks", &ask)["taskArns"].take();
        if arns == json!([]) {
            return Vec::new();
        }
        let told = self.call("DescribeTasks", &json!({ "cluster": "demo", "tasks": arns }));
        let told = told["tasks"].as_array().unwrap();
        let by = |it: &Value| it["startedBy"].as_str().unwrap().to_owned();
        told.iter().map(|it| (by(it), it["stopCode"].clone())).collect()
    }
}

/// `(id, status, rolloutState)` of each deployment.
fn deployments(service: &Value) -> Vec<(String, String, String)> {
    let of = |it: &Value, key: &str| it[key].as_str().unwrap().to_owned();
    let all = service["deployments"].as_array().unwrap().iter();
    all.map(|it| (of(it, "id"), of(it, "status"), of(it, "rolloutState"))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_completes_takes_the_place_of_the_earlier_one_and_of_its_tasks() {
    let caller = Caller::new(Scenario::Ok);
    let before = caller.service()["deployments"][0]["id"].as_str().unwrap().to_owned();
    let mine = caller.deploy();
    let expected = [
        (mine.clone(), "PRIMARY".to_owned(), "IN_PROGRESS".to_owned()),
        (before.clone(), "ACTIVE".to_owned(), "COMPLETED".to_owned()),
    ];
    assert_eq!(deployments(&caller.service()), expected);
    advance(Duration::from_secs(10)).await;
    let service = caller.service();
    assert_eq!(deployments(&service), [(mine.clone(), "PRIMARY".into(), "COMPLETED".into())]);
    assert_eq!(service["runningCount"], 2);
    assert_eq!(service["currentServiceDeployment"], caller.course()["serviceDeploymentArn"]);
    let number = mine.strip_prefix("ecs-svc/").unwrap();
    let revision = service["currentServiceRevisions"][0]["arn"].as_str().unwrap();
    assert!(revision.ends_with(&format!("/{number}")));
    let arn = service["currentServiceDeployment"].as_str().unwrap();
    assert!(!arn.contains(number), "only the revision tells which deployment it is: {arn}");
    let running: Vec<_> = caller.tasks("RUNNING").into_iter().map(|(by, _)| by).collect();
    assert_eq!(running, [&*mine, &*mine]);
    let stopped = caller.tasks("STOPPED");
    assert_eq!(stopped, vec![(before, json!("ServiceSchedulerInitiated")); 2]);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_makes_mine_active_and_failed_beside_a_new_primary_and_then_it_vanishes() {
    let caller = Caller::new(Scenario::BreakerRollback);
    let old = caller.service()["taskDefinition"].clone();
    let mine = caller.deploy();
    advance(Duration::from_secs(4)).await;
    let failed = caller.service()["deployments"][0]["failedTasks"].clone();
    assert_eq!((failed, &caller.course()["status"]), (json!(2), &json!("IN_PROGRESS")));
    advance(Duration::from_secs(2)).await;
    let service = caller.service();
    let told = deployments(&service);
    assert_eq!((&*told[0].1, &*told[0].2), ("PRIMARY", "IN_PROGRESS"));
    assert_eq!(told[1], (mine.clone(), "ACTIVE".into(), "FAILED".into()));
    assert_eq!(service["deployments"][0]["taskDefinition"], old);
    let course = caller.course();
    assert_eq!(course["status"], "ROLLBACK_IN_PROGRESS");
    assert_eq!(course["deploymentCircuitBreaker"]["status"], "TRIGGERED");
    advance(Duration::from_secs(3)).await;
    let told = deployments(&caller.service());
    assert_eq!((told.len(), &*told[0].2), (1, "COMPLETED"));
    assert_ne!(told[0].0, mine);
    assert_eq!(caller.course()["status"], "ROLLBACK_SUCCESSFUL");
    assert!(caller.tasks("STOPPED").contains(&(mine, json!("EssentialContainerExited"))));
}

#[tokio::test(start_paused = true)]
async fn without_rollback_mine_stays_primary_and_failed() {
    let caller = Caller::new(Scenario::BreakerStop);
    let mine = caller.deploy();
    advance(Duration::from_secs(60)).await;
    let told = deployments(&caller.service());
    assert_eq!(told[0], (mine, "PRIMARY".into(), "FAILED".into()));
    assert_eq!(&*told[1].2, "COMPLETED");
    assert_eq!(caller.course()["status"], "STOPPED");
}

#[tokio::test(start_paused = true)]
async fn the_failed_tasks_of_a_limping_deployment_are_forgotten_when_one_runs() {
    let caller = Caller::new(Scenario::CrashLoop);
    caller.deploy();
    let mut most = 0;
    for _ in 0..60 {
        advance(Duration::from_secs(1)).await;
        let failed = caller.service()["deployments"][0]["failedTasks"].as_u64().unwrap();
        most = most.max(failed);
    }
    assert_eq!(most, 1, "so that a breaker that counts them never trips");
    assert_eq!(caller.course()["deploymentCircuitBreaker"]["status"], "DISABLED");
}

#[tokio::test(start_paused = true)]
async fn whoever_overtakes_has_a_revision_of_their_own() {
    let caller = Caller::new(Scenario::Superseded);
    let before = caller.service()["taskDefinition"].clone();
    let mine = caller.deploy();
    advance(Duration::from_secs(10)).await;
    let service = caller.service();
    let primary = &service["deployments"][0];
    assert_ne!(primary["id"], mine);
    assert_ne!(primary["taskDefinition"], before, "it is no rollback");
    assert_eq!(primary["rolloutState"], "COMPLETED");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_is_told_by_its_name() {
    let caller = Caller::new(Scenario::AlarmRollback);
    caller.deploy();
    advance(Duration::from_secs(1)).await;
    assert_eq!(caller.course()["alarms"]["status"], "MONITORING");
    advance(Duration::from_secs(5)).await;
    let course = caller.course();
    assert_eq!(course["alarms"]["triggeredAlarmNames"], json!(["web-5xx"]));
    assert_eq!(
        course["deploymentCircuitBreaker"]["status"], "MONITORING",
        "it was not the breaker"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_stopped_is_rolled_back_or_left_as_it_was_asked() {
    for (kind, ended) in [("ROLLBACK", "ROLLBACK_SUCCESSFUL"), ("ABORT", "STOPPED")] {
        let caller = Caller::new(Scenario::Slow);
        caller.deploy();
        let arn = caller.course()["serviceDeploymentArn"].clone();
        let ask = json!({ "serviceDeploymentArn": arn, "stopType": kind });
        caller.call("StopServiceDeployment", &ask);
        if kind == "ROLLBACK" {
            assert_eq!(caller.course()["status"], "ROLLBACK_REQUESTED");
            caller.call("StopServiceDeployment", &ask);
            advance(Duration::from_secs(1)).await;
            assert_eq!(caller.course()["status"], "ROLLBACK_IN_PROGRESS");
        }
        advance(Duration::from_secs(5)).await;
        assert_eq!(caller.course()["status"], ended);
        assert_eq!(caller.refused("StopServiceDeployment", &ask).0, "ConflictException");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_service_is_inactive_and_takes_no_update() {
    let caller = Caller::new(Scenario::Deleted);
    caller.deploy();
    advance(Duration::from_secs(2)).await;
    let service = caller.service();
    assert_eq!((&service["status"], &service["desiredCount"]), (&json!("INACTIVE"), &json!(0)));
    let ask = json!({ "cluster": "demo", "service": "web", "forceNewDeployment": true });
    assert_eq!(caller.refused("UpdateService", &ask).0, "ServiceNotActiveException");
}

#[tokio::test(start_paused = true)]
async fn an_external_controller_has_no_deployments_and_takes_no_revision() {
    let caller = Caller::new(Scenario::ExternalController);
    let service = caller.service();
    assert_eq!(
        (&service["deployments"], &service["taskSets"][0]["status"]),
        (&json!([]), &json!("PRIMARY"))
    );
    let ask = json!({ "cluster": "demo", "service": "web", "taskDefinition": "web:1" });
    assert_eq!(caller.refused("UpdateService", &ask).0, "InvalidParameterException");
}

#[tokio::test(start_paused = true)]
async fn whatever_is_not_there_is_told_as_the_service_does() {
    let caller = Caller::new(Scenario::Ok);
    let ask = json!({ "cluster": "demo", "services": ["nothing"] });
    let failures = caller.call("DescribeServices", &ask)["failures"].take();
    let arn = "arn:aws:ecs:us-east-1:123456789012:service/demo/nothing";
    assert_eq!(failures, json!([{ "arn": arn, "reason": "MISSING" }]));
    for cluster in [json!("nowhere"), Value::Null] {
        let ask = json!({ "cluster": cluster, "services": ["web"] });
        assert_eq!(caller.refused("DescribeServices", &ask).0, "ClusterNotFoundException");
    }
    for (operation, key) in [
        ("UpdateService", "service"),
        ("ListServiceDeployments", "service"),
        ("ListTasks", "serviceName"),
    ] {
        let ask = json!({ "cluster": "demo", key: "nothing" });
        assert_eq!(caller.refused(operation, &ask).0, "ServiceNotFoundException");
    }
    let ask = json!({ "cluster": "demo", "service": "web", "taskDefinition": "web:7" });
    let refused = caller.refused("UpdateService", &ask);
    assert_eq!(refused.1, "The specified task definition does not exist.");
    caller.call("DeregisterTaskDefinition", &json!({ "taskDefinition": "web:1" }));
    let ask = json!({ "cluster": "demo", "service": "web", "taskDefinition": "web:1" });
    let refused = caller.refused("UpdateService", &ask);
    assert_eq!(refused, ("ClientException".to_owned(), "TaskDefinition is inactive".to_owned()));
}

#[test]
fn a_revision_keeps_what_it_was_registered_with_and_bad_ones_are_refused() {
    let caller = Caller::new(Scenario::Ok);
    caller.call("RegisterTaskDefinition", &definition());
    let ask = json!({ "taskDefinition": "web", "include": ["TAGS"] });
    let told = caller.call("DescribeTaskDefinition", &ask);
    assert_eq!(told["tags"], definition()["tags"]);
    assert_eq!(told["taskDefinition"]["revision"], 2);
    let told = caller.call("DescribeTaskDefinition", &json!({ "taskDefinition": "web:2" }));
    assert_eq!(told.get("tags"), None);
    let mut bad = Vec::new();
    for (key, value) in [
        ("family", Value::Null),
        ("family", json!("a b")),
        ("containerDefinitions", json!([])),
        ("containerDefinitions", json!([{ "name": "web" }])),
        ("tags", json!([])),
        ("tags", json!([{ "key": "", "value": "x" }])),
        ("tags", json!([{ "key": "a", "value": "x" }, { "key": "a", "value": "y" }])),
        ("tags", json!([{ "key": "aws:a", "value": "x" }])),
        ("cpu", Value::Null),
        ("networkMode", json!("bridge")),
    ] {
        let mut ask = definition();
        ask[key] = value;
        bad.push(caller.refused("RegisterTaskDefinition", &ask).0);
    }
    assert!(bad.iter().all(|it| it == "ClientException" || it == "InvalidParameterException"));
}

#[test]
fn revisions_are_listed_by_family_status_and_order_page_by_page() {
    let caller = Caller::new(Scenario::Ok);
    caller.call("RegisterTaskDefinition", &definition());
    caller.call("RegisterTaskDefinition", &definition());
    let mut other = definition();
    other["family"] = json!("web-admin");
    caller.call("RegisterTaskDefinition", &other);
    caller.call("DeregisterTaskDefinition", &json!({ "taskDefinition": "web:2" }));
    let list = |ask: Value| {
        let told = caller.call("ListTaskDefinitions", &ask);
        let arns = told["taskDefinitionArns"].as_array().unwrap().iter();
        let short = |it: &Value| it.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        (arns.map(short).collect::<Vec<_>>(), told["nextToken"].clone())
    };
    let (all, end) = (|ask| list(ask).0, Value::Null);
    assert_eq!(all(json!({ "familyPrefix": "web" })), ["web:1", "web:3"]);
    assert_eq!(all(json!({ "familyPrefix": "web", "sort": "DESC" })), ["web:3", "web:1"]);
    assert_eq!(all(json!({ "familyPrefix": "web", "status": "INACTIVE" })), ["web:2"]);
    assert_eq!(all(json!({})), ["web:1", "web:3", "web-admin:1"]);
    let (first, token) = list(json!({ "maxResults": 2 }));
    assert_eq!(first, ["web:1", "web:3"]);
    assert_eq!(
        list(json!({ "maxResults": 2, "nextToken": token })),
        (vec!["web-admin:1".into()], end)
    );
}
