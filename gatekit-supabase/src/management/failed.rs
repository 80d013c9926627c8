//! A failed call, in gatekit's words.

use std::time::Duration;

use gatekit_core::{Code, Effect, Error, NextAction};
use gatekit_http::{Answer, Api, Method, NoAnswer};
use serde::Deserialize;

use crate::code;
use crate::operations::Operation;

/// The longest text of the API that is kept, in characters.
const LONGEST: usize = 500;

/// A failed call, and how long the API asks to be left alone.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: Error,
    pub(crate) pause: Option<Duration>,
    /// Whether the API has answered by itself: it does not go on with the call then.
    pub(crate) is_over: bool,
}

/// What the API says of a refusal.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Failed {
    fn of(error: Error) -> Self {
        Self { error, pause: None, is_over: false }
    }

    /// Of a call without an answer.
    pub(crate) fn lost(operation: &'static Operation, no_answer: NoAnswer) -> Self {
        let may_write = operation.method != Method::Get && no_answer.may_have_arrived;
        if no_answer.is_too_large {
            let failed = Self::unreadable(operation, code::ANSWER, "an end that is near enough");
            return Self { error: failed.error.with_source(no_answer), ..failed };
        }
        let what = "the management API could not be reached, or did not answer";
        let error = about(code::UNREACHABLE, what, operation)
            .with_effect(if may_write { Effect::Unknown } else { Effect::None })
            .retry_later()
            .with_source(no_answer);
        Self::of(error)
    }

    /// Of an answer whose status is not a good one.
    pub(crate) fn refused(operation: &'static Operation, api: &Api, answer: &Answer) -> Self {
        let (code, what) = told(answer.status);
        let may_write = operation.method != Method::Get;
        let is_clear = matches!(answer.status, 400..=499 | 501) && answer.status != 408;
        let effect = if may_write && !is_clear { Effect::Unknown } else { Effect::None };
        let mut error = about(code.clone(), what, operation)
            .with_effect(effect)
            .with_context("status", answer.status);
        if let Some(says) = says(api, answer) {
            error = error.with_context("says", says);
        }
        if code == code::FORBIDDEN {
            let next = format!("give the token the scope `{}`, then `resume`", operation.scope);
            error = error.with_next(NextAction::outside(next).by("operator"));
        }
        if [code::RATE_LIMITED, code::UNAVAILABLE].contains(&code) {
            error = error.retry_later();
        }
        // What stands before the API gives up on it, and the API may go on.
        let is_over = !matches!(answer.status, 408 | 502..);
        Self { error, pause: answer.pause, is_over }
    }

    /// Of an answer that cannot be understood: what was written, was written.
    pub(crate) fn unreadable(operation: &'static Operation, code: Code, lacking: &str) -> Self {
        let is_read = operation.method == Method::Get;
        let error = about(code, "an answer of the management API cannot be understood", operation)
            .with_effect(if is_read { Effect::None } else { Effect::Unknown })
            .with_context("lacking", lacking);
        Self::of(error)
    }
}

fn about(code: Code, what: &str, operation: &Operation) -> Error {
    Error::new(code, what).with_context("operation", operation)
}

fn told(status: u16) -> (Code, &'static str) {
    match status {
        401 => (code::UNAUTHORIZED, "the management API does not accept the token"),
        402 => (code::FUNCTION_LIMIT, "the project has as many functions as its plan allows"),
        403 => (code::FORBIDDEN, "the token may not do that"),
        404 => (code::NOT_FOUND, "the management API does not find that"),
        429 => (code::RATE_LIMITED, "the management API was asked too often"),
        501 => (code::UNSUPPORTED, "the endpoint does not know this call"),
        408 | 500.. => (code::UNAVAILABLE, "the management API failed by itself"),
        400..=499 => (code::REFUSED, "the management API refused the call"),
        _ => (code::ANSWER, "an answer of the management API cannot be understood"),
    }
}

/// What an answer says in words, without the token.
fn says(api: &Api, answer: &Answer) -> Option<String> {
    let refusal: Refusal = serde_json::from_slice(&answer.body).ok()?;
    let text: String =
        refusal.message.chars().filter(|it| !it.is_control()).take(LONGEST).collect();
    Some(api.shown(&text)).filter(|it| !it.is_empty())
}

/// Whether a call failed because this token, or this endpoint, has not got it, or because it is more than can be
/// read: what is optional then goes without.
pub(crate) fn goes_without(error: &Error) -> bool {
    [code::FORBIDDEN, code::NOT_FOUND, code::UNSUPPORTED, code::ANSWER].contains(error.code())
}
