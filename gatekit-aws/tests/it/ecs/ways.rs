//! The ways to ask for a release, and the ways back.

use std::sync::Arc;
use std::time::Duration;

use gatekit_aws::ecs::{PreviousRevision, Service};
use gatekit_core::ledger::MemoryLedger;
use gatekit_core::{
    Candidate, Code, Engine, Evidence, Finding, Gate, Outcome, Pipeline, RunReport, Verdict,
    enforced, gate_fn,
};
use gatekit_emulators::{Aws as Account, Injection, Scenario, Trouble};
use serde_json::json;

use super::shipping::{
    FIRST, OTHERS, account, called, deploy, end, image, pipeline, register, service, serving, ship,
    why, with_image,
};
use crate::account;

fn verdict(id: &str, passes: bool) -> impl Gate {
    let check = move |_| async move {
        let read = Evidence::read("a test", "yes", json!({ "answer": "yes" }));
        Ok(if passes { Verdict::pass([read]) } else { no() })
    };
    gate_fn(id, check).unwrap()
}

fn no() -> Verdict {
    Verdict::Fail(Finding::new(Code::new("test.no"), "no"))
}

/// Ships, and has it undone by a gate that fails.
async fn ship_and_undo(service: Service) -> RunReport {
    let back = PreviousRevision::of(&service);
    let pipeline = Pipeline::to("production/web").deploy(service).rollback_with(back);
    let pipeline = pipeline.verify(enforced(verdict("smoke", false))).build().unwrap();
    Engine::new(Arc::new(MemoryLedger::new())).ship(&pipeline, Candidate::new()).await
}

/// What the call to begin a deployment asked for, the last first.
fn updates(account: &Account) -> Vec<String> {
    let calls = account.calls().into_iter().rev();
    let updates = calls.filter(|it| it.operation == "UpdateService");
    let revision = |ask: &serde_json::Value| {
        let arn = ask["taskDefinition"].as_str().unwrap_or_default();
        arn.rsplit('/').next().unwrap_or_default().to_owned()
    };
    updates.map(|it| revision(&it.ask)).collect()
}

/// A service whose first revision is known by a tag, which has been pushed since.
async fn tagged() -> (Account, String) {
    let account = account(Scenario::Ok);
    deploy(&account, &register(&account, &[("web", "registry.example.com/web:latest")]));
    account.with_account(gatekit_emulators::Account::hasten);
    let ran = serving(&account).unwrap();
    account.with_account(gatekit_emulators::Account::push);
    (account, ran)
}

