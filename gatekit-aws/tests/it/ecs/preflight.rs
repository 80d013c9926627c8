//! What is seen before a release.

use std::sync::Arc;
use std::time::Duration;

use gatekit_aws::ecs::{Image, Preflight, PreviousRevision, Service};
use gatekit_core::ledger::MemoryLedger;
use gatekit_core::{
    Candidate, Digest, Engine, Gate as _, Outcome, Pipeline, StageId, TargetName, Verdict,
    enforced, testing,
};
use gatekit_emulators::{Alarm, AlarmState, Aws as Account, Clock, Injection, Scenario, Trouble};

use serde_json::json;

use super::shipping::{
    account, called, deploy, end, image, register, service, serving, why, with_image,
};
use crate::account;
use crate::ecr::world::{World, written};

/// What the gate says, and what it found.
async fn look(service: &Service) -> (Verdict, String) {
    let gate = Preflight::of(service).unwrap();
    let target = TargetName::new("production/web").unwrap();
    let stage = StageId::new("ecs-preflight").unwrap();
    let cx = testing::plan_context(&target, Candidate::new(), &stage, Duration::from_secs(60));
    let verdict = gate.check(&cx).await.unwrap();
    let told = format!("{verdict:?}");
    (verdict, told)
}

async fn look_at(account: &Account) -> (Verdict, String) {
    look(&with_image(&account::in_process(account))).await
}

