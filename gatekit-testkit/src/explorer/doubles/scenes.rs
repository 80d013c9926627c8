//! The scenes that gatekit's own engine is explored with.

use gatekit_core::{OnInterrupt, Outcome, Pipeline, Result, advisory, enforced};

use super::deployer::Fake;
use super::gate::{FakeGate, Says};
use super::place::Place;
use super::scene::{DoubleScene, Ledgers, id};

const TARGET: &str = "test/app";

fn web(place: &Place) -> Fake {
    Fake::new(id("web"), place)
}

fn gate(name: &str, place: &Place) -> FakeGate {
    FakeGate::new(id(name), place)
}

fn one_deploy(place: &Place) -> Result<Pipeline> {
    let web = web(place);
    Pipeline::to(TARGET)
        .on_interrupt(OnInterrupt::Unwind)
        .deploy(web.clone())
        .rollback_with(web.back())
        .build()
}

/// Every scene, each with ledgers of that make.
#[must_use]
pub fn all(ledgers: &Ledgers) -> Vec<DoubleScene> {
    vec![DoubleScene::new("one deploy", ledgers, &[("web", 1)], one_deploy)]
}

/// The scene of that name.
#[must_use]
pub fn named(name: &str, ledgers: &Ledgers) -> Option<DoubleScene> {
    use crate::explorer::Scene as _;
    all(ledgers).into_iter().find(|scene| scene.name() == name)
}
