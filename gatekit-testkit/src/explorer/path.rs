//! One path: the run, what goes wrong, the processes that go on after it, and the checks.

use std::sync::Arc;

use gatekit_core::code;
use gatekit_core::ledger::{Decision, LockState};
use gatekit_core::testing::{StageKind, stages};
use gatekit_core::{
    Action, Candidate, Outcome, Result, RunId, RunReport, StageId, TargetName, Verb as Next,
};

use super::control::Control;
use super::explore::Settles;
use super::journal::Journal;
use super::ledger::LAPSE;
use super::process::{Frozen, How, Verb, engine, look, play};
use super::scene::{Act, Scene, Truth, World};
use super::script::{Fault, Script, Site};
use super::sites::Passed;

/// How many processes a path may take. Two faults, a parked run and four decisions need fewer.
const LIMIT: usize = 24;

/// What was seen on a path.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) trace: Vec<Passed>,
    /// How long the trace was when each fault fired.
    pub(super) fired: Vec<usize>,
    /// What is wrong, if anything.
    pub(super) wrong: Vec<String>,
    /// What happened, line by line.
    pub(super) story: Vec<String>,
}

/// Walks one path.
pub(super) fn walk(scene: &dyn Scene, settles: Settles, script: &Script, tell: bool) -> Walk {
    let world = scene.world();
    let mut path = Path::new(scene, settles, &world, script);
    path.story = tell.then(Vec::new);
    let end = path.walk();
    let mut wrong = path.control.take_wrong();
    if let Err(error) = end {
        wrong.push(format!("the path could not be walked: {}", told(&error)));
    }
    let fired = path.control.fired();
    // By the real clock a stage may be polled once less than before.
    let may_miss = scene.in_real_time();
    if fired.len() != script.0.len() && wrong.is_empty() && !may_miss {
        wrong.push(format!("only {} faults of the script came to pass", fired.len()));
    }
    // Left over when the path broke off.
    path.trace.extend(path.control.stop_recording());
    Walk { trace: path.trace, fired, wrong, story: path.story.unwrap_or_default() }
}

pub(super) struct Path<'a> {
    pub(super) scene: &'a dyn Scene,
    settles: Settles,
    pub(super) world: &'a Arc<dyn World>,
    pub(super) script: &'a Script,
    candidate: Candidate,
    pub(super) control: Arc<Control>,
    target: TargetName,
    stages: Vec<(StageId, StageKind)>,
    trace: Vec<Passed>,
    pub(super) journal: Journal,
    /// What happened, when somebody wants to read it.
    story: Option<Vec<String>>,
    /// The decisions that the last look offered.
    offers: Vec<Decision>,
    /// The processes that are stopped in the middle of a write.
    frozen: Vec<Frozen>,
}

fn told(error: &gatekit_core::Error) -> String {
    let failure = error.to_failure();
    format!("{failure} {:?}", failure.causes)
}

impl<'a> Path<'a> {
    fn new(
        scene: &'a dyn Scene,
        settles: Settles,
        world: &'a Arc<dyn World>,
        script: &'a Script,
    ) -> Self {
        let candidate = match scene.act() {
            Act::Ship(candidate) => candidate,
            Act::RollBack(_) => Candidate::new(),
        };
        let pipeline = world.pipeline(&candidate);
        let stages = stages(&pipeline);
        let one_way = |(stage, kind): &(StageId, StageKind)| {
            matches!(kind, StageKind::Deploy(Some(_)) | StageKind::Repair(Some(_)))
                .then(|| stage.clone())
        };
        let one_way = stages.iter().filter_map(one_way).collect();
        let target = pipeline.target().clone();
        let control = Control::new(Arc::clone(world), target.clone(), one_way, script.clone());
        let control = Arc::new(control);
        Self {
            scene,
            settles,
            world,
            script,
            candidate,
            control,
            target,
            stages,
            trace: Vec::new(),
            journal: Journal::new(pipeline.also_lock()),
            story: None,
            offers: Vec::new(),
            frozen: Vec::new(),
        }
    }

    fn read_journal(&mut self) -> Result<()> {
        let (journal, target) = (&mut self.journal, &self.target);
        look(self.scene, self.world, async |ledger| journal.read(&*ledger, target).await)
    }

    pub(super) fn wrong(&self, what: impl Into<String>) {
        self.control.wrong(what);
    }

