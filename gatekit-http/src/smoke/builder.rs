//! How a smoke gate is configured.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gatekit_core::RetryPolicy;
use secrecy::SecretString;
use serde_json::Value;

use super::gate::Limits;
use super::pace::{Also, Pace};
use crate::answerer::Answerer;
use crate::version::VersionFrom;

/// One check as it was asked for.
pub(super) enum Wanted {
    Path(String),
    Url(String),
}

/// The retries of a gate that was told of none.
const RETRIES: u32 = 20;

/// The delay of a gate that was told of none.
const DELAY: Duration = Duration::from_millis(500);

/// Configures a [`Smoke`](crate::Smoke) gate: [`at`](crate::Smoke::at), [`urls`](crate::Smoke::urls),
/// [`builder`](crate::Smoke::builder) or [`curl_compat`](crate::Smoke::curl_compat) begin one.
///
/// # Default
/// | | |
/// |---|---|
/// | id | `smoke` |
/// | retries | 20, so 21 attempts |
/// | delay between attempts | 500 ms, fixed |
/// | attempt time-out, over the whole answer with its redirects | 5 s |
/// | deadline over all | 30 s, and never beyond that of the run |
/// | body limit | 1 MiB |
/// | redirects | 5, only to the same scheme, host and port |
/// | request headers | none but `accept`, `host` and `user-agent` |
/// | expected version, body, JSON values | none |
/// | latency budget | none |
/// | good rounds in a row | 1 |
/// | root certificates | those of the system |
/// | answered by | anybody |
///
/// [`curl_compat`](crate::Smoke::curl_compat) begins with other ones.
///
/// ```
/// use std::time::Duration;
/// use gatekit_http::{Smoke, VersionFrom};
///
/// let smoke = Smoke::at("http://127.0.0.1:8080")
///     .get("/health")
///     .get("/ready")
///     .url("https://shop.example.com/version")
///     .expect_version("1.4.0", VersionFrom::Body)
///     .with_id("smoke/live")
///     .with_retries(60)
///     .with_deadline(Duration::from_secs(90))
///     .build()?;
/// # Ok::<(), gatekit_core::Error>(())
/// ```
#[must_use = "finish with `.build()?`"]
pub struct SmokeBuilder {
    pub(super) id: String,
    pub(super) base: Option<String>,
    pub(super) wanted: Vec<Wanted>,
    pub(super) headers: Vec<(String, SecretString)>,
    pub(super) expected: Option<(String, VersionFrom)>,
    pub(super) patterns: Vec<String>,
    pub(super) values: Vec<(String, Value)>,
    pub(super) limits: Limits,
    pub(super) pace: Pace,
    pub(super) also: Also,
    pub(super) ca: Option<Vec<u8>>,
    pub(super) like_curl: bool,
    pub(super) answerer: Option<Arc<dyn Answerer>>,
}

impl fmt::Debug for SmokeBuilder {
    /// Without the URLs and headers: they are not checked yet, and may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmokeBuilder")
            .field("id", &self.id)
            .field("checks", &self.wanted.len())
            .field("headers", &self.headers.len())
            .field("expected", &self.expected)
            .field("limits", &self.limits)
            .field("pace", &self.pace)
            .field("answerer", &self.answerer)
            .finish_non_exhaustive()
    }
}

impl SmokeBuilder {
    pub(super) fn new() -> Self {
        Self {
            id: "smoke".to_owned(),
            base: None,
            wanted: Vec::new(),
            headers: Vec::new(),
            expected: None,
            patterns: Vec::new(),
            values: Vec::new(),
            limits: Limits {
                attempt: Duration::from_secs(5),
                deadline: Duration::from_secs(30),
                body: Some(1024 * 1024),
                latency: None,
                successes: 1,
                apart: Duration::ZERO,
            },
            pace: Pace::Rounds { retries: RETRIES, delay: DELAY },
            also: Also::default(),
            ca: None,
            like_curl: false,
            answerer: None,
        }
    }

    /// The defaults of `curl --fail`.
    pub(super) fn like_curl(mut self) -> Self {
        self.like_curl = true;
        self.limits.attempt = Duration::MAX;
        self.limits.body = None;
        self.pace = Pace::Curl(RetryPolicy::never());
        self
    }

    /// Names the base that the paths of [`get`](Self::get) go behind.
    pub fn at(mut self, base: impl Into<String>) -> Self {
        self.base = Some(base.into());
        self
    }

