//! The gate on what migrations would destroy, and the public suite of gates on it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::Word;
use gatekit_core::testing::{plan_context, with_words};
use gatekit_core::{
    Action, Approval, Candidate, Code, Digest, Error, Gate, PlanContext, Result, TargetName,
    Verdict,
};
use gatekit_supabase::migrations::{Destructive, File, PendingFiles};
use gatekit_testkit::conformance::gate::{self, Capability, GateSubject, GateWorld, Scene};
use serde_json::{Value, json};

/// What a test says is pending; `None` cannot be read.
#[derive(Debug, Clone, Default)]
struct Files(Arc<Mutex<Option<Vec<&'static str>>>>);

impl Files {
    fn of(files: &[&'static str]) -> Self {
        let all = Self::default();
        all.set(Some(files.to_vec()));
        all
    }

    fn set(&self, files: Option<Vec<&'static str>>) {
        *self.0.lock().unwrap() = files;
    }
}

#[async_trait]
impl PendingFiles for Files {
    fn describe(&self) -> Value {
        json!("files of a test")
    }

    async fn pending(&self, _: &PlanContext) -> Result<Vec<File>> {
        let files = self.0.lock().unwrap().clone();
        let files = files.ok_or_else(|| Error::new(Code::new("test.unreadable"), "it is gone"))?;
        files
            .iter()
            .map(|sql| {
                File::from_bytes("m/20260101000000_a.sql", "20260101000000", "a", sql.as_bytes())
            })
            .collect()
    }
}

fn context(gate: &impl Gate) -> PlanContext {
    let target = TargetName::new("production/db").unwrap();
    plan_context(&target, Candidate::new(), &gate.id(), Duration::from_secs(60))
}

async fn verdict(files: &[&'static str]) -> Verdict {
    let gate = Destructive::of(Files::of(files)).unwrap();
    gate.check(&context(&gate)).await.unwrap()
}

#[tokio::test]
async fn only_files_that_destroy_nothing_pass() {
    let Verdict::Pass(proof) = verdict(&["create table a (i int)"]).await else { panic!() };
    assert_eq!(proof.evidence()[0].facts()["pending"][0]["file"], "20260101000000_a.sql");
    assert!(verdict(&[]).await.is_pass(), "nothing is pending, and it was read");

    let Verdict::Fail(finding) = verdict(&["select 1", "do $$ x $$;\ndrop table a"]).await else {
        panic!("worse than what nobody can tell")
    };
    assert_eq!(finding.code.as_str(), "migration.destructive");
    let said = "m/20260101000000_a.sql:2: `drop table a`: the rows are gone";
    assert!(finding.message.contains(said), "{}", finding.message);
    assert!(finding.next.iter().any(|it| format!("{it:?}").contains("drop it after a while")));

    let Verdict::Inconclusive(finding) = verdict(&["do $$ x $$"]).await else { panic!() };
    assert_eq!(finding.code.as_str(), "migration.unanalysable");
}

#[tokio::test]
async fn what_is_told_is_short_and_the_evidence_has_the_places() {
    let many: &'static str = Box::leak("drop table a;\n".repeat(12).into_boxed_str());
    let Verdict::Fail(finding) = verdict(&[many]).await else { panic!() };
    assert!(finding.message.ends_with("; and 2 more"), "{}", finding.message);
    assert_eq!(finding.evidence[0].facts()["concerns"].as_array().unwrap().len(), 12);
    assert_eq!(finding.next.len(), 1, "each safe way is told once");

    // Too long for an evidence, if all were said of each.
    let hundreds: &'static str = Box::leak("drop table a;\n".repeat(400).into_boxed_str());
    let files = vec![hundreds; 200];
    let Verdict::Fail(finding) = verdict(&files).await else { panic!() };
    let facts = finding.evidence[0].facts();
    assert_eq!(
        (&facts["pending_in_all"], &facts["concerns_in_all"]),
        (&200.into(), &80_000.into())
    );
    assert_eq!(facts["concerns"].as_array().unwrap().len(), 50);
    assert_eq!(facts["concerns"][1]["line"], 2);
}

#[tokio::test]
async fn a_second_person_may_answer_for_them() {
    let gate =
        Destructive::of(Files::of(&["drop table a"])).unwrap().or_approved(Approval::quorum(1));
    assert!(gate.hears_people() && !gate.may_be_waived());
    let of = |words: &[(&str, Word)]| with_words(context(&gate), "ann", words);

    let Verdict::Wait(finding) = gate.check(&of(&[])).await.unwrap() else { panic!() };
    assert!(finding.message.contains("drop table a"), "{}", finding.message);
    let approve = finding.next.iter().find_map(|it| match &it.action {
        Action::Verb(_, args) if args.contains(&"--stage".to_owned()) => args.last(),
        _ => None,
    });
    assert_eq!(approve.unwrap(), "destructive");

    let own = gate.check(&of(&[("ann", Word::Approve)])).await.unwrap();
    assert!(matches!(own, Verdict::Wait(_)), "not who asked");
    let Verdict::Pass(proof) = gate.check(&of(&[("bea", Word::Approve)])).await.unwrap() else {
        panic!()
    };
    assert_eq!(proof.evidence().len(), 2, "who, and what");
    let rejected = gate.check(&of(&[("bea", Word::Reject)])).await.unwrap();
    assert!(matches!(rejected, Verdict::Fail(_)));

    let harmless =
        Destructive::of(Files::of(&["select 1"])).unwrap().or_approved(Approval::quorum(1));
    assert!(harmless.check(&of(&[])).await.unwrap().is_pass(), "nobody is asked for nothing");
}

#[derive(Debug)]
struct OfMigrations;

#[async_trait]
impl GateSubject for OfMigrations {
    type World = Files;

    fn capability(&self) -> Capability {
        Capability::new()
    }

    async fn world(&self) -> Files {
        Files::of(&["create table a (i int)"])
    }
}

#[async_trait]
impl GateWorld for Files {
    type Gate = Destructive<Self>;

    fn gate(&self) -> Destructive<Self> {
        Destructive::of(self.clone()).unwrap()
    }

    async fn show(&self, scene: Scene) {
        self.set(match scene {
            Scene::Passes => Some(vec!["create table a (i int)"]),
            Scene::Fails => Some(vec!["alter role a password 'CANARY-secret'; drop table a"]),
            _ => None,
        });
    }

    async fn trace(&self) -> Digest {
        Digest::of("")
    }

    fn secrets(&self) -> Vec<String> {
        vec!["CANARY-secret".to_owned()]
    }
}

#[tokio::test]
async fn the_gate_conforms() {
    gate::all(&OfMigrations).await;
}
