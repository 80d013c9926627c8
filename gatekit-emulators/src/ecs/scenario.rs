//! How a deployment of the emulated service goes, by name.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::step::Step;

/// What the emulated service is like, and what becomes of the next deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Scenario {
    /// Two tasks start, and the rollout completes.
    Ok,
    /// The same, after five minutes.
    Slow,
    /// Tasks fail to start, and the circuit breaker rolls back.
    BreakerRollback,
    /// The same, to the same revision: as a forced deployment is rolled back.
    ForcedRollback,
    /// Tasks fail to start, and the circuit breaker stops the deployment without a rollback.
    BreakerStop,
    /// An alarm fires while the new tasks run, and the service rolls back.
    AlarmRollback,
    /// Somebody else deploys another revision meanwhile.
    Superseded,
    /// For a while, the service is read as it was before the update; then all is well.
    StaleThenOk,
    /// For a while, the service is read as it was before the update; then the breaker rolls back.
    StaleThenRollback,
    /// The service is missing in the first reads after the update; then all is well.
    MissingThenOk,
    /// The service is gone after the update.
    Deleted,
    /// The service is scaled to zero: the rollout completes, and nothing runs.
    DesiredZero,
    /// The update begins no deployment.
    NoNewDeployment,
    /// Tasks start and exit, again and again; no breaker ends it.
    CrashLoop,
    /// The image cannot be pulled; no breaker ends it.
    Unpullable,
    /// The service is deployed by somebody else's controller, and says nothing of rollouts.
    ExternalController,
    /// A blue/green rollout that waits at a hook before it shifts production traffic.
    BlueGreenPause,
    /// The circuit breaker rolls back, and the rollback fails as well.
    RollbackFails,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Ok,
        Self::Slow,
        Self::BreakerRollback,
        Self::ForcedRollback,
        Self::BreakerStop,
        Self::AlarmRollback,
        Self::Superseded,
        Self::StaleThenOk,
        Self::StaleThenRollback,
        Self::MissingThenOk,
        Self::Deleted,
        Self::DesiredZero,
        Self::NoNewDeployment,
        Self::CrashLoop,
        Self::Unpullable,
        Self::ExternalController,
        Self::BlueGreenPause,
        Self::RollbackFails,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Slow => "slow",
            Self::BreakerRollback => "breaker-rollback",
            Self::ForcedRollback => "forced-rollback",
            Self::BreakerStop => "breaker-stop",
            Self::AlarmRollback => "alarm-rollback",
            Self::Superseded => "superseded",
            Self::StaleThenOk => "stale-then-ok",
            Self::StaleThenRollback => "stale-then-rollback",
            Self::MissingThenOk => "missing-then-ok",
            Self::Deleted => "deleted",
            Self::DesiredZero => "desired-zero",
            Self::NoNewDeployment => "no-new-deployment",
            Self::CrashLoop => "crash-loop",
            Self::Unpullable => "unpullable",
            Self::ExternalController => "external-controller",
            Self::BlueGreenPause => "blue-green-pause",
            Self::RollbackFails => "rollback-fails",
        }
    }

    /// Whether the candidate's tasks serve in the end.
    #[must_use]
    pub fn ends_well(self) -> bool {
        matches!(
            self,
            Self::Ok | Self::Slow | Self::StaleThenOk | Self::MissingThenOk | Self::BlueGreenPause
        )
    }

    /// What becomes of a deployment, from its beginning.
    pub(super) fn agenda(self) -> Vec<(Duration, Step)> {
        let at = |seconds: f64, step: Step| (Duration::from_secs_f64(seconds), step);
        let pull = "CannotPullContainerError: pull image manifest has been retried 1 time(s): \
                    failed to resolve ref registry.example.com/web: not found";
        let exit = "Essential container in task exited";
        let rollback = |tasks: Vec<(Duration, Step)>, by, ends: Step| {
            let mut agenda = tasks;
            agenda.extend([at(5.0, by), at(8.0, ends)]);
            agenda
        };
        let failing = |reason: &'static str, exit_code| {
            (1..=3).map(|n| at(f64::from(n) * 1.5, Step::TaskStops { reason, exit_code })).collect()
        };
        match self {
            Self::Ok | Self::StaleThenOk | Self::MissingThenOk | Self::ExternalController => {
                vec![at(1.0, Step::TaskRuns), at(2.0, Step::TaskRuns), at(4.0, Step::Complete)]
            }
            Self::Slow => {
                vec![at(60.0, Step::TaskRuns), at(200.0, Step::TaskRuns), at(300.0, Step::Complete)]
            }
            Self::BreakerRollback | Self::ForcedRollback | Self::StaleThenRollback => {
                rollback(failing(exit, Some(1)), Step::BreakerRollsBack, Step::RolledBack)
            }
            Self::RollbackFails => {
                rollback(failing(exit, Some(1)), Step::BreakerRollsBack, Step::RollbackFailed)
            }
            Self::BreakerStop => {
                let mut agenda: Vec<_> = failing(exit, Some(1));
                agenda.push(at(5.0, Step::BreakerStops));
                agenda
            }
            Self::AlarmRollback => rollback(
                vec![at(1.0, Step::TaskRuns), at(2.0, Step::TaskRuns)],
                Step::AlarmRollsBack,
                Step::RolledBack,
            ),
            Self::Superseded => vec![
                at(1.0, Step::TaskRuns),
                at(2.0, Step::OthersDeploy),
                at(6.0, Step::OthersComplete),
            ],
            Self::Deleted => vec![at(1.0, Step::Delete)],
            Self::DesiredZero => vec![at(2.0, Step::Complete)],
            Self::NoNewDeployment => Vec::new(),
            Self::CrashLoop => {
                (1..200).map(|n| at(f64::from(n) * 3.0, Step::crash(exit, n))).collect()
            }
            Self::Unpullable => (1..200)
                .map(|n| at(f64::from(n) * 3.0, Step::TaskStops { reason: pull, exit_code: None }))
                .collect(),
            Self::BlueGreenPause => vec![
                at(0.5, Step::Stage("SCALE_UP")),
                at(1.0, Step::TaskRuns),
                at(2.0, Step::TaskRuns),
                at(3.0, Step::Pause { stage: "POST_TEST_TRAFFIC_SHIFT", hook: "smoke" }),
            ],
        }
    }

    /// For how long after an update the service is read as it was before it.
    pub(super) fn stale_for(self) -> Duration {
        match self {
            Self::StaleThenOk | Self::StaleThenRollback => Duration::from_secs(3),
            _ => Duration::ZERO,
        }
    }

    /// For how long after an update the service is told to be missing.
    pub(super) fn missing_for(self) -> Duration {
        match self {
            Self::MissingThenOk => Duration::from_secs(3),
            _ => Duration::ZERO,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|it| it.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|it| it.name()).collect();
            format!("no scenario has that name: there are {}", names.join(", "))
        })
    }
}
