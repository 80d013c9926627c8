//! The codes of this crate's errors.

gatekit_core::codes! {
    /// A file that GitHub Actions names in the environment cannot be written.
    FILE = "github.file",
        next: "see whether the step runs in GitHub Actions, and whether the file may be written";
}
