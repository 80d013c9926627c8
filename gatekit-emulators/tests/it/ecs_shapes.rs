//! Whatever the emulator answers is what the service's model promises.

use std::time::Duration;

use gatekit_emulators::{Aws, Clock, Scenario};
use serde_json::{Value, json};
use tokio::time::advance;

use crate::model::Model;

/// An account whose every answer is judged by the model.
struct Judged<'a> {
    aws: Aws,
    model: &'a Model,
    scenario: Scenario,
    asked: usize,
}

impl<'a> Judged<'a> {
    fn new(scenario: Scenario, model: &'a Model) -> Self {
        let aws = Aws::new(scenario, Clock::at_speed(1.0));
        Self { aws, model, scenario, asked: 0 }
    }

    fn call(&mut self, operation: &str, ask: &Value) -> Result<Value, Value> {
        self.asked += 1;
        let answer = self.aws.call(operation, ask);
        let wrong = match &answer {
            Ok(answer) => self.model.of_answer(operation, answer),
            Err(error) => self.model.of_error(operation, error),
        };
        assert_eq!(wrong, [""; 0], "{}: {operation} {ask}", self.scenario);
        assert_eq!(self.model.of_ask(operation, ask), [""; 0], "the test asks for what is none");
        answer
    }

    /// Reads all there is to read.
    fn look_around(&mut self) {
        let (web, demo) = (json!("web"), json!("demo"));
        self.call("DescribeClusters", &json!({ "clusters": ["demo", "nowhere"] })).unwrap();
        self.call("ListServices", &json!({ "cluster": demo })).unwrap();
        let services = json!({ "cluster": demo, "services": ["web", "nothing"] });
        self.call("DescribeServices", &services).unwrap();
        let listed = json!({ "cluster": demo, "service": web });
        let listed = self.call("ListServiceDeployments", &listed).unwrap();
        let of = |key: &str| -> Vec<Value> {
            let listed = listed["serviceDeployments"].as_array().unwrap();
            listed.iter().map(|it| it[key].clone()).chain([json!("nothing")]).collect()
        };
        let arns = json!({ "serviceDeploymentArns": of("serviceDeploymentArn") });
        self.call("DescribeServiceDeployments", &arns).unwrap();
        let arns = json!({ "serviceRevisionArns": of("targetServiceRevisionArn") });
        self.call("DescribeServiceRevisions", &arns).unwrap();
        for status in ["RUNNING", "STOPPED"] {
            let ask = json!({ "cluster": demo, "serviceName": web, "desiredStatus": status });
            let mut tasks = self.call("ListTasks", &ask).unwrap()["taskArns"].clone();
            tasks.as_array_mut().unwrap().push(json!("nothing"));
            self.call("DescribeTasks", &json!({ "cluster": demo, "tasks": tasks })).unwrap();
        }
        let definitions = self.call("ListTaskDefinitions", &json!({})).unwrap();
        for arn in definitions["taskDefinitionArns"].as_array().unwrap() {
            let ask = json!({ "taskDefinition": arn, "include": ["TAGS"] });
            self.call("DescribeTaskDefinition", &ask).unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_answer_of_every_course_at_every_moment_is_what_the_model_promises() {
    let model = Model::of("ecs", "2014-11-13");
    for scenario in Scenario::ALL {
        let mut judged = Judged::new(scenario, &model);
        judged.look_around();
        let revision = judged.call("RegisterTaskDefinition", &definition()).unwrap();
        let arn = revision["taskDefinition"]["taskDefinitionArn"].clone();
        let update = json!({ "cluster": "demo", "service": "web", "taskDefinition": arn });
        let _ = judged.call("UpdateService", &update);
        for _ in 0..24 {
            judged.look_around();
            advance(Duration::from_millis(500)).await;
        }
        for action in ["ContinueServiceDeployment", "StopServiceDeployment"] {
            let ask = of_the_newest(&mut judged, action);
            let _ = judged.call(action, &ask);
            judged.look_around();
            advance(Duration::from_secs(4)).await;
        }
        judged.look_around();
        let _ = judged.call("UpdateService", &update);
        let _ = judged.call("DeregisterTaskDefinition", &json!({ "taskDefinition": arn }));
        judged.look_around();
        assert!(judged.asked > 250, "{scenario}: only {} calls", judged.asked);
    }
}

fn of_the_newest(judged: &mut Judged<'_>, action: &str) -> Value {
    let listed = json!({ "cluster": "demo", "service": "web" });
    let listed = judged.call("ListServiceDeployments", &listed).unwrap();
    let arn = listed["serviceDeployments"][0]["serviceDeploymentArn"].clone();
    if action == "ContinueServiceDeployment" {
        json!({ "serviceDeploymentArn": arn, "hookId": "smoke", "action": "CONTINUE" })
    } else {
        json!({ "serviceDeploymentArn": arn, "stopType": "ROLLBACK" })
    }
}

/// A task definition of the service, with another image.
pub(crate) fn definition() -> Value {
    let image = format!("registry.example.com/web@sha256:{}", "1".repeat(64));
    json!({
        "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
        "cpu": "256", "memory": "512", "tags": [{ "key": "team", "value": "shop" }],
        "containerDefinitions": [{ "name": "web", "image": image, "essential": true, "memory": 128 }],
    })
}
