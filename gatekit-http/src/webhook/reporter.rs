//! The reporter, which hands events over and never waits while a run holds its target.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gatekit_core::ledger::Body;
use gatekit_core::{Event, EventBody, Reporter};
use secrecy::SecretString;
use tokio::sync::{mpsc, oneshot};

use super::builder::WebhookBuilder;
use super::count::Count;
use super::delivery::Item;

/// Posts every event of an engine's runs to a URL, signed, and never holds up or fails a run.
///
/// Each event is one `POST` of JSON, in order and one at a time, by a thread of its own:
///
/// ```json
/// {"v": 1, "number": 7, "dropped": 0, "event": {"v": 1, "event": {"type": "step", "head": {}, "entry": {}}}}
/// ```
///
/// `number` counts the events of this reporter from 1. `dropped` says how many events before this
/// delivery were not delivered, because the queue was full or the receiver did not take them; when
/// the last delivery could not say so, another one follows whose `event` is `null`. A delivery whose
/// answer got lost is sent again under the same number.
///
/// A status of 2xx takes a delivery. It is tried again, by [`with_retry`](WebhookBuilder::with_retry),
/// when nobody answers, or with 408, 429 or 5xx; `Retry-After` is respected up to a minute. With
/// any other answer, or a longer wait asked for, it is given up: redirects are not followed.
///
/// # How a receiver knows whom it is from
/// The header `Gatekit-Signature` is `t=SECONDS,v1=HEX`: the time of sending in seconds since 1970,
/// and the HMAC-SHA256, by the shared key, of those seconds as they are written there, a `.`, and the
/// body as it was received. A receiver computes that itself, compares it in constant time, and
/// refuses what is older than it cares for.
///
/// # What a run waits for
/// Nothing while it goes on. When it has ended, and holds nothing any more, it waits until its events
/// are delivered, at most for [`with_end_limit`](WebhookBuilder::with_end_limit), and not again while
/// nothing gets through; and so does whoever drops the reporter, after which it gives up. When the queue is full, progress is dropped first and
/// the end of a run last.
///
/// ```no_run
/// use std::sync::Arc;
/// use gatekit_core::{Engine, ledger::MemoryLedger};
/// use gatekit_http::Webhook;
/// use secrecy::SecretString;
///
/// let key = SecretString::from(std::env::var("WEBHOOK_KEY").unwrap_or_default());
/// let webhook = Webhook::to("https://chat.example.com/hooks/releases", key).build()?;
/// let engine = Engine::new(Arc::new(MemoryLedger::new())).reporter(webhook);
/// # let _ = engine;
/// # Ok::<(), gatekit_core::Error>(())
/// ```
pub struct Webhook {
    /// Scheme, host and port: a path may be a secret, too.
    pub(super) origin: String,
    pub(super) queue: Option<mpsc::Sender<Item>>,
    pub(super) stop: Option<oneshot::Sender<()>>,
    pub(super) count: Arc<Count>,
    pub(super) number: u64,
    /// How many events went into the queue.
    pub(super) queued: u64,
    /// How many were done when the end of a run was waited for in vain.
    pub(super) stalled_at: Option<u64>,
    pub(super) end_limit: Duration,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Webhook {
    /// Begins a webhook to `url`, which signs with `key`.
    pub fn to(url: impl Into<String>, key: SecretString) -> WebhookBuilder {
        WebhookBuilder::new(url.into(), key)
    }

    /// Whether nothing was delivered since a run waited for it in vain: the next one need not.
    fn is_stalled(&self) -> bool {
        self.stalled_at.is_some_and(|done| self.count.wait(0, Duration::ZERO) == done)
    }

    /// Whether there was room for it in the queue.
    fn enqueue(&self, event: &Event) -> bool {
        let Some(queue) = &self.queue else { return false };
        let half = queue.max_capacity() / 2;
        // What must stay free for what matters more.
        let kept_free = match &event.event {
            EventBody::Progress { .. }
            | EventBody::GateAsked { .. }
            | EventBody::GateAnswered { .. } => half,
            body if ends_run(body) => 0,
            _ => half.min(1),
        };
        let item = Item { number: self.number, event: event.clone() };
        queue.capacity() > kept_free && queue.try_send(item).is_ok()
    }
}

/// Whether the run does not go on in this process, and holds nothing.
fn ends_run(event: &EventBody) -> bool {
    let EventBody::Step { entry, .. } = event else { return false };
    entry.body.ends_run() || matches!(entry.body, Body::Stuck { .. })
}

impl Reporter for Webhook {
    fn event(&mut self, event: &Event) {
        self.number = self.number.saturating_add(1);
        if self.enqueue(event) {
            self.queued = self.queued.saturating_add(1);
        } else {
            self.count.drop_one();
        }
        if ends_run(&event.event) {
            // The run has written its last entry: only its flush of the reporters waits for this.
            let limit = if self.is_stalled() { Duration::ZERO } else { self.end_limit };
            let done = self.count.wait(self.queued, limit);
            self.stalled_at = (done < self.queued).then_some(done);
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        drop(self.queue.take());
        let in_time = self.count.wait(u64::MAX, self.end_limit) == u64::MAX;
        drop(self.stop.take());
        let dropped = self.count.dropped();
        if dropped > 0 || !in_time {
            tracing::warn!(webhook = %self.origin, dropped, in_time, "events were not delivered");
        }
    }
}
