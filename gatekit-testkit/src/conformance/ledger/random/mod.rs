//! Random interleavings of many runs, compared with the reference ledger call by call.

mod cast;
mod op;
mod oracle;
mod run;
mod side;

pub use run::random_interleavings;
