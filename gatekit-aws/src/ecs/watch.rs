//! What is remembered of a deployment between two polls, and how soon to poll again.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use super::course::Course;
use super::reading::Deployment;
use super::stops::Stops;

/// How long what was begun may be unseen: reads of ECS may be older than its writes.
pub(super) const GRACE: Duration = Duration::from_secs(15);

/// For how long, in the beginning, and when the end is near, polls are frequent.
const BEGINNING: Duration = Duration::from_secs(30);
const NEAR_THE_END: Duration = Duration::from_secs(120);

/// When they are frequent again, if all tasks run: what a long rollout waits for then is mostly that
/// those of before are gone, and a load balancer lets them linger for five minutes unless it is told
/// otherwise. What takes longer than that has a bake time of hours.
const LATE: Range<Duration> = Duration::from_secs(300)..Duration::from_secs(1800);

pub(super) const FREQUENT: Duration = Duration::from_millis(1400);
/// While tasks crash: that may go on for long, and each poll may take more than one call.
const CRASHING: Duration = Duration::from_millis(2500);
const RARE: Duration = Duration::from_millis(4500);
/// Those who began together do not stay together.
const JITTER: Duration = Duration::from_millis(500);

/// How often it is asked, unprompted, which tasks stopped.
const LOOK_AROUND: Duration = Duration::from_secs(20);

/// How often it is asked how far the stages of a rollout are.
const ASK_FOR_COURSE: Duration = Duration::from_secs(5);

/// At how many polls it is asked which tasks stopped, after the service was seen to change: the list of them may
/// be older than that.
const LOOKS: u8 = 2;

/// After how long without another stop a deployment is no longer watched for the next.
const CALM: Duration = Duration::from_secs(90);

/// What is remembered of one deployment.
#[derive(Debug)]
pub(super) struct Watch {
    since: Instant,
    /// Since when it is not listed.
    unseen_since: Option<Instant>,
    /// Since when all of its tasks run.
    all_run_since: Option<Instant>,
    pub(super) course: CourseArn,
    /// What that API told last, and when it was asked.
    pub(super) last_course: Option<Course>,
    asked_for_course: Option<Instant>,
    /// How many of its tasks had failed at the last look.
    failed: i32,
    /// What the last reading showed of its tasks: how many run, are pending and have failed, and when the
    /// service last said something.
    shown: Option<(i32, i32, i32, i64)>,
    /// At how many more polls it is to be asked which tasks stopped.
    looks: u8,
    /// Since when no more of them have failed or stopped.
    calm_since: Instant,
    /// Whether it was seen to be over, and well.
    pub(super) has_settled: bool,
    pub(super) looked_around: Option<Instant>,
    pub(super) stops: Stops,
    /// The tasks whose end is known.
    pub(super) known_stopped: BTreeSet<String>,
    told: String,
}

/// The deployment in the service-deployment API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CourseArn {
    Unknown,
    Known(String),
    /// This caller may not ask, or this endpoint does not know.
    Denied,
}

impl Watch {
    pub(super) fn new(course: Option<String>) -> Self {
        Self {
            since: Instant::now(),
            unseen_since: None,
            all_run_since: None,
            course: course.map_or(CourseArn::Unknown, CourseArn::Known),
            last_course: None,
            asked_for_course: None,
            failed: 0,
            shown: None,
            looks: 0,
            calm_since: Instant::now(),
            has_settled: false,
            looked_around: None,
            stops: Stops::default(),
            known_stopped: BTreeSet::new(),
            told: String::new(),
        }
    }

    /// Whether it has been unseen for longer than reads may lag.
    pub(super) fn is_missed(&mut self) -> bool {
        self.unseen_since.get_or_insert_with(Instant::now).elapsed() >= GRACE
    }

    pub(super) fn saw(&mut self, mine: &Deployment) {
        self.unseen_since = None;
        let all_run = mine.desired > 0 && mine.running >= mine.desired;
        let since = self.all_run_since.get_or_insert_with(Instant::now);
        let since = *since;
        self.all_run_since = all_run.then_some(since);
    }

    /// Whether it is time to look at more than the service.
    pub(super) fn is_time_to_look_around(&self) -> bool {
        self.looked_around.is_none_or(|at| at.elapsed() >= LOOK_AROUND)
    }

    /// Whether it is time to ask how far the stages of the rollout are.
    pub(super) fn is_time_to_ask_for_the_course(&mut self) -> bool {
        let is_time = self.asked_for_course.is_none_or(|at| at.elapsed() >= ASK_FOR_COURSE);
        if is_time {
            self.asked_for_course = Some(Instant::now());
        }
        is_time
    }

    /// Whether tasks may have stopped that were not looked at: more of them have failed, or some had stopped a
    /// short while ago, not all run again, and the service shows something else than it did.
    pub(super) fn may_crash(&mut self, mine: &Deployment, newest_event_ms: i64) -> bool {
        let more = mine.failed > self.failed;
        self.failed = mine.failed;
        if more {
            self.calm_since = Instant::now();
        }
        let shown = (mine.running, mine.pending, mine.failed, newest_event_ms);
        if self.shown.replace(shown) != Some(shown) {
            self.looks = LOOKS;
        }
        let may_crash = more || (mine.running < mine.desired && self.crashed_lately());
        let is_time = may_crash && self.looks > 0;
        self.looks -= u8::from(is_time);
        is_time
    }

    /// Notes that tasks have stopped.
    pub(super) fn has_stopped(&mut self) {
        self.calm_since = Instant::now();
    }

    fn crashed_lately(&self) -> bool {
        let has_crashed = self.failed > 0 || self.stops.worst() > 0;
        has_crashed && self.calm_since.elapsed() < CALM
    }

    /// A line for people, unless they have just been told it.
    pub(super) fn news(&mut self, line: String) -> Option<String> {
        if line == self.told {
            return None;
        }
        self.told.clone_from(&line);
        Some(line)
    }

    /// How soon to poll again.
    pub(super) fn poll_after(&self) -> Duration {
        let elapsed = self.since.elapsed();
        let near = |since: Instant| since.elapsed() < NEAR_THE_END || LATE.contains(&elapsed);
        let is_frequent = elapsed < BEGINNING || self.all_run_since.is_some_and(near);
        let pause = match (is_frequent, self.crashed_lately()) {
            (true, _) => FREQUENT,
            (false, true) => CRASHING,
            (false, false) => RARE,
        };
        pause + JITTER.mul_f64(fastrand::f64())
    }
}
