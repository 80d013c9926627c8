//! The codes of this crate's refusals and errors, beyond those of [`gatekit_core::code`].

use gatekit_core::Code;

macro_rules! codes {
    ($($(#[$doc:meta])+ $name:ident = $text:literal;)+) => {
        $($(#[$doc])+ pub const $name: Code = Code::new($text);)+
        /// Every code of this crate.
        pub const ALL: &[Code] = &[$($name),+];
    };
}

codes! {
    /// The file is no ledger any more: not a database, cut short, or altered.
    LEDGER_CORRUPT = "ledger.corrupt";
    /// The file is a database of another application.
    LEDGER_FOREIGN = "ledger.foreign";
    /// The ledger was written by a newer build: it may be read, never written.
    LEDGER_NEWER = "ledger.newer";
    /// The ledger may not be written.
    LEDGER_READ_ONLY = "ledger.read_only";
    /// The disk is full.
    LEDGER_FULL = "ledger.full";
    /// Other processes kept the ledger busy for too long.
    LEDGER_BUSY = "ledger.busy";
    /// The ledger cannot be reached, read or written for another reason.
    LEDGER_IO = "ledger.io";
    /// The ledger is on a network file system, where its lock would not hold.
    LEDGER_NETWORK_FS = "ledger.network_fs";
    /// The ledger would be lost with the machine that runs this job.
    LEDGER_EPHEMERAL = "ledger.ephemeral";
    /// There is no ledger, and none was to be created.
    LEDGER_MISSING = "ledger.missing";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_of_the_area_ledger_and_do_not_clash_with_those_of_the_core() {
        for (i, code) in ALL.iter().enumerate() {
            assert_eq!(code.area(), "ledger");
            assert!(!ALL[..i].contains(code) && !gatekit_core::code::ALL.contains(code), "{code}");
        }
    }
}
