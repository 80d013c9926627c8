//! What can happen to a deployment.

/// One thing that happens to a deployment at a moment of its agenda.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// One more of its tasks runs.
    TaskRuns,
    /// One of its tasks stops, for that reason.
    TaskStops { reason: &'static str, exit_code: Option<i32> },
    /// The circuit breaker gives it up, and begins to deploy what ran before.
    BreakerRollsBack,
    /// An alarm does.
    AlarmRollsBack,
    /// The circuit breaker gives it up, and does nothing more.
    BreakerStops,
    /// The service begins to roll back what somebody has stopped.
    StopIsHeard,
    /// What ran before runs again.
    RolledBack,
    /// The rollback fails as well.
    RollbackFailed,
    /// All of its tasks run, and those of before are gone.
    Complete,
    /// Somebody else registers a revision, and deploys it.
    OthersDeploy,
    /// The newest deployment completes.
    OthersComplete,
    /// It comes to that stage of its life.
    Stage(&'static str),
    /// It waits there for an answer.
    Pause { stage: &'static str, hook: &'static str },
    /// Somebody deletes the service.
    Delete,
}

impl Step {
    /// A task that runs for a while and exits: two steps in turn.
    pub(super) fn crash(reason: &'static str, n: u32) -> Self {
        if n % 2 == 1 { Self::TaskRuns } else { Self::TaskStops { reason, exit_code: Some(137) } }
    }
}
