//! The list of operations is what is called, and the policies of the README allow just that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gatekit_aws::cloudwatch::Alarms;
use gatekit_aws::ecr::{MoveTag, RestoreTag, Scan, Severity};
use gatekit_aws::ecs::{Image, Preflight, PreviousRevision, Service};
use gatekit_aws::operations;
use gatekit_core::ledger::MemoryLedger;
use gatekit_core::{
    Candidate, Code, Engine, Evidence, Finding, Gate, Outcome, Pipeline, StageId, Verdict,
    advisory, enforced, gate_fn,
};
use gatekit_emulators::{Alarm, Aws as Account, Clock, Injection, Scenario, Trouble};
use serde_json::{Value, json};

use crate::account;
use crate::ecr::world::World;
use crate::ecs::shipping::{deploy, register, why};

const README: &str = include_str!("../../README.md");

fn listed() -> BTreeSet<String> {
    operations::ALL.iter().map(|it| it.action.to_owned()).collect()
}

/// The actions of the policies, by statement.
fn allowed(sid: &str) -> BTreeSet<String> {
    let blocks = README.split("```json").skip(1).map(|it| it.split("```").next().unwrap());
    let policies = blocks.map(|it| serde_json::from_str::<Value>(it).unwrap());
    let statements = policies.flat_map(|it| it["Statement"].as_array().unwrap().clone());
    let of_sid = statements.filter(|it| it["Sid"] == sid);
    let actions = of_sid.flat_map(|it| match &it["Action"] {
        Value::Array(actions) => actions.clone(),
        action => vec![action.clone()],
    });
    actions.map(|it| it.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_policies_allow_what_is_listed_and_no_more() {
    let (required, optional) = (allowed("Required"), allowed("Optional"));
    assert_eq!(allowed("TaskRoles"), BTreeSet::from(["iam:PassRole".to_owned()]));
    // A part of registering, and not a call.
    let mut all: BTreeSet<_> = required.union(&optional).cloned().collect();
    assert!(all.remove("ecs:TagResource"));
    assert_eq!(all, listed());
    for operation in operations::ALL {
        let is_required = operation.need == operations::Need::Required;
        assert_eq!(required.contains(operation.action), is_required, "{operation}");
    }
}

fn says(id: &str, passes: bool) -> impl Gate {
    let check = move |_| async move {
        let read = Evidence::read("a test", "yes", json!({}));
        let no = Finding::new(Code::new("test.no"), "no");
        Ok(if passes { Verdict::pass([read]) } else { Verdict::Fail(no) })
    };
    gate_fn(id, check).unwrap()
}

/// A pipeline with everything in it, that pauses and is undone by a gate in the end; and a rollout that
/// is stopped.
#[tokio::test]
async fn what_is_listed_is_called_and_nothing_else() {
    let world = World::new();
    let (old, new) = (world.image("old"), world.image("new"));
    world.set_tag("live", &old);
    let account = Account::new(Scenario::BlueGreenPause, Clock::at_speed(10.0));
    let account = account.with_ecr(world.ecr.clone());
    account.put_alarm(Alarm::metric("web-5xx"));
    let host = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
    let image = |digest| Image::new(format!("{host}/{}", world.repository), digest).unwrap();
    // By a tag: the digests that run have to be read.
    let tagged = format!("{host}/{}:old", world.repository);
    deploy(&account, &register(&account, &[("web", &tagged)]));
    account.with_account(gatekit_emulators::Account::hasten);
    let listening = account.listen(0).await.unwrap();
    let aws = account::at(&listening.url());
    let service = Service::new(&aws, "demo", "web").unwrap().image(image(new.clone()));
    let back = PreviousRevision::of(&service);
    let scan = Scan::of(&aws, &world.repository, new.clone()).unwrap();
    let scan = scan.none_from(Severity::Critical);
    let alarms = Alarms::of(&aws, "alarms", ["web-5xx"]).unwrap();
    let moved = |tag: &str| {
        let to = MoveTag::new(&aws, &world.repository, new.clone()).to(tag).unwrap();
        to.with_id(StageId::new(tag).unwrap())
    };
    let pipeline = Pipeline::to("production/web")
        .gates([enforced(Preflight::of(&service).unwrap()), advisory(scan)])
        .deploy(service)
        .rollback_with(back)
        .at_pause([enforced(says("listener", true))])
        .verify(enforced(alarms.bake(Duration::from_millis(10))))
        .deploy(moved("live"))
        .rollback_with(RestoreTag::new(&aws))
        .deploy(moved("fresh"))
        .rollback_with(RestoreTag::new(&aws))
        .verify(enforced(says("smoke", false)))
        .build()
        .unwrap();
    let engine = Engine::new(Arc::new(MemoryLedger::new()));
    let report = engine.ship(&pipeline, Candidate::new()).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{}", why(&report));

    let stopped = Account::new(Scenario::Unpullable, Clock::at_speed(10.0));
    stopped.inject(Injection::of(Trouble::Throttled, "DescribeServices", 1));
    let listening = stopped.listen(0).await.unwrap();
    let service = Service::new(&account::at(&listening.url()), "demo", "web").unwrap();
    let report = crate::ecs::shipping::ship(service.image(image(new))).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{}", why(&report));

    let names: BTreeSet<_> = operations::ALL.iter().map(|it| it.name().to_owned()).collect();
    let called: BTreeSet<_> =
        account.calls().into_iter().chain(stopped.calls()).map(|it| it.operation).collect();
    assert_eq!(called, names);
}
