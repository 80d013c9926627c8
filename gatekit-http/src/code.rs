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
    /// A time-out, a deadline, a limit, a budget or a number of successes is zero.
    SMOKE_LIMITS = "smoke.limits";
    /// The place to read the version from is not `body`, `header:NAME` or `json:POINTER`.
    SMOKE_VERSION_FROM = "smoke.version_from";
    /// The expected version is empty, which every answer would show.
    SMOKE_VERSION_EMPTY = "smoke.version_empty";
    /// A request header has a malformed name or value, or one that the client itself has to set.
    SMOKE_HEADER = "smoke.header";
    /// The pattern that a body has to match is no regular expression, or too large a one.
    SMOKE_PATTERN = "smoke.pattern";
    /// The place of an expected JSON value is not a JSON pointer.
    SMOKE_POINTER = "smoke.pointer";
    /// The certificates of a custom CA cannot be read, or there are none.
    SMOKE_CA = "smoke.ca";
    /// The HTTP client could not be set up.
    SMOKE_CLIENT = "smoke.client";

    /// An answer whose status is not one that passes: 2xx, or for `curl_compat` any below 400.
    SMOKE_STATUS = "smoke.status";
    /// An answer shows another version, or no answer shows the expected one.
    SMOKE_VERSION = "smoke.version";
    /// Something was to be read from JSON, and the answer is none.
    SMOKE_JSON = "smoke.json";
    /// A JSON value is missing, or another one than expected.
    SMOKE_JSON_VALUE = "smoke.json_value";
    /// A body does not match the expected pattern.
    SMOKE_BODY = "smoke.body";
    /// A body exceeds the limit.
    SMOKE_BODY_TOO_LARGE = "smoke.body_too_large";
    /// A good answer took longer than the latency budget.
    SMOKE_SLOW = "smoke.slow";
    /// There was no time for as many good rounds in a row as were demanded.
    SMOKE_SUCCESSES = "smoke.successes";
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

    /// The URL of a webhook is malformed, or has another scheme than http or https.
    WEBHOOK_URL = "webhook.url";
    /// The URL of a webhook contains a user name or a password.
    WEBHOOK_SECRET_IN_URL = "webhook.secret_in_url";
    /// The key of a webhook is empty: anybody could sign with it.
    WEBHOOK_KEY = "webhook.key";
    /// A time-out or the queue of a webhook is zero.
    WEBHOOK_LIMITS = "webhook.limits";
    /// The HTTP client or the thread of a webhook could not be set up.
    WEBHOOK_CLIENT = "webhook.client";
}
