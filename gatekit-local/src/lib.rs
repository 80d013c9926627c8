//! What one machine alone can do: programs as gates and deployers, and release directories.
//!
//! A [`Command`] is a gate that runs a program; a [`CommandDeploy`] makes any script that speaks a
//! small JSON protocol a deployer.
//!
//! # Release directories
//! A directory is copied under its content's address, a link is switched, and the service that runs
//! in it is restarted. [`ReleaseDir`] is the deployer and [`PreviousRelease`] its rollback.
//! Everything is under one root directory:
//!
//! ```text
//! ROOT/releases/<id>/       the content of one release, never changed after it is there
//! ROOT/releases/<id>.json   what it is: tree digest, start command, version label, manifest
//! ROOT/current              -> releases/<id>, switched by one rename
//! ROOT/previous             -> releases/<id>
//! ROOT/service.json         the start that was made last, and the identity of its process
//! ROOT/fence.lock           locked during every write
//! ROOT/fence.json           the newest fence that wrote, and its run
//! ROOT/logs/<id>.log        what the service printed
//! ROOT/staging/<run>/       copies in the making
//! ```
//!
//! Linux has the full proof of which process is whose. Other Unix systems can copy, switch and
//! read, and refuse to manage a service with [`code::PLATFORM`].

#[cfg(not(unix))]
compile_error!("gatekit-local needs symbolic links and POSIX sessions: it builds on Unix only");

pub mod code;

mod command;
mod deployer;
mod durable;
mod error;
mod fence;
mod layout;
mod platform;
mod probe;
mod release;
mod release_dir;
mod rollback;
mod service;
mod stage;
mod standing;
mod tree;

pub use command::{Command, CommandChange, CommandDeploy, CommandUndo, Program};
pub use probe::{Answer, ServiceProbe};
pub use release::{Kept, ReleaseId};
pub use release_dir::ReleaseDir;
pub use rollback::PreviousRelease;
pub use standing::{ReleaseChange, ReleaseReceipt, State};
