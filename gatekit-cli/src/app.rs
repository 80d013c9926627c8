//! The program: its pipelines, its command line, and how it is run.

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::marker::PhantomData;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, FromArgMatches as _};
use gatekit_core::{Error, Reporter, Result, RunReport, TargetName};
use gatekit_store::SqliteLedger;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::{AddReporter, Call, Finish};
use crate::code;
use crate::common::{Common, Output, says_json};
use crate::env::{Env, Home};
use crate::output::{self, Voice};
use crate::recipe::{Of, Shared};
use crate::shipment::Shipment;
use crate::{command, verbs};

/// A deploy binary: pipelines, and the verbs that every one of them has.
///
/// With one pipeline the verbs are the program's commands (`deploy ship ..`); with several, the
/// pipeline's name comes first (`deploy production ship ..`).
#[must_use = "call `.run()`"]
pub struct App {
    pub(crate) name: &'static str,
    pub(crate) about: Option<&'static str>,
    pub(crate) version: Option<&'static str>,
    pub(crate) examples: Option<&'static str>,
    /// The program's own arguments, as a command that has nothing else.
    pub(crate) own: Command,
    pub(crate) pipelines: Vec<Named>,
    home: Arc<Home>,
    progress: Option<AddReporter>,
    reporters: Vec<AddReporter>,
    finish: Option<Finish>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A pipeline's target, as it was written, and the ways to ship to it: the first is `ship`.
pub(crate) struct Named {
    pub(crate) target: &'static str,
    pub(crate) recipes: Vec<Shared>,
}

impl App {
    /// A program of that name.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            about: None,
            version: None,
            examples: None,
            own: Command::new(name),
            pipelines: Vec::new(),
            home: Arc::new(|_| SqliteLedger::default_path()),
            progress: None,
            reporters: Vec::new(),
            finish: None,
        }
    }

    /// What `--help` says first.
    pub fn about(mut self, about: &'static str) -> Self {
        self.about = Some(about);
        self
    }

    /// What `--version` says: `env!("CARGO_PKG_VERSION")`.
    pub fn version(mut self, version: &'static str) -> Self {
        self.version = Some(version);
        self
    }

    /// What `--help` ends with, before the table of exit codes.
    pub fn examples(mut self, examples: &'static str) -> Self {
        self.examples = Some(examples);
        self
    }

    /// Adds a pipeline to `target`, which `build` makes from its arguments.
    ///
    /// The arguments are journalled when a run opens, and `resume`, `rollback`, `reconcile` and
    /// `status`, on whichever machine, rebuild the pipeline from there. A secret must not get there:
    /// make its field an `Option<SecretString>` with `#[serde(skip)]`, and ask for it with
    /// [`Env::secret`]; it is given again by flag or environment. (`SecretString` has no JSON form, so
    /// one that is not skipped does not compile.) `build` is called for every verb that needs the
    /// pipeline: it should neither write nor take long.
    ///
    /// A target that is no valid name is refused when the program runs, with `usage.command_line`.
    pub fn pipeline<A, S>(
        mut self,
        target: &'static str,
        build: impl AsyncFn(A, Env) -> Result<S> + 'static,
    ) -> Self
    where
        A: Args + Serialize + DeserializeOwned + 'static,
        S: Into<Shipment> + 'static,
    {
        let ship = of("ship", "Take a candidate through the gates and deploy it", build);
        self.pipelines.push(Named { target, recipes: vec![ship] });
        self
    }

    /// Adds a verb to the pipeline that was added last: another way to ship to its target, like one
    /// that stops what runs there. Where nothing was ever shipped there is nothing for it to do.
    ///
    /// Arguments that have the same name as one of the pipeline's must be of the same type.
    pub fn variant<A, S>(
        mut self,
        verb: &'static str,
        about: &'static str,
        build: impl AsyncFn(A, Env) -> Result<S> + 'static,
    ) -> Self
    where
        A: Args + Serialize + DeserializeOwned + 'static,
        S: Into<Shipment> + 'static,
    {
        if let Some(pipeline) = self.pipelines.last_mut() {
            pipeline.recipes.push(of(verb, about, build));
        }
        self
    }

    /// Adds arguments that the program takes with every verb, for [`Env::args`]. They are not
    /// journalled, and repeated in the commands that an error suggests: secrets are the pipeline's
    /// business. Each needs `global = true`.
    pub fn args<G: Args>(mut self) -> Self {
        self.own = G::augment_args(self.own);
        self
    }

    /// Where the ledger is unless `--ledger` or `GATEKIT_LEDGER` says so; else one per user, see
    /// [`SqliteLedger::default_path`].
    pub fn ledger(
        mut self,
        home: impl Fn(&Env) -> Result<PathBuf> + Send + Sync + 'static,
    ) -> Self {
        self.home = Arc::new(home);
        self
    }

    /// Tells people of progress by that reporter instead of by lines and bars, like the log of a
    /// GitHub step. Programs that ask for JSON get that.
    pub fn progress_by(mut self, reporter: impl Reporter) -> Self {
        self.progress = Some(Box::new(|engine| engine.reporter(reporter)));
        self
    }

    /// Adds a reporter beside that of progress.
    pub fn reporter(mut self, reporter: impl Reporter) -> Self {
        self.reporters.push(Box::new(|engine| engine.reporter(reporter)));
        self
    }

    /// What is done with a run's report before it is printed, like telling GitHub. Its error is
    /// printed and changes neither the report nor the exit code.
    pub fn finish(mut self, finish: impl FnOnce(&RunReport) -> Result<()> + 'static) -> Self {
        self.finish = Some(Box::new(finish));
        self
    }

    /// The whole command line, for tests (`debug_assert`) and manuals.
    #[must_use]
    pub fn command(&self) -> Command {
        command::of(self)
    }

    /// Runs the program with the arguments of the process, and gives its exit code.
    pub fn run(self) -> ExitCode {
        // A word need not be UTF-8, as a path need not.
        self.run_from(std::env::args_os().collect()).into()
    }

    /// Runs the program with `words`, the first of which is its name, and gives the exit code. Starts
    /// a runtime of its own: not to be called within one.
    #[must_use]
    pub fn run_from(self, words: Vec<OsString>) -> u8 {
        let command = command::of(&self);
        if let Some(clash) = command::clash(&command, &[]) {
            let error = clap::Error::raw(ErrorKind::ArgumentConflict, clash + "\n");
            return self.not_understood(&error, says_json(&words));
        }
        let call = command.try_get_matches_from(&words).and_then(|matches| self.call(&matches));
        let mut call = match call {
            Ok(call) => call,
            Err(error) => return self.not_understood(&error, says_json(&words)),
        };
        if call.verb == command::COMPLETIONS {
            return verbs::completions(command::of(&self), &call);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(source) => {
                let error = Error::new(code::RUNTIME_START, "the runtime cannot be started")
                    .with_source(source);
                return call.voice.error(&error.into());
            }
        };
        call.progress = self.progress;
        call.reporters = self.reporters;
        call.finish = self.finish;
        let exit = runtime.block_on(verbs::run(call));
        // After a second interrupt a call may still be in flight: it is not waited for.
        runtime.shutdown_background();
        exit
    }

    /// The pipeline, the verb and the flags that were given.
    fn call(&self, matches: &ArgMatches) -> Result<Call, clap::Error> {
        let missing = || clap::Error::new(ErrorKind::MissingSubcommand);
        let (mut verb, mut given) = matches.subcommand().ok_or_else(missing)?;
        let mut pipeline = self.pipelines.first().ok_or_else(missing)?;
        if verb != command::COMPLETIONS && self.pipelines.len() > 1 {
            pipeline = self
                .pipelines
                .iter()
                .find(|pipeline| pipeline.target == verb)
                .ok_or_else(missing)?;
            (verb, given) = given.subcommand().ok_or_else(missing)?;
        }
        let common = Common::from_arg_matches(given)?;
        let invalid = |error: Error| clap::Error::raw(ErrorKind::ValueValidation, error);
        let target = match &common.target {
            Some(target) => target.clone(),
            None => TargetName::new(pipeline.target).map_err(invalid)?,
        };
        let several = self.pipelines.len() > 1;
        let others = self.pipelines.iter().filter(|other| other.target != pipeline.target);
        if others.into_iter().any(|other| other.target == target.as_str()) {
            let what = format!(
                "`{target}` has a pipeline of its own, whose gates would be passed by: \
                 {} {target} {verb}\n",
                self.name
            );
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, what));
        }
        let program = if several {
            format!("{} {}", self.name, pipeline.target)
        } else {
            self.name.to_owned()
        };
        let voice = Voice {
            json: common.output == Output::Json,
            program,
            flags: flags(&self.own, given, &common),
            target: target.clone(),
        };
        Ok(Call {
            verb: verb.to_owned(),
            app: self.name,
            pipeline: pipeline.target,
            voice,
            recipes: pipeline.recipes.clone(),
            given: given.clone(),
            env: Env::new(target, given.clone(), common, Arc::clone(&self.home)),
            progress: None,
            screen: None,
            reporters: Vec::new(),
            finish: None,
        })
    }

    /// Help and version go to standard output; an error to standard error, and for programs as the
    /// last line of standard output.
    fn not_understood(&self, error: &clap::Error, json: bool) -> u8 {
        // Whether the text reached anybody changes nothing.
        let _ = error.print();
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            return 0;
        }
        if json {
            output::usage(&crate::env::usage(error), self.name);
        }
        2
    }
}

