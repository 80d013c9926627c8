//! What a run has written, for each error that it may end with.

use std::sync::atomic::{AtomicBool, Ordering};

use gatekit_core::{Effect, Error};

/// The effect of all calls of a run so far.
#[derive(Debug, Default)]
pub(super) struct Written {
    perhaps: AtomicBool,
    surely: AtomicBool,
}

impl Written {
    /// Notes what is known of one more call.
    pub(super) fn note(&self, effect: Effect) {
        match effect {
            Effect::None => {}
            Effect::Done => self.surely.store(true, Ordering::Relaxed),
            _ => self.perhaps.store(true, Ordering::Relaxed),
        }
    }

    /// An error of a call that itself did nothing, with the effect of those before it.
    pub(super) fn told_with(&self, error: Error) -> Error {
        if error.effect() != Effect::None {
            error
        } else if self.surely.load(Ordering::Relaxed) {
            error.with_effect(Effect::Done)
        } else if self.perhaps.load(Ordering::Relaxed) {
            error.with_effect(Effect::Unknown)
        } else {
            error
        }
    }
}
