//! The scenes that gatekit's own engine is explored with.

use gatekit_core::ledger::Word;
use gatekit_core::{
    Approval, Deploying, GateExt as _, Gating, OnInterrupt, Outcome, Pipeline, PipelineBuilder,
    Result, Then, advisory, enforced, on,
};

use super::deployer::{Fake, NEEDS};
use super::gate::{FakeGate, Says};
use super::place::Place;
use super::scene::{DoubleScene, Ledgers, id};
use crate::explorer::Scene as _;

/// What is shipped, and what some gates reject.
const NEW: &str = "v2";

const WEB: &[(&str, usize)] = &[("web", 1)];
const DB_AND_WEB: &[(&str, usize)] = &[("db", 1), ("web", 1)];
const GROUPS: &[(&str, usize)] = &[("shop/data/db", 1), ("shop/front/web", 1)];

/// Every scene, each with ledgers of that make.
#[must_use]
pub fn all(ledgers: &Ledgers) -> Vec<DoubleScene> {
    let scene = |name, stages, build| DoubleScene::new(name, ledgers, stages, build);
    vec![
        scene("one deploy", WEB, one_deploy),
        scene("a deploy in two parts", &[("web", 2)], one_deploy),
        scene("an interrupt leaves", WEB, leaving),
        scene("gates in parallel", WEB, gates_in_parallel),
        scene("two deploys with verifications", DB_AND_WEB, two_deploys),
        scene("one of two is live already", DB_AND_WEB, two_deploys).with_live("db", NEW),
        scene("a failing verification", WEB, failing_verify).ending(Outcome::RolledBack),
        scene("two deploys and a failing verification", DB_AND_WEB, two_deploys_fail)
            .ending(Outcome::RolledBack),
        scene("what has no way back fails verification", WEB, no_way_back)
            .ending(Outcome::Overridden)
            .may_need_override(),
        scene("what has no way back comes last", DB_AND_WEB, no_way_back_last)
            .ending(Outcome::Overridden)
            .may_need_override(),
        scene("a one-way change", DB_AND_WEB, one_way).ending(Outcome::Refused),
        scene("a pause that goes on", WEB, pause_goes_on),
        scene("a pause that is rejected", WEB, pause_is_rejected).ending(Outcome::RolledBack),
        scene("a rejected release that stays", WEB, rejected_stays).ending(Outcome::RolledBack),
        scene("a parked run", WEB, parked),
        scene("a gate that waits under the lock", WEB, waits_under_the_lock),
        scene("a parked run that is overtaken", WEB, parked)
            .overtaken()
            .ending(Outcome::Superseded),
        scene("an approval", WEB, approved).saying(Word::Approve),
        scene("a rejection", WEB, approved).saying(Word::Reject).ending(Outcome::Refused),
        scene("a waived gate", WEB, waived).waiving("checks"),
        scene("a target locked along", WEB, locked_along),
        scene("a target locked along, and a failing verification", WEB, locked_along_fails)
            .ending(Outcome::RolledBack),
        scene("groups", GROUPS, groups).ending(Outcome::RolledBack),
        scene("a recovery and a new plan", WEB, |place| recovery(place, Then::Replan))
            .repairing("history"),
        scene("a recovery and the same change", WEB, |place| recovery(place, Then::SameChange))
            .repairing("history"),
        scene("a recovery in vain", WEB, recovery_in_vain)
            .repairing("history")
            .ending(Outcome::RolledBack),
        scene("a rollback", WEB, one_deploy)
            .with_live("web", "v0")
            .rolling_back(&["v1", NEW], "v1"),
        scene("a rollback of two releases", DB_AND_WEB, two_deploys)
            .rolling_back(&["v0", "v1", NEW], "v0"),
        scene("a rollback to what has died", WEB, one_deploy)
            .with_live("web", "v0")
            .rolling_back(&["v1", NEW], "v1")
            .dying()
            .ending(Outcome::Overridden)
            .may_need_override(),
        scene("somebody else releases", WEB, verified).with_intruder(),
        scene("somebody else releases in between", WEB, failing_verify)
            .ending(Outcome::RolledBack)
            .with_intruder(),
        scene("somebody else releases over a rollback", WEB, one_deploy)
            .with_live("web", "v0")
            .rolling_back(&["v1", NEW], "v1")
            .with_intruder(),
        scene("somebody else releases over what is in place", DB_AND_WEB, two_deploys)
            .with_live("db", NEW)
            .with_intruder(),
        scene("nobody can tell whose write it is", WEB, forgetful)
            .may_need_override()
            .without_recognition(),
    ]
}

