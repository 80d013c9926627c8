//! How arguments become a pipeline, whatever their type.

use std::pin::Pin;
use std::sync::Arc;

use clap::{ArgMatches, Args, Command};
use gatekit_core::{Candidate, Effect, Error, Result};
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

    /// Adds the arguments, none of which is needed: they complete or replace journalled ones.
    fn augment_for_update(&self, command: Command) -> Command;

    /// From the command line alone.
    fn make<'a>(&'a self, given: &'a ArgMatches, env: &'a Env) -> Made<'a>;

    /// From what was journalled, with what is given on top.
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
        A::augment_args(command)
    }

    fn augment_for_update(&self, command: Command) -> Command {
        let own = A::augment_args(Command::new("own"));
        let own: Vec<_> = own.get_arguments().map(|arg| arg.get_id().clone()).collect();
        let command = A::augment_args_for_update(command);
        // A default that nobody has given must not replace what was journalled.
        own.into_iter().fold(command, |command, id| {
            command.mut_arg(id, |arg| {
                arg.required(false)
                    .default_value(None::<&str>)
                    .help_heading("Arguments of the release")
            })
        })
    }

    fn make<'a>(&'a self, given: &'a ArgMatches, env: &'a Env) -> Made<'a> {
        Box::pin(async move {
            let args = A::from_arg_matches(given).map_err(|error| usage(&error))?;
            self.built(args, &env.anew()).await
        })
    }

    fn remake<'a>(&'a self, journalled: Value, given: &'a ArgMatches, env: &'a Env) -> Made<'a> {
        Box::pin(async move {
            let mut args: A = serde_json::from_value(journalled).map_err(|source| {
                let other = "the run was opened with arguments that this build cannot read";
                Error::new(code::CONFIG_ARGUMENTS, other)
                    .with_effect(Effect::None)
                    .with_source(source)
            })?;
            // A verb that takes none of them, like another variant's, knows none of their names.
            let own = A::augment_args(Command::new("own"));
            if own.get_arguments().all(|arg| given.try_contains_id(arg.get_id().as_str()).is_ok()) {
                args.update_from_arg_matches(given).map_err(|error| usage(&error))?;
            }
            self.built(args, env).await
        })
    }
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
