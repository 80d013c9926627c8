//! What becomes of a service.

use std::time::Duration;

use super::service::{Hook, Service, Stop, Task};
use super::step::Step;

/// How long it takes until a stop is heard, and until what was stopped is undone.
const HEARING: Duration = Duration::from_millis(500);
const UNDOING: Duration = Duration::from_secs(3);

/// How long a pause waits for an answer.
const PAUSE: Duration = Duration::from_secs(24 * 3600);

const BREAKER: &str = "ECS deployment circuit breaker: tasks failed to start.";

impl Service {
    /// Lets that happen to a deployment.
    pub(super) fn happen(&mut self, now: Duration, number: u64, step: Step) {
        if let Some(it) = self.get(number) {
            it.updated = now;
        }
        match step {
            Step::TaskRuns => self.task_runs(number, now),
            Step::TaskStops { reason, exit_code } => {
                self.task_stops(number, now, reason, exit_code);
            }
            Step::BreakerRollsBack => {
                self.trip(number, now);
                self.go_back(number, now, "ECS deployment circuit breaker");
            }
            Step::AlarmRollsBack => {
                self.fail(number, now, "ECS deployment alarm: alarm detected.");
                if let Some(course) = self.course(number) {
                    course.alarmed = Some(now);
                }
                self.go_back(number, now, "ECS deployment alarm");
            }
            Step::BreakerStops => {
                self.trip(number, now);
                if let Some(course) = self.course(number) {
                    course.end("STOPPED", BREAKER, now);
                }
            }
            Step::StopIsHeard => {
                self.fail(number, now, "ECS deployment was stopped by a user.");
                self.go_back(number, now, "ECS deployment was stopped by a user");
            }
            Step::RolledBack => {
                if let Some(back) = self.end_rollback(number, "ROLLBACK_SUCCESSFUL", "", now) {
                    self.complete(back, now);
                }
            }
            Step::RollbackFailed => {
                let why = "the rollback did not start either";
                if let Some(back) = self.end_rollback(number, "ROLLBACK_FAILED", why, now) {
                    self.fail(back, now, "tasks failed to start.");
                }
            }
            Step::Complete => self.complete(number, now),
            Step::OthersComplete => {
                if let Some(newest) = self.deployments.first().map(|it| it.number) {
                    self.complete(newest, now);
                }
            }
            Step::Stage(stage) => {
                if let Some(course) = self.course(number) {
                    course.stage = Some(stage);
                }
            }
            Step::Pause { stage, hook } => {
                if let Some(course) = self.course(number) {
                    let expires = now + PAUSE;
                    course.stage = Some(stage);
                    course.hook = Some(Hook { id: hook, status: "AWAITING_ACTION", expires });
                }
            }
            Step::Delete => {
                (self.status, self.desired) = ("INACTIVE", 0);
                let gone = std::mem::take(&mut self.deployments);
                self.past.extend(gone);
                self.agenda.clear();
                self.stop_tasks(now, "The service was deleted", |_| true);
            }
            // What it deploys is registered before: not by the service.
            Step::OthersDeploy => {}
        }
    }

    fn task_runs(&mut self, number: u64, now: Duration) {
        let desired = self.desired;
        if let Some(it) = self.get(number) {
            (it.running, it.failed) = ((it.running + 1).min(desired), 0);
        }
        self.start_task(number, now);
    }

    fn task_stops(
        &mut self,
        number: u64,
        now: Duration,
        reason: &'static str,
        exit_code: Option<i32>,
    ) {
        let running = |it: &&mut Task| it.deployment == number && it.stopped.is_none();
        if self.tasks.iter_mut().find(running).is_none() {
            self.start_task(number, now);
        }
        if let Some(it) = self.get(number) {
            (it.failed, it.running) = (it.failed + 1, it.running.saturating_sub(1));
        }
        if let Some(task) = self.tasks.iter_mut().find(running) {
            let code = match exit_code {
                Some(_) => "EssentialContainerExited",
                None => "TaskFailedToStart",
            };
            task.stopped = Some(Stop { at: now, code, reason: reason.to_owned(), exit_code });
        }
        self.tell(now, "is unable to consistently start tasks successfully.");
    }

    fn trip(&mut self, number: u64, now: Duration) {
        self.fail(number, now, BREAKER);
        if let Some(course) = self.course(number) {
            course.tripped = true;
        }
    }

    fn fail(&mut self, number: u64, now: Duration, why: &str) {
        if let Some(it) = self.get(number) {
            (it.rollout, it.updated) = ("FAILED", now);
            why.clone_into(&mut it.reason);
        }
        self.tell(now, &format!("(deployment ecs-svc/{number}) deployment failed: {why}"));
    }

    /// Deploys again what ran before that deployment, of itself.
    fn go_back(&mut self, number: u64, now: Duration, by: &str) {
        let source = self.find(number).and_then(|it| it.course.as_ref()?.source);
        let source = source.and_then(|it| self.find(it));
        let Some((revision, pushes)) = source.map(|it| (it.revision.clone(), it.pushes)) else {
            return;
        };
        let back = self.begin(&revision, now);
        let why = format!("{by}: rolling back to deploymentId ecs-svc/{back}.");
        if let Some(it) = self.get(back) {
            // The digests that ran, whatever the tags name now.
            it.pushes = pushes;
            it.reason.clone_from(&why);
        }
        if let Some(course) = self.course(number) {
            course.status = "ROLLBACK_IN_PROGRESS";
            course.rollback = Some((back, why, now));
        }
        self.tell(now, &format!("rolling back to deployment ecs-svc/{back}."));
    }

    /// Ends a deployment whose rollback has ended, and tells which that was.
    fn end_rollback(
        &mut self,
        number: u64,
        status: &'static str,
        why: &str,
        now: Duration,
    ) -> Option<u64> {
        let course = self.course(number)?;
        let back = course.rollback.as_ref().map(|(back, ..)| *back)?;
        course.end(status, why, now);
        Some(back)
    }

    /// Stops a deployment, and rolls it back or leaves it; `false` when it is over already.
    pub(super) fn stop(&mut self, number: u64, roll_back: bool, now: Duration) -> bool {
        let Some(course) = self.course(number).filter(|it| it.finished.is_none()) else {
            return false;
        };
        if course.stopped.is_some() || course.rollback.is_some() {
            return true;
        }
        course.stopped = Some(now);
        if roll_back {
            course.status = "ROLLBACK_REQUESTED";
        }
        self.agenda.clear();
        if roll_back {
            self.will(number, now, vec![(HEARING, Step::StopIsHeard), (UNDOING, Step::RolledBack)]);
        } else {
            let why = "ECS deployment was stopped by a user.";
            self.fail(number, now, why);
            if let Some(course) = self.course(number) {
                course.end("STOPPED", why, now);
            }
        }
        true
    }

    /// Answers a hook; `false` when nothing waits there.
    pub(super) fn answer(&mut self, number: u64, hook: &str, go_on: bool, now: Duration) -> bool {
        let Some(course) = self.course(number) else { return false };
        let waits = course.hook.as_mut().filter(|it| it.id == hook);
        let Some(waits) = waits.filter(|it| it.status == "AWAITING_ACTION") else { return false };
        waits.status = if go_on { "SUCCEEDED" } else { "FAILED" };
        if go_on {
            course.stage = Some("PRODUCTION_TRAFFIC_SHIFT");
            self.will(number, now, vec![(Duration::from_secs(1), Step::Complete)]);
            return true;
        }
        self.stop(number, true, now)
    }
}
