//! The codes of this crate's findings and errors.

use gatekit_core::Code;

macro_rules! codes {
    ($($(#[$doc:meta])+ $name:ident = $text:literal;)+) => {
        $($(#[$doc])+ pub const $name: Code = Code::new($text);)+
        /// Every code of this crate.
        pub const ALL: &[Code] = &[$($name),+];
    };
}

codes! {
    /// A URL is malformed, has another scheme than http or https, or a path does not fit its base.
    SMOKE_URL = "smoke.url";
    /// A URL contains a user name or a password.
    SMOKE_SECRET_IN_URL = "smoke.secret_in_url";
    /// A smoke gate without any check.
    SMOKE_NO_CHECKS = "smoke.no_checks";
    /// A time-out, a deadline or a limit is zero.
    SMOKE_LIMITS = "smoke.limits";
    /// The place to read the version from is not `body`, `header:NAME` or `json:POINTER`.
    SMOKE_VERSION_FROM = "smoke.version_from";
    /// The expected version is empty, which every answer would show.
    SMOKE_VERSION_EMPTY = "smoke.version_empty";
    /// The HTTP client could not be set up.
    SMOKE_CLIENT = "smoke.client";

    /// An answer whose status is not 2xx.
    SMOKE_STATUS = "smoke.status";
    /// An answer shows another version, or no answer shows the expected one.
    SMOKE_VERSION = "smoke.version";
    /// The version was to be read from JSON, and the answer is none.
    SMOKE_JSON = "smoke.json";
    /// A body exceeds the limit.
    SMOKE_BODY_TOO_LARGE = "smoke.body_too_large";
    /// Redirects lead in a circle, or there are too many of them.
    SMOKE_REDIRECT_LOOP = "smoke.redirect_loop";
    /// A redirect leads to another scheme, host or port. It was not followed.
    SMOKE_REDIRECT_ELSEWHERE = "smoke.redirect_elsewhere";
    /// Nobody could be asked: connection refused, name unknown, TLS refused.
    SMOKE_UNREACHABLE = "smoke.unreachable";
    /// No complete answer in time.
    SMOKE_TIMEOUT = "smoke.timeout";
    /// What came back is not HTTP, or the connection ended before the answer did.
    SMOKE_UNREADABLE = "smoke.unreadable";
    /// Another process than ours answered.
    SMOKE_STRANGER = "smoke.stranger";
    /// Our process does not run, so whatever answers is not ours.
    SMOKE_NOT_RUNNING = "smoke.not_running";
    /// It could not be told whose answer it is.
    SMOKE_WHOSE_UNKNOWN = "smoke.whose_unknown";
}
