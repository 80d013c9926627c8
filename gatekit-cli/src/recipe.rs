//! How arguments become a pipeline, whatever their type.

use std::ffi::{OsStr, OsString};
use std::pin::Pin;
use std::sync::Arc;

use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Args, Command, value_parser};
use gatekit_core::{Candidate, Effect, Error, NextAction, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::caught::awaited;
use crate::code;
use crate::env::{Env, usage};
use crate::shipment::{Shipment, to_json};

pub(crate) type Made<'a> = Pin<Box<dyn Future<Output = Result<Shipment>> + 'a>>;

/// What panicked, when the closure that builds a pipeline did.
const BUILDER: &str = "what builds the pipeline";

/// The heading of the arguments that complete the journalled ones.
const OF_THE_RELEASE: &str = "Arguments of the release: only what no journal keeps is needed again";

/// One way to ship to a target: the verb, its arguments and the pipeline that they stand for.
pub(crate) trait Recipe {
    fn verb(&self) -> &'static str;
    fn about(&self) -> &'static str;

    /// Whether it may be what is done first to a target, before anything was shipped there.
    fn may_be_first(&self) -> bool;

    /// Adds the arguments as a ship needs them.
    fn augment(&self, command: Command) -> Command;

    /// Adds the arguments, none of which is needed: they complete journalled ones by what no journal
    /// keeps.
    fn augment_for_update(&self, command: Command) -> Command;

    /// From the command line alone.
    fn make<'a>(&'a self, given: &'a ArgMatches, env: &'a Env) -> Made<'a>;

    /// From what was journalled, completed by secrets that are given again. What is given otherwise than
    /// it was journalled is refused.
    fn remake<'a>(&'a self, journalled: Value, given: &'a ArgMatches, env: &'a Env) -> Made<'a>;
}

pub(crate) struct Of<A, F> {
    pub(crate) verb: &'static str,
    pub(crate) about: &'static str,
    pub(crate) may_be_first: bool,
    pub(crate) build: F,
    pub(crate) args: std::marker::PhantomData<fn() -> A>,
}

impl<A, F, S> Of<A, F>
where
    A: Args + Serialize,
    F: AsyncFn(A, Env) -> Result<S>,
    S: Into<Shipment>,
{
    async fn built(&self, args: A, env: &Env) -> Result<Shipment> {
        let given = to_json(&args);
        let build = async { (self.build)(args, env.clone()).await };
        let mut shipment = awaited(BUILDER, build).await?.into();
        let arguments = shipment.arguments.take().map_or(given, Ok)?;
        if shipment.candidate.is_none() {
            let inputs = arguments.clone();
            shipment.candidate = Some(Box::new(move || Ok(candidate_of(&inputs))));
        }
        shipment.arguments = Some(arguments);
        Ok(shipment)
    }
}

impl<A, F, S> Recipe for Of<A, F>
where
    A: Args + Serialize + DeserializeOwned,
    F: AsyncFn(A, Env) -> Result<S>,
    S: Into<Shipment>,
{
    fn verb(&self) -> &'static str {
        self.verb
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn may_be_first(&self) -> bool {
        self.may_be_first
    }

    fn augment(&self, command: Command) -> Command {
        hiding_env::<A>(A::augment_args(command))
    }

    fn augment_for_update(&self, command: Command) -> Command {
        let args = own::<A>();
        let args = args.iter().filter(|arg| !arg.is_positional());
        command.args(args.map(optional::<A>)).groups(groups::<A>())
    }

    fn make<'a>(&'a self, given: &'a ArgMatches, env: &'a Env) -> Made<'a> {
        Box::pin(async move {
            let args = A::from_arg_matches(given).map_err(|error| usage(&error))?;
            self.built(args, &env.anew()).await
        })
    }

    fn remake<'a>(&'a self, journalled: Value, given: &'a ArgMatches, env: &'a Env) -> Made<'a> {
        Box::pin(async move {
            let args = given_again::<A>(&journalled, given)?;
            self.built(args, env).await
        })
    }
}

/// A command that has the arguments of `A`, and does not say what the environment gives them: a help text
/// ends up in logs, and that may be a secret.
pub(crate) fn hiding_env<A: Args>(command: Command) -> Command {
    own::<A>().into_iter().fold(command, |command, arg| {
        command.mut_arg(arg.get_id(), |arg| arg.hide_env_values(true))
    })
}

/// The arguments of `A`.
fn own<A: Args>() -> Vec<Arg> {
    A::augment_args(Command::new("own")).get_arguments().cloned().collect()
}

