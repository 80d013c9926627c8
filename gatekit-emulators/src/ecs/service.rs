//! A service and its deployments, as they stand.

use std::collections::VecDeque;
use std::time::Duration;

use super::step::Step;
use super::world::SERVICE;

#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) status: &'static str,
    pub(super) desired: u32,
    /// The newest first; those that are gone are in `past`.
    pub(super) deployments: Vec<Deployment>,
    pub(super) past: Vec<Deployment>,
    pub(super) events: VecDeque<Event>,
    pub(super) tasks: Vec<Task>,
    /// How often somebody has pushed other images under the tags.
    pub(super) pushes: u64,
    /// What is to come: when, to which deployment.
    pub(super) agenda: Vec<(Duration, u64, Step)>,
    next: u64,
    /// Until when it is read as it was before the last update, and how it was.
    stale: Option<(Duration, Box<Self>)>,
    /// Until when it is told to be missing.
    missing_until: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Primary,
    Active,
}

#[derive(Debug, Clone)]
pub(super) struct Deployment {
    pub(super) number: u64,
    pub(super) status: Status,
    pub(super) revision: String,
    /// How often somebody had pushed when it began: what its tags name.
    pub(super) pushes: u64,
    pub(super) desired: u32,
    pub(super) running: u32,
    pub(super) failed: u32,
    pub(super) rollout: &'static str,
    pub(super) reason: String,
    pub(super) created: Duration,
    pub(super) updated: Duration,
    /// Of the service-deployment API; a rollback has none of its own.
    pub(super) course: Option<Course>,
}

/// A deployment as the service-deployment API tells it.
#[derive(Debug, Clone, Default)]
pub(super) struct Course {
    pub(super) status: &'static str,
    pub(super) reason: Option<String>,
    pub(super) stage: Option<&'static str>,
    pub(super) hook: Option<Hook>,
    /// Which deployment it goes back to, and why.
    pub(super) rollback: Option<(u64, String, Duration)>,
    /// Whether the circuit breaker has given it up, and when an alarm has.
    pub(super) tripped: bool,
    pub(super) alarmed: Option<Duration>,
    /// Which deployment ran before.
    pub(super) source: Option<u64>,
    /// When somebody asked for its end, and when that came.
    pub(super) stopped: Option<Duration>,
    pub(super) finished: Option<Duration>,
}

/// A pause that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hook {
    pub(super) id: &'static str,
    pub(super) status: &'static str,
    pub(super) expires: Duration,
}

#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) id: u64,
    pub(super) at: Duration,
    pub(super) message: String,
}

#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) id: u64,
    pub(super) deployment: u64,
    pub(super) revision: String,
    pub(super) created: Duration,
    pub(super) stopped: Option<Stop>,
}

/// Why a task stopped.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    pub(super) at: Duration,
    pub(super) code: &'static str,
    pub(super) reason: String,
    pub(super) exit_code: Option<i32>,
}

