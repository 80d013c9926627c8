//! The codes of this crate's refusals and errors.

use gatekit_core::Code;

macro_rules! codes {
    ($($(#[$doc:meta])+ $name:ident = $text:literal;)+) => {
        $($(#[$doc])+ pub const $name: Code = Code::new($text);)+
        /// Every code of this crate.
        pub const ALL: &[Code] = &[$($name),+];
    };
}

codes! {
    /// The start command or a path cannot be used.
    CONFIG = "release_dir.config";
    /// The directory to ship is not there, or is none.
    SOURCE_MISSING = "release_dir.source_missing";
    /// The directory to ship has no file in it.
    SOURCE_EMPTY = "release_dir.source_empty";
    /// Something in the directory to ship cannot be read.
    SOURCE_UNREADABLE = "release_dir.source_unreadable";
    /// The directory to ship is not what the candidate or the plan says.
    SOURCE_CHANGED = "release_dir.source_changed";
    /// A symbolic link leads out of the directory to ship.
    SYMLINK = "release_dir.symlink";
    /// A fifo, socket or device is in the directory to ship.
    SPECIAL_FILE = "release_dir.special_file";
    /// The root lies inside the directory to ship.
    NESTED = "release_dir.nested";
    /// The disk is full, or the quota used up.
    DISK_FULL = "release_dir.disk_full";
    /// Something under the root cannot be read or written.
    IO = "release_dir.io";
    /// A file or link under the root is not what this crate writes.
    CORRUPT = "release_dir.corrupt";
    /// A file under the root was written by a newer build.
    NEWER = "release_dir.newer";
    /// The files of a release were changed after it was shipped.
    ALTERED = "release_dir.altered";
    /// A release is not, or no longer, under the root.
    NO_RELEASE = "release_dir.no_release";
    /// The deployer was made for reading only: it has nothing to ship.
    NOTHING_TO_SHIP = "release_dir.nothing_to_ship";
    /// Another ledger, or another target, has released under the root.
    OTHER_LEDGER = "release_dir.other_ledger";
    /// Another process is writing under the root.
    BUSY = "release_dir.busy";
    /// Somebody else's release is live.
    ELSEWHERE = "release_dir.elsewhere";
    /// It cannot be told what is live.
    CANNOT_TELL = "release_dir.cannot_tell";
    /// The platform cannot prove which process is whose.
    PLATFORM = "release_dir.platform";
    /// The service could not be started.
    NOT_STARTED = "service.not_started";
    /// The service is still there after it was killed.
    WONT_STOP = "service.wont_stop";
    /// This very process belongs to the service that would have to be stopped.
    INSIDE = "service.inside";
    /// A program ended with another exit code than 0.
    COMMAND_EXIT = "command.exit";
    /// A program was ended by a signal.
    COMMAND_SIGNAL = "command.signal";
    /// A program did not end in time.
    COMMAND_TIMEOUT = "command.timeout";
    /// A program says itself that it failed.
    COMMAND_FAILED = "command.failed";
    /// A program did not answer as the protocol asks.
    COMMAND_PROTOCOL = "command.protocol";
    /// Somebody else's release is live.
    COMMAND_ELSEWHERE = "command.elsewhere";
    /// What a program did cannot be undone.
    COMMAND_ONE_WAY = "command.one_way";
    /// A program cannot be started.
    COMMAND_NOT_STARTED = "command.not_started";
}
