//! The program: its pipelines, its command line, and how it is run.

use std::ffi::OsString;
use std::fmt::{self, Display, Write as _};
use std::marker::PhantomData;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, FromArgMatches as _};
use gatekit_core::code::ListedCode;
use gatekit_core::{Effect, Error, Failure, NextAction, Reporter, Result, RunReport, TargetName};
use gatekit_store::SqliteLedger;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::{AddReporter, Call, Finish, OnError};
use crate::code;
use crate::common::{Common, Output, says_json};
use crate::env::{self, Env, Home};
use crate::look::{By, SharedLook};
use crate::out::Out;
use crate::output::{self, Voice};
use crate::place;
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
    /// The default of `--deadline`, where it is not the usual one.
    pub(crate) deadline: Option<&'static str>,
    /// The program's own arguments, as a command that has nothing else.
    pub(crate) own: Command,
    pub(crate) pipelines: Vec<Named>,
    home: Arc<Home>,
    progress: Option<AddReporter>,
    reporters: Vec<AddReporter>,
    finish: Option<Finish>,
    on_error: Option<OnError>,
    codes: Vec<&'static [ListedCode]>,
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
    pub(crate) looks: Vec<SharedLook>,
}

impl App {
    /// A program of that name.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            about: None,
            version: None,
            examples: None,
            deadline: None,
            own: Command::new(name),
            pipelines: Vec::new(),
            home: Arc::new(|_| SqliteLedger::default_path()),
            progress: None,
            reporters: Vec::new(),
            finish: None,
            on_error: None,
            codes: Vec::new(),
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

    /// What `--help` ends with, before the table of exit codes; else calls of its verbs, with the
    /// arguments that a ship needs.
    pub fn examples(mut self, examples: &'static str) -> Self {
        self.examples = Some(examples);
        self
    }

    /// How long a rollout and its verification may take, and again its unwinding, where `--deadline`
    /// does not say, as `30m`.
    ///
    /// # Default
    /// 5 minutes.
    pub fn deadline(mut self, deadline: &'static str) -> Self {
        self.deadline = Some(deadline);
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
        let ship = of("ship", "Take a candidate through the gates and deploy it", true, build);
        self.pipelines.push(Named { target, recipes: vec![ship], looks: Vec::new() });
        self
    }

    /// Adds a verb to the pipeline that was added last: another way to ship to its target, like one
    /// that stops what runs there. Where nothing was ever shipped there is nothing for it to do.
    ///
    /// Arguments that have the same name as one of the pipeline's must be of the same type.
    pub fn variant<A, S>(
        self,
        verb: &'static str,
        about: &'static str,
        build: impl AsyncFn(A, Env) -> Result<S> + 'static,
    ) -> Self
    where
        A: Args + Serialize + DeserializeOwned + 'static,
        S: Into<Shipment> + 'static,
    {
        self.recipe(of(verb, about, false, build))
    }

    /// As [`variant`](Self::variant), of one that may also be the first that is done to a target, like a
    /// repair of what was there before.
    pub fn variant_at_any_time<A, S>(
        self,
        verb: &'static str,
        about: &'static str,
        build: impl AsyncFn(A, Env) -> Result<S> + 'static,
    ) -> Self
    where
        A: Args + Serialize + DeserializeOwned + 'static,
        S: Into<Shipment> + 'static,
    {
        self.recipe(of(verb, about, true, build))
    }

    fn recipe(mut self, recipe: Shared) -> Self {
        if let Some(pipeline) = self.pipelines.last_mut() {
            pipeline.recipes.push(recipe);
        }
        self
    }

