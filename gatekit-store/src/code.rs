//! The codes of this crate's refusals and errors, beyond those of [`gatekit_core::code`].

gatekit_core::codes! {
    /// The file is no ledger any more: not a database, cut short, or altered.
    LEDGER_CORRUPT = "ledger.corrupt",
        next: "restore the file from a copy; never delete it while a target may be suspect";
    /// The file is a database of another application.
    LEDGER_FOREIGN = "ledger.foreign",
        next: "give the path of a ledger, or of a file that is not there yet";
    /// The ledger was written by a newer build: it may be read, never written.
    LEDGER_NEWER = "ledger.newer",
        next: "use the newer build";
    /// The history of the ledger goes on in another one: this one may be read, never written.
    LEDGER_MOVED = "ledger.moved",
        next: "name the ledger that it was moved to by `--ledger` or `GATEKIT_LEDGER`";
    /// The ledger is to be moved, and a run holds one of its targets, or waits for one.
    LEDGER_IN_USE = "ledger.in_use",
        next: "wait until the run has ended, or interrupt it and `resume` it to its end";
    /// The ledger that another one is to be moved to knows one of the targets already, by another
    /// history.
    LEDGER_CONFLICT = "ledger.conflict",
        next: "name a ledger in which nothing was ever shipped to these targets";
    /// The target's history is on its way here from another ledger, and has not arrived.
    LEDGER_ARRIVING = "ledger.arriving",
        next: "have the `ledger copy` that was cut off made again, to its end";
    /// The ledger may not be written.
    LEDGER_READ_ONLY = "ledger.read_only",
        next: "give the user who ships the right to write the file and its directory; of a server, name the \
               one that is no standby";
    /// The disk is full.
    LEDGER_FULL = "ledger.full",
        next: "free space, then `resume`";
    /// Other processes kept the ledger busy for too long.
    LEDGER_BUSY = "ledger.busy",
        next: "try again; if it stays so, find the process that holds the file";
    /// The ledger cannot be reached, read or written for another reason.
    LEDGER_IO = "ledger.io",
        next: "see the cause: path, permissions, disk";
    /// The ledger is on a network file system, where its lock would not hold.
    LEDGER_NETWORK_FS = "ledger.network_fs",
        next: "put the ledger on a local disk";
    /// The ledger would be lost with the machine that runs this job.
    LEDGER_EPHEMERAL = "ledger.ephemeral",
        next: "put the ledger where it outlives the job";
    /// The URL of the ledger cannot be used.
    LEDGER_URL = "ledger.url",
        next: "give it as `postgres://USER@HOST:PORT/DATABASE`, with the password beside it";
    /// No protected connection to the server can be made.
    LEDGER_TLS = "ledger.tls",
        next: "see the cause: name the authority by `?sslrootcert=FILE`, or the host as its certificate does";
    /// The server does not let this user in.
    LEDGER_LOGIN = "ledger.login",
        next: "check user and password";
    /// The user of the database may not do that.
    LEDGER_DENIED = "ledger.denied",
        next: "have the role granted that it needs: reader, approver, runner or, to copy a ledger, owner";
    /// The server cannot be reached, or went away.
    LEDGER_UNREACHABLE = "ledger.unreachable",
        next: "check that the server runs and can be reached, then `resume`";
    /// There is no ledger, and none was to be created.
    LEDGER_MISSING = "ledger.missing",
        next: "name the path, or the database, of the ledger: `ship` creates the ledger there, but no database";
}

#[cfg(test)]
mod tests {
    use gatekit_core::Code;
    use gatekit_core::code::ListedCode;

    use super::*;

    #[test]
    fn codes_are_of_the_area_ledger_and_do_not_clash_with_those_of_the_core() {
        let of_core =
            |code: &Code| gatekit_core::code::ALL.iter().any(|listed| listed.code == *code);
        for (i, ListedCode { code, .. }) in ALL.iter().enumerate() {
            assert_eq!(code.area(), "ledger");
            let twice = ALL[..i].iter().any(|listed| listed.code == *code);
            assert!(!twice && !of_core(code), "{code}");
        }
    }
}
