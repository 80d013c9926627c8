//! The codes of this crate's findings and errors.

gatekit_core::codes! {
    /// A URL is malformed, has another scheme than http or https, or a path does not fit its base.
    SMOKE_URL = "smoke.url",
        next: "give an absolute `http` or `https` URL";
    /// A URL contains a user name or a password.
    SMOKE_SECRET_IN_URL = "smoke.secret_in_url",
        next: "give the password as a request header";
    /// A smoke gate without any check.
    SMOKE_NO_CHECKS = "smoke.no_checks",
        next: "give the gate a URL to check";
    /// A time-out, a deadline, a limit, a budget or a number of successes is zero.
    SMOKE_LIMITS = "smoke.limits",
        next: "give a value above zero";
    /// The place to read the version from is not `body`, `header:NAME` or `json:POINTER`.
    SMOKE_VERSION_FROM = "smoke.version_from",
        next: "say `body`, `header:NAME` or `json:POINTER`";
    /// The expected version is empty, which every answer would show.
    SMOKE_VERSION_EMPTY = "smoke.version_empty",
        next: "give the version that the answer has to show";
    /// A request header has a malformed name or value, or one that the client itself has to set.
    SMOKE_HEADER = "smoke.header",
        next: "mend the header's name or value";
    /// The pattern that a body has to match is no regular expression, or too large a one.
    SMOKE_PATTERN = "smoke.pattern",
        next: "mend the regular expression";
    /// The place of an expected JSON value is not a JSON pointer.
    SMOKE_POINTER = "smoke.pointer",
        next: "give a JSON pointer, like `/status/version`";
    /// The certificates of a custom CA cannot be read, or there are none.
    SMOKE_CA = "smoke.ca",
        next: "give a PEM file with at least one certificate";
    /// The HTTP client could not be set up.
    SMOKE_CLIENT = "smoke.client",
        next: "see the cause: the system's certificates or TLS";

    /// An answer whose status is not one that passes: 2xx, or for `curl_compat` any below 400.
    SMOKE_STATUS = "smoke.status",
        next: "read the answer, mend the release, ship again";
    /// An answer shows another version, or no answer shows the expected one.
    SMOKE_VERSION = "smoke.version",
        next: "see which release answers, and whether the new one was started";
    /// Something was to be read from JSON, and the answer is none.
    SMOKE_JSON = "smoke.json",
        next: "see what the URL answers";
    /// A JSON value is missing, or another one than expected.
    SMOKE_JSON_VALUE = "smoke.json_value",
        next: "see what the URL answers, mend the release, ship again";
    /// A body does not match the expected pattern.
    SMOKE_BODY = "smoke.body",
        next: "see what the URL answers, mend the release, ship again";
    /// A body exceeds the limit.
    SMOKE_BODY_TOO_LARGE = "smoke.body_too_large",
        next: "check a smaller page, or raise the limit";
    /// A good answer took longer than the latency budget.
    SMOKE_SLOW = "smoke.slow",
        next: "find out what is slow, or raise the latency budget";
    /// There was no time for as many good rounds in a row as were demanded.
    SMOKE_SUCCESSES = "smoke.successes",
        next: "allow more time, or demand fewer rounds in a row";
    /// Redirects lead in a circle, or there are too many of them.
    SMOKE_REDIRECT_LOOP = "smoke.redirect_loop",
        next: "mend the redirects";
    /// A redirect leads to another scheme, host or port. It was not followed.
    SMOKE_REDIRECT_ELSEWHERE = "smoke.redirect_elsewhere",
        next: "check the URL that it leads to";
    /// Nobody could be asked: connection refused, name unknown, TLS refused.
    SMOKE_UNREACHABLE = "smoke.unreachable",
        next: "see whether the service listens there, and whether name and certificate are right";
    /// No complete answer in time.
    SMOKE_TIMEOUT = "smoke.timeout",
        next: "find out what is slow, or allow more time";
    /// What came back is not HTTP, or the connection ended before the answer did.
    SMOKE_UNREADABLE = "smoke.unreadable",
        next: "see whether the service speaks HTTP there";
    /// Another process than ours answered.
    SMOKE_STRANGER = "smoke.stranger",
        next: "find out which process has the port: it is not the release";
    /// Our process does not run, so whatever answers is not ours.
    SMOKE_NOT_RUNNING = "smoke.not_running",
        next: "read the service's log: it has ended";
    /// It could not be told whose answer it is.
    SMOKE_WHOSE_UNKNOWN = "smoke.whose_unknown",
        next: "run the gate on the machine, and as the user, of the service";

    /// The URL of a webhook is malformed, or has another scheme than http or https.
    WEBHOOK_URL = "webhook.url",
        next: "give an absolute `http` or `https` URL";
    /// The URL of a webhook contains a user name or a password.
    WEBHOOK_SECRET_IN_URL = "webhook.secret_in_url",
        next: "sign by the webhook's key instead";
    /// The key of a webhook is empty: anybody could sign with it.
    WEBHOOK_KEY = "webhook.key",
        next: "give the key that the receiver verifies with";
    /// A time-out or the queue of a webhook is zero.
    WEBHOOK_LIMITS = "webhook.limits",
        next: "give a value above zero";
    /// The HTTP client or the thread of a webhook could not be set up.
    WEBHOOK_CLIENT = "webhook.client",
        next: "see the cause: the system's certificates or TLS";

    /// The URL of an API is malformed, has a query, or another scheme than http or https.
    API_URL = "api.url",
        next: "give an absolute `https` URL";
    /// The URL of an API contains a user name or a password.
    API_SECRET_IN_URL = "api.secret_in_url",
        next: "give the token by itself";
    /// The token of an API would go over a network in the clear.
    API_PLAINTEXT = "api.plaintext",
        next: "give an `https` URL, or allow plaintext where nobody else can listen";
    /// The token of an API is empty, or no header can carry it.
    API_TOKEN = "api.token",
        next: "see where the token comes from: a line break may have come with it";
    /// The HTTP client of an API could not be set up.
    API_CLIENT = "api.client",
        next: "see the cause: the system's certificates or TLS";
}
