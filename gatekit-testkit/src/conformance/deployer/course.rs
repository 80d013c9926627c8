//! The course of a run: polled until it ends, applied and arrived, undone and returned.

use std::time::Duration;

use gatekit_core::{Deployer as _, Go, Location, Pause, Result, Rollback as _, Rollout};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::bench::{Run, decode, told};
use super::subject::{DeployerWorld, Release, Truth};
use crate::conformance::contract::{self, Sentence, broken, holds};

/// The shortest and the longest pause between two polls, whatever a deployer asks for.
const POLL: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

impl<W: DeployerWorld> Run<'_, W> {
    pub(crate) async fn poll(&self, way: Way, receipt: Option<&Value>) -> Result<Rollout> {
        let (change, decoded) = (self.change(), Self::receipt(receipt));
        match (way, &decoded) {
            (Way::Forward, Some(receipt)) => {
                let call = self.deployer.observe(&self.cx, &change, receipt);
                self.patiently("observe", contract::OBSERVE, call).await
            }
            (Way::Forward, None) => Ok(Rollout::NothingRan),
            (Way::Back, receipt) => {
                let call = self.rollback.observe_back(&self.cx, &change, receipt.as_ref());
                self.patiently("observe_back", contract::OBSERVE_BACK, call).await
            }
        }
    }

    /// Polls until the rollout ends or pauses.
    pub(crate) async fn poll_on(&self, way: Way, receipt: Option<&Value>) -> Rollout {
        let patience = self.bench.capability.patience;
        let end = Instant::now() + patience;
        loop {
            let again = match self.poll(way, receipt).await {
                Ok(Rollout::InProgress { poll_after }) => poll_after.clamp(POLL.0, POLL.1),
                Ok(end) => return end,
                Err(error) if error.is_temporary() => POLL.1,
                Err(error) => broken(
                    way.sentence(),
                    format_args!("an error that is not temporary: {}", told(&error)),
                ),
            };
            holds!(
                Instant::now() < end,
                OBSERVE_ENDS,
                "still under way after {patience:?} ({way:?})"
            );
            sleep(again).await;
        }
    }

    /// Polls until the rollout ends, answering every pause.
    pub(crate) async fn observe(&self, receipt: &Value) -> Rollout {
        let end = Instant::now() + self.bench.capability.patience;
        loop {
            match self.poll_on(Way::Forward, Some(receipt)).await {
                Rollout::Paused(pause) if self.bench.capability.pauses => {
                    self.answer(receipt, &pause, Go::Continue).await;
                    holds!(Instant::now() < end, PROCEED, "still paused at `{}`", pause.hook);
                }
                end => return end,
            }
        }
    }

    pub(crate) async fn answer(&self, receipt: &Value, pause: &Pause, go: Go) {
        let receipt = decode(contract::RECEIPT, "the receipt", receipt);
        let (cx, change) = (self.hold().await, self.change());
        let call = self.deployer.proceed(&cx, &change, &receipt, pause, go);
        let answered = self.patiently("proceed", contract::PROCEED, call).await;
        self.free(&cx).await;
        if let Err(error) = answered {
            let pause = &pause.hook;
            broken(contract::PROCEED, format_args!("{go:?} at `{pause}`: {}", told(&error)));
        }
    }

    /// Applies, observes and locates, as a run does that is released.
    pub(crate) async fn ship(&self) -> Value {
        let receipt = self.apply().await;
        self.arrived(&receipt).await;
        receipt
    }

    /// Sees that what was applied comes to life.
    pub(crate) async fn arrived(&self, receipt: &Value) {
        let rollout = self.observe(receipt).await;
        holds!(
            rollout == Rollout::Settled,
            SETTLED,
            "the rollout of {:?} ended as {rollout:?}",
            self.release
        );
        let location = self.locate(Some(receipt)).await;
        holds!(
            location == Location::After,
            AFTER,
            "after {:?} was applied: {location}",
            self.release
        );
        let truth = self.bench.world.truth().await;
        let wish = self.release.truth();
        holds!(Some(&truth) == wish.as_ref(), LOCATE, "`After`, and {truth:?} is live");
    }

    /// Undoes, observes and locates, as a run does that is rolled back.
    pub(crate) async fn undo(&self, receipt: Option<&Value>) {
        if let Err(error) = self.try_roll_back(receipt).await {
            broken(contract::ROLL_BACK, format_args!("it cannot be undone: {}", told(&error)));
        }
        self.returned(receipt).await;
    }

    /// Sees that what was undone is as it was.
    pub(crate) async fn returned(&self, receipt: Option<&Value>) {
        let rollout = self.poll_on(Way::Back, receipt).await;
        holds!(rollout == Rollout::Settled, ROLL_BACK, "the undoing ended as {rollout:?}");
        for receipt in [receipt, None] {
            let location = self.locate(receipt).await;
            holds!(location == Location::Before, ROLL_BACK, "after it was undone: {location}");
        }
        let (truth, start) = (self.bench.world.truth().await, &self.bench.start);
        holds!(truth == *start, ROLL_BACK, "{start:?} was live before, and now {truth:?}");
    }

    /// Sees that where it says the target stands is true.
    pub(crate) async fn located_truly(&self, receipt: Option<&Value>, when: &str) {
        let location = self.locate(receipt).await;
        let truth = self.bench.world.truth().await;
        let found = || format!("{location}, and {truth:?} is live ({when})");
        match location {
            Location::After => {
                holds!(Some(&truth) == self.release.truth().as_ref(), LOCATE, "{}", found());
            }
            Location::Before => holds!(truth == self.bench.start, LOCATE, "{}", found()),
            Location::Elsewhere(_) => holds!(truth == Truth::Others, ELSEWHERE, "{}", found()),
            _ => {}
        }
    }
}

impl Release {
    /// What is live once it is; `None` for what never is.
    fn truth(self) -> Option<Truth> {
        match self {
            Self::Old => Some(Truth::Old),
            Self::New => Some(Truth::New),
            Self::Failing => None,
        }
    }
}

/// Which way is polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Forward,
    Back,
}

impl Way {
    fn sentence(self) -> Sentence {
        match self {
            Self::Forward => contract::OBSERVE,
            Self::Back => contract::OBSERVE_BACK,
        }
    }
}