/// The groups of `A`, none of which is needed or demands anything, without positional arguments.
/// Which arguments exclude each other is as it was for the ship.
fn groups<A: Args>() -> Vec<ArgGroup> {
    let own = own::<A>();
    let (positional, named): (Vec<_>, Vec<_>) = own.iter().partition(|arg| arg.is_positional());
    let mut command = A::augment_args(Command::new("own").disable_help_flag(true));
    // Groups that only their arguments name are known then.
    command.build();
    let groups = command.get_groups().map(|group| {
        let mut optional = group.clone().required(false).requires(Resettable::Reset);
        if !positional.is_empty() {
            // It may exclude one that is not there, which clap does not take, and nobody can ask it.
            optional = optional.conflicts_with(Resettable::Reset);
        }
        let known = group.get_args().filter(|id| named.iter().any(|arg| arg.get_id() == *id));
        optional.arg(Resettable::Reset).args(known.cloned())
    });
    groups.collect()
}

/// The same argument, absent unless it is given: no default, none that another one demands, and a
/// switch that says nothing when it is not there.
fn optional<A: Args>(arg: &Arg) -> Arg {
    let mut optional = Arg::new(arg.get_id().clone())
        .value_parser(arg.get_value_parser().clone())
        .help_heading(OF_THE_RELEASE)
        .hide(arg.is_hide_set())
        .hide_env_values(true)
        .action(ArgAction::Set);
    optional = match arg.get_action() {
        ArgAction::SetTrue => switch(optional.value_parser(value_parser!(bool)), "true"),
        ArgAction::SetFalse => switch(optional.value_parser(value_parser!(bool)), "false"),
        ArgAction::Count => switch(optional.value_parser(value_parser!(u8)), "1"),
        action => {
            let names = arg.get_value_names().unwrap_or_default().to_vec();
            let optional = optional
                .action(action.clone())
                .value_names(names)
                .allow_hyphen_values(arg.is_allow_hyphen_values_set())
                .allow_negative_numbers(arg.is_allow_negative_numbers_set())
                .ignore_case(arg.is_ignore_case_set())
                .require_equals(arg.is_require_equals_set())
                .default_missing_values(meant_without_value::<A>(arg));
            let optional = match arg.get_value_terminator() {
                Some(terminator) => optional.value_terminator(terminator.clone()),
                None => optional,
            };
            match arg.get_num_args() {
                Some(range) => optional.num_args(range),
                None => optional,
            }
        }
    };
    let (shown, hidden) = aliases(arg.get_visible_aliases(), arg.get_all_aliases());
    let shown = shown.into_iter().map(str::to_owned);
    optional = optional.visible_aliases(shown).aliases(hidden.into_iter().map(str::to_owned));
    let (shown, hidden) = aliases(arg.get_visible_short_aliases(), arg.get_all_short_aliases());
    optional = optional.visible_short_aliases(shown).short_aliases(hidden);
    if let Some(delimiter) = arg.get_value_delimiter() {
        optional = optional.value_delimiter(delimiter);
    }
    if let Some(long) = arg.get_long() {
        optional = optional.long(long.to_owned());
    }
    if let Some(short) = arg.get_short() {
        optional = optional.short(short);
    }
    if let Some(help) = arg.get_help() {
        optional = optional.help(help.clone());
    }
    if let Some(variable) = arg.get_env() {
        optional = optional.env(variable.to_owned());
    }
    optional
}

/// Those that help shows, and those that it does not.
fn aliases<T: PartialEq>(shown: Option<Vec<T>>, all: Option<Vec<T>>) -> (Vec<T>, Vec<T>) {
    let shown = shown.unwrap_or_default();
    let mut hidden = all.unwrap_or_default();
    hidden.retain(|alias| !shown.contains(alias));
    (shown, hidden)
}

/// What the argument means where it is given without a value. clap tells it only by understanding it.
fn meant_without_value<A: Args>(arg: &Arg) -> Vec<OsString> {
    let takes_none = arg.get_num_args().is_some_and(|range| range.min_values() == 0);
    if !takes_none || arg.is_positional() {
        return Vec::new();
    }
    let id = arg.get_id().as_str();
    let alone = Command::new("own").no_binary_name(true).ignore_errors(true);
    let alone = A::augment_args(alone.disable_help_flag(true))
        .mut_arg(id, |arg| arg.env(None::<&str>).default_value(None::<&str>));
    let understood = alone.try_get_matches_from([flag(arg)]).ok();
    let values = understood.as_ref().and_then(|matches| matches.get_raw(id));
    values.into_iter().flatten().map(OsString::from).collect()
}

fn switch(arg: Arg, meant: &'static str) -> Arg {
    arg.num_args(0..=1).require_equals(true).default_missing_value(meant)
}

