//! Tests of the SQLite ledger on real files, with real connections and processes.

#[cfg(unix)]
mod child;
#[cfg(unix)]
mod lease;
#[cfg(unix)]
mod queue;
#[cfg(unix)]
mod support;
