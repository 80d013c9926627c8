//! What a pipeline is built in.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgMatches, FromArgMatches};
use gatekit_core::ledger::Ledger;
use gatekit_core::{Effect, Engine, Error, NextAction, Result, TargetName};
use serde_json::Value;

use crate::caught::caught;
use crate::code;
use crate::common::Common;
use crate::place::{Place, shown_in};

/// What the program is called with, beside the arguments of one pipeline.
#[derive(Clone)]
pub struct Env {
    target: TargetName,
    matches: ArgMatches,
    common: Arc<Common>,
    home: Arc<Home>,
    anew: bool,
    /// The ledger that was named and not found.
    missing: Arc<Mutex<Option<String>>>,
    /// Whether the call only shows what the ledger says, and decides nothing by it.
    only_shows: bool,
    /// Whether that came from a standby, which may be behind.
    behind: Arc<AtomicBool>,
}

/// Where the ledger is unless the caller says so.
pub(crate) type Home = dyn Fn(&Env) -> Result<PathBuf> + Send + Sync;

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The matches may hold secrets.
        f.debug_struct("Env").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Env {
    pub(crate) fn new(
        target: TargetName,
        matches: ArgMatches,
        common: Common,
        home: Arc<Home>,
    ) -> Self {
        Self {
            target,
            matches,
            common: Arc::new(common),
            home,
            anew: false,
            missing: Arc::default(),
            only_shows: false,
            behind: Arc::default(),
        }
    }

    /// For a call that only shows what the ledger says: where nothing else answers, also what a standby
    /// does.
    pub(crate) fn that_only_shows(self) -> Self {
        Self { only_shows: true, ..self }
    }

    /// How long a rollout and its verification may take, and again its unwinding: `--deadline`.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.common.deadline
    }

    /// What is released to: the pipeline's name, or what `--target` says.
    #[must_use]
    pub fn target(&self) -> &TargetName {
        &self.target
    }

    /// The program's own arguments, which [`App::args`](crate::App::args) declared.
    ///
    /// # Errors
    /// `usage.command_line` when they are of another type.
    pub fn args<G: FromArgMatches>(&self) -> Result<G> {
        G::from_arg_matches(&self.matches).map_err(|error| usage(&error))
    }

    /// Whether the caller named the ledger, by `--ledger` or `GATEKIT_LEDGER`.
    #[must_use]
    pub fn names_ledger(&self) -> bool {
        self.common.ledger.is_some()
    }

    /// Whether the arguments were given for a new plan or ship, and not read from the journal: only
    /// then are they to be checked and completed.
    #[must_use]
    pub fn plans_anew(&self) -> bool {
        self.anew
    }

    /// What the run that is pending on the target, else the newest release there, has noted with
    /// [`Shipment::with_note`](crate::Shipment::with_note). `None` when there is no such note, run or
    /// ledger. Writes nothing.
    ///
    /// # Errors
    /// Those of the ledger.
    pub async fn noted(&self, name: &str) -> Result<Option<Value>> {
        let Some(ledger) = self.ledger_to_read().await? else { return Ok(None) };
        let engine = Engine::new(ledger);
        let arguments = match engine.pending(&self.target).await? {
            Some(pending) => Some(pending.arguments),
            None => engine.last_arguments(&self.target).await?,
        };
        Ok(arguments.and_then(|it| it.get("notes")?.get(name).cloned()))
    }

    /// A secret that the pipeline needs and that is never journalled.
    ///
    /// # Errors
    /// `usage.secret` when it was not given: `flag` names how.
    pub fn secret<T>(&self, given: Option<T>, flag: &str) -> Result<T> {
        given.ok_or_else(|| {
            let what = format!("`{flag}` is a secret, which no journal keeps: it is needed again");
            Error::new(code::USAGE_SECRET, what)
                .with_effect(Effect::None)
                .with_next(NextAction::outside(format!("give `{flag}` again, or set its variable")))
        })
    }

    pub(crate) fn anew(&self) -> Self {
        Self { anew: true, ..self.clone() }
    }

    pub(crate) fn common(&self) -> &Common {
        &self.common
    }

    /// Where the ledger is that nobody names.
    pub(crate) fn default_path(&self) -> Result<PathBuf> {
        caught("what says where the ledger is", || (self.home)(self))
    }

    /// Where the ledger is that is read, or would be.
    pub(crate) fn place(&self) -> Result<Place> {
        match self.common.ledger.as_deref() {
            Some(url) => Place::parse(url),
            None => Ok(Place::File { path: self.default_path()?, durable: false }),
        }
    }

    /// The place of a ledger that the caller named and that does not exist: mistyped perhaps, or gone.
    pub(crate) async fn missing_ledger(&self) -> Result<Option<String>> {
        self.ledger_to_read().await?;
        Ok(self.missing())
    }

    /// Where the ledger was moved to, if it was.
    pub(crate) async fn moved_to(&self) -> Result<Option<String>> {
        self.place()?.moved_to().await
    }

    /// Whether the newest look at the ledger was answered by a standby, which may be behind.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    /// What the newest look for a ledger that the caller named has not found.
    fn missing(&self) -> Option<String> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The error, with the ledger that was named and does not exist: what is not known from it may be
    /// known from the right one.
    pub(crate) fn without_ledger(&self, error: Error) -> Error {
        match self.missing() {
            Some(place) => error.with_context("no ledger at", place),
            None => error,
        }
    }

    /// The ledger for writing, made when it does not exist, but not for a call that cannot run.
    pub(crate) async fn ledger(&self) -> Result<Arc<dyn Ledger>> {
        Engine::check_lease(self.common.lease)?;
        self.place()?.open().await
    }

    /// The ledger for reading; `None` when it does not exist.
    pub(crate) async fn ledger_to_read(&self) -> Result<Option<Arc<dyn Ledger>>> {
        let place = self.place()?;
        let (ledger, is_behind) = match self.only_shows {
            true => place.open_to_look().await?,
            false => (place.open_to_read().await?, false),
        };
        self.behind.store(is_behind, Ordering::Relaxed);
        let missing = (ledger.is_none() && self.names_ledger()).then(|| place.to_string());
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = missing;
        Ok(ledger)
    }
}

