//! Panics in user code: errors like any other, of unknown effect.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use crate::code;
use crate::error::{Error, Result};
use crate::id::StageId;

/// Awaits user code.
pub(crate) async fn caught<T>(
    what: &StageId,
    work: impl Future<Output = Result<T>> + Send,
) -> Result<T> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| Err(panicked(what)))
}

/// Calls user code that does not wait.
pub(crate) fn caught_at_once<T>(what: &StageId, work: impl FnOnce() -> T) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| panicked(what))
}

fn panicked(what: &StageId) -> Error {
    Error::new(code::ENGINE_PANIC, format!("the code of stage `{what}` panicked"))
}
