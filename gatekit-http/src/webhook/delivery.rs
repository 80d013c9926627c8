//! One delivery after the other, each tried until it is taken or given up.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::select;
use gatekit_core::{Event, RetryPolicy};
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::count::Count;
use super::signature::{SIGNATURE_HEADER, Signer};
use crate::address::Address;
use crate::client::Client;
use crate::trouble::Cause;

/// The version of what is posted.
const VERSION: u32 = 1;

/// Whoever asks for more time is not asked again: the events behind would have to wait as long.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// One event in the queue.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) number: u64,
    pub(super) event: Event,
}

/// What is posted.
#[derive(Debug, Serialize)]
struct Body<'a> {
    v: u32,
    number: u64,
    dropped: u64,
    event: Option<&'a Event>,
}

/// Where to, and how.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) client: Client,
    pub(super) address: Address,
    pub(super) signer: Signer,
    pub(super) policy: RetryPolicy,
    pub(super) attempt: Duration,
}

/// Delivers what is in the queue until that is closed and empty, or until `stop` is dropped.
pub(super) async fn run(
    post: Post,
    queue: mpsc::Receiver<Item>,
    stop: oneshot::Receiver<()>,
    count: Arc<Count>,
) {
    let all = std::pin::pin!(deliver_all(&post, queue, &count));
    select(all, stop).await;
}

async fn deliver_all(post: &Post, mut queue: mpsc::Receiver<Item>, count: &Count) {
    let (mut last, mut told) = (0, 0);
    while let Some(item) = queue.recv().await {
        let dropped = count.dropped();
        last = item.number;
        if post.deliver(item.number, dropped, Some(&item.event)).await {
            told = dropped;
        } else {
            count.drop_one();
        }
        count.one_done();
    }
    let dropped = count.dropped();
    if dropped > told {
        post.deliver(last.saturating_add(1), dropped, None).await;
    }
}

impl Post {
    /// Whether it was taken.
    async fn deliver(&self, number: u64, dropped: u64, event: Option<&Event>) -> bool {
        let body = Body { v: VERSION, number, dropped, event };
        let Ok(body) = serde_json::to_string(&body) else { return false };
        let begun = Instant::now();
        let mut pauses = self.policy.pauses();
        loop {
            let refusal = match timeout(self.attempt, self.attempt(&body)).await {
                Ok(Ok(())) => return true,
                Ok(Err(refusal)) => refusal,
                Err(_) => Refusal::Later(None),
            };
            let Refusal::Later(asked_for) = refusal else { return false };
            let asked_for = asked_for.unwrap_or_default();
            if asked_for > LONGEST_PAUSE {
                return false;
            }
            let Some(pause) = pauses.next() else { return false };
            let pause = pause.max(asked_for);
            let at = begun.elapsed().checked_add(pause);
            if !at.is_some_and(|at| self.policy.allows_at(at)) {
                return false;
            }
            sleep(pause).await;
        }
    }

    async fn attempt(&self, body: &str) -> Result<(), Refusal> {
        // Signed anew each time, so that a receiver may refuse what is old.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let request = self
            .client
            .0
            .post(self.address.url().clone())
            .header(CONTENT_TYPE, "application/json")
            .header(SIGNATURE_HEADER, self.signer.sign(now.as_secs(), body))
            .body(body.to_owned());
        // Whatever the network did, it may do better.
        let response = request.send().await.map_err(|_| Refusal::Later(None))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        match Cause::of_status(status.as_u16(), response.headers()) {
            Cause::Busy(asked_for) => Err(Refusal::Later(asked_for)),
            _ if status.is_server_error() => Err(Refusal::Later(None)),
            _ => Err(Refusal::Never),
        }
    }
}

/// Why a delivery was not taken.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    /// It may be taken later, at the earliest after that time.
    Later(Option<Duration>),
    /// The receiver does not want it.
    Never,
}
