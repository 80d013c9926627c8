//! The codes of this crate's refusals and errors.

gatekit_core::codes! {
    /// The start command or a path cannot be used.
    CONFIG = "release_dir.config",
        next: "mend the start command or the path, as the message says";
    /// The directory to ship is not there, or is none.
    SOURCE_MISSING = "release_dir.source_missing",
        next: "build first, or give the directory that was built";
    /// The directory to ship has no file in it.
    SOURCE_EMPTY = "release_dir.source_empty",
        next: "see whether the build wrote anything";
    /// Something in the directory to ship cannot be read.
    SOURCE_UNREADABLE = "release_dir.source_unreadable",
        next: "give the user who ships the right to read it";
    /// The directory to ship is not what the candidate or the plan says.
    SOURCE_CHANGED = "release_dir.source_changed",
        next: "build again, then ship: nothing may write there meanwhile";
    /// A symbolic link leads out of the directory to ship.
    SYMLINK = "release_dir.symlink",
        next: "copy what it points to into the directory";
    /// A fifo, socket or device is in the directory to ship.
    SPECIAL_FILE = "release_dir.special_file",
        next: "remove it from the directory";
    /// The root lies inside the directory to ship.
    NESTED = "release_dir.nested",
        next: "put the root elsewhere";
    /// The disk is full, or the quota used up.
    DISK_FULL = "release_dir.disk_full",
        next: "free space, then `resume`";
    /// Something under the root cannot be read or written.
    IO = "release_dir.io",
        next: "see the cause: path, permissions, disk";
    /// A file or link under the root is not what this crate writes.
    CORRUPT = "release_dir.corrupt",
        next: "find out who wrote there; then `reconcile`";
    /// A file under the root was written by a newer build.
    NEWER = "release_dir.newer",
        next: "use the newer build";
    /// The files of a release were changed after it was shipped.
    ALTERED = "release_dir.altered",
        next: "ship the release anew; nobody may write under the root";
    /// A release is not, or no longer, under the root.
    NO_RELEASE = "release_dir.no_release",
        next: "ship it anew";
    /// The deployer was made for reading only: it has nothing to ship.
    NOTHING_TO_SHIP = "release_dir.nothing_to_ship",
        next: "make the deployer with the directory to ship";
    /// Another ledger, or another target, has released under the root.
    OTHER_LEDGER = "release_dir.other_ledger",
        next: "use the ledger and target that released there, or another root";
    /// Another process is writing under the root.
    BUSY = "release_dir.busy",
        next: "try again when the other process has ended";
    /// Somebody else's release is live.
    ELSEWHERE = "release_dir.elsewhere",
        next: "find out who released it; then ship what is to be live";
    /// It cannot be told what is live.
    CANNOT_TELL = "release_dir.cannot_tell",
        next: "see the cause; then `resume` or `reconcile`";
    /// The platform cannot prove which process is whose.
    PLATFORM = "release_dir.platform",
        next: "ship on Linux, or without a service";
    /// The service could not be started.
    NOT_STARTED = "service.not_started",
        next: "read the tail of the service's log in the message";
    /// The service is still there after it was killed.
    WONT_STOP = "service.wont_stop",
        next: "find out what it waits for in the kernel; then `resume`";
    /// This very process belongs to the service that would have to be stopped.
    INSIDE = "service.inside",
        next: "ship from outside of the service";
    /// A program ended with another exit code than 0.
    COMMAND_EXIT = "command.exit",
        next: "read the tail of its output in the message";
    /// A program was ended by a signal.
    COMMAND_SIGNAL = "command.signal",
        next: "read the tail of its output; find out who sent the signal";
    /// A program did not end in time.
    COMMAND_TIMEOUT = "command.timeout",
        next: "find out what it waited for, or give it longer";
    /// A program says itself that it failed.
    COMMAND_FAILED = "command.failed",
        next: "read what the program says";
    /// A program did not answer as the protocol asks.
    COMMAND_PROTOCOL = "command.protocol",
        next: "mend the program: the protocol is described at `CommandDeploy`";
    /// Somebody else's release is live.
    COMMAND_ELSEWHERE = "command.elsewhere",
        next: "find out who released it; then ship what is to be live";
    /// What a program did cannot be undone.
    COMMAND_ONE_WAY = "command.one_way",
        next: "mend it by a new release";
    /// A program cannot be started.
    COMMAND_NOT_STARTED = "command.not_started",
        next: "see whether the program is there and may be run";
    /// Something that a program has started may still write.
    COMMAND_STAYS = "command.stays",
        next: "see the cause: end that process yourself, then `resume`";
}
