//! One call of the program.

use clap::ArgMatches;
use gatekit_core::ledger::TargetState;
use gatekit_core::{
    Effect, Engine, Error, Failure, Live, NextAction, Pipeline, Result, RunReport, Verb,
};
use serde_json::{Value, json};

use crate::caught::caught;
use crate::code;
use crate::command::needed;
use crate::env::Env;
use crate::look::SharedLook;
use crate::output::Voice;
use crate::progress;
use crate::recipe::{Shared, not_as_opened, of_another};
use crate::shipment::Shipment;
use crate::terminal::Screen;

/// The version of the journalled arguments.
const VERSION: u32 = 1;

/// Adds a reporter to the engine.
pub(crate) type AddReporter = Box<dyn FnOnce(Engine) -> Engine>;

/// What is done with a report before it is printed.
pub(crate) type Finish = Box<dyn FnOnce(&RunReport) -> Result<()>>;

/// What is done with an error that no run came to, and its exit code.
pub(crate) type OnError = Box<dyn FnOnce(&Failure, u8) -> Result<()>>;

/// A verb, what it is about, and what was given with it.
pub(crate) struct Call {
    pub(crate) verb: String,
    pub(crate) app: &'static str,
    pub(crate) pipeline: &'static str,
    /// All pipelines of the program.
    pub(crate) pipelines: Vec<&'static str>,
    pub(crate) voice: Voice,
    pub(crate) recipes: Vec<Shared>,
    pub(crate) looks: Vec<SharedLook>,
    pub(crate) given: ArgMatches,
    pub(crate) env: Env,
    /// What tells of progress instead of lines and bars.
    pub(crate) progress: Option<AddReporter>,
    /// What is drawn on the terminal meanwhile.
    pub(crate) screen: Option<Screen>,
    pub(crate) reporters: Vec<AddReporter>,
    pub(crate) finish: Option<Finish>,
    pub(crate) on_error: Option<OnError>,
}

/// What a verb could not do.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) error: Error,
    pub(crate) with: With,
}

/// What could not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum With {
    /// Something with a target.
    Target,
    /// The building of a pipeline: the call is wrong, or what it is about.
    Pipeline,
    /// Something with the ledger of all targets.
    Ledger,
}

impl Problem {
    /// Whether the call is wrong, and not what it is made in.
    pub(crate) fn is_usage(&self) -> bool {
        self.error.code().area() == "usage" && *self.error.code() != code::USAGE_SECRET
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self { error, with: With::Target }
    }
}

fn building(error: Error) -> Problem {
    Problem { error, with: With::Pipeline }
}

pub(crate) type Answer<T> = Result<T, Problem>;

/// A pipeline, and the arguments that stand for it in the journal.
pub(crate) struct Ready {
    pub(crate) shipment: Shipment,
    pub(crate) arguments: Value,
}

impl Call {
    /// What the command line stands for.
    pub(crate) async fn fresh(&self, recipe: &Shared) -> Answer<Ready> {
        let shipment = recipe.make(&self.given, &self.env).await.map_err(building)?;
        Ok(self.ready(recipe, shipment))
    }

    /// What journalled arguments stand for, with the secrets that are given again.
    pub(crate) async fn rebuilt(&self, journalled: &Value) -> Answer<Ready> {
        let ours = journalled["v"] == VERSION
            && journalled["app"] == self.app
            && journalled["pipeline"] == self.pipeline;
        let verb = journalled["verb"].as_str().filter(|_| ours).unwrap_or_default();
        let recipe = self.recipes.iter().find(|recipe| recipe.verb() == verb);
        let recipe = recipe.ok_or_else(|| building(self.not_ours(journalled)))?;
        if let Some((flag, other)) = of_another(recipe, &self.recipes, &self.given) {
            let what = format!("`{flag}` is of `{other}`, and the run was opened by `{verb}`");
            return Err(building(not_as_opened(what)));
        }
        let args = journalled["args"].clone();
        let shipment = recipe.remake(args, &self.given, &self.env).await.map_err(building)?;
        Ok(self.ready(recipe, shipment))
    }