/// The scene of that name.
#[must_use]
pub fn named(name: &str, ledgers: &Ledgers) -> Option<DoubleScene> {
    all(ledgers).into_iter().find(|scene| scene.name() == name)
}

fn builder() -> PipelineBuilder<Gating> {
    Pipeline::to("test/app").on_interrupt(OnInterrupt::Unwind)
}

fn fake(name: &str, place: &Place) -> Fake {
    Fake::new(id(name), place)
}

fn gate(name: &str, place: &Place) -> FakeGate {
    FakeGate::new(id(name), place)
}

fn deploying<S>(builder: PipelineBuilder<S>, fake: Fake) -> PipelineBuilder<Deploying> {
    let back = fake.back();
    builder.deploy(fake).rollback_with(back)
}

fn one_deploy(place: &Place) -> Result<Pipeline> {
    deploying(builder(), fake("web", place)).build()
}

fn leaving(place: &Place) -> Result<Pipeline> {
    let builder = deploying(builder(), fake("web", place).slow(1));
    builder.on_interrupt(OnInterrupt::LeaveForResume).build()
}

fn gates_in_parallel(place: &Place) -> Result<Pipeline> {
    let builder = builder().gates([
        enforced(gate("checks", place)),
        advisory(gate("second-eye", place).says([Says::Fail])),
        enforced(gate("window", place).ageing()),
    ]);
    deploying(builder, fake("web", place))
        .verify_all([
            enforced(gate("smoke", place).looking()),
            advisory(gate("slow", place).says([Says::Inconclusive])),
        ])
        .build()
}

fn two_deploys(place: &Place) -> Result<Pipeline> {
    let builder = deploying(builder(), fake("db", place)).verify(enforced(gate("tables", place)));
    deploying(builder, fake("web", place)).verify(enforced(gate("smoke", place).looking())).build()
}

fn verified(place: &Place) -> Result<Pipeline> {
    let smoke = enforced(gate("smoke", place).looking());
    deploying(builder(), fake("web", place)).verify(smoke).build()
}

fn failing_verify(place: &Place) -> Result<Pipeline> {
    let smoke = enforced(gate("smoke", place).says([Says::Fail]).of(NEW));
    deploying(builder(), fake("web", place)).verify(smoke).build()
}

fn two_deploys_fail(place: &Place) -> Result<Pipeline> {
    let builder = deploying(builder(), fake("db", place));
    let smoke = enforced(gate("smoke", place).says([Says::Fail]).of(NEW));
    deploying(builder, fake("web", place)).verify(smoke).build()
}

fn no_way_back(place: &Place) -> Result<Pipeline> {
    let builder = builder().deploy(fake("web", place)).irreversible("it drops a table");
    builder.verify(enforced(gate("smoke", place).says([Says::Fail]).of(NEW))).build()
}

fn no_way_back_last(place: &Place) -> Result<Pipeline> {
    let builder = deploying(builder(), fake("db", place));
    let builder = builder.deploy(fake("web", place)).irreversible("it sends mail");
    builder.verify(enforced(gate("smoke", place).says([Says::Fail]).of(NEW))).build()
}

fn one_way(place: &Place) -> Result<Pipeline> {
    let builder = deploying(builder(), fake("db", place));
    deploying(builder, fake("web", place).one_way(NEW, "it drops a table")).build()
}

