//! Programs as stages: a gate that runs one, and a deployer made of several.

mod deploy;
mod gate;
mod output;
mod program;
mod run;

pub use deploy::{CommandChange, CommandDeploy, CommandUndo};
pub use gate::Command;
pub use program::Program;
