//! A target in memory, its deployer, its rollback and a gate, right in all, or wrong in one thing.

mod deployer;
mod gate;
mod rollback;
mod world;

pub(crate) use gate::{ToyGates, Wrong as WrongGate};
pub(crate) use world::{Toy, Wrong};
