//! Amazon ECR: a tag is moved to an image by its digest, and no byte of a layer is.
//!
//! [`MoveTag`] points a tag to an image that is in the repository already, single or multi-arch, and
//! [`RestoreTag`] is its way back. [`Scan`] is a gate on what was found in an image, [`TagNames`] one on
//! what a tag names; [`pinned`] and [`Repository`] fix what is shipped to its digest.
//!
//! # What a move leaves behind
//! ECR deletes an image with its last tag, and lifecycle policies commonly delete what has none. So
//! before `production-latest` moves, the image that it moves to gets a tag of the run's own,
//! `gatekit-production-latest-RUN`; and the image that it moves from gets
//! `gatekit-production-latest-before-RUN`, unless an earlier run has left it one. These names never
//! move: no run takes away the way back of another, immutable repositories take them, and a run that
//! is resumed finds its own. They begin with another prefix than the tag, so that no lifecycle rule
//! that was made for `production` counts them.
//!
//! Nothing of gatekit's deletes an image. A lifecycle policy that is to do so keeps what is live, and
//! the last ten before it, by two rules in this order: ECR never expires by a later rule what an
//! earlier one has matched.
//!
//! ```json
//! { "rules": [
//!   { "rulePriority": 1, "description": "what is live stays",
//!     "selection": { "tagStatus": "tagged", "tagPatternList": ["production-latest"],
//!                    "countType": "imageCountMoreThan", "countNumber": 1 },
//!     "action": { "type": "expire" } },
//!   { "rulePriority": 2, "description": "ten ways back",
//!     "selection": { "tagStatus": "tagged", "tagPatternList": ["gatekit-production-latest-*"],
//!                    "countType": "imageCountMoreThan", "countNumber": 10 },
//!     "action": { "type": "expire" } } ] }
//! ```
//!
//! # What a digest tells, and what it does not
//! A tag says which image it names, and nothing else: who moved it, and when, ECR does not tell. For a
//! release that is enough: a digest is the image, whoever has put it there. Two runs of gatekit that
//! have released the same image are still told apart, by the tags that they left on it.
//!
//! ECR has no compare-and-swap, and keeps no fence: a tag is read immediately before it is written,
//! and again afterwards. What somebody else writes in between, outside of gatekit's lock, is
//! overwritten, and found by nobody; an immutable repository is the way to keep others out.
//!
//! # What it costs
//! A move is five calls, of which two write: for the first time it is two more. No byte of a layer is
//! read.
//!
//! # What only a live account can show
//! The tests run against an emulation of ECR's API in front of a real registry. It has the rules that
//! AWS documents. How long a description may be older than the last write, how PutImage is throttled,
//! and in which order the findings of a scan come in, only AWS itself can show.

mod api;
mod deployer;
mod host;
mod manifest;
mod names;
mod pinned;
mod platforms;
mod repository;
mod rollback;
mod scan;
mod standing;
mod tag_names;
mod writing;

pub(crate) use api::Api;

pub use deployer::{MoveTag, Moving};
pub use pinned::pinned;
pub use platforms::{Platform, Platforms};
pub use repository::{Repository, resolve};
pub use rollback::RestoreTag;
pub use scan::{Scan, Severity};
pub use standing::{TagChange, TagReceipt};
pub use tag_names::TagNames;
