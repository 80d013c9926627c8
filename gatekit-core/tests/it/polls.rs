//! What the engine makes of single calls: polls that fail, and what changes between two looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use gatekit_core::ledger::LockState;
use gatekit_core::testing::{Call, Fate, Interceptor, intercepted};
use gatekit_core::{Effect, Outcome, StageId, code};
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

/// Somebody else releases just before a certain look.
#[derive(Debug)]
struct Intrudes {
    world: World,
    at: usize,
    looks: AtomicUsize,
}

#[async_trait]
impl Interceptor for Intrudes {
    async fn before(&self, _: &StageId, call: Call, _: Option<&Value>, _: Option<&Value>) -> Fate {
        if call == Call::Locate && self.looks.fetch_add(1, Ordering::SeqCst) == self.at {
            self.world.lock().live = "theirs".to_owned();
        }
        Fate::Happens
    }

    async fn after(&self, _: &StageId, _: Call) {}
}

#[tokio::test]
async fn a_rollback_that_finds_another_release_before_its_first_write_is_refused() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    for version in ["v2", "v3"] {
        let report = bench.engine().ship(&plain(&world), candidate(version)).await;
        assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    }
    let writes = world.writes();
    let looks = AtomicUsize::new(0);
    let intrudes: Arc<dyn Interceptor> = Arc::new(Intrudes { world: world.clone(), at: 1, looks });
    let pipeline = intercepted(&plain(&world), &intrudes);
    let report = bench.engine().roll_back(&pipeline, None, "it is slow").await;
    assert_eq!(report.outcome, Outcome::Refused, "{report:?}");
    let failure = report.failure.unwrap();
    assert_eq!((&failure.code, &*failure.next), (&code::ROLLBACK_ELSEWHERE, &[][..]));
    assert_eq!((world.live().as_str(), world.writes()), ("theirs", writes));
    assert_eq!(bench.state().await.state, LockState::Free);
}