#[tokio::test(start_paused = true)]
async fn a_service_that_can_be_released_to_passes_with_what_was_read() {
    let (verdict, told) = look_at(&account(Scenario::Ok)).await;
    assert!(verdict.is_pass(), "{told}");
    for fact in ["web:1", "ROLLING", "desired", "is not in this region's ECR"] {
        assert!(told.contains(fact), "{fact}: {told}");
    }
    assert!(!told.contains("circuit breaker"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn everything_in_the_way_is_told_at_once() {
    let account = account(Scenario::DesiredZero);
    let service = service(&account::in_process(&account)).image_of("proxy", image("two"));
    let (verdict, told) = look(&service).await;
    assert!(matches!(verdict, Verdict::Fail(_)), "{told}");
    assert_eq!(verdict.finding().unwrap().code.as_str(), "ecs.preflight");
    assert!(told.contains("no task is desired"), "{told}");
    assert!(told.contains("there is no container `proxy`"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_be_released_to_fails() {
    let (verdict, told) = look_at(&account(Scenario::ExternalController)).await;
    assert!(matches!(verdict, Verdict::Fail(_)) && told.contains("EXTERNAL"), "{told}");

    let busy = account(Scenario::Ok);
    deploy(&busy, &register(&busy, &[("web", "registry.example.com/web:9")]));
    let (verdict, told) = look_at(&busy).await;
    assert!(matches!(verdict, Verdict::Fail(_)) && told.contains("under way"), "{told}");

    let aws = account::in_process(&account(Scenario::Ok));
    for (cluster, name, code) in
        [("demo", "wab", "ecs.no_service"), ("dmo", "web", "ecs.no_cluster")]
    {
        let (verdict, told) = look(&Service::new(&aws, cluster, name).unwrap()).await;
        assert!(matches!(verdict, Verdict::Fail(_)) && told.contains(code), "{told}");
    }
    let (verdict, told) = look(&service(&aws).revision("web:7")).await;
    assert!(matches!(verdict, Verdict::Fail(_)) && told.contains("ecs.no_revision"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_fires_already_fails() {
    let account = account(Scenario::AlarmRollback);
    let (verdict, told) = look_at(&account).await;
    assert!(verdict.is_pass(), "{told}");
    account.put_alarm(Alarm::metric("web-5xx").first(AlarmState::Alarm));
    let (verdict, told) = look_at(&account).await;
    assert!(matches!(verdict, Verdict::Fail(_)) && told.contains("`web-5xx` fires"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_does_not_roll_back_is_advice() {
    let (verdict, told) = look_at(&account(Scenario::BreakerStop)).await;
    assert!(verdict.is_pass() && told.contains("does not roll back"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_read_is_advice() {
    let account = account(Scenario::AlarmRollback);
    for operation in ["DescribeAlarms", "ListServiceDeployments", "ListTasks"] {
        account.inject(Injection::of(Trouble::Denied, operation, 99));
    }
    let (verdict, told) = look_at(&account).await;
    assert!(verdict.is_pass(), "{told}");
    for action in ["cloudwatch:DescribeAlarms", "ecs:ListServiceDeployments", "ecs:ListTasks"] {
        assert!(told.contains(action), "{action}: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_is_refused_before_anything_is_touched() {
    let account = account(Scenario::DesiredZero);
    let service = with_image(&account::in_process(&account));
    let (gate, back) = (Preflight::of(&service).unwrap(), PreviousRevision::of(&service));
    let pipeline = Pipeline::to("production/web").gate(enforced(gate));
    let pipeline = pipeline.deploy(service).rollback_with(back).build().unwrap();
    let engine = Engine::new(Arc::new(MemoryLedger::new()));
    let report = engine.ship(&pipeline, Candidate::new()).await;
    assert_eq!(end(&report), (Outcome::Refused, "gate.failed"), "{}", why(&report));
    assert!(!called(&account).contains_key("UpdateService"));
}

/// In real time: the registry is a real one.
#[tokio::test]
async fn an_image_has_to_be_in_its_repository_and_for_the_platform_of_the_tasks() {
    let world = World::new();
    let (fits, other) = (world.image("fits"), world.image_for("other", "arm64", 512));
    let platform = |architecture| json!({ "os": "linux", "architecture": architecture });
    let both = world.index(&[(&fits, platform("amd64")), (&other, platform("arm64"))]);
    let account = account(Scenario::Ok).with_ecr(world.ecr.clone());
    let listening = account.listen(0).await.unwrap();
    let aws = account::at(&listening.url());
    let host = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
    let of = |digest| {
        let image = Image::new(format!("{host}/{}", world.repository), digest).unwrap();
        service(&aws).image(image)
    };
    for there in [fits, both] {
        let (verdict, told) = look(&of(there)).await;
        assert!(verdict.is_pass(), "{told}");
    }
    let (verdict, told) = look(&of(other)).await;
    assert!(matches!(verdict, Verdict::Fail(_)), "{told}");
    assert!(told.contains("is for linux/arm64, and the tasks run on linux/amd64"), "{told}");
    let (verdict, told) = look(&of(Digest::of("missing"))).await;
    assert!(matches!(verdict, Verdict::Fail(_)) && told.contains("ecr.no_image"), "{told}");
}

/// A revision with that image and a sidecar of another registry, for tasks on linux/amd64.
fn with_sidecar(account: &Account, web: &str) -> String {
    let container = |name: &str, image: &str| json!({ "name": name, "image": image, "essential": true, "memory": 128 });
    let definition = json!({
        "family": "web",
        "runtimePlatform": { "cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX" },
        "containerDefinitions": [container("web", web), container("proxy", "docker.io/envoy:1")],
    });
    let told = account.with_account(|it| it.call("RegisterTaskDefinition", &definition)).unwrap();
    told["taskDefinition"]["taskDefinitionArn"].as_str().unwrap().to_owned()
}

/// In real time: the registry is a real one.
#[tokio::test]
async fn images_of_a_revision_that_is_there_are_looked_at_too() {
    let world = World::new();
    let (fits, other) = (world.image("fits"), world.image_for("other", "arm64", 512));
    world.set_tag("live", &fits);
    let account = account(Scenario::Ok).with_ecr(world.ecr.clone());
    let listening = account.listen(0).await.unwrap();
    let aws = account::at(&listening.url());
    let host = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
    let of = |named: &str| {
        let revision = with_sidecar(&account, &format!("{host}/{}{named}", world.repository));
        service(&aws).revision(revision)
    };
    let by_digest = |digest: &Digest| format!("@{}", written(digest));
    for there in [by_digest(&fits), ":live".to_owned()] {
        let (verdict, told) = look(&of(&there)).await;
        assert!(verdict.is_pass(), "{told}");
        assert!(told.contains("`docker.io/envoy:1` is not in this region's ECR"), "{told}");
    }
    for (bad, says) in [
        (by_digest(&Digest::of("missing")), "ecr.no_image"),
        (":missing".to_owned(), "ecr.no_tag"),
        (by_digest(&other), "is for linux/arm64"),
    ] {
        let (verdict, told) = look(&of(&bad)).await;
        assert!(matches!(verdict, Verdict::Fail(_)) && told.contains(says), "{bad}: {told}");
    }
}

/// In real time: the registry is a real one.
#[tokio::test]
async fn what_runs_is_not_deployed_again_when_its_image_is_gone() {
    let world = World::new();
    let account = Account::new(Scenario::Ok, Clock::at_speed(1000.0)).with_ecr(world.ecr.clone());
    let listening = account.listen(0).await.unwrap();
    let aws = account::at(&listening.url());
    let host = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
    deploy(&account, &with_sidecar(&account, &format!("{host}/{}:gone", world.repository)));
    while serving(&account).is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (verdict, told) = look(&service(&aws).force()).await;
    assert!(matches!(verdict, Verdict::Fail(_)) && told.contains("ecr.no_tag"), "{told}");
}
