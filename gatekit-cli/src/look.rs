//! Verbs of a program's own that only look.

use std::fmt::Display;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use clap::{ArgMatches, Args, Command};
use gatekit_core::Result;
use serde::Serialize;
use serde_json::Value;

use crate::caught::awaited;
use crate::env::{Env, usage};
use crate::recipe::hiding_env;
use crate::shipment::to_json;

/// What panicked, when the closure that looks did.
const LOOK: &str = "what looks";

/// What was seen: for people, and for programs.
pub(crate) struct Seen {
    pub(crate) text: String,
    pub(crate) line: Value,
}

pub(crate) type Looked<'a> = Pin<Box<dyn Future<Output = Result<Seen>> + 'a>>;

/// A verb that only looks.
pub(crate) trait Look {
    fn verb(&self) -> &'static str;

    /// The command, with its arguments.
    fn command(&self) -> Command;

    fn look<'a>(&'a self, given: &'a ArgMatches, env: &'a Env) -> Looked<'a>;
}

pub(crate) type SharedLook = Arc<dyn Look>;

pub(crate) struct By<A, F> {
    pub(crate) verb: &'static str,
    pub(crate) about: &'static str,
    pub(crate) look: F,
    pub(crate) args: PhantomData<fn() -> A>,
}

impl<A, F, T> Look for By<A, F>
where
    A: Args,
    F: AsyncFn(A, Env) -> Result<T>,
    T: Display + Serialize,
{
    fn verb(&self) -> &'static str {
        self.verb
    }

    fn command(&self) -> Command {
        hiding_env::<A>(A::augment_args(Command::new(self.verb))).about(self.about)
    }

    fn look<'a>(&'a self, given: &'a ArgMatches, env: &'a Env) -> Looked<'a> {
        Box::pin(async move {
            let args = A::from_arg_matches(given).map_err(|error| usage(&error))?;
            let seen = awaited(LOOK, async { (self.look)(args, env.clone()).await }).await?;
            Ok(Seen { text: seen.to_string(), line: to_json(&seen)? })
        })
    }
}
