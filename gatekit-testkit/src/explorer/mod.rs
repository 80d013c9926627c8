//! The failure explorer: walks every single fault and every ordered pair of faults of a pipeline, and
//! checks on every path that gatekit reports no success that did not happen and loses track of no
//! target that it has touched.

mod calls;
mod control;
pub mod doubles;
mod explore;
mod harm;
mod journal;
mod ledger;
mod path;
mod process;
mod scene;
mod script;
mod sites;

pub use explore::{Exploration, Explorer, Replay, Settles};
pub use scene::{Act, Scene, Truth, World, Write};
pub use script::{Fault, Kind, NotAScript, Op, Script, Site};