#[tokio::test(start_paused = true)]
async fn what_is_there_already_is_left_alone() {
    let account = account(Scenario::Ok);
    let aws = account::in_process(&account);
    let report = ship(service(&aws).image(FIRST.parse().unwrap())).await;
    assert_eq!(end(&report), (Outcome::Unchanged, ""));
    let report = ship(service(&aws).revision("web:1")).await;
    assert_eq!(end(&report), (Outcome::Unchanged, ""));
    assert!(updates(&account).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_revision_of_the_runs_own_keeps_what_it_was_made_of() {
    let account = account(Scenario::Ok);
    let report = ship(with_image(&account::in_process(&account))).await;
    assert_eq!(end(&report), (Outcome::Released, ""));
    let asked = json!({ "taskDefinition": "web:2", "include": ["TAGS"] });
    let told = account.with_account(|it| it.call("DescribeTaskDefinition", &asked)).unwrap();
    let tag = |key: &str| {
        let tags = told["tags"].as_array().unwrap();
        tags.iter().find(|it| it["key"] == key).map(|it| it["value"].clone())
    };
    assert_eq!(tag("gatekit:run").unwrap(), report.run.unwrap().to_string());
    assert_eq!(tag("gatekit:of").unwrap(), "web:1");
    let definition = &told["taskDefinition"];
    assert_eq!(definition["containerDefinitions"][0]["image"], image("two").to_string());
    for (key, value) in [("cpu", "256"), ("memory", "512"), ("networkMode", "awsvpc")] {
        assert_eq!(definition[key], value);
    }
    assert_eq!(definition["containerDefinitions"][0]["memory"], 128);
}

#[tokio::test(start_paused = true)]
async fn a_given_revision_is_deployed_and_undone() {
    let account = account(Scenario::Ok);
    register(&account, &[("web", OTHERS)]);
    let report = ship(service(&account::in_process(&account)).revision("web:2")).await;
    assert_eq!(end(&report), (Outcome::Released, ""));
    assert_eq!(serving(&account), Ok(OTHERS.to_owned()));
    register(&account, &[("web", &image("three").to_string())]);
    let report = ship_and_undo(service(&account::in_process(&account)).revision("web:3")).await;
    assert_eq!(end(&report), (Outcome::RolledBack, "verify.failed"));
    assert_eq!(serving(&account), Ok(OTHERS.to_owned()));
    assert_eq!(updates(&account), ["web:2", "web:3", "web:2"]);
}

/// The tag names another image by then: its old revision would bring that.
#[tokio::test(start_paused = true)]
async fn the_way_back_from_a_forced_deployment_leads_to_the_digests_that_ran() {
    let (account, ran) = tagged().await;
    let report = ship_and_undo(service(&account::in_process(&account)).force()).await;
    assert_eq!(end(&report), (Outcome::RolledBack, "verify.failed"));
    assert_eq!(serving(&account), Ok(ran));
    assert_eq!(updates(&account), ["web:3", "web:2"]);
}

#[tokio::test(start_paused = true)]
async fn the_way_back_to_a_revision_with_tags_leads_to_the_digests_that_ran() {
    let (account, ran) = tagged().await;
    let report = ship_and_undo(with_image(&account::in_process(&account))).await;
    assert_eq!(end(&report), (Outcome::RolledBack, "verify.failed"));
    assert_eq!(serving(&account), Ok(ran));
}

#[tokio::test(start_paused = true)]
async fn a_forced_deployment_brings_what_the_tag_names_now() {
    let (account, ran) = tagged().await;
    let report = ship(service(&account::in_process(&account)).force()).await;
    assert_eq!(end(&report), (Outcome::Released, ""));
    assert_ne!(serving(&account), Ok(ran));
}

#[tokio::test(start_paused = true)]
async fn a_forced_deployment_that_ecs_rolled_back_is_no_success() {
    let account = account(Scenario::ForcedRollback);
    deploy(&account, &register(&account, &[("web", "registry.example.com/web:latest")]));
    account.with_account(gatekit_emulators::Account::hasten);
    let ran = serving(&account);
    account.with_account(gatekit_emulators::Account::push);
    let report = ship(service(&account::in_process(&account)).force()).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{}", why(&report));
    assert_eq!(serving(&account), ran);
}

/// By its tags, the way back would lead to what they name by then.
#[tokio::test(start_paused = true)]
async fn a_way_back_to_tags_needs_the_digests_that_run() {
    for is_forced in [true, false] {
        let (account, _) = tagged().await;
        account.inject(Injection::of(Trouble::Denied, "ListTasks", 99));
        let aws = account::in_process(&account);
        let service = if is_forced { service(&aws).force() } else { with_image(&aws) };
        let report = ship(service).await;
        assert_eq!(end(&report), (Outcome::Refused, "rollback.one_way"), "{}", why(&report));
        assert!(why(&report).contains("`ecs:ListTasks`"), "{}", why(&report));
        assert!(updates(&account).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_deregistered_revision_is_no_way_back() {
    let account = account(Scenario::Ok);
    let revision = json!({ "taskDefinition": "web:1" });
    account.with_account(|it| it.call("DeregisterTaskDefinition", &revision)).unwrap();
    let report = ship(with_image(&account::in_process(&account))).await;
    assert_eq!(end(&report), (Outcome::Refused, "rollback.one_way"), "{}", why(&report));
    assert!(why(&report).contains("web:1 was deregistered"), "{}", why(&report));
    assert!(updates(&account).is_empty());
}

/// What a person has to mend: the new release stays, and nothing claims that it does not.
#[tokio::test(start_paused = true)]
async fn a_way_back_that_is_taken_away_later_leaves_the_target_suspect() {
    let account = account(Scenario::Ok);
    let aws = account::in_process(&account);
    let deregister = {
        let account = account.clone();
        gate_fn("smoke", move |_| {
            let revision = json!({ "taskDefinition": "web:1" });
            let told = account.with_account(|it| it.call("DeregisterTaskDefinition", &revision));
            async move { Ok(if told.is_ok() { no() } else { Verdict::pass([]) }) }
        })
        .unwrap()
    };
    let service = with_image(&aws);
    let back = PreviousRevision::of(&service);
    let pipeline = Pipeline::to("production/web").deploy(service).rollback_with(back);
    let pipeline = pipeline.verify(enforced(deregister)).build().unwrap();
    let engine = Engine::new(Arc::new(MemoryLedger::new()));
    let report = engine.ship(&pipeline, Candidate::new()).await;
    assert_eq!(end(&report), (Outcome::Stuck, "rollback.stuck"), "{}", why(&report));
    assert_eq!(serving(&account), Ok(image("two").to_string()));
}

#[tokio::test(start_paused = true)]
async fn gates_at_a_pause_decide() {
    for (passes, ends) in [(true, Outcome::Released), (false, Outcome::RolledBack)] {
        let account = account(Scenario::BlueGreenPause);
        let service = with_image(&account::in_process(&account));
        let back = PreviousRevision::of(&service);
        let pipeline = Pipeline::to("production/web").deploy(service).rollback_with(back);
        let pipeline = pipeline.at_pause([enforced(verdict("test-listener", passes))]);
        let engine = Engine::new(Arc::new(MemoryLedger::new()));
        let report = engine.ship(&pipeline.build().unwrap(), Candidate::new()).await;
        assert_eq!(report.outcome, ends, "{}", why(&report));
        let serves = if passes { image("two").to_string() } else { FIRST.to_owned() };
        assert_eq!(serving(&account), Ok(serves));
        assert_eq!(called(&account)["ContinueServiceDeployment"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_container_that_is_meant_gets_the_image() {
    let account = account(Scenario::Ok);
    let two = [("app", FIRST), ("worker", FIRST)];
    deploy(&account, &register(&account, &two));
    account.with_account(gatekit_emulators::Account::hasten);
    let aws = account::in_process(&account);
    let report = ship(service(&aws).image(image("two"))).await;
    assert_eq!(end(&report), (Outcome::Failed, "ecs.container"));
    let report = ship(service(&aws).image_of("worker", image("two"))).await;
    assert_eq!(end(&report), (Outcome::Released, ""));
    assert_eq!(serving(&account), Ok(format!("{FIRST}, {}", image("two"))));
}

/// The breaker has stopped a deployment and left it there: what ran before it runs still, and is what
/// a rollback leads to.
#[tokio::test(start_paused = true)]
async fn a_deployment_that_has_failed_is_neither_in_the_way_nor_the_way_back() {
    for undone in [false, true] {
        let account = account(Scenario::BreakerStop);
        let aws = account::in_process(&account);
        let pipeline = Pipeline::to("production/web").deploy(with_image(&aws));
        let pipeline = pipeline.irreversible("a test").build().unwrap();
        let engine = Engine::new(Arc::new(MemoryLedger::new()));
        let report = engine.ship(&pipeline, Candidate::new()).await;
        assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
        let mended = service(&aws).image(image("three"));
        let (report, serves) = if undone {
            (ship_and_undo(mended).await, FIRST.to_owned())
        } else {
            (ship(mended).await, image("three").to_string())
        };
        let ends = if undone { Outcome::RolledBack } else { Outcome::Released };
        assert_eq!(report.outcome, ends, "{}", why(&report));
        assert_eq!(serving(&account), Ok(serves));
    }
}

/// The first interrupt, where the pipeline unwinds then: ECS is told to stop and go back.
#[tokio::test(start_paused = true)]
async fn an_interrupt_stops_the_rollout_and_waits_for_the_way_back() {
    let account = account(Scenario::Slow);
    let pipeline = pipeline(with_image(&account::in_process(&account)));
    let engine = Engine::new(Arc::new(MemoryLedger::new()));
    let running = engine.ship(&pipeline, Candidate::new());
    let interrupter = running.interrupter();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(70)).await;
        interrupter.interrupt();
    });
    let report = running.wait().await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{}", why(&report));
    assert_eq!(serving(&account), Ok(FIRST.to_owned()));
    let called = called(&account);
    assert_eq!((called["UpdateService"], called["StopServiceDeployment"]), (1, 1));
}

/// The verb, after the run: with a sidecar that is known by a tag, the way back is a revision of its
/// own, and known as the one that it leads to.
#[tokio::test(start_paused = true)]
async fn a_release_is_rolled_back_by_the_verb() {
    let account = account(Scenario::Ok);
    let sidecar = "registry.example.com/agent:7";
    deploy(&account, &register(&account, &[("web", FIRST), ("agent", sidecar)]));
    account.with_account(gatekit_emulators::Account::hasten);
    let ran = serving(&account).unwrap();
    let engine = Engine::new(Arc::new(MemoryLedger::new()));
    for released in ["two", "three"] {
        let service = service(&account::in_process(&account)).image(image(released));
        let report = engine.ship(&pipeline(service), Candidate::new().with_version(released)).await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
    }
    account.with_account(gatekit_emulators::Account::push);
    let service = service(&account::in_process(&account)).image(image("three"));
    let report = engine.roll_back(&pipeline(service), None, "a test").await;
    assert_eq!(report.outcome, Outcome::Released, "{}", why(&report));
    let serves = serving(&account).unwrap();
    assert!(serves.contains(&image("two").to_string()), "{serves}");
    assert_eq!(serves.split(", ").nth(1), ran.split(", ").nth(1));
}