    /// Adds a check of `path`, like `/health`, behind the path of the base: at `https://host/api` it
    /// is `https://host/api/health`.
    pub fn get(mut self, path: impl Into<String>) -> Self {
        self.wanted.push(Wanted::Path(path.into()));
        self
    }

    /// Adds a check of a whole URL.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.wanted.push(Wanted::Url(url.into()));
        self
    }

    /// Adds a check of each of these whole URLs.
    pub fn urls(mut self, urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.wanted.extend(urls.into_iter().map(|url| Wanted::Url(url.into())));
        self
    }

    /// Demands that the answers show `version` there.
    ///
    /// In the round that passes, at least one check has to show it, and for a header or a JSON
    /// pointer no other check may show another one. So `/health` may answer "ok" while `/version`
    /// shows the version. A wrong version is asked for again like any other failure: the old process
    /// may still be answering.
    pub fn expect_version(mut self, version: impl Into<String>, from: VersionFrom) -> Self {
        self.expected = Some((version.into(), from));
        self
    }

    /// Counts an answer only when `answerer` says that it is ours, so that a stranger on the port
    /// does not pass for our service.
    pub fn answered_by(mut self, answerer: impl Answerer) -> Self {
        self.answerer = Some(Arc::new(answerer));
        self
    }

    /// Sets the id of the gate in its pipeline.
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// Sends the header `name` with `value` along with every request, also with redirected ones, which
    /// stay at their scheme, host and port. Of several headers of one name all are sent.
    ///
    /// The value counts as a secret: it is shown nowhere, and what a server sends back is withheld
    /// where it repeats the value or one of its words. Values and words of less than 4 bytes are too
    /// short to be looked for.
    ///
    /// ```
    /// use gatekit_http::Smoke;
    /// use secrecy::SecretString;
    ///
    /// let token = SecretString::from("Bearer 0123456789abcdef");
    /// let smoke = Smoke::at("https://shop.example.com")
    ///     .get("/health")
    ///     .with_header("authorization", token)
    ///     .build()?;
    /// assert!(!format!("{smoke:?}").contains("0123456789abcdef"));
    /// # Ok::<(), gatekit_core::Error>(())
    /// ```
    pub fn with_header(mut self, name: impl Into<String>, value: SecretString) -> Self {
        self.headers.push((name.into(), value));
        self
    }

    /// Demands that every body matches `pattern`, a regular expression of the crate `regex`, somewhere:
    /// `^` and `$` tie it down. A body need not be UTF-8. Of several patterns all have to match.
    ///
    /// Answers of which different things are demanded belong to different gates:
    /// [`GateExt::all`](gatekit_core::GateExt::all) makes one of them.
    ///
    /// ```
    /// use gatekit_http::Smoke;
    ///
    /// let smoke = Smoke::urls(["https://shop.example.com"]).expect_body("<title>Shop</title>").build()?;
    /// # Ok::<(), gatekit_core::Error>(())
    /// ```
    pub fn expect_body(mut self, pattern: impl Into<String>) -> Self {
        self.patterns.push(pattern.into());
        self
    }

    /// Demands that every body is JSON with `value` at `pointer` (RFC 6901): an equal value of the same
    /// kind, so that `1` is neither `"1"` nor `1.0`. Of several pointers all have to lead there.
    ///
    /// ```
    /// use gatekit_http::Smoke;
    ///
    /// let smoke = Smoke::at("https://shop.example.com")
    ///     .get("/health")
    ///     .expect_json("/status", "ok")
    ///     .expect_json("/checks/database/failing", 0)
    ///     .build()?;
    /// # Ok::<(), gatekit_core::Error>(())
    /// ```
    pub fn expect_json(mut self, pointer: impl Into<String>, value: impl Into<Value>) -> Self {
        self.values.push((pointer.into(), value.into()));
        self
    }

    /// Demands that every answer is complete within `budget`, from the beginning of its attempt, with
    /// connection and redirects. A good answer that took longer is a `Fail` with `smoke.slow` and
    /// the measured time; the attempt time-out still ends what takes far too long.
    ///
    /// ```
    /// use std::time::Duration;
    /// use gatekit_http::Smoke;
    ///
    /// let budget = Duration::from_millis(300);
    /// let smoke = Smoke::urls(["https://shop.example.com"]).with_latency_budget(budget).build()?;
    /// # Ok::<(), gatekit_core::Error>(())
    /// ```
    pub const fn with_latency_budget(mut self, budget: Duration) -> Self {
        self.limits.latency = Some(budget);
        self
    }

    /// Demands so many good rounds in a row, with the pause `apart` between them. A round that is not
    /// good begins the count anew and costs a retry; a good one costs none. Without time for all of
    /// them the gate is inconclusive: `smoke.successes`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use gatekit_http::Smoke;
    ///
    /// // Good for ten seconds.
    /// let smoke = Smoke::urls(["https://shop.example.com"])
    ///     .with_successes(6, Duration::from_secs(2))
    ///     .build()?;
    /// # Ok::<(), gatekit_core::Error>(())
    /// ```
    pub const fn with_successes(mut self, rounds: u32, apart: Duration) -> Self {
        self.limits.successes = rounds;
        self.limits.apart = apart;
        self
    }

    /// Believes the certificates in `pem`, one or more, and those that they signed, instead of those
    /// that the system believes: curl's `--cacert`.
    ///
    /// ```no_run
    /// use gatekit_http::Smoke;
    ///
    /// let pem = std::fs::read("/etc/shop/ca.pem").unwrap_or_default();
    /// let smoke = Smoke::urls(["https://shop.internal/health"]).with_ca(pem).build()?;
    /// # Ok::<(), gatekit_core::Error>(())
    /// ```
    pub fn with_ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// Asks again when curl would, instead of after any failure: `policy` holds its `--retry`,
    /// `--retry-delay` and `--retry-max-time`. Replaces [`with_retries`](Self::with_retries) and
    /// [`with_delay`](Self::with_delay), and they replace it.
    ///
    /// Another round follows when all that went wrong in the last one was transient: no answer in
    /// time, a name that could not be resolved, or a status of 408, 429, 500, 502, 503, 504, 522 and
    /// 524 (the last two as of newer releases of curl). A `Retry-After`, in seconds or as a date, makes
    /// the pause longer, and ends the gate when there is no time for it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use gatekit_core::RetryPolicy;
    /// use gatekit_http::Smoke;
    ///
    /// // curl --retry 5 --retry-max-time 60 --retry-connrefused
    /// let policy = RetryPolicy::curl(5, None).within(Duration::from_secs(60));
    /// let smoke = Smoke::at("http://127.0.0.1:8080")
    ///     .get("/health")
    ///     .with_retry(policy)
    ///     .retry_connrefused()
    ///     .with_deadline(Duration::from_secs(90))
    ///     .build()?;
    /// # Ok::<(), gatekit_core::Error>(())
    /// ```
    pub const fn with_retry(mut self, policy: RetryPolicy) -> Self {
        self.pace = Pace::Curl(policy);
        self
    }

    /// Takes a refused connection for transient too: curl's `--retry-connrefused`. Tells only beside
    /// [`with_retry`](Self::with_retry).
    pub const fn retry_connrefused(mut self) -> Self {
        self.also.refused = true;
        self
    }

    /// Takes every failure for transient: curl's `--retry-all-errors` with `--fail`. Tells only beside
    /// [`with_retry`](Self::with_retry).
    pub const fn retry_all_errors(mut self) -> Self {
        self.also.all = true;
        self
    }

    /// Sets how many rounds may follow the first one, whatever went wrong. 0: one attempt.
    pub const fn with_retries(mut self, retries: u32) -> Self {
        let delay = if let Pace::Rounds { delay, .. } = self.pace { delay } else { DELAY };
        self.pace = Pace::Rounds { retries, delay };
        self
    }

    /// Sets how long to wait before each further round.
    pub const fn with_delay(mut self, delay: Duration) -> Self {
        let retries = if let Pace::Rounds { retries, .. } = self.pace { retries } else { RETRIES };
        self.pace = Pace::Rounds { retries, delay };
        self
    }

    /// Sets how long one attempt of one check may take, its redirects and its body included.
    pub const fn with_attempt_timeout(mut self, timeout: Duration) -> Self {
        self.limits.attempt = timeout;
        self
    }

    /// Sets how long all rounds together may take. The deadline of the run holds as well.
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.limits.deadline = deadline;
        self
    }

    /// Sets the most bytes that a body may have.
    pub const fn with_body_limit(mut self, bytes: usize) -> Self {
        self.limits.body = Some(bytes);
        self
    }
}
