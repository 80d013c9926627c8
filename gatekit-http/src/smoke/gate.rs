//! Rounds of checks, until one is good or the budget is spent.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use gatekit_core::{Digest, Gate, PlanContext, Result, StageId, Verdict};
use reqwest::Certificate;
use reqwest::header::HeaderName;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::builder::SmokeBuilder;
use super::pace::{Also, Pace};
use super::report::{Bad, Good, Outcome, Tally};
use crate::address::Address;
use crate::answerer::{Answerer, Judgement};
use crate::client::{Ask, Client, Connections, Got, MAX_REDIRECTS, Setup};
use crate::code;
use crate::expect::Expectations;
use crate::trouble::Cause;
use crate::version::{Expected, Shown};

/// How many checks are asked at once, as many as `curl --parallel` does: a release that has just begun
/// to listen is not to be buried.
const AT_ONCE: usize = 50;

/// How long and how much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) attempt: Duration,
    pub(super) deadline: Duration,
    /// `None` for bodies of any size, which nobody looks at.
    pub(super) body: Option<usize>,
    pub(super) latency: Option<Duration>,
    pub(super) successes: u32,
    pub(super) apart: Duration,
}

/// Whose certificates are believed, instead of those of the system.
#[derive(Debug)]
pub(super) struct Ca {
    pub(super) certificates: Vec<Certificate>,
    pub(super) digest: Digest,
}

/// Asks URLs of what should be live, and passes only when all of them answered well.
///
/// A round asks all checks in parallel, 50 at a time. The gate passes when in one and the same round
/// every check answered 2xx within the limits and the latency budget, with what is expected of body
/// and JSON, the expected version was shown (see [`expect_version`](SmokeBuilder::expect_version)), and
/// every answer was ours (see [`answered_by`](SmokeBuilder::answered_by)). Otherwise it waits the fixed
/// delay and begins another round, until retries or time are used up; or it goes on and pauses as curl
/// does, see [`with_retry`](SmokeBuilder::with_retry). [`SmokeBuilder`] lists the defaults.
///
/// What each check showed last decides the verdict. An answer that says no is a `Fail`:
/// `smoke.status`, `smoke.version`, `smoke.body`, `smoke.json_value`, `smoke.slow`,
/// `smoke.body_too_large`, `smoke.redirect_loop`, `smoke.redirect_elsewhere`, `smoke.stranger`,
/// `smoke.not_running`. No answer, or one that cannot be read, is `Inconclusive`: `smoke.unreachable`,
/// `smoke.timeout`, `smoke.unreadable`, `smoke.json`, `smoke.whose_unknown`; and so are too few good
/// rounds: `smoke.successes`. The finding names every check that did not pass, with what was seen last.
///
/// Redirects are followed to the same scheme, host and port only, so not from http to https either:
/// check the https URL itself. `HTTP_PROXY` and its like are ignored, and no cookie is kept. No
/// connection is used twice, so that an answer never comes from an old process over an old connection;
/// more than 50 checks share those of their first round, which end with it.
///
/// A check is cancel-safe: dropping its future closes the connections. Needs a tokio runtime with
/// time and I/O.
#[derive(Debug)]
pub struct Smoke {
    pub(super) id: StageId,
    pub(super) checks: Vec<Address>,
    pub(super) ask: Ask,
    pub(super) expected: Option<Expected>,
    pub(super) expectations: Expectations,
    pub(super) limits: Limits,
    pub(super) pace: Pace,
    pub(super) also: Also,
    pub(super) ca: Option<Ca>,
    pub(super) answerer: Option<Arc<dyn Answerer>>,
    /// Made by the first check: building a pipeline costs nothing.
    pub(super) client: OnceLock<Client>,
}

impl Smoke {
    /// Begins a gate whose [`get`](SmokeBuilder::get) paths go behind `base`.
    pub fn at(base: impl Into<String>) -> SmokeBuilder {
        SmokeBuilder::new().at(base)
    }

    /// Begins a gate that checks each of these whole URLs.
    pub fn urls(urls: impl IntoIterator<Item = impl Into<String>>) -> SmokeBuilder {
        SmokeBuilder::new().urls(urls)
    }

    /// Begins a gate with no check yet.
    pub fn builder() -> SmokeBuilder {
        SmokeBuilder::new()
    }

