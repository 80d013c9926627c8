//! What is not known of a write.

use gatekit_core::{Effect, Error, Result};

/// Whether an earlier try of a call may have landed.
#[derive(Debug, Default)]
pub(crate) struct Doubt(bool);

impl Doubt {
    /// Where an interrupted process may have tried.
    pub(crate) fn of_earlier(may_have_landed: bool) -> Self {
        Self(may_have_landed)
    }

    pub(crate) fn is_cast(&self) -> bool {
        self.0
    }

    /// Notes what is known of a try that failed.
    pub(crate) fn cast(&mut self, error: &Error) {
        self.0 |= error.effect() != Effect::None;
    }

    /// The error of a later try or look: that itself did nothing says nothing of the earlier ones.
    pub(crate) fn on(&self, error: Error) -> Error {
        let clean = error.effect() == Effect::None;
        if self.0 && clean { error.with_effect(Effect::Unknown) } else { error }
    }

    pub(crate) fn of<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| self.on(error))
    }
}
