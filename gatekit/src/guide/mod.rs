//! How it is used: what to write, and what to do when it is two in the morning.
//!
//! - [`first`]: a pipeline from nothing, in a plain program.
//! - [`gate`]: a gate of your own.
//! - [`deployer`]: a deployer and its rollback of your own.
//! - `aws` (with the features `aws` and `http`): a workflow of shell lines beside its release to ECS.
//! - [`postgres`]: a ledger that many machines reach, and who may do what there.
//! - [`night`]: suspect, stuck, parked: what to type, and the exit codes.
//! - [`codes`]: every code of a refusal or an error, and what to do next.

#[doc = include_str!("first.md")]
pub mod first {}

#[doc = include_str!("gate.md")]
pub mod gate {}

#[doc = include_str!("deployer.md")]
pub mod deployer {}

#[cfg(all(feature = "aws", feature = "http"))]
#[doc = include_str!("aws.md")]
pub mod aws {}

#[doc = include_str!("postgres.md")]
pub mod postgres {}

#[doc = include_str!("night.md")]
pub mod night {}

#[doc = include_str!("codes.md")]
pub mod codes {}