    /// Begins a gate that gives each of these whole URLs the verdict of `curl --fail`.
    ///
    /// It passes with any complete answer of a status below 400, also 3xx: redirects are not followed,
    /// and neither is a body looked at or limited. There is one attempt, and no time-out but the
    /// deadline. All methods of the builder go on from there:
    ///
    /// | curl | here |
    /// |---|---|
    /// | `--max-time` | [`with_attempt_timeout`](SmokeBuilder::with_attempt_timeout) |
    /// | `--retry`, `--retry-delay`, `--retry-max-time` | [`with_retry`](SmokeBuilder::with_retry) |
    /// | `--retry-connrefused` | [`retry_connrefused`](SmokeBuilder::retry_connrefused) |
    /// | `--retry-all-errors` | [`retry_all_errors`](SmokeBuilder::retry_all_errors) |
    /// | `--header` | [`with_header`](SmokeBuilder::with_header) |
    /// | `--cacert` | [`with_ca`](SmokeBuilder::with_ca) |
    ///
    /// Where something is demanded of the body, at most 1 MiB of it are read unless
    /// [`with_body_limit`](SmokeBuilder::with_body_limit) says otherwise. Proxies of the environment and
    /// `~/.curlrc` are ignored.
    ///
    /// # Differences from curl
    /// Compared with curl 7.88. The HTTP library reads more strictly, and blocks what curl lets pass: headers
    /// that end before their empty line; a status line with another protocol than `HTTP/1.0` or
    /// `HTTP/1.1`, spelled like that, or with two spaces; a length of another form than digits, of more
    /// than 64 bits, or two that differ; chunks whose lines end in a line feed alone, or in HTTP/1.0; a
    /// carriage return inside a header; a transfer encoding of `gzip` and its like; a body without a
    /// length whose TLS connection ends without a word.
    ///
    /// It forgives two things that recent releases of curl do not: an empty line before the status line,
    /// and a header without a colon.
    ///
    /// ```
    /// use std::time::Duration;
    /// use gatekit_core::RetryPolicy;
    /// use gatekit_http::Smoke;
    ///
    /// // curl --fail --max-time 5 --retry 3 https://shop.example.com/health
    /// let smoke = Smoke::curl_compat(["https://shop.example.com/health"])
    ///     .with_attempt_timeout(Duration::from_secs(5))
    ///     .with_retry(RetryPolicy::curl(3, None))
    ///     .build()?;
    /// # Ok::<(), gatekit_core::Error>(())
    /// ```
    pub fn curl_compat(urls: impl IntoIterator<Item = impl Into<String>>) -> SmokeBuilder {
        SmokeBuilder::new().like_curl().urls(urls)
    }

    fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = self.new_client(Connections::Single)?;
        Ok(self.client.get_or_init(|| client))
    }

    pub(super) fn new_client(&self, connections: Connections) -> Result<Client> {
        Client::new(Setup {
            https: self.checks.iter().any(Address::is_https),
            ca: self.ca.as_ref().map(|ca| ca.certificates.as_slice()),
            like_curl: self.ask.like_curl,
            connections,
            code: code::SMOKE_CLIENT,
        })
    }

    /// Many checks are spared the making of a connection each, once: trouble with one that the
    /// server wanted to close is over in the next round.
    async fn first_round(&self, end: Instant) -> Result<Vec<Outcome>> {
        if self.checks.len() > AT_ONCE {
            Ok(self.round(&self.new_client(Connections::Kept)?, end).await)
        } else {
            Ok(self.round(self.client()?, end).await)
        }
    }

    /// When to stop asking. A little before the engine stops listening, or the finding is lost.
    fn end(&self, cx: &PlanContext, started: Instant) -> Instant {
        let reserve = (cx.remaining() / 20).min(Duration::from_millis(250));
        let run = cx.deadline().checked_sub(reserve).unwrap_or(started);
        started.checked_add(self.limits.deadline).map_or(run, |own| own.min(run))
    }

    /// The end of one attempt, and whether it is the end of all.
    fn attempt_end(&self, end: Instant) -> (Instant, bool) {
        match Instant::now().checked_add(self.limits.attempt) {
            Some(own) if own < end => (own, false),
            _ => (end, true),
        }
    }

    /// Asks all checks. Ends early when our process turns out to be gone.
    async fn round(&self, client: &Client, end: Instant) -> Vec<Outcome> {
        let mut outcomes: Vec<_> = self.checks.iter().map(|_| Outcome::NotAsked).collect();
        let asked: Vec<_> = (self.checks.iter().zip(&mut outcomes))
            .map(|(address, slot)| async move {
                let outcome = self.attempt(client, address, end).await;
                let gone = outcome.is_final();
                *slot = outcome;
                gone
            })
            .collect();
        let mut asked = stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some(gone) = asked.next().await {
            if gone {
                break;
            }
        }
        drop(asked);
        outcomes
    }

    /// One attempt of one check: the answer, whose it is, and what version it shows.
    async fn attempt(&self, client: &Client, address: &Address, end: Instant) -> Outcome {
        let (attempt_end, last) = self.attempt_end(end);
        let Ok(got) = timeout_at(attempt_end, client.get(address, &self.ask)).await else {
            return match self.gone(end).await {
                Some(gone) => Outcome::Bad(gone),
                None if last => Outcome::CutOff,
                None => {
                    let seen = format!("no complete answer within {:?}", self.limits.attempt);
                    Outcome::Bad(Bad::maybe(code::SMOKE_TIMEOUT, seen).because(Cause::Timeout))
                }
            };
        };
        let facts = match got {
            Got { peer: Some(peer), .. } => match self.whose(peer, end).await {
                Ok(facts) => facts,
                Err(bad) => return Outcome::Bad(bad),
            },
            Got { answer: Err(_), .. } => match self.gone(end).await {
                Some(gone) => return Outcome::Bad(gone),
                None => None,
            },
            Got { .. } if self.answerer.is_some() => {
                return Outcome::Bad(Bad::maybe(
                    code::SMOKE_WHOSE_UNKNOWN,
                    "an answer from an unknown address".to_owned(),
                ));
            }
            Got { .. } => None,
        };
        let answer = match got.answer {
            Ok(answer) => answer,
            Err(trouble) => {
                let bad = Bad::of(trouble.is_no(), trouble.code(), trouble.to_string());
                return Outcome::Bad(bad.because(trouble.cause()));
            }
        };
        let good = Good { answer, shown: None, peer: got.peer, took: got.took, facts };
        self.judge(good).map_or_else(Outcome::Bad, Outcome::Good)
    }

    /// Whether a complete answer says what it has to.
    fn judge(&self, mut good: Good) -> Result<Good, Bad> {
        let (answer, secrets) = (&good.answer, &self.ask.secrets);
        let status = answer.status;
        good.shown = self.expected.as_ref().map(|expected| expected.look(answer, secrets));
        match &good.shown {
            Some(Shown::Other(other)) => {
                let seen = format!("status {status}, version `{other}`");
                return Err(Bad::no(code::SMOKE_VERSION, seen));
            }
            Some(Shown::Unreadable) => {
                let seen = format!("status {status}, a body that claims to be JSON and is not");
                return Err(Bad::maybe(code::SMOKE_JSON, seen));
            }
            _ => {}
        }
        if let Some(unmet) = self.expectations.unmet(&answer.body, secrets) {
            let seen = format!("status {status}, {}", unmet.seen);
            return Err(Bad::of(unmet.is_no, unmet.code, seen));
        }
        if let Some(budget) = self.limits.latency.filter(|budget| good.took > *budget) {
            let took = millis(good.took);
            let seen = format!("status {status} after {took} ms, over the budget of {budget:?}");
            return Err(Bad::no(code::SMOKE_SLOW, seen));
        }
        Ok(good)
    }

    /// Whether somebody showed the expected version, when everybody answered well.
    fn check_version(&self, outcomes: &mut [Outcome]) {
        let Some(expected) = &self.expected else { return };
        let Some(good) = all_good(outcomes) else { return };
        if good.iter().any(|good| good.shown == Some(Shown::Expected)) {
            return;
        }
        let no_json = good.iter().all(|good| good.shown == Some(Shown::NotJson));
        for outcome in outcomes {
            let Outcome::Good(good) = outcome else { continue };
            let status = good.answer.status;
            *outcome = Outcome::Bad(if no_json {
                Bad::maybe(code::SMOKE_JSON, format!("status {status}, a body that is not JSON"))
            } else {
                Bad::no(
                    code::SMOKE_VERSION,
                    format!(
                        "status {status}, no version `{}` in `{}`",
                        expected.version, expected.from
                    ),
                )
            });
        }
    }

    /// Asks once more whose the answers are: our process may have died, and somebody else taken its
    /// port, while the slowest check was answering.
    async fn confirm(&self, outcomes: &mut [Outcome], end: Instant) {
        if all_good(outcomes).is_none() {
            return;
        }
        join_all(outcomes.iter_mut().map(|outcome| async move {
            let Outcome::Good(good) = outcome else { return };
            let Some(peer) = good.peer else { return };
            match self.whose(peer, end).await {
                Ok(facts) => good.facts = facts,
                Err(bad) => *outcome = Outcome::Bad(bad),
            }
        }))
        .await;
    }

    /// The facts of an answer that is ours; `None` when nobody minds whose it is.
    async fn whose(&self, peer: SocketAddr, end: Instant) -> Result<Option<Value>, Bad> {
        let Some(answerer) = &self.answerer else { return Ok(None) };
        let answerer = Arc::clone(answerer);
        let (until, _) = self.attempt_end(end);
        let judged = timeout_at(until, spawn_blocking(move || answerer.judge(peer))).await;
        let unknown = |why: &str| {
            Err(Bad::maybe(code::SMOKE_WHOSE_UNKNOWN, format!("an answer of an unknown: {why}")))
        };
        match judged {
            Ok(Ok(Judgement::Ours(facts))) => Ok(Some(facts)),
            Ok(Ok(Judgement::Stranger(why))) => {
                Err(Bad::no(code::SMOKE_STRANGER, format!("an answer of a stranger: {why}")))
            }
            Ok(Ok(Judgement::NotRunning(why))) => Err(Bad::gone(&why)),
            Ok(Ok(Judgement::Unknown(why))) => unknown(&why),
            Ok(Err(_)) => unknown("the judge panicked"),
            Err(_) => unknown("the judge did not answer in time"),
        }
    }

    /// Whether our process is known to be gone, so that waiting is of no use.
    async fn gone(&self, end: Instant) -> Option<Bad> {
        let answerer = Arc::clone(self.answerer.as_ref()?);
        let (until, _) = self.attempt_end(end);
        let asked = timeout_at(until, spawn_blocking(move || answerer.not_running())).await;
        // Not to know is no reason to give up early.
        asked.ok()?.ok()?.map(|why| Bad::gone(&why))
    }
}

