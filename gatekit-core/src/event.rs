//! What a run tells while it goes: durable steps, lossy progress, and who listens.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::id::{RunId, StageId, TargetName};
use crate::ledger::{Entry, Head};

/// The version of the event format that this build writes.
pub const EVENT_VERSION: u32 = 1;

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// The version of the format.
    pub v: u32,
    /// What happened.
    pub event: EventBody,
}

impl Event {
    pub(crate) fn new(event: EventBody) -> Self {
        Self { v: EVENT_VERSION, event }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventBody {
    /// A journal entry was made durable.
    Step {
        /// Its place in the target's chain.
        head: Head,
        /// The entry.
        entry: Box<Entry>,
    },
    /// How it is getting on. Lossy: progress is dropped when nobody reads fast enough.
    Progress {
        /// The target.
        target: TargetName,
        /// The run.
        run: RunId,
        /// The stage, if it is of one.
        stage: Option<StageId>,
        /// What a person reads.
        message: String,
    },
    /// A gate is asked now. Lossy, like progress: the journal has its verdict, once all gates of its
    /// set have answered.
    GateAsked {
        /// The target.
        target: TargetName,
        /// The run.
        run: RunId,
        /// The gate.
        stage: StageId,
    },
    /// A gate has answered, and the others of its set may not have. Lossy, like progress.
    GateAnswered {
        /// The target.
        target: TargetName,
        /// The run.
        run: RunId,
        /// The gate.
        stage: StageId,
        /// Its verdict in one word, like `pass`.
        word: String,
    },
    /// A kind that this build does not know.
    #[serde(other)]
    Unknown,
}

/// A consumer of events.
///
/// It runs on a thread of its own, so it may block: a run never waits for it while it holds the target,
/// and its report is held back for 30 s at most. A reporter that panics is left alone and stops nothing.
pub trait Reporter: Debug + Send + 'static {
    /// Takes one event. Steps arrive all and in order.
    fn event(&mut self, event: &Event);
}
