//! The codes of errors that a command line comes to before any run.

use gatekit_core::Code;

/// The command line cannot be understood.
pub const USAGE_COMMAND_LINE: Code = Code::new("usage.command_line");
/// The ledger's URL is of a kind that this build does not know.
pub const USAGE_LEDGER: Code = Code::new("usage.ledger");
/// Nothing was ever shipped from this ledger.
pub const USAGE_NEVER_SHIPPED: Code = Code::new("usage.never_shipped");
/// The run that was named is not in the journal, or there is none.
pub const USAGE_NO_RUN: Code = Code::new("usage.no_run");
/// A secret that is never journalled was not given.
pub const USAGE_SECRET: Code = Code::new("usage.secret");
/// The journalled arguments of a run cannot be read by this build.
pub const CONFIG_ARGUMENTS: Code = Code::new("config.arguments");
/// The process could not be set up: no runtime, or no signals.
pub const RUNTIME_START: Code = Code::new("runtime.start");
