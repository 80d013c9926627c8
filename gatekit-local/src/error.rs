//! From the errors of the system to those of gatekit.

use std::io;
use std::path::Path;

use gatekit_core::{Code, Effect, Error, NextAction, Result};

use crate::code;

/// Whatever went wrong, nothing was written to what is live.
pub(crate) fn refuse(code: Code, message: impl Into<String>) -> Error {
    Error::new(code, message).with_effect(Effect::None)
}

pub(crate) fn io_error(code: Code, doing: &str, path: &Path, source: io::Error) -> Error {
    let full = matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let code = if full { code::DISK_FULL } else { code };
    let error = Error::new(code, format!("cannot {doing}"))
        .with_context("path", path.display().to_string());
    let error = if full {
        error.with_next(NextAction::outside("free space on that file system, then ship again"))
    } else {
        error.with_next(NextAction::outside("see that the path exists and this user may use it"))
    };
    error.with_source(source)
}

/// Names what was being done when a call under the root failed.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &str, path: &Path) -> Result<T>;
    fn reading(self, doing: &str, path: &Path) -> Result<T>;
}

impl<T, E: Into<io::Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, doing: &str, path: &Path) -> Result<T> {
        self.map_err(|source| io_error(code::IO, doing, path, source.into()))
    }

    fn reading(self, doing: &str, path: &Path) -> Result<T> {
        self.map_err(|source| {
            io_error(code::SOURCE_UNREADABLE, doing, path, source.into()).with_effect(Effect::None)
        })
    }
}

/// The same error with another word on what it did.
pub(crate) trait WithEffect {
    fn no_effect(self) -> Self;
}

impl<T> WithEffect for Result<T> {
    fn no_effect(self) -> Self {
        self.map_err(|error| error.with_effect(Effect::None))
    }
}

/// The steps of one call that change what is live. What is refused after one of them is done is not
/// without effect.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: bool,
}

impl Steps {
    pub(crate) fn step<T>(&mut self, step: Result<T>) -> Result<T> {
        match step {
            Ok(value) => {
                self.done = true;
                Ok(value)
            }
            Err(error) if self.done && error.effect() == Effect::None => {
                Err(error.with_effect(Effect::Done))
            }
            Err(error) => Err(error),
        }
    }
}

/// Runs blocking work off the runtime's threads, and waits for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(source) => {
            Err(Error::new(code::IO, "a blocking step was not carried out").with_source(source))
        }
    }
}