/// What clap says of a command line, in one line: its first, and what it lists below.
pub(crate) fn usage(error: &clap::Error) -> Error {
    let text = shown_in(&error.to_string());
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let mut what = match error.kind() {
        // Its text is the whole help.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "no command was given".to_owned(),
        _ => first.strip_prefix("error: ").unwrap_or(first).to_owned(),
    };
    let listed = lines.take_while(|line| line.starts_with(' ') && !line.trim().is_empty());
    for (at, line) in listed.enumerate() {
        what += if at == 0 { " " } else { ", " };
        what += line.trim();
    }
    Error::new(code::USAGE_COMMAND_LINE, what).with_effect(Effect::None)
}

#[cfg(test)]
mod tests {
    use clap::{Arg, ArgAction, Command};

    use super::*;

    #[test]
    fn what_clap_lists_below_its_first_line_is_told_in_one() {
        let command = || {
            let text = Arg::new("text").long("text").required(true).action(ArgAction::Set);
            let kind = Arg::new("kind").long("kind").required(true).value_parser(["a", "b"]);
            Command::new("x").arg(text).arg(kind)
        };
        let told = |words: &[&str]| {
            let words = [&["x"], words].concat();
            usage(&command().try_get_matches_from(words).unwrap_err()).to_string()
        };
        let missing = "the following required arguments were not provided: --text <text>, --kind \
                       <kind>";
        assert_eq!(told(&[]), missing);
        let invalid = "invalid value 'c' for '--kind <kind>' [possible values: a, b]";
        assert_eq!(told(&["--text=v1", "--kind=c"]), invalid);
        let strange = told(&["--strange"]);
        assert_eq!(strange, "unexpected argument '--strange' found");
        let help = command().arg_required_else_help(true).try_get_matches_from(["x"]).unwrap_err();
        assert_eq!(usage(&help).to_string(), "no command was given");
    }
}
