//! A failed call of the SDK, in gatekit's words, and calls that are made again.

use std::error::Error as _;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use gatekit_core::{Code, Effect, Error, NextAction, Result};
use tokio::time::Instant;

use crate::code;
use crate::operations::Operation;

/// How long a read is tried again that fails for a while. The engine gives the judge of a release 30 s.
const PATIENCE: Duration = Duration::from_secs(25);

/// What ECS says to two who register revisions of one family at once.
const RUSH: &str = "Too many concurrent attempts";

/// The first pause before a read is tried again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(4));

/// The error of a failed call. Its [`Effect`] is `None` when AWS refused it or it never left, and
/// `Unknown` otherwise. `own` has codes for what the service itself calls an error.
pub(crate) fn failed<E>(
    operation: &'static Operation,
    error: SdkError<E, HttpResponse>,
    own: &[(&str, Code)],
) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let told = error.as_service_error().map(|it| it.meta().clone()).unwrap_or_default();
    let is_rush = told.message().is_some_and(|it| it.contains(RUSH));
    let (code, what, effect) = match own.iter().find(|(name, _)| told.code() == Some(name)) {
        Some((_, code)) => (code.clone(), "AWS refused the call", Effect::None),
        // A client's fault by its name, and over in a moment.
        None if is_rush => (code::THROTTLED, "AWS has too many calls", Effect::None),
        None => classified(&error, told.code().unwrap_or_default(), status),
    };
    let credentials = credentials_error(&error);
    let may_pass = credentials.is_some_and(|it| {
        matches!(it, CredentialsError::ProviderTimedOut(_) | CredentialsError::ProviderError(_))
    });
    let passing = [code::THROTTLED, code::UNAVAILABLE, code::UNREACHABLE].contains(&code);
    let mut failed = Error::new(code.clone(), what).with_context("action", operation);
    if let Some(name) = told.code() {
        failed = failed.with_context("error", name);
    }
    if passing || may_pass {
        failed = failed.retry_later();
    }
    failed = failed.with_effect(effect);
    // What is said of credentials may quote them: what was signed, or what the program printed that
    // was to give them.
    if code == code::CREDENTIALS || credentials.is_some() {
        return failed;
    }
    if code == code::DENIED {
        let action = told.message().and_then(denied_action).unwrap_or(operation.action);
        let next = format!("allow `{action}` in the policy of the caller, then `resume`");
        failed = failed.with_next(NextAction::outside(next).by("operator"));
    }
    if let Some(says) = told.message() {
        failed = failed.with_context("says", says);
    }
    failed.with_source(error)
}

/// The action that a refusal names: it may be another than that of the call, as `iam:PassRole`.
fn denied_action(says: &str) -> Option<&str> {
    let (_, action) = says.split_once("is not authorized to perform: ")?;
    action.split_whitespace().next().filter(|it| it.contains(':'))
}

/// Why there are no credentials to call with.
fn credentials_error<E>(error: &SdkError<E, HttpResponse>) -> Option<&CredentialsError> {
    let SdkError::DispatchFailure(failure) = error else { return None };
    let mut cause = failure.as_connector_error().and_then(|error| error.source());
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

fn classified<E>(
    error: &SdkError<E, HttpResponse>,
    name: &str,
    status: Option<u16>,
) -> (Code, &'static str, Effect) {
    match (error, name, status) {
        (_, "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation", _) => {
            (code::DENIED, "the caller may not do that", Effect::None)
        }
        (
            _,
            "ExpiredTokenException"
            | "ExpiredToken"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "MissingAuthenticationToken"
            | "IncompleteSignature",
            _,
        ) => (code::CREDENTIALS, "AWS does not accept the credentials", Effect::None),
        (
            _,
            "ThrottlingException"
            | "Throttling"
            | "TooManyRequestsException"
            | "RequestLimitExceeded",
            _,
        )
        | (.., Some(429)) => (code::THROTTLED, "AWS has too many calls", Effect::None),
        (_, "UnknownOperationException" | "UnknownOperation" | "InvalidAction", _)
        | (.., Some(501)) => {
            (code::UNSUPPORTED, "the endpoint does not know this call", Effect::None)
        }
        (.., Some(500..)) => (code::UNAVAILABLE, "AWS failed by itself", Effect::Unknown),
        (SdkError::ServiceError(_), ..) => (code::REFUSED, "AWS refused the call", Effect::None),
        (SdkError::ConstructionFailure(_), ..) => {
            (code::NOT_SENT, "the call could not be made", Effect::None)
        }
        // The SDK tells a connection that was cut after the call just so: only what is known to come
        // before counts.
        (SdkError::DispatchFailure(failure), ..)
            if failure.is_user() || credentials_error(error).is_some() =>
        {
            (code::NOT_SENT, "the call could not be made", Effect::None)
        }
        // Credentials or a region that are not there; or an answer that is no HTTP. Where a connection
        // was cut after the call was sent, the SDK says that it is transient.
        (SdkError::DispatchFailure(failure), ..)
            if failure.is_other() && failure.as_other().is_none() =>
        {
            let what = "the call could not be made, or its answer not be understood";
            (code::NOT_SENT, what, Effect::Unknown)
        }
        _ => (code::UNREACHABLE, "AWS could not be reached, or did not answer", Effect::Unknown),
    }
}

/// The same, of a call that only reads.
pub(crate) fn unread<E>(
    operation: &'static Operation,
    error: SdkError<E, HttpResponse>,
    own: &[(&str, Code)],
) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let failed = failed(operation, error, own);
    // Perhaps an answer that was cut off: reading again does no harm.
    let is_unclear = *failed.code() == code::NOT_SENT && failed.effect() == Effect::Unknown;
    let failed = failed.with_effect(Effect::None);
    if is_unclear { failed.retry_later() } else { failed }
}

/// An answer that lacks what it must have.
pub(crate) fn lacking(operation: &'static Operation, what: &str) -> Error {
    Error::new(code::ANSWER, "an answer of AWS lacks what it must have")
        .with_effect(Effect::None)
        .with_context("action", operation)
        .with_context("lacking", what)
        .retry_later()
}

/// Whether a call failed because this caller, or this endpoint, has not got it: what is optional
/// then goes without.
pub(crate) fn goes_without(error: &Error) -> bool {
    [code::DENIED, code::UNSUPPORTED].contains(error.code())
}

/// What an optional call answered; `None` when this caller has not got it.
pub(crate) fn if_allowed<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if goes_without(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads; and reads again, at growing pauses, while that fails for a while. Cancel-safe.
pub(crate) async fn patiently<T, F: Future<Output = Result<T>> + Send>(
    deadline: Instant,
    mut read: impl FnMut() -> F + Send,
) -> Result<T> {
    let until = deadline.min(Instant::now() + PATIENCE);
    let mut pause = PAUSES.0;
    loop {
        // Those who were refused together do not come back together.
        let wait = pause.mul_f64(0.5 + fastrand::f64());
        match read().await {
            // And as long again for the next answer: whoever waits until the end is not told why.
            Err(error) if error.is_temporary() && Instant::now() + wait + pause < until => {
                tokio::time::sleep(wait).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            other => return other,
        }
    }
}
