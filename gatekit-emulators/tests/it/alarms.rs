//! The alarms: what the model promises, and what the command line of AWS reads.

use std::time::Duration;

use gatekit_emulators::{Alarm, AlarmState, Aws, Clock, Scenario};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::advance;

use crate::cli::aws;
use crate::ecs_shapes::definition;
use crate::model::Model;

fn account() -> Aws {
    let account = Aws::new(Scenario::Ok, Clock::at_speed(1.0));
    account.put_alarm(Alarm::composite("web"));
    account.put_alarm(Alarm::metric("slow").evaluated_badly("PARTIAL_DATA"));
    account
}

fn described(account: &Aws, ask: &Value) -> Value {
    let model = Model::of("cloudwatch", "2010-08-01");
    assert_eq!(model.of_ask("DescribeAlarms", ask), [""; 0]);
    let answer = account.call("DescribeAlarms", ask).unwrap();
    assert_eq!(model.of_answer("DescribeAlarms", &answer), [""; 0]);
    answer
}

fn names(answer: &Value) -> Vec<&str> {
    let of = |key: &str| answer[key].as_array().unwrap().iter();
    let all = of("MetricAlarms").chain(of("CompositeAlarms"));
    all.map(|it| it["AlarmName"].as_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_alarm_turns_when_its_script_says_so() {
    let account = account();
    let at = Duration::from_secs(5);
    account.put_alarm(Alarm::metric("latency").at(at, AlarmState::Alarm));
    let ask = json!({ "AlarmNames": ["latency"] });
    let before = described(&account, &ask)["MetricAlarms"][0].take();
    assert_eq!(before["StateValue"], "OK");
    advance(at).await;
    let after = described(&account, &ask)["MetricAlarms"][0].take();
    assert_eq!(after["StateValue"], "ALARM");
    let since = |it: &Value| it["StateTransitionedTimestamp"].as_f64().unwrap();
    assert!((since(&after) - since(&before) - 3605.0).abs() < 0.01);
    account.turn_alarm("latency", AlarmState::InsufficientData);
    let now = described(&account, &ask)["MetricAlarms"][0].take();
    assert_eq!(now["StateValue"], "INSUFFICIENT_DATA");
}

#[test]
fn composite_alarms_are_told_to_those_who_ask_for_them() {
    let account = account();
    assert_eq!(names(&described(&account, &json!({}))), ["slow", "web-5xx"]);
    let both = json!({ "AlarmTypes": ["MetricAlarm", "CompositeAlarm"], "MaxRecords": 2 });
    let first = described(&account, &both);
    assert_eq!(names(&first), ["slow", "web"]);
    let mut next = both;
    next["NextToken"] = first["NextToken"].clone();
    assert_eq!(names(&described(&account, &next)), ["web-5xx"]);
}

#[tokio::test(start_paused = true)]
async fn the_alarm_that_the_service_watches_fires_as_it_rolls_back() {
    let account = Aws::new(Scenario::AlarmRollback, Clock::at_speed(1.0));
    account.call("RegisterTaskDefinition", &definition()).unwrap();
    let ask = json!({ "cluster": "demo", "service": "web", "taskDefinition": "web:2" });
    account.call("UpdateService", &ask).unwrap();
    let state = || described(&account, &json!({}))["MetricAlarms"][0]["StateValue"].clone();
    assert_eq!(state(), "OK");
    advance(Duration::from_secs(6)).await;
    assert_eq!(state(), "ALARM");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_reads_them() {
    let account = account();
    account.turn_alarm("web", AlarmState::Alarm);
    let listening = account.listen(0).await.unwrap();
    let url = listening.url();
    let args = [
        "cloudwatch",
        "describe-alarms",
        "--alarm-names",
        "web",
        "--alarm-types",
        "CompositeAlarm",
        "--output",
        "json",
    ];
    let output = spawn_blocking(move || aws(&url, &args).output().unwrap()).await.unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["CompositeAlarms"][0]["StateValue"], "ALARM", "{output:?}");
}
