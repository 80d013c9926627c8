//! A scene of doubles.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::{Ledger, MemoryLedger, Word};
use gatekit_core::{Candidate, Code, Engine, Error, Outcome, Pipeline, Result, StageId};

use super::place::Place;
use crate::explorer::{Act, Scene, Truth, World, Write};

/// The ledger of one path, and the way to move its clock.
#[derive(Clone)]
pub struct PathLedger {
    /// The ledger: empty.
    pub ledger: Arc<dyn Ledger>,
    /// Moves its clock forward.
    pub advance: Arc<dyn Fn(Duration) + Send + Sync>,
}

impl fmt::Debug for PathLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathLedger").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

/// Makes a ledger for each path.
pub type Ledgers = Arc<dyn Fn() -> PathLedger + Send + Sync>;

/// Ledgers in memory.
#[must_use]
pub fn in_memory() -> Ledgers {
    Arc::new(|| {
        let clock = Arc::new(AtomicU64::new(0));
        let ledger = Arc::new(MemoryLedger::with_clock_offset(Arc::clone(&clock)));
        let advance = move |by: Duration| {
            let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            clock.fetch_add(millis, Ordering::SeqCst);
        };
        PathLedger { ledger, advance: Arc::new(advance) }
    })
}

/// How a pipeline of doubles is built.
type Build = fn(&Place) -> Result<Pipeline>;

/// A scene of doubles: what is live at first, how the pipeline is built, and what is done.
///
/// # Default
/// `v1` is live everywhere, `v2` is shipped and released, and `v3` after it.
#[derive(Clone)]
pub struct DoubleScene {
    name: &'static str,
    ledgers: Ledgers,
    build: Build,
    live: Vec<(&'static str, &'static str, usize)>,
    earlier: Vec<&'static str>,
    act: Act,
    new: &'static str,
    ends: Outcome,
    dies: bool,
    intruder: bool,
    repairs: Option<&'static str>,
    waives: Option<&'static str>,
    says: Option<Word>,
    overtaken: bool,
    may_need_override: bool,
    recognises: bool,
}

impl fmt::Debug for DoubleScene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DoubleScene").field(&self.name).finish()
    }
}

const HOUR: Duration = Duration::from_secs(3600);
const OVERTAKER: &str = "v2.1";
const NEXT: &str = "v3";

