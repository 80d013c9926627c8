//! How arguments become a pipeline, whatever their type.

use std::ffi::OsString;
use std::pin::Pin;
use std::sync::Arc;

use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Args, Command, value_parser};
use gatekit_core::{Candidate, Effect, Error, NextAction, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::code;
use crate::env::{Env, usage};
use crate::shipment::{Shipment, to_json};

pub(crate) type Made<'a> = Pin<Box<dyn Future<Output = Result<Shipment>> + 'a>>;

/// One way to ship to a target: the verb, its arguments and the pipeline that they stand for.
pub(crate) trait Recipe {
    fn verb(&self) -> &'static str;
    fn about(&self) -> &'static str;

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
        let mut shipment = (self.build)(args, env.clone()).await?.into();
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

    fn augment(&self, command: Command) -> Command {
        // A help text ends up in logs: what the environment says may be a secret.
        own::<A>().into_iter().fold(A::augment_args(command), |command, arg| {
            command.mut_arg(arg.get_id(), |arg| arg.hide_env_values(true))
        })
    }

    fn augment_for_update(&self, command: Command) -> Command {
        let args = own::<A>();
        let args = args.iter().filter(|arg| !arg.is_positional());
        command.args(args.map(optional)).groups(groups::<A>())
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

/// The arguments of `A`.
fn own<A: Args>() -> Vec<Arg> {
    A::augment_args(Command::new("own")).get_arguments().cloned().collect()
}

/// The groups of `A`, none of which is needed or demands anything, without positional arguments.
/// Which arguments exclude each other is as it was for the ship.
fn groups<A: Args>() -> Vec<ArgGroup> {
    let own = own::<A>();
    let (positional, named): (Vec<_>, Vec<_>) = own.iter().partition(|arg| arg.is_positional());
    let mut command = A::augment_args(Command::new("own"));
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
fn optional(arg: &Arg) -> Arg {
    let mut optional = Arg::new(arg.get_id().clone())
        .value_parser(arg.get_value_parser().clone())
        .help_heading("Arguments of the release: those that the journal does not keep")
        .hide(arg.is_hide_set())
        .hide_env_values(true)
        .action(ArgAction::Set);
    optional = match arg.get_action() {
        ArgAction::SetTrue => switch(optional.value_parser(value_parser!(bool)), "true"),
        ArgAction::SetFalse => switch(optional.value_parser(value_parser!(bool)), "false"),
        ArgAction::Count => switch(optional.value_parser(value_parser!(u8)), "1"),
        action => {
            let names = arg.get_value_names().unwrap_or_default().to_vec();
            let optional = optional.action(action.clone()).value_names(names);
            match arg.get_num_args() {
                Some(range) => optional.num_args(range),
                None => optional,
            }
        }
    };
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
    let args = args.iter().map(|arg| optional(arg).env(None::<&str>).required(false));
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
    let what = format!("{given} is not what the run was opened with");
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

/// An argument as it is typed, with its values.
fn words_of(arg: &Arg, given: &ArgMatches) -> Vec<OsString> {
    let flag = flag(arg) + "=";
    let values = given.get_raw(arg.get_id().as_str()).into_iter().flatten();
    values
        .map(|value| {
            let mut word = OsString::from(&flag);
            word.push(value);
            word
        })
        .collect()
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
mod tests {
    use secrecy::{ExposeSecret as _, SecretString};
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    /// Exactly one of both, and no place beside it.
    #[derive(Debug, Args, Serialize, Deserialize)]
    #[group(required = true, multiple = false, conflicts_with = "place")]
    struct Source {
        #[arg(long)]
        image: Option<String>,
        #[arg(long)]
        directory: Option<String>,
    }

    /// Both or neither.
    #[derive(Debug, Args)]
    struct Login {
        #[arg(long)]
        user: String,
        #[arg(long)]
        password: SecretString,
    }

    #[derive(Debug, Args, Serialize, Deserialize)]
    struct Release {
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        #[serde(skip)]
        login: Option<Login>,
        #[arg(long, group = "speed")]
        fast: bool,
        #[arg(long, group = "speed")]
        slow: bool,
        place: Option<String>,
    }

    fn recipe() -> impl Recipe {
        let build = async |_: Release, _: Env| -> Result<Shipment> {
            Err(Error::new(code::CONFIG_ARGUMENTS, "not built here"))
        };
        Of { verb: "ship", about: "ships", build, args: std::marker::PhantomData }
    }

    /// What a verb that rebuilds the run understands of these words.
    fn given(words: &[&str]) -> Result<ArgMatches, clap::Error> {
        let command = Command::new("resume").no_binary_name(true);
        recipe().augment_for_update(command).try_get_matches_from(words)
    }

    #[test]
    fn what_excludes_each_other_in_a_ship_does_so_when_it_is_given_again() {
        for fine in [&[][..], &["--image=a"], &["--directory=a", "--slow"], &["--user=u"]] {
            assert!(given(fine).is_ok(), "{fine:?}");
        }
        for both in [&["--image=a", "--directory=b"][..], &["--fast", "--slow"]] {
            let error = given(both).unwrap_err();
            assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict, "{both:?}");
        }
    }

    #[test]
    fn secrets_that_belong_together_are_given_again_together() {
        let journalled = json!({
            "source": {"image": "a", "directory": null}, "fast": true, "slow": false, "place": null,
        });
        let again = |words: &[&str]| given_again::<Release>(&journalled, &given(words).unwrap());
        assert!(again(&[]).unwrap().login.is_none());
        let release = again(&["--user=u", "--password=secret", "--image=a"]).unwrap();
        let login = release.login.unwrap();
        assert_eq!((login.user.as_str(), login.password.expose_secret()), ("u", "secret"));
        assert_eq!(release.source.image.as_deref(), Some("a"));
        assert_eq!(again(&["--user=u"]).unwrap_err().code().area(), "usage");
        for other in ["--image=b", "--directory=a", "--slow"] {
            let error = again(&["--user=u", "--password=secret", other]).unwrap_err();
            assert_eq!(*error.code(), code::CONFIG_ARGUMENTS, "{other}: {error}");
        }
    }
}
