//! How a smoke gate is configured.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gatekit_core::{Effect, Error, NextAction, Result, StageId};

use super::gate::{Limits, Smoke};
use crate::address::Address;
use crate::answerer::Answerer;
use crate::code;
use crate::version::{Expected, VersionFrom};

/// One check as it was asked for.
enum Wanted {
    Path(String),
    Url(String),
}

/// Configures a [`Smoke`] gate: [`Smoke::at`], [`Smoke::urls`] or [`Smoke::builder`] begin one.
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
/// | expected version | none |
/// | answered by | anybody |
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
    id: String,
    base: Option<String>,
    wanted: Vec<Wanted>,
    expected: Option<(String, VersionFrom)>,
    limits: Limits,
    answerer: Option<Arc<dyn Answerer>>,
}

impl fmt::Debug for SmokeBuilder {
    /// Without the URLs: they are not checked yet, and may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmokeBuilder")
            .field("id", &self.id)
            .field("checks", &self.wanted.len())
            .field("expected", &self.expected)
            .field("limits", &self.limits)
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
            expected: None,
            limits: Limits {
                retries: 20,
                delay: Duration::from_millis(500),
                attempt: Duration::from_secs(5),
                deadline: Duration::from_secs(30),
                body: 1024 * 1024,
            },
            answerer: None,
        }
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

    /// Sets how many rounds may follow the first one. 0: one attempt.
    pub const fn with_retries(mut self, retries: u32) -> Self {
        self.limits.retries = retries;
        self
    }

    /// Sets how long to wait before each further round.
    pub const fn with_delay(mut self, delay: Duration) -> Self {
        self.limits.delay = delay;
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
        self.limits.body = bytes;
        self
    }

    /// The gate. Asks nobody, and does not read certificates yet.
    ///
    /// # Errors
    /// `smoke.no_checks`, `smoke.url`, `smoke.secret_in_url`, `smoke.limits`, `smoke.version_from`,
    /// `smoke.version_empty`; `config.name` for the id. None of them repeats a URL that was refused.
    pub fn build(self) -> Result<Smoke> {
        let id = StageId::new(self.id)?;
        if self.wanted.is_empty() {
            return Err(Error::new(code::SMOKE_NO_CHECKS, "the smoke gate has nothing to check")
                .with_effect(Effect::None)
                .with_next(NextAction::outside("add a check with `.get(path)` or `.url(url)`")));
        }
        let limits = self.limits;
        if limits.attempt.is_zero() || limits.deadline.is_zero() || limits.body == 0 {
            return Err(Error::new(
                code::SMOKE_LIMITS,
                "the attempt time-out, the deadline and the body limit must not be zero",
            )
            .with_effect(Effect::None)
            .with_next(NextAction::outside("leave them out for the defaults")));
        }
        let base = self.base.map(|base| Address::parse("the base", &base)).transpose()?;
        let mut checks = Vec::with_capacity(self.wanted.len());
        for (i, wanted) in self.wanted.iter().enumerate() {
            let what = format!("check {}", i + 1);
            checks.push(match (wanted, &base) {
                (Wanted::Url(url), _) => Address::parse(&what, url)?,
                (Wanted::Path(path), Some(base)) => base.join(&what, path)?,
                (Wanted::Path(_), None) => {
                    return Err(Error::new(
                        code::SMOKE_URL,
                        format!("{what} is a path without a base"),
                    )
                    .with_effect(Effect::None)
                    .with_next(NextAction::outside("name the base with `.at(url)`")));
                }
            });
        }
        let expected =
            self.expected.map(|(version, from)| Expected::new(&version, from)).transpose()?;
        let client = OnceLock::new();
        Ok(Smoke { id, checks, expected, limits, answerer: self.answerer, client })
    }
}