fn of<A, F, S>(verb: &'static str, about: &'static str, build: F) -> Shared
where
    A: Args + Serialize + DeserializeOwned + 'static,
    F: AsyncFn(A, Env) -> Result<S> + 'static,
    S: Into<Shipment> + 'static,
{
    Arc::new(Of { verb, about, build, args: PhantomData })
}

/// The flags that name the same target and the same ledger in another call.
fn flags(own: &Command, given: &ArgMatches, common: &Common) -> String {
    let mut flags = String::new();
    for arg in own.get_arguments() {
        let id = arg.get_id().as_str();
        let by_hand = given.value_source(id) == Some(clap::parser::ValueSource::CommandLine);
        let (Some(long), true) = (arg.get_long(), by_hand) else { continue };
        if !arg.get_action().takes_values() {
            let _ = write!(flags, " --{long}");
            continue;
        }
        for value in given.get_raw(id).into_iter().flatten() {
            let _ = write!(flags, " --{long} {}", output::quoted(&value.to_string_lossy()));
        }
    }
    if let Some(target) = &common.target {
        let _ = write!(flags, " --target {target}");
    }
    if let Some(ledger) = &common.ledger {
        let _ = write!(flags, " --ledger {}", output::quoted(ledger));
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(with: impl Fn(App) -> App) -> u8 {
        with(App::new("x")).run_from(["x", "--help"].map(OsString::from).to_vec())
    }

    #[derive(Args, Serialize, serde::Deserialize)]
    struct Fine {
        #[arg(long)]
        tag: String,
    }

    #[derive(Args, Serialize, serde::Deserialize)]
    struct Clashes {
        #[arg(long)]
        reason: String,
    }

    /// A group that is called as an argument of some verb.
    #[derive(Args, Serialize, serde::Deserialize)]
    #[group(id = "reason")]
    struct Group {
        #[arg(long)]
        tag: String,
    }

    /// Groups and arguments that are no other's.
    #[derive(Args, Serialize, serde::Deserialize)]
    struct Decides {
        #[arg(long)]
        decision: String,
        #[arg(long, group = "sources")]
        tag: Option<String>,
        #[arg(long, group = "sources")]
        branch: Option<String>,
    }

    #[derive(Args, Serialize, serde::Deserialize)]
    struct Stops {
        #[arg(long, group = "sources")]
        tag: Option<String>,
        #[arg(long, group = "sources")]
        all: bool,
    }

    fn never() -> Result<Shipment> {
        Err(Error::new(code::CONFIG_ARGUMENTS, "not built here"))
    }

    #[test]
    fn arguments_and_verbs_that_clash_with_others_are_refused_whichever_verb_is_called() {
        assert_eq!(app(|app| app.pipeline("a", async |_: Fine, _| never())), 0);
        assert_eq!(app(|app| app.pipeline("a", async |_: Clashes, _| never())), 2);
        assert_eq!(app(|app| app.pipeline("a", async |_: Group, _| never())), 2);
        assert_eq!(
            app(|app| app
                .pipeline("a", async |_: Fine, _| never())
                .pipeline("a", async |_: Fine, _| never())),
            2
        );
        let variant = |verb| {
            app(move |app| {
                app.pipeline("a", async |_: Fine, _| never()).variant(
                    verb,
                    "about",
                    async |_: Fine, _| never(),
                )
            })
        };
        assert_eq!((variant("stop"), variant("status")), (0, 2));
    }

    #[test]
    fn groups_of_a_pipeline_hold_for_every_verb_that_takes_its_arguments() {
        let place = tempfile::tempdir().unwrap();
        let call = |words: &[&str]| {
            let ledger = place.path().join("ledger.db");
            let app = App::new("x").ledger(move |_| Ok(ledger.clone()));
            let app = app.pipeline("a", async |_: Decides, _| never());
            let app = app.variant("stop", "about", async |_: Stops, _| never());
            app.run_from([&["x"], words].concat().into_iter().map(OsString::from).collect())
        };
        assert_eq!(call(&["resume", "--tag", "v1"]), 0, "there is nothing to resume");
        assert_eq!(call(&["reconcile", "--decision", "none"]), 0);
        for verb in ["resume", "reconcile", "status"] {
            assert_eq!(call(&[verb, "--tag", "v1", "--branch", "main"]), 2, "{verb}");
            assert_eq!(call(&[verb, "--branch", "main", "--all"]), 2, "{verb}, of two variants");
        }
        let both = ["reconcile", "--adopt", "--roll-back", "--reason", "why"];
        assert_eq!(call(&both), 2, "its own");
    }
}