fn pause_goes_on(place: &Place) -> Result<Pipeline> {
    let builder = deploying(builder(), fake("web", place).pausing("test-traffic"));
    builder.at_pause([enforced(gate("listener", place))]).build()
}

fn pause_is_rejected(place: &Place) -> Result<Pipeline> {
    let builder = deploying(builder(), fake("web", place).pausing("test-traffic"));
    builder.at_pause([enforced(gate("listener", place).says([Says::Fail]).of(NEW))]).build()
}

fn rejected_stays(place: &Place) -> Result<Pipeline> {
    let builder = deploying(builder(), fake("web", place).pausing("test-traffic").staying());
    builder.at_pause([enforced(gate("listener", place).says([Says::Fail]).of(NEW))]).build()
}

fn parked(place: &Place) -> Result<Pipeline> {
    let approval = gate("approval", place).waiting().of(NEW);
    deploying(builder().gate(enforced(approval)), fake("web", place)).build()
}

/// A person decides: not the explorer, which asks.
fn approved(place: &Place) -> Result<Pipeline> {
    let approval = Approval::quorum(1)
        .when("what is new", |cx| cx.candidate().version.as_deref() == Some(NEW));
    deploying(builder().gate(enforced(approval)), fake("web", place)).build()
}

fn waived(place: &Place) -> Result<Pipeline> {
    let checks = gate("checks", place).says([Says::Fail]).of(NEW);
    deploying(builder().gate(enforced(checks)), fake("web", place)).build()
}

fn locked_along(place: &Place) -> Result<Pipeline> {
    let smoke = enforced(gate("smoke", place).looking());
    deploying(builder().also_lock(["test/db"]), fake("web", place)).verify(smoke).build()
}

fn locked_along_fails(place: &Place) -> Result<Pipeline> {
    let smoke = enforced(gate("smoke", place).says([Says::Fail]).of(NEW));
    deploying(builder().also_lock(["test/db"]), fake("web", place)).verify(smoke).build()
}

fn waits_under_the_lock(place: &Place) -> Result<Pipeline> {
    let says = [Says::Pass, Says::Wait, Says::Pass];
    let window = gate("window", place).says(says).of(NEW).ageing();
    deploying(builder().gate(enforced(window)), fake("web", place)).build()
}

/// Two groups in a third, of which the second fails verification.
fn groups(place: &Place) -> Result<Pipeline> {
    builder()
        .group("shop", |shop| {
            shop.group("data", |data| {
                let db = Fake::at(id("shop/data/db"), id("db"), place);
                let back = db.back();
                data.gate(enforced(gate("checks", place))).deploy(db).rollback_with(back)
            })
            .group("front", |front| {
                let web = Fake::at(id("shop/front/web"), id("web"), place);
                let back = web.back();
                let smoke = gate("smoke", place).says([Says::Fail]).of(NEW);
                front.deploy(web).rollback_with(back).verify(enforced(smoke))
            })
        })
        .build()
}

fn repaired(place: &Place, then: Then) -> PipelineBuilder<Deploying> {
    let history = fake("history", place).wishing("repaired");
    let back = history.back();
    let repair = on(NEEDS).deploy(history).rollback_with(back).then(then);
    deploying(builder(), fake("web", place).needing(id("history"), "repaired")).recover(repair)
}

fn recovery(place: &Place, then: Then) -> Result<Pipeline> {
    repaired(place, then).verify(enforced(gate("smoke", place).looking())).build()
}

fn recovery_in_vain(place: &Place) -> Result<Pipeline> {
    let smoke = gate("smoke", place).says([Says::Fail]).of(NEW);
    repaired(place, Then::Replan).verify(enforced(smoke)).build()
}

fn forgetful(place: &Place) -> Result<Pipeline> {
    deploying(builder(), fake("web", place).forgetful()).build()
}
