//! What arguments stand for.

use std::fmt;

use gatekit_core::{Candidate, Error, Pipeline, Result};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::code;

/// A pipeline, what is shipped through it, and what a later process is told about it.
///
/// A bare [`Pipeline`] becomes one whose candidate is its arguments, by name.
#[must_use = "return it: the program ships it"]
pub struct Shipment {
    pub(crate) pipeline: Pipeline,
    pub(crate) candidate: Option<Box<dyn FnOnce() -> Result<Candidate>>>,
    pub(crate) arguments: Option<Value>,
    pub(crate) notes: Map<String, Value>,
}

impl fmt::Debug for Shipment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shipment").field("pipeline", &self.pipeline).finish_non_exhaustive()
    }
}

impl From<Pipeline> for Shipment {
    fn from(pipeline: Pipeline) -> Self {
        Self { pipeline, candidate: None, arguments: None, notes: Map::new() }
    }
}

impl Shipment {
    /// A shipment through `pipeline`.
    pub fn new(pipeline: Pipeline) -> Self {
        pipeline.into()
    }

    /// What is shipped, made only when something is: `resume` and `status` need not find the files.
    pub fn with_candidate(mut self, make: impl FnOnce() -> Result<Candidate> + 'static) -> Self {
        self.candidate = Some(Box::new(make));
        self
    }

    /// Journals these arguments instead of those that were given: completed ones, with absolute
    /// paths. They are read back as the pipeline's own.
    ///
    /// # Errors
    /// `config.arguments` when they have no JSON form.
    pub fn with_arguments(mut self, arguments: &impl Serialize) -> Result<Self> {
        self.arguments = Some(to_json(arguments)?);
        Ok(self)
    }

    /// Journals a note beside the arguments, for [`Env::noted`](crate::Env::noted). It MUST NOT be a
    /// secret.
    pub fn with_note(mut self, name: impl Into<String>, note: impl Into<Value>) -> Self {
        self.notes.insert(name.into(), note.into());
        self
    }
}

pub(crate) fn to_json(arguments: &impl Serialize) -> Result<Value> {
    serde_json::to_value(arguments).map_err(|source| {
        Error::new(code::CONFIG_ARGUMENTS, "the arguments have no JSON form").with_source(source)
    })
}
