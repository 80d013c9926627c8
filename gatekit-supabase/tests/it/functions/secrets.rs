//! The gate that secrets are set.

use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::testing::plan_context;
use gatekit_core::{Candidate, Digest, Effect, Gate as _, StageId, Verdict};
use gatekit_emulators::Trouble;
use gatekit_supabase::secrets::Present;
use gatekit_testkit::conformance::gate::{Capability, GateSubject, GateWorld, Scene};

use super::world::{TOKEN, World, code, target};

const NAMES: [&str; 2] = ["OPENAI_API_KEY", "STRIPE_KEY"];

fn gate(world: &World) -> Present {
    Present::of(&world.project(), "secrets", NAMES).unwrap()
}

async fn check(world: &World) -> gatekit_core::Result<Verdict> {
    let stage = StageId::new("secrets").unwrap();
    let cx = plan_context(&target(), Candidate::new(), &stage, Duration::from_secs(20));
    gate(world).check(&cx).await
}

#[tokio::test]
async fn missing_secrets_are_named_with_who_sets_them() {
    let world = World::new();
    world.emulator.with_project(|it| it.set_secret("STRIPE_KEY"));
    let verdict = check(&world).await.unwrap();
    let Verdict::Fail(finding) = verdict else { panic!("{verdict:?}") };
    assert_eq!(finding.code.as_str(), "secrets.missing");
    assert_eq!(finding.message, "secrets are not set: OPENAI_API_KEY");
    assert_eq!(finding.next[0].who, "operator");
    assert_eq!(finding.evidence[0].facts()["present"][0], "STRIPE_KEY");
}

#[tokio::test]
async fn names_are_told_and_never_what_the_values_hash_to() {
    let world = World::new();
    NAMES.iter().for_each(|name| world.emulator.with_project(|it| it.set_secret(name)));
    let verdict = check(&world).await.unwrap();
    assert!(verdict.is_pass());
    let shown = serde_json::to_string(&verdict).unwrap();
    for name in NAMES {
        let value = Digest::of(format!("value of {name}"));
        assert!(shown.contains(name) && !shown.contains(value.as_str()), "{shown}");
    }
    let Verdict::Pass(proof) = verdict else { panic!() };
    let names = Digest::of(NAMES.join("\n"));
    assert_eq!(*proof.evidence()[0].digest(), names, "of the names alone");
}

#[tokio::test]
async fn a_token_that_may_not_read_secrets_is_told_so() {
    let world = World::new();
    world.inject("ListSecrets", Trouble::Denied, 1);
    let error = check(&world).await.unwrap_err();
    assert_eq!(code(&error), ("supabase.forbidden", Effect::None));
    assert!(format!("{:?}", error.to_failure().next).contains("secrets:read"));
}

#[test]
fn a_gate_without_names_is_none() {
    let world = World::new();
    for names in [&[][..], &[""], &["A", ""]] {
        let error = Present::of(&world.project(), "secrets", names.iter().copied()).unwrap_err();
        assert_eq!(code(&error), ("supabase.config", Effect::None));
    }
}

#[derive(Debug)]
struct OfSecrets;

#[derive(Debug)]
struct Shown(World);

#[async_trait]
impl GateSubject for OfSecrets {
    type World = Shown;

    fn capability(&self) -> Capability {
        Capability::new().with_hanging()
    }

    async fn world(&self) -> Shown {
        let shown = Shown(World::new());
        shown.show(Scene::Passes).await;
        shown
    }
}

#[async_trait]
impl GateWorld for Shown {
    type Gate = Present;

    fn gate(&self) -> Present {
        gate(&self.0)
    }

    async fn show(&self, scene: Scene) {
        self.0.emulator.mend();
        NAMES.iter().for_each(|name| self.0.emulator.with_project(|it| it.set_secret(name)));
        match scene {
            Scene::Fails => self.0.emulator.with_project(|it| it.unset_secret(NAMES[0])),
            Scene::Unreadable => self.0.inject("ListSecrets", Trouble::Empty, u32::MAX),
            Scene::Hangs => self.0.inject("ListSecrets", Trouble::Silent, u32::MAX),
            _ => {}
        }
    }

    async fn trace(&self) -> Digest {
        let writes = self.0.calls().into_iter().filter(|it| !it.starts_with("List"));
        Digest::of(writes.count().to_string())
    }

    fn secrets(&self) -> Vec<String> {
        let values = NAMES.map(|name| Digest::of(format!("value of {name}")).to_string());
        values.into_iter().chain([TOKEN.to_owned()]).collect()
    }
}

gatekit_testkit::gate_conforms!(
    #[tokio::test]
    present: OfSecrets,
);
