//! How a broken sentence of the contract is told.

use std::fmt::Debug;

use gatekit_core::ledger::{Acquired, Hold};
use gatekit_core::{Code, Effect, Error, Result};

#[track_caller]
#[expect(clippy::panic, reason = "a suite fails by panicking, as tests do")]
fn broken(sentence: &str, saw: &dyn Debug) -> ! {
    panic!("the contract is broken: {sentence}\n  saw: {saw:?}")
}

/// Fails unless `holds`.
#[track_caller]
pub(super) fn must(sentence: &str, holds: bool, saw: &dyn Debug) {
    if !holds {
        broken(sentence, saw);
    }
}

/// Fails unless `saw` is `expected`.
#[track_caller]
pub(super) fn same<T: PartialEq + Debug>(sentence: &str, saw: T, expected: T) {
    if saw != expected {
        broken(sentence, &format_args!("{saw:?}\n  expected: {expected:?}"));
    }
}

/// The answer of a call that has no reason to fail.
#[track_caller]
pub(super) fn ok<T>(answer: Result<T>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(error) => {
            broken("a call errs only for a reason that its contract names", &told(&error))
        }
    }
}

/// What is there, because it must be.
#[track_caller]
pub(super) fn there<T>(sentence: &str, found: Option<T>) -> T {
    match found {
        Some(found) => found,
        None => broken(sentence, &"nothing"),
    }
}

/// Fails unless the call was refused with that code, changed nothing, and says what may be done next.
#[track_caller]
pub(super) fn refused<T: Debug>(sentence: &str, answer: Result<T>, code: &Code) -> Error {
    match answer {
        Err(error) if error.code() == code => {
            same("a refusal changes nothing, and says so", error.effect(), Effect::None);
            let next = error.to_failure().next;
            must("a refusal names the next legal actions", !next.is_empty(), &told(&error));
            error
        }
        Err(error) => broken(sentence, &format_args!("{}, not `{code}`", told(&error))),
        Ok(answer) => broken(sentence, &answer),
    }
}

/// The hold that was granted.
#[track_caller]
pub(super) fn granted(sentence: &str, answer: Result<Acquired>) -> Hold {
    match ok(answer) {
        Acquired::Granted(hold) => hold,
        other => broken(sentence, &other),
    }
}

fn told(error: &Error) -> String {
    format!("`{}`: {error}", error.code())
}
