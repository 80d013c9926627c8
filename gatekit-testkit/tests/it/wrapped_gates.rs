//! What can be said of any gate keeps a gate that conforms conforming.

use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::{All, Digest, GateExt as _, Retried, RetryPolicy, Timeout, When};
use gatekit_testkit::conformance::gate::{self, Capability, GateSubject, GateWorld, Scene};

use crate::toy::{ToyGate, ToyGates, ToySource, WrongGate};

const SOON: Duration = Duration::from_millis(500);

/// Two gates as one, asked twice, for a while, under a condition.
#[derive(Debug)]
struct Wrapped;

#[derive(Debug)]
struct WrappedSource(ToySource);

#[async_trait]
impl GateSubject for Wrapped {
    type World = WrappedSource;

    fn capability(&self) -> Capability {
        ToyGates(WrongGate::Nothing).capability()
    }

    async fn world(&self) -> WrappedSource {
        WrappedSource(ToyGates(WrongGate::Nothing).world().await)
    }
}

#[async_trait]
impl GateWorld for WrappedSource {
    type Gate = When<Timeout<Retried<All<ToyGate, ToyGate>>>>;

    fn gate(&self) -> Self::Gate {
        let both = self.0.gate().all(self.0.gate());
        let twice = both.retry(RetryPolicy::curl(1, Duration::from_millis(5)));
        twice.timeout(SOON).when("always", |_| true)
    }

    async fn show(&self, scene: Scene) {
        self.0.show(scene).await;
    }

    async fn trace(&self) -> Digest {
        self.0.trace().await
    }

    fn secrets(&self) -> Vec<String> {
        self.0.secrets()
    }
}

#[tokio::test]
async fn a_gate_with_all_that_can_be_said_of_it_conforms() {
    gate::all(&Wrapped).await;
}
