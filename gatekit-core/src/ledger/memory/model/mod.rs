//! The state machine of a target, model-checked: every interleaving of a few processes, with leases
//! and heartbeats that lapse, processes that die, answers that are lost and calls that come late.
//!
//! The actions call [`Target`](super::target::Target) itself. Its states are made finite by
//! [`canonical`], which keeps what the machine can tell apart.

mod canonical;
mod check;
mod ghost;
mod processes;
mod step;
