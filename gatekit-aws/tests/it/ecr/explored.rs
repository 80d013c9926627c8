//! A tag explored: every single fault of a run, on real HTTP, in real time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_aws::ecr;
use gatekit_core::ledger::Ledger;
use gatekit_core::{
    Candidate, Digest, Evidence, OnInterrupt, Outcome, Pipeline, Result, StageId, Verdict,
    enforced, gate_fn,
};
use gatekit_testkit::explorer::doubles::{PathLedger, in_memory};
use gatekit_testkit::explorer::{Act, Explorer, Scene, Truth, Write};

use serde_json::json;

use super::world::{TAG, World, written};

fn candidate(version: &str) -> Candidate {
    Candidate::new().with_version(version)
}

#[derive(Debug)]
struct Tags {
    /// Whether the tag is there before.
    first: bool,
}

impl Scene for Tags {
    fn name(&self) -> String {
        format!("a tag of ECR{}", if self.first { ", for the first time" } else { "" })
    }

    fn world(&self) -> Arc<dyn gatekit_testkit::explorer::World> {
        let world = World::new();
        let images = ["one", "two", "three", "theirs"].map(|name| world.image(name));
        if !self.first {
            world.set_tag(TAG, &images[0]);
        }
        let intruded = Mutex::default();
        Arc::new(Site { world, images, first: self.first, ledger: in_memory()(), intruded })
    }

    fn act(&self) -> Act {
        Act::Ship(candidate("two"))
    }

    fn ends(&self) -> Outcome {
        Outcome::Released
    }

    fn next(&self) -> Candidate {
        candidate("three")
    }

    fn in_real_time(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Site {
    world: World,
    images: [Digest; 4],
    first: bool,
    ledger: PathLedger,
    /// How many writes had been seen when somebody else moved the tag.
    intruded: Mutex<Option<usize>>,
}

#[async_trait]
impl gatekit_testkit::explorer::World for Site {
    fn pipeline(&self, candidate: &Candidate) -> Pipeline {
        let image = if candidate.version.as_deref() == Some("three") { 2 } else { 1 };
        let aws = self.world.aws();
        let mover = ecr::MoveTag::new(&aws, &self.world.repository, self.images[image].clone());
        let back = ecr::RestoreTag::new(&aws);
        let works = gate_fn("works", |_| async {
            Ok(Verdict::pass([Evidence::read("the tag", "works", json!({ "works": true }))]))
        });
        Pipeline::to("test/tag")
            .on_interrupt(OnInterrupt::Unwind)
            .deploy(mover.to(TAG).unwrap())
            .rollback_with(back)
            .verify(enforced(works.unwrap()))
            .build()
            .unwrap()
    }

    async fn ledger(&self) -> Result<Arc<dyn Ledger>> {
        Ok(Arc::clone(&self.ledger.ledger))
    }

    fn advance(&self, by: Duration) {
        (self.ledger.advance)(by);
    }

    fn truth(&self) -> Truth {
        let gone: Vec<_> = self.images.iter().filter(|image| !self.world.has(image)).collect();
        if !gone.is_empty() {
            return Truth::Other(format!("images are gone: {gone:?}"));
        }
        match self.world.names(TAG) {
            None if self.first => Truth::Old,
            Some(image) if image == self.images[0] => Truth::Old,
            Some(image) if image == self.images[1] => Truth::New,
            Some(image) if image == self.images[2] => Truth::Next,
            other => Truth::Other(format!("{other:?}")),
        }
    }

    fn writes(&self, from: usize) -> Vec<Write> {
        let stage = StageId::new("move-tag").unwrap();
        let calls = self.world.emulator.calls();
        let writes = calls
            .iter()
            .filter(|call| ["PutImage", "BatchDeleteImage"].contains(&call.operation.as_str()));
        let mut theirs = *self.intruded.lock().unwrap();
        let (mut seen, mut planned) = (Vec::new(), false);
        for (at, call) in writes.enumerate() {
            let tag =
                call.ask["imageTag"].as_str().or(call.ask["imageIds"][0]["imageTag"].as_str());
            let of_the_tag = tag == Some(TAG) && call.trouble.is_none();
            let over = of_the_tag && theirs.is_some_and(|since| at >= since);
            // Who has planned with it, means it, and keeps it.
            let keeps = tag.is_some_and(|it| it.contains("-before-"));
            planned |= keeps && call.ask["imageDigest"] == written(&self.images[3]);
            let wrong =
                (over && !planned).then(|| "it moved what somebody else had moved".to_owned());
            theirs = theirs.filter(|_| !over);
            let what = format!("{} {tag:?}", call.operation);
            seen.push(Write { stage: stage.clone(), what, fence: None, wrong });
        }
        seen.split_off(from.min(seen.len()))
    }

    fn has_intruder(&self) -> bool {
        true
    }

    fn intrude(&self) {
        *self.intruded.lock().unwrap() = Some(self.writes(0).len());
        self.world.set_tag(TAG, &self.images[3]);
    }

    fn is_foreign(&self, _: &StageId) -> bool {
        self.world.names(TAG).as_ref() == Some(&self.images[3])
    }
}

fn explore(scene: &Tags) {
    let explorer = Explorer::new(scene).singles_only().threads(16);
    let exploration = explorer.explore();
    println!("{exploration}");
    if let Some((script, _)) = exploration.failures().first() {
        println!("{}", explorer.replay(script));
    }
    exploration.assert_sound();
}

#[test]
fn no_single_fault_makes_a_tag_lie() {
    explore(&Tags { first: false });
}

#[test]
fn no_single_fault_makes_a_first_tag_lie() {
    explore(&Tags { first: true });
}
