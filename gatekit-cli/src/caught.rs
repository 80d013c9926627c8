//! The program's own closures: one that panics is told as an error, like every other.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use gatekit_core::{Effect, Error, NextAction, Result};

/// Calls a closure of the program: `what` says which.
pub(crate) fn caught<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(panicked(what)))
}

/// Awaits one.
pub(crate) async fn awaited<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        polled.unwrap_or_else(|_| Poll::Ready(Err(panicked(what))))
    })
    .await
}

/// Without what it said, which may be a secret: the panic hook has printed that.
fn panicked(what: &str) -> Error {
    Error::new(gatekit_core::code::ENGINE_PANIC, format!("{what} panicked"))
        .with_effect(Effect::None)
        .with_next(NextAction::outside("mend the program: standard error tells where it panicked"))
}