    fn walk(&mut self) -> Result<()> {
        look(self.scene, self.world, async |ledger| {
            self.world.prepare(engine(self.scene, ledger)).await
        })?;
        self.read_journal()?;
        self.control.prepared(self.journal.state.fence);
        let act = match self.scene.act() {
            Act::Ship(candidate) => Verb::Ship(candidate),
            Act::RollBack(to) => Verb::RollBack(to),
        };
        let run = self.process(act, None)?;
        self.meanwhile()?;
        self.settle(run)?;
        self.thaw(run)?;
        self.trace = self.control.stop_recording();
        for wrong in self.journal.check_end(run, &self.stages) {
            self.wrong(wrong);
        }
        // Of a receipt whose journalling was not heard of the run does not know.
        let unheard = |fault: &Fault| matches!(&fault.site, Site::Append { kind, .. } if kind == "checkpoint");
        if !self.script.0.iter().any(unheard) {
            for wrong in self.journal.check_receipts(run) {
                self.wrong(wrong);
            }
        }
        self.check_final(run);
        self.ship_next()?;
        let targets = self.journal.targets(&self.target);
        look(self.scene, self.world, async |ledger| {
            for target in &targets {
                Journal::verify(&*ledger, target).await?;
            }
            Ok(())
        })
    }

    /// What others do after the first process. Their leases, too, are those of the ledger.
    fn meanwhile(&mut self) -> Result<()> {
        self.world.advance(LAPSE);
        look(self.scene, self.world, async |ledger| {
            self.world.meanwhile(engine(self.scene, ledger)).await
        })?;
        self.read_journal()?;
        self.control.prepared(self.journal.state.fence);
        Ok(())
    }

    /// The processes that come after, until the run has ended and the target is free.
    fn settle(&mut self, run: RunId) -> Result<()> {
        let mut in_vain = false;
        let mut decisions: Option<Vec<Decision>> = None;
        for _ in 0..LIMIT {
            self.world.advance(LAPSE);
            look(self.scene, self.world, async |ledger| {
                self.world.people(engine(self.scene, ledger)).await
            })?;
            self.read_journal()?;
            let journal = &self.journal;
            let suspect = match journal.state.state {
                LockState::Free if journal.closed(run).is_some() || !journal.is_opened(run) => {
                    return Ok(());
                }
                LockState::Free => false,
                LockState::Suspect if journal.state.run == Some(run) => true,
                _ => {
                    self.wrong(format!(
                        "after the lease the target is {}",
                        journal.state.state.as_str()
                    ));
                    return Ok(());
                }
            };
            let resume = self.settles == Settles::ByResume && !in_vain;
            let verb = if !suspect || resume {
                Verb::Resume(run)
            } else {
                match &mut decisions {
                    None => Verb::Reconcile(run, None),
                    Some(left) if left.is_empty() => {
                        self.wrong("no decision frees the target");
                        return Ok(());
                    }
                    Some(left) => Verb::Reconcile(run, Some(left.remove(0))),
                }
            };
            if matches!(verb, Verb::Resume(_)) {
                self.check_pending(run)?;
            }
            let fired = self.control.fired().len();
            let looks = matches!(verb, Verb::Reconcile(_, None));
            let resumes = matches!(verb, Verb::Resume(_));
            self.process(verb, Some(run))?;
            let quiet = self.control.fired().len() == fired;
            if !quiet {
                // Whatever was learned before may not hold any more.
                (in_vain, decisions) = (in_vain && !resumes, None);
            } else if looks {
                decisions = Some(DECISIONS.map(|(_, decision)| decision).to_vec());
            } else if resumes {
                in_vain = suspect;
            }
        }
        self.wrong(format!("the run has not ended after {LIMIT} processes"));
        Ok(())
    }

    /// The run that is to be resumed is the one that the engine names.
    fn check_pending(&self, run: RunId) -> Result<()> {
        let pending = look(self.scene, self.world, async |ledger| {
            engine(self.scene, ledger).pending(&self.target).await
        })?;
        match pending {
            Some(pending) if pending.run == run => {
                if pending.touched != self.journal.is_touched(run) {
                    self.wrong(format!("the pending run is told as touched: {}", pending.touched));
                }
            }
            // What another run has released since is not asked to be overwritten.
            None if self.journal.is_overtaken(run) => {}
            other => self.wrong(format!("the pending run is {other:?}")),
        }
        Ok(())
    }