fn all_good(outcomes: &[Outcome]) -> Option<Vec<&Good>> {
    outcomes
        .iter()
        .map(|outcome| if let Outcome::Good(good) = outcome { Some(good) } else { None })
        .collect()
}

#[async_trait]
impl Gate for Smoke {
    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        let checks: Vec<_> = self
            .checks
            .iter()
            .map(|check| json!({"url": check.to_string(), "has_query": check.has_query()}))
            .collect();
        let version = self
            .expected
            .as_ref()
            .map(|expected| json!({"is": expected.version, "from": expected.from.to_string()}));
        json!({
            "kind": "smoke",
            "checks": checks,
            "version": version,
            "expected": self.expectations.describe(),
            "headers": self.ask.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            "retry": self.pace.describe(self.also),
            "attempt_timeout_ms": millis(self.limits.attempt),
            "deadline_ms": millis(self.limits.deadline),
            "body_limit": self.limits.body,
            "latency_budget_ms": self.limits.latency.map(millis),
            "successes": self.limits.successes,
            "apart_ms": millis(self.limits.apart),
            "redirects": if self.ask.like_curl { 0 } else { MAX_REDIRECTS },
            "like_curl": self.ask.like_curl,
            "ca": self.ca.as_ref().map(|ca| &ca.digest),
            "only_ours": self.answerer.is_some(),
        })
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        let started = Instant::now();
        let end = self.end(cx, started);
        let mut tally = Tally::new(&self.checks, self.expected.as_ref(), started);
        let mut schedule = self.pace.begin(self.also, started);
        let mut in_a_row = 0;
        let mut outcomes = self.first_round(end).await?;
        loop {
            self.check_version(&mut outcomes);
            self.confirm(&mut outcomes, end).await;
            let pause = if let Some(good) = all_good(&outcomes) {
                in_a_row += 1;
                if in_a_row >= self.limits.successes {
                    return Ok(tally.pass(&good));
                }
                Some(self.limits.apart)
            } else if in_a_row > 0 && !outcomes.iter().any(Outcome::is_bad) {
                // Only the end of all came in between.
                return Ok(tally.too_few(in_a_row, self.limits.successes));
            } else {
                in_a_row = 0;
                let causes: Vec<_> = outcomes.iter().filter_map(Outcome::cause).collect();
                schedule.next(&causes)
            };
            for message in tally.note(outcomes) {
                cx.progress(message);
            }
            let next = pause.and_then(|pause| Instant::now().checked_add(pause));
            let Some(next) = next.filter(|next| *next < end && !tally.is_final()) else {
                return Ok(match in_a_row {
                    0 => tally.verdict(),
                    some => tally.too_few(some, self.limits.successes),
                });
            };
            sleep_until(next).await;
            outcomes = self.round(self.client()?, end).await;
        }
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
