//! The failure explorer: walks every single fault and every ordered pair of faults of a pipeline, and
//! checks on every path that gatekit reports no success that did not happen and loses track of no
//! target that it has touched.
//!
//! A [`Scene`] builds a fresh [`World`] for each path: a pipeline, of doubles or of real deployers, a
//! ledger whose clock can be moved, and what is really live there. The pipeline needs nothing for
//! it. A run without faults tells the *sites*: every append, every other call of the ledger, every
//! call of a stage. Then each [`Kind`] of fault is tried at each site, and after each single fault
//! each second one in what is left: the rest of the run, its unwinding, the resume or the decision
//! that follows. Each process of a path has a runtime of its own, which ends as a process does.
//!
//! On every path:
//! - what a process reports is true: released, unchanged and rolled back are what is live, nothing
//!   was written where it says so, and it is what the journal says; who is done holds nothing;
//! - no end is worse than its faults: a process that dies, a lease that lapses or a call that is made
//!   twice changes nothing of how the run ends;
//! - every write has its permit in the journal under the newest fence, about the change that was
//!   journalled before; none is made by a stage that reads, without the lock, over somebody else's
//!   release, or where there is no way back;
//! - what was begun is settled, undone, or keeps the target from everybody else, and the run that is
//!   to be resumed is named; a decision that is offered holds;
//! - nothing is begun before its gates have passed, what was rejected at a pause is no release, and
//!   what was begun last is undone first;
//! - a process that was stopped between its permit and its write changes nothing when it goes on, and
//!   claims nothing;
//! - the chain verifies, the target ends free, and another candidate can be shipped.
//!
//! ```
//! use gatekit_testkit::explorer::doubles::{in_memory, named};
//! use gatekit_testkit::explorer::{Explorer, Script};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let scene = named("one deploy", &in_memory()).ok_or("no such scene")?;
//! let explorer = Explorer::new(&scene);
//! let exploration = explorer.singles_only().explore();
//! println!("{exploration}"); // the sites, the formula, the paths, and the scripts that failed
//! exploration.assert_sound();
//!
//! // A path that failed, alone:
//! let script: Script = "fail(apply web, 1st call) then stop-after(append 5 unwinding)".parse()?;
//! let replay = Explorer::new(&scene).replay(&script);
//! assert!(replay.wrong.is_empty(), "{replay}");
//! # Ok(())
//! # }
//! ```

mod calls;
mod claims;
mod control;
pub mod doubles;
mod explore;
mod harm;
mod journal;
mod ledger;
mod path;
mod process;
mod report;
mod scene;
mod script;
mod sites;

pub use explore::{Exploration, Explorer, Replay, Settles};
pub use scene::{Act, Scene, Truth, World, Write};
pub use script::{Fault, Kind, NotAScript, Op, Script, Site};
