//! Every single fault of a repair, on a real server, in real time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::Ledger;
use gatekit_core::{
    Candidate, Evidence, OnInterrupt, Outcome, Pipeline, Result, StageId, Verdict, enforced,
    gate_fn,
};
use gatekit_supabase::migrations::{Repair, RestoreRows};
use gatekit_testkit::explorer::doubles::{PathLedger, in_memory};
use gatekit_testkit::explorer::{Act, Explorer, Scene, Truth, Write};
use serde_json::json;

use super::explored::Lent;

const SETUP: &str = "
    INSERT INTO supabase_migrations.schema_migrations VALUES
        ('20260101000001', array['create table t1 ()'], 'm1'), ('20260101000002', null, 'm2'),
        ('20260101000003', '{}', 'm3'), ('20260101000004', array['select 1'], 'm4')";

fn candidate(version: &str) -> Candidate {
    Candidate::new().with_version(version)
}

/// Of four versions the explored run removes two, and the next one a third.
#[derive(Debug)]
struct Rows;

impl Scene for Rows {
    fn name(&self) -> String {
        "a repair of the history".to_owned()
    }

    fn world(&self) -> Arc<dyn gatekit_testkit::explorer::World> {
        Arc::new(Site { lent: Lent::new(SETUP), ledger: in_memory()() })
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
    lent: Lent,
    ledger: PathLedger,
}

#[async_trait]
impl gatekit_testkit::explorer::World for Site {
    fn pipeline(&self, candidate: &Candidate) -> Pipeline {
        let mut versions = vec!["20260101000002", "20260101000003"];
        if candidate.version.as_deref() == Some("three") {
            versions.push("20260101000004");
        }
        let repair = Repair::reverted(self.lent.world().database(), versions).unwrap();
        let back = RestoreRows::of(&repair);
        let works = gate_fn("works", |_| async {
            Ok(Verdict::pass([Evidence::read("the table", "works", json!({ "works": true }))]))
        });
        Pipeline::to("test/db")
            .on_interrupt(OnInterrupt::Unwind)
            .deploy(repair)
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
        let names = self.lent.names();
        match names.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["m1", "m2", "m3", "m4"] => Truth::Old,
            ["m1", "m4"] => Truth::New,
            ["m1"] => Truth::Next,
            other => Truth::Other(format!("{other:?}")),
        }
    }

    fn writes(&self, from: usize) -> Vec<Write> {
        let stage = StageId::new("repair").unwrap();
        let write = |what| Write { stage: stage.clone(), what, fence: None, wrong: None };
        self.lent.writes(from).into_iter().map(write).collect()
    }
}

#[test]
fn no_single_fault_makes_a_repair_lie() {
    let explorer = Explorer::new(&Rows).singles_only().threads(8);
    let exploration = explorer.explore();
    println!("{exploration}");
    if let Some((script, _)) = exploration.failures().first() {
        println!("{}", explorer.replay(script));
    }
    exploration.assert_sound();
}
