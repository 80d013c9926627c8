//! How a webhook is configured, and its thread begun.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gatekit_core::{Effect, Error, NextAction, Result, RetryPolicy};
use secrecy::SecretString;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};

use super::count::Count;
use super::delivery::{self, Post};
use super::reporter::Webhook;
use super::signature::Signer;
use crate::address::Address;
use crate::client::{Client, Connections, Setup};
use crate::code;

/// More than anybody would deliver late.
const LONGEST_QUEUE: usize = 1_000_000;

/// Configures a [`Webhook`]: [`Webhook::to`] begins one.
///
/// # Default
/// | | |
/// |---|---|
/// | retries of a delivery | 3, after 1, 2 and 4 s |
/// | attempt time-out | 5 s |
/// | queue | 1024 events |
/// | limit at the end of a run, and of the reporter | 5 s |
///
/// ```
/// use std::time::Duration;
/// use gatekit_core::RetryPolicy;
/// use gatekit_http::Webhook;
/// use secrecy::SecretString;
///
/// let webhook = Webhook::to("http://127.0.0.1:8080/hook", SecretString::from("0123456789abcdef"))
///     .with_retry(RetryPolicy::curl(5, None).within(Duration::from_secs(60)))
///     .with_attempt_timeout(Duration::from_secs(2))
///     .with_queue(256)
///     .with_end_limit(Duration::from_secs(10))
///     .build()?;
/// # Ok::<(), gatekit_core::Error>(())
/// ```
#[must_use = "finish with `.build()?`"]
pub struct WebhookBuilder {
    url: String,
    key: SecretString,
    policy: RetryPolicy,
    attempt: Duration,
    queue: usize,
    end_limit: Duration,
}

impl fmt::Debug for WebhookBuilder {
    /// Without the URL, which is not checked yet, and the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookBuilder")
            .field("policy", &self.policy)
            .field("attempt", &self.attempt)
            .field("queue", &self.queue)
            .field("end_limit", &self.end_limit)
            .finish_non_exhaustive()
    }
}

impl WebhookBuilder {
    pub(super) fn new(url: String, key: SecretString) -> Self {
        Self {
            url,
            key,
            policy: RetryPolicy::curl(3, None),
            attempt: Duration::from_secs(5),
            queue: 1024,
            end_limit: Duration::from_secs(5),
        }
    }

    /// Sets how often and after what pauses a delivery is tried again.
    pub const fn with_retry(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets how long one attempt of a delivery may take.
    pub const fn with_attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt = timeout;
        self
    }

    /// Sets how many events may wait for their delivery, at most a million.
    pub const fn with_queue(mut self, events: usize) -> Self {
        self.queue = events;
        self
    }

    /// Sets how long the end of a run, and the drop of the reporter, wait for what is not delivered
    /// yet. Zero: not at all. The end of a run waits for 30 s at most.
    pub const fn with_end_limit(mut self, limit: Duration) -> Self {
        self.end_limit = limit;
        self
    }

    /// The reporter, whose thread runs from now on. Asks nobody yet; for https it reads the
    /// certificates of the system.
    ///
    /// # Errors
    /// `webhook.url`, `webhook.secret_in_url`, `webhook.key` when it is empty, `webhook.limits` when
    /// the attempt time-out or the queue is zero or the queue too long, `webhook.client` without certificates or a thread.
    /// None of them repeats the URL or the key.
    pub fn build(self) -> Result<Webhook> {
        let what = "the URL of the webhook";
        let (malformed, secret) = (code::WEBHOOK_URL, code::WEBHOOK_SECRET_IN_URL);
        let address = Address::parse_as(what, &self.url, malformed, secret)?;
        let signer = Signer::new(&self.key)?;
        if self.attempt.is_zero() || !(1..=LONGEST_QUEUE).contains(&self.queue) {
            let message = "the attempt time-out and the queue of a webhook must not be zero, nor the \
                           queue longer than a million";
            return Err(Error::new(code::WEBHOOK_LIMITS, message)
                .with_effect(Effect::None)
                .with_next(NextAction::outside("leave them out for the defaults")));
        }
        let client = Client::new(Setup {
            https: address.is_https(),
            ca: None,
            like_curl: false,
            connections: Connections::Kept,
            code: code::WEBHOOK_CLIENT,
        })?;
        let origin = address.url().origin().ascii_serialization();
        let (queue, receiver) = mpsc::channel(self.queue);
        let (stop, stopped) = oneshot::channel();
        let count = Arc::new(Count::default());
        let (policy, attempt) = (self.policy, self.attempt);
        let post = Post { client, address, signer, policy, attempt };
        let done = AllDone(Arc::clone(&count));
        spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(delivery::run(post, receiver, stopped, Arc::clone(&done.0)));
            drop(done);
            // A name that is still being resolved is nobody's concern any more.
            runtime.shutdown_background();
            Ok(())
        })?;
        Ok(Webhook {
            origin,
            queue: Some(queue),
            stop: Some(stop),
            count,
            number: 0,
            queued: 0,
            stalled_at: None,
            end_limit: self.end_limit,
        })
    }
}

/// Says that the thread is done, also when it panics or cannot begin.
struct AllDone(Arc<Count>);

impl Drop for AllDone {
    fn drop(&mut self) {
        self.0.all_done();
    }
}

fn spawn(work: impl FnOnce() -> std::io::Result<()> + Send + 'static) -> Result<()> {
    let thread = thread::Builder::new().name("gatekit-webhook".into());
    let begun = thread.spawn(|| {
        if let Err(error) = work() {
            tracing::warn!(%error, "no runtime for a webhook");
        }
    });
    begun.map(drop).map_err(|source| {
        Error::new(code::WEBHOOK_CLIENT, "no thread for the webhook can be started")
            .with_effect(Effect::None)
            .with_source(source)
    })
}
