//! Releases to the emulated service explored: every single fault.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::Ledger;
use gatekit_core::{Candidate, Outcome, Pipeline, Result, StageId};
use gatekit_emulators::{Aws as Account, Scenario};
use gatekit_testkit::explorer::doubles::{PathLedger, in_memory};
use gatekit_testkit::explorer::{Act, Explorer, Scene, Truth, Write};

use super::shipping::{
    FIRST, OTHERS, account, deploy, image, pipeline, register, service, serving,
};
use crate::account;

#[derive(Debug)]
struct Releases;

fn candidate(version: &str) -> Candidate {
    Candidate::new().with_version(version)
}

impl Scene for Releases {
    fn name(&self) -> String {
        "a service of ECS".to_owned()
    }

    fn world(&self) -> Arc<dyn gatekit_testkit::explorer::World> {
        Arc::new(Cluster { account: account(Scenario::Ok), ledger: in_memory()() })
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
}

#[derive(Debug)]
struct Cluster {
    account: Account,
    ledger: PathLedger,
}

#[async_trait]
impl gatekit_testkit::explorer::World for Cluster {
    fn pipeline(&self, candidate: &Candidate) -> Pipeline {
        let service = service(&account::in_process(&self.account));
        let service = match &candidate.version {
            Some(version) => service.image(image(version)),
            None => service,
        };
        pipeline(service)
    }

    async fn ledger(&self) -> Result<Arc<dyn Ledger>> {
        Ok(Arc::clone(&self.ledger.ledger))
    }

    fn advance(&self, by: Duration) {
        (self.ledger.advance)(by);
    }

    fn truth(&self) -> Truth {
        let is = |serving: &str, version: &str| serving == image(version).to_string();
        match serving(&self.account) {
            Ok(it) if it == FIRST => Truth::Old,
            Ok(it) if is(&it, "two") => Truth::New,
            Ok(it) if is(&it, "three") => Truth::Next,
            Ok(other) => Truth::Other(other),
            Err(why) => Truth::Other(why),
        }
    }

    /// Those with an effect on what runs.
    fn writes(&self, from: usize) -> Vec<Write> {
        let calls = self.account.calls().into_iter();
        let writes = calls.filter(|it| {
            !it.operation.starts_with("Describe") && !it.operation.starts_with("List")
        });
        let written = |call: gatekit_emulators::Call| Write {
            stage: StageId::new("ecs").unwrap(),
            what: call.operation,
            fence: None,
            wrong: None,
        };
        writes.skip(from).map(written).collect()
    }

    fn has_intruder(&self) -> bool {
        true
    }

    fn intrude(&self) {
        deploy(&self.account, &register(&self.account, &[("web", OTHERS)]));
        self.account.with_account(gatekit_emulators::Account::hasten);
    }

    fn is_foreign(&self, _: &StageId) -> bool {
        serving(&self.account).is_ok_and(|it| it == OTHERS)
    }
}

#[test]
fn no_single_fault_makes_a_release_lie() {
    let explorer = Explorer::new(&Releases).singles_only();
    let exploration = explorer.explore();
    println!("{exploration}");
    if let Some((script, _)) = exploration.failures().first() {
        println!("{}", explorer.replay(script));
    }
    exploration.assert_sound();
}
