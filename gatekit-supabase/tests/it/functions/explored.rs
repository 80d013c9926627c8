//! Deploys of functions explored: every single fault of a run, on real HTTP, in real time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::Ledger;
use gatekit_core::{
    Candidate, Evidence, OnInterrupt, Outcome, Pipeline, Result, StageId, Verdict, enforced,
    gate_fn,
};
use gatekit_supabase::functions::Restore;
use gatekit_testkit::explorer::doubles::{PathLedger, in_memory};
use gatekit_testkit::explorer::{Act, Explorer, Scene, Truth, Write};
use serde_json::json;
use tempfile::TempDir;

use super::world::World;

const RELEASES: [&str; 2] = ["two", "three"];

fn candidate(version: &str) -> Candidate {
    Candidate::new().with_version(version)
}

#[derive(Debug)]
struct Functions {
    slugs: &'static [&'static str],
    /// Whether none is there before.
    first: bool,
}

impl Scene for Functions {
    fn name(&self) -> String {
        let first = if self.first { ", for the first time" } else { "" };
        format!("{} functions{first}", self.slugs.len())
    }

    fn world(&self) -> Arc<dyn gatekit_testkit::explorer::World> {
        let world = World::new();
        let roots = RELEASES.map(|release| {
            let root = tempfile::tempdir().unwrap();
            for slug in self.slugs {
                let folder = root.path().join(format!("supabase/functions/{slug}"));
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(folder.join("index.ts"), format!("{release} {slug}")).unwrap();
            }
            root
        });
        if !self.first {
            for slug in self.slugs {
                world.emulator.with_project(|it| it.deploy(slug, &format!("one {slug}"), true));
            }
        }
        let (slugs, first, intruded) = (self.slugs, self.first, Mutex::default());
        Arc::new(Site { world, roots, slugs, first, ledger: in_memory()(), intruded })
    }

    fn act(&self) -> Act {
        Act::Ship(candidate(RELEASES[0]))
    }

    fn ends(&self) -> Outcome {
        Outcome::Released
    }

    fn next(&self) -> Candidate {
        candidate(RELEASES[1])
    }

    fn in_real_time(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Site {
    world: World,
    roots: [TempDir; 2],
    slugs: &'static [&'static str],
    first: bool,
    ledger: PathLedger,
    /// How many calls had been made when somebody else deployed.
    intruded: Mutex<Option<usize>>,
}

impl Site {
    fn told(&self) -> String {
        let bodies = self.slugs.iter().map(|slug| self.world.body(slug).unwrap_or_default());
        bodies.map(|it| String::from_utf8_lossy(&it).into_owned()).collect()
    }

    fn is_all(&self, release: &str) -> bool {
        self.slugs.iter().all(|slug| self.world.has(slug, &format!("{release} {slug}")))
    }
}

#[async_trait]
impl gatekit_testkit::explorer::World for Site {
    fn pipeline(&self, candidate: &Candidate) -> Pipeline {
        let is_next = candidate.version.as_deref() == Some(RELEASES[1]);
        let deploy = self.world.deploy_from(self.roots[usize::from(is_next)].path(), self.slugs);
        let back = Restore::of(&deploy);
        let works = gate_fn("works", |_| async {
            Ok(Verdict::pass([Evidence::read("the functions", "work", json!({ "work": true }))]))
        });
        Pipeline::to("test/functions")
            .on_interrupt(OnInterrupt::Unwind)
            .deploy(deploy)
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
        let is_empty = self.slugs.iter().all(|slug| self.world.body(slug).is_none());
        if is_empty && self.first || self.is_all("one") {
            return Truth::Old;
        }
        match RELEASES.into_iter().find(|release| self.is_all(release)) {
            Some("two") => Truth::New,
            Some(_) => Truth::Next,
            None => Truth::Other(self.told()),
        }
    }

    fn writes(&self, from: usize) -> Vec<Write> {
        let stage = StageId::new("functions").unwrap();
        let mut theirs = *self.intruded.lock().unwrap();
        let (mut seen, mut planned) = (Vec::new(), false);
        for (at, call) in self.world.emulator.calls().iter().enumerate() {
            let is_later = theirs.is_some_and(|since| at >= since);
            // Who has planned with it has read it, means it, and keeps it.
            planned |= is_later && call.operation == "GetFunctionBody";
            if ["List", "Get", "Bundle"].iter().any(|read| call.operation.starts_with(read)) {
                continue;
            }
            let over = is_later && call.trouble.is_none();
            let wrong = (over && !planned)
                .then(|| "it wrote over what somebody else had deployed".to_owned());
            theirs = theirs.filter(|_| !over);
            let what = call.operation.to_owned();
            seen.push(Write { stage: stage.clone(), what, fence: None, wrong });
        }
        seen.split_off(from.min(seen.len()))
    }

    fn has_intruder(&self) -> bool {
        true
    }

    fn intrude(&self) {
        *self.intruded.lock().unwrap() = Some(self.world.emulator.calls().len());
        for slug in self.slugs {
            self.world.emulator.with_project(|it| it.deploy(slug, &format!("theirs {slug}"), true));
        }
    }

    fn is_foreign(&self, _: &StageId) -> bool {
        self.is_all("theirs")
    }
}

fn explore(scene: &Functions) {
    let explorer = Explorer::new(scene).singles_only().threads(16);
    let exploration = explorer.explore();
    println!("{exploration}");
    if let Some((script, _)) = exploration.failures().first() {
        println!("{}", explorer.replay(script));
    }
    exploration.assert_sound();
}

#[test]
fn no_single_fault_makes_a_function_lie() {
    explore(&Functions { slugs: &["hello"], first: false });
}

#[test]
fn no_single_fault_makes_a_first_function_lie() {
    explore(&Functions { slugs: &["hello"], first: true });
}

#[test]
fn no_single_fault_makes_two_functions_lie() {
    explore(&Functions { slugs: &["hello", "world"], first: false });
}