    /// The error about arguments that are of another pipeline, or of no build like this one.
    fn not_ours(&self, journalled: &Value) -> Error {
        let said = |name: &str| journalled[name].as_str().unwrap_or("not told").to_owned();
        let (app, pipeline, verb) = (said("app"), said("pipeline"), said("verb"));
        let known = self.pipelines.iter().any(|known| *known == pipeline);
        let another = app == self.app && pipeline != self.pipeline && known;
        let what = if another {
            "the run was opened by another pipeline of this program"
        } else {
            "the run was not opened by this version of the program"
        };
        let error = Error::new(code::CONFIG_ARGUMENTS, what)
            .with_effect(Effect::None)
            .with_context("program", &app)
            .with_context("pipeline", &pipeline)
            .with_context("verb", verb);
        if !another {
            return error;
        }
        // Its target is not that of its name, or no other pipeline would come upon it.
        let flags = match self.env.common().target {
            Some(_) => self.voice.flags.clone(),
            None => format!("{} --target {}", self.voice.flags, self.env.target()),
        };
        let mut words = self.verb.clone();
        if let Ok(Some(mut run)) = self.given.try_get_raw("run") {
            words += &run.next().map(|run| format!(" {}", run.display())).unwrap_or_default();
        }
        words += match self.verb.as_str() {
            "rollback" => " --reason TEXT",
            "waive" => " --stage STAGE --for TIME --reason TEXT",
            _ => "",
        };
        error.with_next(NextAction::outside(format!("{app} {pipeline} {words}{flags}")))
    }

    fn ready(&self, recipe: &Shared, mut shipment: Shipment) -> Ready {
        let args = shipment.arguments.take();
        let notes = std::mem::take(&mut shipment.notes);
        let arguments = json!({
            "v": VERSION, "app": self.app, "pipeline": self.pipeline, "verb": recipe.verb(),
            "args": args, "notes": notes,
        });
        Ready { shipment, arguments }
    }

    /// The pipeline of the newest release, else of a way to ship that needs no arguments; `None` when
    /// there is neither.
    pub(crate) async fn latest(&self) -> Answer<Option<Ready>> {
        if let Some(ledger) = self.env.ledger_to_read().await?
            && let Some(last) = Engine::new(ledger).last_arguments(self.env.target()).await?
        {
            return self.rebuilt(&last).await.map(Some);
        }
        self.bare().await
    }

    /// What is live on a target of that state, by the pipeline of the run that has it, else by the
    /// latest. `Err` is why it cannot be told.
    pub(crate) async fn live(&self, lock: &TargetState) -> Answer<Option<Live>> {
        let written = lock.head.seq > 0;
        let mut ready = if lock.run.is_some() { self.pending().await? } else { None };
        if ready.is_none() {
            ready = self.latest().await?;
        }
        if ready.is_none() && written {
            ready = self.pending().await?;
        }
        match ready {
            Some(ready) => Ok(ready.pipeline().live().await?),
            None if written => {
                let unknown = "nothing was released yet, and what was tried is over: nobody knows";
                let error = Error::new(code::CONFIG_ARGUMENTS, unknown).with_effect(Effect::None);
                Err(building(error.with_next(self.ship_next())))
            }
            None => Ok(None),
        }
    }

    /// The pipeline of the run that is pending.
    async fn pending(&self) -> Answer<Option<Ready>> {
        let Some(ledger) = self.env.ledger_to_read().await? else { return Ok(None) };
        match Engine::new(ledger).pending(self.env.target()).await? {
            Some(pending) => self.rebuilt(&pending.arguments).await.map(Some),
            None => Ok(None),
        }
    }

    /// The pipeline of a way to ship that needs no arguments.
    async fn bare(&self) -> Answer<Option<Ready>> {
        for recipe in &self.recipes {
            let command = recipe.augment(clap::Command::new(recipe.verb()).no_binary_name(true));
            if let Ok(nothing) = command.try_get_matches_from(Vec::<&str>::new()) {
                let made = recipe.make(&nothing, &self.env).await.map_err(building)?;
                return Ok(Some(self.ready(recipe, made)));
            }
        }
        Ok(None)
    }

    /// A ship, with the arguments that it cannot do without.
    pub(crate) fn ship_next(&self) -> NextAction {
        let needed = self.recipes.first().map(needed).unwrap_or_default();
        let needed: Vec<_> = needed.iter().map(String::as_str).collect();
        NextAction::verb(Verb::Ship, &needed)
    }

    /// The engine on the ledger, which is made when it does not exist.
    pub(crate) async fn engine(&mut self) -> Result<Engine> {
        let common = self.env.common();
        let mut engine = Engine::new(self.env.ledger().await?)
            .with_lease(common.lease)?
            .with_deadline(common.deadline)
            .with_queue_timeout(common.queue_timeout);
        if let Some(actor) = &common.actor {
            engine = engine.with_actor(actor);
        }
        engine = match self.progress.take() {
            Some(own) if !self.voice.json => own(engine),
            _ => {
                let (engine, screen) = progress::told(engine, &self.voice);
                self.screen = screen;
                engine
            }
        };
        for add in self.reporters.drain(..) {
            engine = add(engine);
        }
        Ok(engine)
    }
}

impl Ready {
    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.shipment.pipeline
    }

    /// What is shipped, made now.
    pub(crate) fn candidate(&mut self) -> Answer<gatekit_core::Candidate> {
        match self.shipment.candidate.take() {
            Some(make) => caught("what makes the candidate", make).map_err(building),
            None => Ok(gatekit_core::Candidate::new()),
        }
    }
}