/// The journalled arguments, with those that no journal keeps as they are given now. A run goes on as
/// it was opened: what the journal keeps cannot be given otherwise, and what the environment says
/// about it is not looked at.
fn given_again<A>(journalled: &Value, given: &ArgMatches) -> Result<A>
where
    A: Args + Serialize + DeserializeOwned,
{
    let read = || -> Result<A> {
        serde_json::from_value(journalled.clone()).map_err(|source| {
            let other = "the run was opened with arguments that this build cannot read";
            Error::new(code::CONFIG_ARGUMENTS, other).with_effect(Effect::None).with_source(source)
        })
    };
    // None of them is looked at by its environment here: they are given word by word.
    let command = Command::new("again").no_binary_name(true);
    let args = own::<A>();
    let args = args.iter().map(|arg| optional::<A>(arg).env(None::<&str>).required(false));
    let command = command.args(args).groups(groups::<A>());
    let with = |words: &[OsString]| -> Result<A> {
        if words.is_empty() {
            // An update with nothing makes arguments that are optional together, and were not given.
            return read();
        }
        let matches = command.clone().try_get_matches_from(words).map_err(|error| usage(&error))?;
        let mut args = read()?;
        args.update_from_arg_matches(&matches).map_err(|error| usage(&error))?;
        Ok(args)
    };
    let kept = to_json(&read()?)?;
    let mut words = Vec::new();
    for arg in own::<A>().iter().filter(|arg| !arg.is_positional()) {
        let id = arg.get_id().as_str();
        // A verb that takes none of them, like another variant's, knows none of their names.
        if !given.try_contains_id(id).is_ok_and(|given| given) {
            continue;
        }
        let own_words = words_of(arg, given);
        match with(&own_words) {
            Ok(args) if to_json(&args)? != kept => {
                if given.value_source(id) == Some(ValueSource::CommandLine) {
                    return Err(other(&format!("`{}`", flag(arg))));
                }
            }
            // What is understood only beside the others is judged with them.
            Ok(_) | Err(_) => words.extend(own_words),
        }
    }
    let args = with(&words)?;
    if to_json(&args)? == kept { Ok(args) } else { Err(other("what was given")) }
}

fn other(given: &str) -> Error {
    not_as_opened(format!("{given} is not what the run was opened with"))
}

/// The error of what is given otherwise than the run was opened.
pub(crate) fn not_as_opened(what: String) -> Error {
    Error::new(code::CONFIG_ARGUMENTS, what)
        .with_effect(Effect::None)
        .with_next(NextAction::outside("leave it out, or ship anew"))
}

fn flag(arg: &Arg) -> String {
    match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => format!("--{long}"),
        (None, short) => format!("-{}", short.unwrap_or_default()),
    }
}

/// An argument as it is typed, with its values: as often as it was given, for several of one
/// occurrence need not mean the same as several occurrences.
fn words_of(arg: &Arg, given: &ArgMatches) -> Vec<OsString> {
    let flag = OsString::from(flag(arg));
    let with = |value: &OsStr| {
        let mut word = flag.clone();
        word.push("=");
        word.push(value);
        word
    };
    let mut words = Vec::new();
    for occurrence in given.get_raw_occurrences(arg.get_id().as_str()).into_iter().flatten() {
        let values: Vec<&OsStr> = occurrence.collect();
        match (values.as_slice(), arg.get_value_delimiter()) {
            ([], _) => words.push(flag.clone()),
            ([only], _) => words.push(with(only)),
            (several, Some(delimiter)) => {
                let delimiter = OsString::from(delimiter.to_string());
                words.push(with(&several.join(&delimiter)));
            }
            (several, None) => {
                words.push(flag.clone());
                words.extend(several.iter().map(OsString::from));
                words.extend(arg.get_value_terminator().map(|it| OsString::from(it.as_str())));
            }
        }
    }
    words
}

/// The first flag given by hand that the way to ship of the run does not have, but another one of the
/// same target: it would do nothing. Gives that one's verb, too.
pub(crate) fn of_another(
    recipe: &Shared,
    recipes: &[Shared],
    given: &ArgMatches,
) -> Option<(String, &'static str)> {
    let of_ship = recipe.augment(Command::new("own"));
    let known = |arg: &Arg| of_ship.get_arguments().any(|own| own.get_id() == arg.get_id());
    recipes.iter().find_map(|other| {
        let of_other = other.augment(Command::new("own"));
        let strange = of_other.get_arguments().find(|arg| {
            let id = arg.get_id().as_str();
            !known(arg)
                && given.try_contains_id(id).is_ok_and(|given| given)
                && given.value_source(id) == Some(ValueSource::CommandLine)
        });
        strange.map(|arg| (flag(arg), other.verb()))
    })
}

/// What is shipped where the program says nothing else: its arguments.
fn candidate_of(arguments: &Value) -> Candidate {
    let Value::Object(fields) = arguments else { return Candidate::new() };
    let mut candidate = Candidate::new();
    for (name, value) in fields {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if name == "version" {
            candidate = candidate.with_version(&text);
        }
        candidate = candidate.with_input(name, text);
    }
    candidate
}

/// A recipe that is shared by the verbs.
pub(crate) type Shared = Arc<dyn Recipe>;

#[cfg(test)]
mod tests;
