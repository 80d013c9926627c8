//! A target in memory, its deployer, its rollback and a gate, right in all, or wrong in one thing.

mod deployer;
mod gate;
mod rollback;
mod world;

pub(crate) use gate::{ToyGate, ToyGates, ToySource, Wrong as WrongGate};
pub(crate) use world::{Toy, Wrong};
