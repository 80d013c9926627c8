//! Secrets of the functions: a gate that they are set. gatekit sets none.

mod present;

pub use present::Present;