impl DoubleScene {
    /// A scene of that name, whose pipeline deploys to `stages`, each with its number of parts.
    #[must_use]
    pub fn new(
        name: &'static str,
        ledgers: &Ledgers,
        stages: &[(&'static str, usize)],
        build: Build,
    ) -> Self {
        Self {
            name,
            ledgers: Arc::clone(ledgers),
            build,
            live: stages.iter().map(|(stage, parts)| (*stage, "v1", *parts)).collect(),
            earlier: Vec::new(),
            act: Act::Ship(Candidate::new().with_version("v2")),
            new: "v2",
            ends: Outcome::Released,
            dies: false,
            intruder: false,
            repairs: None,
            waives: None,
            says: None,
            overtaken: false,
            may_need_override: false,
            recognises: true,
        }
    }

    /// Another end than `released`.
    #[must_use]
    pub const fn ending(mut self, ends: Outcome) -> Self {
        self.ends = ends;
        self
    }

    /// What is live of one stage at first.
    #[must_use]
    pub fn with_live(mut self, stage: &str, version: &'static str) -> Self {
        for live in self.live.iter_mut().filter(|live| live.0 == stage) {
            live.1 = version;
        }
        self
    }

    /// Ships these versions first, and then returns to `to`.
    #[must_use]
    pub fn rolling_back(mut self, earlier: &[&'static str], to: &'static str) -> Self {
        self.earlier = earlier.to_vec();
        self.act = Act::RollBack(Some(to.to_owned()));
        self.new = to;
        self
    }

    /// What was shipped first is gone by the time the last of the earlier versions is shipped.
    #[must_use]
    pub const fn dying(mut self) -> Self {
        self.dies = true;
        self
    }

    /// Somebody else releases over the first stage, at any moment.
    #[must_use]
    pub const fn with_intruder(mut self) -> Self {
        self.intruder = true;
        self
    }

    /// A stage that a recovery repairs, which is no part of a release.
    #[must_use]
    pub const fn repairing(mut self, stage: &'static str) -> Self {
        self.repairs = Some(stage);
        self
    }

    /// The gate of that name blocks what is shipped, once, and somebody answers for it.
    #[must_use]
    pub const fn waiving(mut self, gate: &'static str) -> Self {
        self.waives = Some(gate);
        self
    }

    /// What a person says of the explored run whenever it asks.
    #[must_use]
    pub const fn saying(mut self, word: Word) -> Self {
        self.says = Some(word);
        self
    }

    /// Another run ships after the first process, while the explored one waits.
    #[must_use]
    pub const fn overtaken(mut self) -> Self {
        self.overtaken = true;
        self
    }

    /// A path may need a person who overrides.
    #[must_use]
    pub const fn may_need_override(mut self) -> Self {
        self.may_need_override = true;
        self
    }

    /// A repeated write does not recognise its own effect.
    #[must_use]
    pub const fn without_recognition(mut self) -> Self {
        self.recognises = false;
        self
    }
}

impl Scene for DoubleScene {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn world(&self) -> Arc<dyn World> {
        let place = Place::default();
        for (stage, version, parts) in &self.live {
            place.set(&id(stage), version, *parts);
        }
        if let Some(stage) = self.repairs {
            place.set(&id(stage), "broken", 1);
            place.set_aside(&id(stage));
        }
        Arc::new(DoubleWorld { scene: self.clone(), place, ledger: (self.ledgers)() })
    }

    fn act(&self) -> Act {
        self.act.clone()
    }

    fn ends(&self) -> Outcome {
        self.ends
    }

    fn next(&self) -> Candidate {
        Candidate::new().with_version(NEXT)
    }

    fn may_need_override(&self) -> bool {
        self.may_need_override
    }

    fn recognises(&self) -> bool {
        self.recognises
    }

    fn keeps_fences(&self) -> bool {
        true
    }
}

/// A stage's id.
///
/// # Panics
/// When it is no valid name: scenes are written by hand.
#[expect(clippy::expect_used, reason = "a test double that is misnamed must be noticed at once")]
pub(super) fn id(stage: &str) -> StageId {
    StageId::new(stage).expect("a valid name of a stage")
}

fn unprepared(why: String) -> Error {
    Error::new(Code::new("explorer.scene"), why)
}

#[derive(Debug)]
struct DoubleWorld {
    scene: DoubleScene,
    place: Place,
    ledger: PathLedger,
}

#[async_trait]
impl World for DoubleWorld {
    #[expect(clippy::expect_used, reason = "a scene that cannot be built must be noticed at once")]
    fn pipeline(&self, _: &Candidate) -> Pipeline {
        (self.scene.build)(&self.place).expect("a pipeline that can be built")
    }

    async fn ledger(&self) -> Result<Arc<dyn Ledger>> {
        Ok(Arc::clone(&self.ledger.ledger))
    }

    fn advance(&self, by: Duration) {
        (self.ledger.advance)(by);
    }

    fn truth(&self) -> Truth {
        self.place.truth(self.scene.new, NEXT)
    }

    fn writes(&self, from: usize) -> Vec<Write> {
        self.place.writes(from)
    }

    async fn prepare(&self, engine: Engine) -> Result<()> {
        for version in &self.scene.earlier {
            if self.scene.dies && Some(version) == self.scene.earlier.last() {
                self.place.wipe();
            }
            let candidate = Candidate::new().with_version(*version);
            let report = engine.ship(&self.pipeline(&candidate), candidate.clone()).await;
            if report.outcome != Outcome::Released {
                let failed = format!("the earlier release of `{version}` failed: {report:?}");
                return Err(unprepared(failed));
            }
        }
        if let (Some(gate), Act::Ship(candidate)) = (self.scene.waives, &self.scene.act) {
            let pipeline = self.pipeline(candidate);
            let blocked = engine.ship(&pipeline, candidate.clone()).await;
            let run = blocked.run.filter(|_| blocked.outcome == Outcome::Refused);
            let run = run.ok_or_else(|| unprepared(format!("nothing to waive: {blocked:?}")))?;
            engine.waive(&pipeline, run, &id(gate), HOUR, "the gate is wrong").await?;
        }
        self.place.mark();
        Ok(())
    }

    async fn meanwhile(&self, engine: Engine) -> Result<()> {
        self.place.approve();
        if self.scene.overtaken {
            let candidate = Candidate::new().with_version(OVERTAKER);
            // It is stuck, and must be, when the explored run has touched the target.
            let _ = engine.ship(&self.pipeline(&candidate), candidate.clone()).await;
        }
        Ok(())
    }

    async fn people(&self, engine: Engine) -> Result<()> {
        let Some(word) = self.scene.says else { return Ok(()) };
        let target = self.pipeline(&Candidate::new()).target().clone();
        let bea = engine.clone().with_actor("bea");
        for request in engine.asking(&target).await? {
            // One that was cut off before it asked asks when it is resumed.
            if request.asks().next().is_some() {
                bea.answer(&request, None, word, "").await?;
            }
        }
        Ok(())
    }

    fn has_intruder(&self) -> bool {
        self.scene.intruder
    }

    fn intrude(&self) {
        self.place.intrude();
    }

    fn is_foreign(&self, stage: &StageId) -> bool {
        self.place.is_foreign(stage)
    }
}
