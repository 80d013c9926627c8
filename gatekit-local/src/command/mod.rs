//! Programs as stages: a gate that runs one, and a deployer made of several.

mod deploy;
mod gate;
mod mark;
mod output;
mod program;
mod protocol;
mod run;
mod tree;

pub use deploy::{CommandChange, CommandDeploy, CommandUndo};
pub use gate::Command;
pub use program::Program;
