//! Doubles: a place that deployers change, gates that say what they are told, and scenes made of
//! them. They stand in for vendors' APIs and keep the contracts; what is explored with them is the
//! engine.

mod deployer;
mod gate;
mod place;
mod scene;
mod scenes;

pub use deployer::{Fake, FakeBack, FakeChange, FakeReceipt, NEEDS};
pub use gate::{FakeGate, Says};
pub use place::Place;
pub use scene::{DoubleScene, Ledgers, PathLedger, in_memory};
pub use scenes::{all, named};