    /// Runs a process and checks what it says. Gives the run that it was about.
    fn process(&mut self, verb: Verb, of: Option<RunId>) -> Result<RunId> {
        let (fired, from) = (self.control.fired().len(), self.journal.entries.len());
        let told = verb.clone();
        let ended = play(self.scene, &self.control, verb, &self.candidate)?;
        let run = of.unwrap_or(ended.run);
        self.read_journal()?;
        let script = self.script;
        let now = script.0.get(fired..self.control.fired().len()).unwrap_or_default();
        match ended.how {
            How::Reported(report) => {
                self.tell(&told, now, Some(&report));
                self.check_report(run, &report, now);
                if now.is_empty() {
                    self.check_quiet(run, &report, from);
                }
                match told {
                    Verb::Reconcile(_, None) => self.offers = offers(&report),
                    Verb::Reconcile(_, Some(decision))
                        if self.offers.contains(&decision)
                            && report
                                .failure
                                .is_some_and(|it| it.code == code::RECONCILE_REFUSED)
                            && now.is_empty()
                            && !self.journal.was_blocked(from) =>
                    {
                        self.wrong(format!("{decision:?} was offered, and is refused"));
                    }
                    _ => {}
                }
            }
            How::Frozen(frozen) => {
                self.tell(&told, now, None);
                self.frozen.push(frozen);
            }
        }
        for wrong in self.journal.check_kept(run) {
            self.wrong(wrong);
        }
        Ok(run)
    }

    /// Lets the processes go on that are stopped: what the journal says of the end stays true.
    fn thaw(&mut self, run: RunId) -> Result<()> {
        if self.frozen.is_empty() {
            return Ok(());
        }
        let before = self.world.truth();
        for report in self.frozen.drain(..).filter_map(Frozen::thaw).collect::<Vec<_>>() {
            self.check_overtaken(&report);
        }
        self.read_journal()?;
        let told = self.journal.closed(run);
        let truth = self.world.truth();
        if truth != before && told.is_some_and(|outcome| outcome != Outcome::Overridden) {
            self.wrong(format!("a stopped process went on, and live is {truth:?}"));
        }
        Ok(())
    }

    fn tell(&mut self, verb: &Verb, now: &[Fault], report: Option<&RunReport>) {
        let Some(story) = &mut self.story else { return };
        let journal = &self.journal;
        let faults: Vec<_> = now.iter().map(ToString::to_string).collect();
        let failure = report.and_then(|report| report.failure.as_ref());
        let failure =
            failure.map(|it| format!(": {} {it} {:?}", it.code, it.causes)).unwrap_or_default();
        story.push(format!(
            "{verb:?} [{}] -> {}{}\n  live: {:?}, lock: {} {}\n  journal: {}",
            faults.join(" "),
            report.map_or("stopped", |report| report.outcome.as_str()),
            failure,
            self.world.truth(),
            journal.state.state.as_str(),
            journal.state.fence,
            journal.told(),
        ));
    }

    /// In the end the target is free, and another candidate can be shipped.
    fn ship_next(&mut self) -> Result<()> {
        let next = Verb::Ship(self.scene.next());
        let ended = play(self.scene, &self.control, next.clone(), &self.scene.next())?;
        let truth = self.world.truth();
        self.read_journal()?;
        let How::Reported(report) = &ended.how else { return Ok(()) };
        self.tell(&next, &[], Some(report));
        let after = &self.journal;
        if report.outcome != Outcome::Released || truth != Truth::Next {
            let outcome = report.outcome.as_str();
            self.wrong(format!("the next ship ends {outcome}, and live is {truth:?}"));
        }
        if after.state.state != LockState::Free {
            self.wrong(format!("in the end the target is {}", after.state.state.as_str()));
        }
        for (name, state) in after.states_along() {
            if state != LockState::Free {
                self.wrong(format!("in the end `{name}` is {}", state.as_str()));
            }
        }
        for wrong in after.check_end(ended.run, &self.stages) {
            self.wrong(format!("next ship: {wrong}"));
        }
        Ok(())
    }
}

/// The decisions, the gentlest first. A person may try one that is not offered.
const DECISIONS: [(&str, Decision); 4] = [
    ("--adopt", Decision::Adopt),
    ("--confirm-old", Decision::ConfirmOld),
    ("--roll-back", Decision::RollBack),
    ("--override", Decision::Override),
];

/// The decisions that a report offers.
fn offers(report: &RunReport) -> Vec<Decision> {
    let args = report.next.iter().filter_map(|next| match &next.action {
        Action::Verb(Next::Reconcile, args) => Some(args),
        _ => None,
    });
    let flags: Vec<_> = args.flatten().collect();
    let offered = |(flag, _): &&(&str, Decision)| flags.iter().any(|given| given == flag);
    DECISIONS.iter().filter(offered).map(|(_, decision)| *decision).collect()
}
