//! The release directory and a script explored: real deployers, on real files and processes, in real
//! time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::Ledger;
use gatekit_core::{
    Candidate, Engine, Error, OnInterrupt, Outcome, Pipeline, Result, StageId, code,
};
use gatekit_local::{PreviousRelease, ReleaseDir};
use gatekit_testkit::explorer::doubles::{PathLedger, in_memory};
use gatekit_testkit::explorer::{Act, Explorer, Kind, Scene, Truth, Write};

use crate::command::Sign;
use crate::world::{SLEEP, World};

/// The directory that a version is shipped from.
fn candidate(app: &str) -> Candidate {
    Candidate::new().with_version(app)
}

#[derive(Debug)]
struct Releases;

impl Scene for Releases {
    fn name(&self) -> String {
        "a release directory".to_owned()
    }

    fn world(&self) -> Arc<dyn gatekit_testkit::explorer::World> {
        let world = World::new();
        world.app("three", &[("file", "three")]);
        Arc::new(Site { world, ledger: in_memory()() })
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

    fn keeps_fences(&self) -> bool {
        true
    }

    fn in_real_time(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Site {
    world: World,
    ledger: PathLedger,
}

impl Site {
    fn deployer(&self, candidate: &Candidate) -> ReleaseDir {
        self.world.deployer(candidate.version.as_deref().unwrap(), SLEEP)
    }
}

#[async_trait]
impl gatekit_testkit::explorer::World for Site {
    fn pipeline(&self, candidate: &Candidate) -> Pipeline {
        let deployer = self.deployer(candidate);
        let back = PreviousRelease::of(&deployer);
        let pipeline = Pipeline::to("test/app").on_interrupt(OnInterrupt::Unwind);
        pipeline.deploy(deployer).rollback_with(back).build().unwrap()
    }

    async fn ledger(&self) -> Result<Arc<dyn Ledger>> {
        Ok(Arc::clone(&self.ledger.ledger))
    }

    fn advance(&self, by: Duration) {
        (self.ledger.advance)(by);
    }

    async fn prepare(&self, engine: Engine) -> Result<()> {
        let report = engine.ship(&self.pipeline(&candidate("one")), candidate("one")).await;
        if report.outcome == Outcome::Released {
            return Ok(());
        }
        Err(Error::new(code::DEPLOY_FAILED, format!("the old release: {report:?}")))
    }

    /// The files that the one living service runs on.
    fn truth(&self) -> Truth {
        let services = self.world.pids();
        let [service] = services.as_slice() else {
            return Truth::Other(format!("the services {services:?}"));
        };
        let runs_on = std::fs::read_link(format!("/proc/{service}/cwd"));
        let link = self.world.root().join("current").canonicalize();
        let files = match (runs_on, link) {
            (Ok(runs_on), Ok(link)) if runs_on == link => read(link.join("file")),
            other => return Truth::Other(format!("{other:?}")),
        };
        match &*files {
            "one" => Truth::Old,
            "two" => Truth::New,
            "three" => Truth::Next,
            _ => Truth::Other(files),
        }
    }

    /// A file system does not tell of its writes.
    fn writes(&self, _: usize) -> Vec<Write> {
        Vec::new()
    }
}

fn read(file: PathBuf) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

/// A script that writes a sign, as anybody would.
#[derive(Debug)]
struct Scripts;

impl Scene for Scripts {
    fn name(&self) -> String {
        "a script".to_owned()
    }

    fn world(&self) -> Arc<dyn gatekit_testkit::explorer::World> {
        Arc::new(Signpost { sign: Sign::new(), ledger: in_memory()() })
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
struct Signpost {
    sign: Sign,
    ledger: PathLedger,
}

impl Signpost {
    fn shows(&self) -> String {
        let sign: serde_json::Value =
            serde_json::from_str(&read(self.sign.path("sign"))).unwrap_or_default();
        sign["text"].as_str().unwrap_or_default().to_owned()
    }
}

#[async_trait]
impl gatekit_testkit::explorer::World for Signpost {
    fn pipeline(&self, _: &Candidate) -> Pipeline {
        self.sign.pipeline()
    }

    async fn ledger(&self) -> Result<Arc<dyn Ledger>> {
        Ok(Arc::clone(&self.ledger.ledger))
    }

    fn advance(&self, by: Duration) {
        (self.ledger.advance)(by);
    }

    async fn prepare(&self, _: Engine) -> Result<()> {
        self.sign.write("one", "an earlier run");
        Ok(())
    }

    fn truth(&self) -> Truth {
        match &*self.shows() {
            "one" => Truth::Old,
            "two" => Truth::New,
            "three" => Truth::Next,
            other => Truth::Other(other.to_owned()),
        }
    }

    /// A file system does not tell of its writes.
    fn writes(&self, _: usize) -> Vec<Write> {
        Vec::new()
    }

    fn has_intruder(&self) -> bool {
        true
    }

    fn intrude(&self) {
        self.sign.write("theirs", "theirs");
    }

    fn is_foreign(&self, _: &StageId) -> bool {
        self.shows() == "theirs"
    }
}

#[test]
fn no_single_fault_makes_a_script_lie() {
    let explorer = Explorer::new(&Scripts).singles_only().threads(16);
    let exploration = explorer.explore();
    println!("{exploration}");
    if let Some((script, _)) = exploration.failures().first() {
        println!("{}", explorer.replay(script));
    }
    exploration.assert_sound();
}

/// What waits is the service's start: many paths wait at once.
#[test]
fn no_single_fault_makes_a_release_directory_lie() {
    // What these do to a run does not depend on its deployer.
    let alike = [Kind::StopBefore, Kind::Lapse, Kind::Interrupt, Kind::LetGo];
    let explorer = Explorer::new(&Releases).singles_only().without(alike).threads(16);
    let exploration = explorer.explore();
    println!("{exploration}");
    if let Some((script, _)) = exploration.failures().first() {
        println!("{}", explorer.replay(script));
    }
    exploration.assert_sound();
}
