//! Why a command of the workshop failed, and with which exit code.

use std::fmt::Display;

pub(crate) type Result<T> = std::result::Result<T, Failure>;

#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) code: u8,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    pub(crate) fn of(what: impl Display, error: impl Display) -> Self {
        Self::new(format!("{what}: {error}"))
    }
}