    /// Adds a verb to the pipeline that was added last that only looks, like one that lists what is there:
    /// it needs no ledger, and opens no run.
    ///
    /// What is seen is printed as its `Display` says, and with `--output json` as one object; `T` MUST have
    /// the JSON form of one. An error ends the program as one of `plan` does.
    pub fn look<A, T>(
        mut self,
        verb: &'static str,
        about: &'static str,
        look: impl AsyncFn(A, Env) -> Result<T> + 'static,
    ) -> Self
    where
        A: Args + 'static,
        T: Display + Serialize + 'static,
    {
        if let Some(pipeline) = self.pipelines.last_mut() {
            pipeline.looks.push(Arc::new(By { verb, about, look, args: PhantomData }));
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

    /// What is done with a run's report before it is printed, like telling GitHub. Its error, or that
    /// it panicked, is told on standard error and changes neither the report nor the exit code.
    pub fn finish(mut self, finish: impl FnOnce(&RunReport) -> Result<()> + 'static) -> Self {
        self.finish = Some(Box::new(finish));
        self
    }

    /// What is done with an error that no run came to, and the exit code, before it is printed: of a
    /// command line that was not understood, whatever the verb, and of the verbs that ship, roll back,
    /// resume and reconcile. Where these come to a report, [`finish`](Self::finish) has that. Its own
    /// error is told as that of `finish` is.
    pub fn on_error(mut self, told: impl FnOnce(&Failure, u8) -> Result<()> + 'static) -> Self {
        self.on_error = Some(Box::new(told));
        self
    }

    /// Adds the codes of a backend that the pipelines use, like `gatekit_aws::code::ALL`: an error of
    /// its own that names no way on is told with the one that is listed.
    pub fn codes(mut self, codes: &'static [ListedCode]) -> Self {
        self.codes.push(codes);
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
        let understood = match command::clash(&command, &[]) {
            Some(clash) => Err(Refused::Ours(wrong_program(clash))),
            None => match command.try_get_matches_from(&words) {
                Ok(matches) => self.call(&matches),
                Err(error) => Err(Refused::Clap(error)),
            },
        };
        let mut call = match understood {
            Ok(call) => call,
            Err(refused) => return self.not_understood(refused, &words),
        };
        if call.verb == command::COMPLETIONS {
            return verbs::completions(command::of(&self), &call);
        }
        call.on_error = self.on_error;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(source) => {
                let error = Error::new(code::RUNTIME_START, "the runtime cannot be started")
                    .with_effect(Effect::None)
                    .with_source(source);
                return verbs::failed(&mut call, &error.into());
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
    fn call(&self, matches: &ArgMatches) -> Result<Call, Refused> {
        let missing = || clap::Error::new(ErrorKind::MissingSubcommand);
        let (mut verb, mut given) = matches.subcommand().ok_or_else(missing)?;
        let mut pipeline = self.pipelines.first().ok_or_else(missing)?;
        let several = self.pipelines.len() > 1;
        let is_of_all = matches!(verb, command::COMPLETIONS | command::LEDGER);
        if verb == command::LEDGER {
            // It has a single verb of its own.
            (_, given) = given.subcommand().ok_or_else(missing)?;
        }
        if !is_of_all && several {
            pipeline = self
                .pipelines
                .iter()
                .find(|pipeline| pipeline.target == verb)
                .ok_or_else(missing)?;
            (verb, given) = given.subcommand().ok_or_else(missing)?;
        }
        let common = Common::from_arg_matches(given)?;
        let target = match &common.target {
            Some(target) => target.clone(),
            None => TargetName::new(pipeline.target).map_err(|error| {
                wrong_program(format!("the target of the pipeline is none: {error}"))
            })?,
        };
        let others = self.pipelines.iter().filter(|other| other.target != pipeline.target);
        if others.into_iter().any(|other| other.target == target.as_str()) {
            let what =
                format!("`{target}` has a pipeline of its own, whose gates would be passed by");
            let own = NextAction::outside(format!("{} {target} {verb}", self.name));
            return Err(Error::new(code::USAGE_COMMAND_LINE, what)
                .with_effect(Effect::None)
                .with_next(own)
                .into());
        }
        let program = if several && !is_of_all {
            format!("{} {}", self.name, pipeline.target)
        } else {
            self.name.to_owned()
        };
        let voice = Voice {
            json: common.output == Output::Json,
            program,
            flags: flags(&self.own, given, &common),
            target: target.clone(),
            codes: self.codes.clone(),
            out: Out::default(),
        };
        let env = Env::new(target, given.clone(), common, Arc::clone(&self.home));
        Ok(Call {
            env: if matches!(verb, "status" | "log") { env.that_only_shows() } else { env },
            verb: verb.to_owned(),
            app: self.name,
            pipeline: pipeline.target,
            pipelines: self.pipelines.iter().map(|pipeline| pipeline.target).collect(),
            voice,
            recipes: pipeline.recipes.clone(),
            looks: pipeline.looks.clone(),
            given: given.clone(),
            progress: None,
            screen: None,
            reporters: Vec::new(),
            finish: None,
            on_error: None,
        })
    }

    /// Help and version go to standard output; an error to standard error, and for programs as the
    /// last line of standard output.
    fn not_understood(self, refused: Refused, words: &[OsString]) -> u8 {
        let out = Out::default();
        let (error, said) = match refused {
            Refused::Clap(error) if !error.use_stderr() => {
                if let Err(error) = error.print() {
                    out.failed(error);
                }
                return out.end(0, true);
            }
            Refused::Clap(error) => {
                let help = format!("{} --help", command::meant(&self, words));
                let mut said = place::shown_in(error.to_string().trim_end());
                // Help that was not asked for needs no more of it.
                if error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
                    let end = said.find("\n\nFor more information").unwrap_or(said.len());
                    said.truncate(end);
                    let _ = write!(said, "\n  next: {help}");
                }
                (env::usage(&error).with_next(NextAction::outside(help)), Some(said))
            }
            Refused::Ours(error) => (error, None),
        };
        let failure = error.to_failure();
        let warn = |why: &Failure| output::warn_of("warning", why, self.name);
        verbs::on_error(self.on_error, &failure, 2, warn);
        let exit = output::usage(&out, self.name, failure, said.as_deref(), says_json(words));
        out.end(exit, false)
    }
}

/// Why there is no call: help counts, too.
enum Refused {
    Clap(clap::Error),
    Ours(Error),
}

impl From<clap::Error> for Refused {
    fn from(error: clap::Error) -> Self {
        Self::Clap(error)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

/// The program cannot be meant as it was written, whatever it is called with.
fn wrong_program(what: String) -> Error {
    Error::new(code::USAGE_COMMAND_LINE, what)
        .with_effect(Effect::None)
        .with_next(NextAction::outside("mend the program: no command line can"))
}

fn of<A, F, S>(verb: &'static str, about: &'static str, may_be_first: bool, build: F) -> Shared
where
    A: Args + Serialize + DeserializeOwned + 'static,
    F: AsyncFn(A, Env) -> Result<S> + 'static,
    S: Into<Shipment> + 'static,
{
    Arc::new(Of { verb, about, may_be_first, build, args: PhantomData })
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
            let _ = write!(flags, " {}", output::typed(long, &value.to_string_lossy()));
        }
    }
    if let Some(target) = &common.target {
        let _ = write!(flags, " --target {target}");
    }
    if let Some(ledger) = &common.ledger {
        let _ = write!(flags, " --ledger {}", output::quoted(&place::shown(ledger)));
    }
    flags
}

#[cfg(test)]
mod tests;
