//! How often what may pass is asked for again, and what is asked for once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use gatekit_core::testing::{Call, Fate, Interceptor, intercepted};
use gatekit_core::{Effect, Outcome, StageId};
use serde_json::Value;

use crate::world::*;

/// Lets every call of one kind fail, and counts them.
#[derive(Debug)]
struct Fails {
    call: Call,
    temporary: bool,
    times: usize,
    asked: AtomicUsize,
}

impl Fails {
    fn permanently(call: Call) -> Self {
        Self { call, temporary: false, times: usize::MAX, asked: AtomicUsize::new(0) }
    }

    fn for_a_while(call: Call, times: usize) -> Self {
        Self { call, temporary: true, times, asked: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl Interceptor for Fails {
    async fn before(&self, _: &StageId, call: Call, _: Option<&Value>, _: Option<&Value>) -> Fate {
        if call != self.call || self.asked.fetch_add(1, Ordering::SeqCst) >= self.times {
            return Fate::Happens;
        }
        let error = boom(Effect::None);
        Fate::Fails(if self.temporary { error.retry_later() } else { error })
    }

    async fn after(&self, _: &StageId, _: Call) {}
}

async fn shipped(fails: Fails) -> (Outcome, usize) {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let fails = Arc::new(fails);
    let interceptor: Arc<dyn Interceptor> = Arc::<Fails>::clone(&fails);
    let pipeline = intercepted(&plain(&world), &interceptor);
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    (report.outcome, fails.asked.load(Ordering::SeqCst))
}

/// `locate` tells that it is live all the same.
#[tokio::test]
async fn a_poll_that_fails_for_good_is_not_made_again() {
    assert_eq!(shipped(Fails::permanently(Call::Observe)).await, (Outcome::Released, 1));
}

#[tokio::test]
async fn a_poll_that_fails_for_a_while_is_made_again() {
    assert_eq!(shipped(Fails::for_a_while(Call::Observe, 1)).await, (Outcome::Released, 2));
}