impl Service {
    pub(super) fn new(desired: u32) -> Self {
        Self {
            status: "ACTIVE",
            desired,
            deployments: Vec::new(),
            past: Vec::new(),
            events: VecDeque::new(),
            tasks: Vec::new(),
            pushes: 0,
            agenda: Vec::new(),
            next: 1_000_000_000_000_000_001,
            stale: None,
            missing_until: Duration::ZERO,
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn find(&self, number: u64) -> Option<&Deployment> {
        self.deployments.iter().chain(&self.past).find(|it| it.number == number)
    }

    pub(super) fn get(&mut self, number: u64) -> Option<&mut Deployment> {
        self.deployments.iter_mut().chain(&mut self.past).find(|it| it.number == number)
    }

    pub(super) fn course(&mut self, number: u64) -> Option<&mut Course> {
        self.get(number)?.course.as_mut()
    }

    /// Every deployment that was ever begun, the newest first.
    pub(super) fn all(&self) -> Vec<&Deployment> {
        let mut all: Vec<_> = self.deployments.iter().chain(&self.past).collect();
        all.sort_by_key(|it| std::cmp::Reverse(it.number));
        all
    }

    /// How a read finds it.
    pub(super) fn as_read(&self, now: Duration) -> Option<&Self> {
        if now < self.missing_until {
            return None;
        }
        let stale = self.stale.as_ref().filter(|(until, _)| now < *until);
        Some(stale.map_or(self, |(_, before)| before))
    }

    /// Lets reads find it as it was, or not at all, until those moments.
    pub(super) fn hide(&mut self, before: Self, stale_until: Duration, missing_until: Duration) {
        self.stale = Some((stale_until, Box::new(Self { stale: None, ..before })));
        self.missing_until = missing_until;
    }

    /// What is to become of a deployment.
    pub(super) fn will(&mut self, number: u64, now: Duration, agenda: Vec<(Duration, Step)>) {
        self.agenda.extend(agenda.into_iter().map(|(after, step)| (now + after, number, step)));
        self.agenda.sort_by_key(|(at, ..)| *at);
    }

    /// The next thing that has happened by now.
    pub(super) fn due(&mut self, now: Duration) -> Option<(Duration, u64, Step)> {
        self.agenda.first().filter(|(at, ..)| *at <= now)?;
        Some(self.agenda.remove(0))
    }

    /// Begins a deployment in the place of the one that is under way.
    pub(super) fn deploy(&mut self, revision: &str, now: Duration) -> u64 {
        let source = self.deployments.iter().find(|it| it.rollout == "COMPLETED");
        let source = source.map(|it| it.number);
        self.agenda.clear();
        let number = self.begin(revision, now);
        let superseded = format!("superseded by ecs-svc/{number}");
        for earlier in self.deployments.iter_mut().skip(1) {
            if let Some(course) = earlier.course.as_mut().filter(|it| it.finished.is_none()) {
                course.end("STOPPED", &superseded, now);
            }
        }
        if let Some(begun) = self.get(number) {
            begun.course = Some(Course { status: "IN_PROGRESS", source, ..Course::default() });
        }
        number
    }

    pub(super) fn begin(&mut self, revision: &str, now: Duration) -> u64 {
        let number = self.number();
        for earlier in &mut self.deployments {
            earlier.status = Status::Active;
        }
        let new = Deployment {
            number,
            status: Status::Primary,
            revision: revision.to_owned(),
            pushes: self.pushes,
            desired: self.desired,
            running: 0,
            failed: 0,
            rollout: "IN_PROGRESS",
            reason: format!("ECS deployment ecs-svc/{number} in progress."),
            created: now,
            updated: now,
            course: None,
        };
        self.deployments.insert(0, new);
        number
    }

    /// Somebody else deploys; what was to come still comes.
    pub(super) fn overtake(&mut self, revision: &str, now: Duration) {
        let later = std::mem::take(&mut self.agenda);
        self.deploy(revision, now);
        self.agenda = later;
    }

    pub(super) fn complete(&mut self, number: u64, now: Duration) {
        let (gone, kept) =
            std::mem::take(&mut self.deployments).into_iter().partition(|it| it.number != number);
        self.deployments = kept;
        self.past.extend::<Vec<_>>(gone);
        if let Some(it) = self.get(number) {
            (it.rollout, it.updated) = ("COMPLETED", now);
            it.reason = format!("ECS deployment ecs-svc/{number} completed.");
            if let Some(course) = &mut it.course {
                course.end("SUCCESSFUL", "", now);
            }
        }
        self.stop_tasks(
            now,
            &format!("Scaling activity initiated by (deployment ecs-svc/{number})"),
            |it| it.deployment != number,
        );
        self.scale(number, now);
        self.tell(now, &format!("(deployment ecs-svc/{number}) deployment completed."));
        self.tell(now, "has reached a steady state.");
    }

    /// Gives a deployment as many running tasks as are desired.
    pub(super) fn scale(&mut self, number: u64, now: Duration) {
        let desired = self.desired;
        if let Some(it) = self.get(number) {
            (it.desired, it.running) = (desired, desired);
        }
        let running =
            self.tasks.iter().filter(|it| it.deployment == number && it.stopped.is_none()).count();
        let desired = usize::try_from(desired).unwrap_or(usize::MAX);
        for _ in running..desired {
            self.start_task(number, now);
        }
        let mut surplus = running.saturating_sub(desired);
        self.stop_tasks(now, "Scaling activity initiated by the desired count", |it| {
            let ends = it.deployment == number && surplus > 0;
            surplus -= usize::from(ends);
            ends
        });
    }

    pub(super) fn start_task(&mut self, number: u64, now: Duration) {
        let id = self.number();
        if let Some(revision) = self.find(number).map(|it| it.revision.clone()) {
            self.tasks.push(Task { id, deployment: number, revision, created: now, stopped: None });
            self.tell(now, &format!("has started 1 tasks: (task {id:032x})."));
        }
    }

    /// The scheduler stops the running tasks that are meant.
    pub(super) fn stop_tasks(
        &mut self,
        now: Duration,
        why: &str,
        mut meant: impl FnMut(&Task) -> bool,
    ) {
        for task in self.tasks.iter_mut().filter(|it| it.stopped.is_none()) {
            if meant(task) {
                let (code, reason) = ("ServiceSchedulerInitiated", why.to_owned());
                task.stopped = Some(Stop { at: now, code, reason, exit_code: Some(143) });
            }
        }
    }

    pub(super) fn tell(&mut self, at: Duration, what: &str) {
        let id = self.number();
        self.events.push_front(Event { id, at, message: format!("(service {SERVICE}) {what}") });
        self.events.truncate(100);
    }
}

impl Course {
    pub(super) fn end(&mut self, status: &'static str, why: &str, now: Duration) {
        (self.status, self.finished, self.stage) = (status, Some(now), None);
        self.reason = Some(why.to_owned()).filter(|why| !why.is_empty());
    }
}
