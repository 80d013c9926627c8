//! The codes of errors that a command line comes to before any run.

gatekit_core::codes! {
    /// The command line cannot be understood.
    USAGE_COMMAND_LINE = "usage.command_line",
        next: "`--help`";
    /// The ledger's URL is of a kind that this build does not know.
    USAGE_LEDGER = "usage.ledger",
        next: "give it as `sqlite:PATH` or `postgres://USER@HOST:PORT/DATABASE`";
    /// Nothing was ever shipped from this ledger.
    USAGE_NEVER_SHIPPED = "usage.never_shipped",
        next: "give the ledger that the runs were journalled in, or `ship`";
    /// The run that was named is not in the journal, or there is none.
    USAGE_NO_RUN = "usage.no_run",
        next: "copy the run from `status` or `log`";
    /// A secret that is never journalled was not given.
    USAGE_SECRET = "usage.secret",
        next: "give it by its flag or environment variable";
    /// No run was named whose candidate may pass, and the newest has ended.
    WAIVER_WHICH = "waiver.which",
        next: "name the run that was blocked";
    /// The journalled arguments of a run cannot be read by this build.
    CONFIG_ARGUMENTS = "config.arguments",
        next: "give the run's own arguments, or resume with the build that began it";
    /// The process could not be set up: no runtime, or no signals.
    RUNTIME_START = "runtime.start",
        next: "see the cause: limits of threads or open files";
    /// Nothing was ever shipped to the target from this ledger.
    STATUS_NEVER_SHIPPED = "status.never_shipped",
        next: "`ship`, or give the ledger that the runs were journalled in";
    /// What was to be printed cannot be written, to a full disk perhaps.
    OUTPUT_WRITE = "output.write",
        next: "free space where standard output goes; `status` and `log` tell the same again";
}
