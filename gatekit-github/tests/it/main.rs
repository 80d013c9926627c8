//! Runs of real pipelines, as a step of a workflow shows them.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside `#[test]`")]

mod step;
