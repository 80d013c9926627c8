//! How a run ends, and what the process says about it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::deployer::Live;
use crate::error::{Failure, NextAction};
use crate::id::{Fence, RunId, TargetName};
use crate::ledger::refusal::left_suspect;
use crate::ledger::{LockState, TargetState};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// Every deploy is live by `locate`, and every enforced verify gate passed.
    Released,
    /// It was live already, and was verified.
    Unchanged,
    /// A gate or the engine said no; nothing was touched.
    Refused,
    /// A newer candidate is live; nothing was touched.
    Superseded,
    /// It failed, and the old release is confirmed live.
    RolledBack,
    /// A person must act: the target is suspect, or the lock was lost.
    Stuck,
    /// It failed before anything was touched.
    Failed,
    /// It waits, for an approval or in the queue; `resume` goes on later.
    Waiting,
    /// It was interrupted, and left for `resume`.
    Interrupted,
    /// A person freed a suspect target whatever is live, and answers for it.
    Overridden,
}

impl Outcome {
    /// The exit code of a process whose run ended so.
    ///
    /// | exit | outcome |
    /// |---|---|
    /// | 0 | released, unchanged, overridden |
    /// | 1 | refused, superseded |
    /// | 3 | rolled back |
    /// | 4 | stuck |
    /// | 5 | failed |
    /// | 75 | waiting |
    /// | 130 | interrupted |
    ///
    /// 2 is for usage and configuration errors, which are no outcome of a run.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Released | Self::Unchanged | Self::Overridden => 0,
            Self::Refused | Self::Superseded => 1,
            Self::RolledBack => 3,
            Self::Stuck => 4,
            Self::Failed => 5,
            Self::Waiting => 75,
            Self::Interrupted => 130,
        }
    }

    /// The word for it, as JSON spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::Superseded => "superseded",
            Self::RolledBack => "rolled_back",
            Self::Stuck => "stuck",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
            Self::Interrupted => "interrupted",
            Self::Overridden => "overridden",
        }
    }

    /// Whether a run can have come to this without ever holding its target.
    #[must_use]
    pub const fn needs_no_lock(self) -> bool {
        matches!(self, Self::Refused | Self::Superseded | Self::Failed | Self::Stuck)
    }
}

/// What a run came to: what the last line of a program's output says.
///
/// `Display` tells it to people, in several lines when it did not end as wished: how it ended and what
/// is live, why, and because of what. What may be done next is not among them, for only the program
/// knows how that is typed: see [`next`](Self::next). It quotes what stages and people said as it is: who
/// prints it where a terminal or a CI runner obeys what it reads has to take control characters and
/// commands out first, as `gatekit-cli` does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "a run that is not looked at may have failed: see `outcome`"]
#[non_exhaustive]
pub struct RunReport {
    /// How it ended.
    pub outcome: Outcome,
    /// The run; `None` when none was opened.
    pub run: Option<RunId>,
    /// The target.
    pub target: TargetName,
    /// The fence under which it ended; `None` when it held no lock then.
    pub fence: Option<Fence>,
    /// Why it did not end as wished.
    pub failure: Option<Failure>,
    /// What is live now, when that was read and something is.
    pub live: Option<Live>,
    /// What may be done next.
    pub next: Vec<NextAction>,
}

impl RunReport {
    /// The report of a call that found nothing to do, and opened no run: `why` tells what is not
    /// there.
    pub fn nothing_to_do(target: TargetName, why: Failure, live: Option<Live>) -> Self {
        Self {
            outcome: Outcome::Unchanged,
            run: None,
            target,
            fence: None,
            next: why.next.clone(),
            failure: Some(why),
            live,
        }
    }

    /// The report of a call that would settle `target`, and cannot: a run of another target, along
    /// with which it was locked, has left it suspect. `stuck`, with `lock.suspect` and where to go;
    /// `None` when the state is another.
    #[must_use]
    pub fn settled_elsewhere(target: TargetName, state: &TargetState) -> Option<Self> {
        let (run, leading) = (state.run?, state.along_with.as_ref()?);
        if state.state != LockState::Suspect {
            return None;
        }
        let why = left_suspect(&target, leading, run, state.fence).to_failure();
        Some(Self { outcome: Outcome::Stuck, ..Self::nothing_to_do(target, why, None) })
    }
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.outcome.as_str().replace('_', " "))?;
        match &self.live {
            Some(live) => write!(f, "{live} is live on {}", self.target)?,
            // Nothing is live, or nobody could tell: a report does not say which.
            None => write!(f, "target {}", self.target)?,
        }
        let Some(failure) = &self.failure else { return Ok(()) };
        write!(f, "\n  {failure} [{}]", failure.code)?;
        failure.causes.iter().try_for_each(|cause| write!(f, "\n  because: {cause}"))
    }
}
