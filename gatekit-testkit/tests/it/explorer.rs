//! gatekit's own engine, explored with every scene of doubles; and the explorer itself, which must
//! notice what is wrong.
//!
//! Here every single fault is walked, and the pairs of the smallest scene. `cargo xtask explore` walks
//! the pairs of all.

use std::collections::BTreeSet;

use async_trait::async_trait;
use gatekit_core::{
    ApplyContext, Deployer, Digest, Live, Location, Pipeline, PlanContext, Planned, Result,
    Reversibility, Rollback, Rollout, StageId,
};
use gatekit_testkit::explorer::doubles::{DoubleScene, all, in_memory, named};
use gatekit_testkit::explorer::{Explorer, Scene as _, Script, Settles};
use serde_json::{Value, json};

#[track_caller]
fn singles(name: &str) {
    let scene = named(name, &in_memory()).unwrap();
    for settles in [Settles::ByResume, Settles::ByDecision] {
        Explorer::new(&scene).settles(settles).singles_only().explore().assert_sound();
    }
}

macro_rules! every_single_fault_of {
    ($($test:ident = $name:literal;)+) => {
        mod every_single_fault_of {
            $(
                #[test]
                fn $test() {
                    super::singles($name);
                }
            )+
        }

        #[test]
        fn no_scene_is_left_out() {
            let listed = BTreeSet::from([$($name.to_owned()),+]);
            let scenes = all(&in_memory());
            assert_eq!(listed, scenes.iter().map(|scene| scene.name()).collect());
            assert_eq!(listed.len(), scenes.len(), "two scenes have one name");
        }
    };
}

every_single_fault_of! {
    one_deploy = "one deploy";
    two_parts = "a deploy in two parts";
    leaving = "an interrupt leaves";
    parallel_gates = "gates in parallel";
    two_deploys = "two deploys with verifications";
    one_of_two = "one of two is live already";
    failing_verification = "a failing verification";
    two_deploys_that_fail = "two deploys and a failing verification";
    no_way_back = "what has no way back fails verification";
    no_way_back_last = "what has no way back comes last";
    one_way = "a one-way change";
    pause_that_goes_on = "a pause that goes on";
    rejected_pause = "a pause that is rejected";
    rejected_and_stays = "a rejected release that stays";
    parked = "a parked run";
    waits_under_the_lock = "a gate that waits under the lock";
    approval = "an approval";
    rejection = "a rejection";
    waiver = "a waived gate";
    overtaken = "a parked run that is overtaken";
    locked_along = "a target locked along";
    locked_along_and_failing = "a target locked along, and a failing verification";
    groups = "groups";
    recovery_and_new_plan = "a recovery and a new plan";
    recovery_and_same_change = "a recovery and the same change";
    recovery_in_vain = "a recovery in vain";
    rollback = "a rollback";
    rollback_to_the_dead = "a rollback to what has died";
    rollback_of_two = "a rollback of two releases";
    intruder = "somebody else releases";
    intruder_in_between = "somebody else releases in between";
    intruder_over_rollback = "somebody else releases over a rollback";
    intruder_in_place = "somebody else releases over what is in place";
    forgetful = "nobody can tell whose write it is";
}

#[test]
fn every_pair_of_faults_of_one_deploy() {
    let scene = named("one deploy", &in_memory()).unwrap();
    let exploration = Explorer::new(&scene).explore();
    println!("{exploration}");
    assert!(exploration.walked() > 5000, "{exploration}");
    exploration.assert_sound();
}

/// Says that all is well, and writes nothing.
#[derive(Debug, Clone)]
struct Liar;

#[async_trait]
impl Deployer for Liar {
    type Change = ();
    type Receipt = ();

    fn id(&self) -> StageId {
        StageId::new("web").unwrap()
    }

    fn describe(&self) -> Value {
        json!({})
    }

    async fn plan(&self, _: &PlanContext) -> Result<Planned<()>> {
        Ok(Planned { change: (), scope: Digest::of("web"), summary: "lies".to_owned() })
    }

    async fn apply(&self, _: &ApplyContext, _: &(), _: Option<&()>) -> Result<()> {
        Ok(())
    }

    async fn observe(&self, _: &PlanContext, _: &(), _: &()) -> Result<Rollout> {
        Ok(Rollout::Settled)
    }

    async fn locate(&self, _: &PlanContext, _: &(), receipt: Option<&()>) -> Result<Location> {
        Ok(if receipt.is_some() { Location::After } else { Location::Before })
    }

    async fn live(&self, _: &PlanContext) -> Result<Option<Live>> {
        Ok(None)
    }
}

#[async_trait]
impl Rollback<Self> for Liar {
    fn reversibility(&self, _: &()) -> Reversibility {
        Reversibility::Free
    }

    async fn roll_back(&self, _: &ApplyContext, _: &(), _: Option<&()>) -> Result<()> {
        Ok(())
    }

    async fn observe_back(&self, _: &PlanContext, _: &(), _: Option<&()>) -> Result<Rollout> {
        Ok(Rollout::Settled)
    }
}

#[test]
fn a_release_that_did_not_happen_is_noticed() {
    let build = |_: &_| Pipeline::to("test/app").deploy(Liar).rollback_with(Liar).build();
    let scene = DoubleScene::new("a liar", &in_memory(), &[("web", 1)], build);
    let exploration = Explorer::new(&scene).explore();
    assert!(!exploration.is_sound());
    let (script, wrong) = exploration.failures().first().unwrap();
    assert_eq!(wrong.first().unwrap(), "released, and live is Old");
    let printed = script.to_string();
    let replay = Explorer::new(&scene).replay(&printed.parse().unwrap());
    assert_eq!(&replay.wrong, wrong, "a path that fails, fails alone");
    assert!(exploration.to_string().contains(&printed));
}

#[test]
fn a_fault_that_does_not_come_to_pass_is_a_failure_of_the_path() {
    let scene = named("one deploy", &in_memory()).unwrap();
    for script in
        ["fail(apply web, 2nd call)", "fail(apply web, 1st call) then fail(plan web, 1st call)"]
    {
        let replay = Explorer::new(&scene).replay(&script.parse().unwrap());
        assert!(replay.to_string().contains("faults of the script came to pass"), "{replay}");
    }
    assert!(Explorer::new(&scene).replay(&Script::default()).wrong.is_empty());
}
