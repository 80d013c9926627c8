//! Runs without a runtime of one's own.

use std::path::Path;
use std::sync::Arc;

use gatekit::blocking::Engine;
use gatekit::blocking::code::USAGE_BLOCKING;
use gatekit::ledger::LockState;
use gatekit::local::{Command, CommandDeploy, Program};
use gatekit::store::SqliteLedger;
use gatekit::{Candidate, Outcome, Pipeline, enforced};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/command-deploy/sign.sh");

fn engine(place: &Path) -> Engine {
    let ledger = SqliteLedger::builder(place.join("ledger.db")).durable(true).build().unwrap();
    Engine::new(gatekit::Engine::new(Arc::new(ledger))).unwrap()
}

fn pipeline(place: &Path) -> Pipeline {
    let sign = place.join("sign.json").to_str().unwrap().to_owned();
    let deploy = CommandDeploy::new("sign", Program::new(SCRIPT).env("SIGN", &sign)).unwrap();
    let undo = deploy.undo();
    let there = Command::new("there", Program::new("test").args(["-f", &sign])).unwrap();
    let there = enforced(there);
    Pipeline::to("office/sign").deploy(deploy).rollback_with(undo).verify(there).build().unwrap()
}

#[test]
fn a_plain_main_plans_ships_verifies_and_asks() {
    let place = tempfile::tempdir().unwrap();
    let (engine, pipeline) = (engine(place.path()), pipeline(place.path()));
    let open = || Candidate::new().with_version("open");
    let preview = engine.preview(&pipeline, open(), true).unwrap();
    assert!(preview.stop.is_none() && preview.scopes.len() == 1);
    assert!(!place.path().join("sign.json").exists(), "a preview writes nothing");
    let report = engine.ship(&pipeline, open()).unwrap();
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert!(engine.verify(&pipeline).unwrap().failure.is_none());
    assert_eq!(engine.status(pipeline.target()).unwrap().state, LockState::Free);
    assert!(engine.pending(pipeline.target()).unwrap().is_none());
    let closed = engine.ship(&pipeline, Candidate::new().with_version("closed")).unwrap();
    let settled = engine.reconcile(&pipeline, closed.run.unwrap(), None, "a look").unwrap();
    assert_eq!(settled.failure.unwrap().code, gatekit::code::RECONCILE_NOTHING);
    let back = engine.roll_back(&pipeline, None, "we are open").unwrap();
    assert_eq!(back.outcome, Outcome::Released, "{back:?}");
    assert!(std::fs::read_to_string(place.path().join("sign.json")).unwrap().contains("open"));
    std::fs::remove_file(place.path().join("sign.json")).unwrap();
    let failure = engine.verify(&pipeline).unwrap().failure.unwrap();
    assert_eq!(failure.code, gatekit::code::VERIFY_FAILED);
}

#[tokio::test]
async fn within_a_runtime_it_says_so_and_does_not_panic() {
    let ledger = Arc::new(gatekit::ledger::MemoryLedger::new());
    let error = Engine::new(gatekit::Engine::new(ledger)).unwrap_err();
    assert_eq!(error.code(), &USAGE_BLOCKING);
}
