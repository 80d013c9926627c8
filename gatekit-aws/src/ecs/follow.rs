//! Following a deployment: one poll.

use std::collections::BTreeSet;

use aws_sdk_ecs::types::DesiredStatus;
use gatekit_core::{Pause, PlanContext, Result, Rollout};
use tokio::time::Instant;

use super::change::{Change, DeploymentId, Receipt};
use super::course::Course;
use super::reading::{Deployment, Mine, Reading, RolloutState};
use super::site::Site;
use super::watch::{CourseArn, Watch};
use crate::call::if_allowed;

/// How many of the service's events are told with a failure.
const EVENTS: usize = 3;

/// The fewest tasks that stop for one reason before a rollout is given up: what the circuit breaker
/// of ECS waits for at least.
const FEWEST: u32 = 3;

impl Site {
    /// Polls once how the deployment of the receipt is getting on.
    pub(super) async fn follow(
        &self,
        cx: &PlanContext,
        change: &Change,
        receipt: &Receipt,
    ) -> Result<Rollout> {
        let Some(id) = &receipt.deployment else { return Ok(Rollout::NothingRan) };
        let mut watch = self.watch(receipt);
        let rollout = self.poll(cx, change, receipt, &mut watch).await;
        self.remember(id, watch);
        rollout
    }

    async fn poll(
        &self,
        cx: &PlanContext,
        change: &Change,
        receipt: &Receipt,
        watch: &mut Watch,
    ) -> Result<Rollout> {
        let reading = self.read_once().await?;
        let Some(reading) = reading.filter(Reading::is_active) else {
            return Ok(unseen(watch, "the service is no longer there, or no longer active"));
        };
        let mine = match reading.mine(change, Some(receipt)) {
            Mine::Seen(mine) => Some(mine),
            _ => None,
        };
        let is_displaced = mine.is_none_or(|it| !it.is_primary);
        let has_failed = mine.is_some_and(|it| it.rollout == RolloutState::Failed);
        let has_stages = reading.strategy != "ROLLING";
        let look_around = watch.is_time_to_look_around();
        let may_be_over = mine.is_some_and(|it| it.rollout == RolloutState::Completed);
        let is_staged = has_stages && (may_be_over || watch.is_time_to_ask_for_the_course());
        let course = if is_staged || is_displaced || has_failed {
            // What is optional does not end a poll: it may be told by the next.
            self.course(receipt, watch).await.unwrap_or_default()
        } else {
            None
        };
        if let Some(mine) = mine {
            watch.saw(mine);
            let newest = reading.events.iter().map(|(at, _)| *at).max().unwrap_or_default();
            let crashes = watch.may_crash(mine, newest);
            if look_around || crashes || has_failed || is_displaced {
                self.count_stops(&mine.id, watch).await.unwrap_or_default();
            }
        }
        if look_around {
            watch.looked_around = Some(Instant::now());
        }
        if course.is_some() {
            watch.last_course.clone_from(&course);
        }
        let rollout = stands(&reading, mine, receipt, change, course.as_ref(), watch);
        if let Some(mine) = mine
            && let Some(news) = watch.news(progress(&reading, mine, receipt, watch))
        {
            cx.progress(news);
        }
        watch.has_settled = rollout == Rollout::Settled;
        Ok(match rollout {
            Rollout::Failed(why) => Rollout::Failed(with_reasons(why, &reading, receipt, watch)),
            Rollout::RolledBack { by, why } => {
                Rollout::RolledBack { by, why: with_reasons(why, &reading, receipt, watch) }
            }
            other => other,
        })
    }

    /// How the service-deployment API tells it, where that can be asked.
    pub(super) async fn course(
        &self,
        receipt: &Receipt,
        watch: &mut Watch,
    ) -> Result<Option<Course>> {
        let Some(mine) = &receipt.deployment else { return Ok(None) };
        if watch.course == CourseArn::Unknown {
            let listed = self.api().find_course(&self.cluster, &self.service, mine).await;
            watch.course = match if_allowed(listed)? {
                None => CourseArn::Denied,
                Some(None) => CourseArn::Unknown,
                Some(Some(arn)) => CourseArn::Known(arn),
            };
        }
        let CourseArn::Known(arn) = &watch.course else { return Ok(None) };
        let told = if_allowed(self.api().course(arn).await)?;
        if told.is_none() {
            watch.course = CourseArn::Denied;
        }
        Ok(told.flatten())
    }

    /// Counts the tasks of the deployment that stopped since the last count.
    async fn count_stops(&self, mine: &DeploymentId, watch: &mut Watch) -> Result<()> {
        let listed =
            self.api().list_tasks(&self.cluster, &self.service, DesiredStatus::Stopped).await;
        let mut new = if_allowed(listed)?.unwrap_or_default();
        new.retain(|arn| !watch.known_stopped.contains(arn));
        let tasks = if_allowed(self.api().tasks(&self.cluster, new).await)?.unwrap_or_default();
        for task in tasks {
            if task.started_by() == Some(&mine.0) {
                watch.stops.count(&task);
                watch.has_stopped();
            }
            watch.known_stopped.extend(task.task_arn);
        }
        Ok(())
    }
}

/// How a deployment is getting on, by all that was read.
fn stands(
    reading: &Reading,
    mine: Option<&Deployment>,
    receipt: &Receipt,
    change: &Change,
    course: Option<&Course>,
    watch: &mut Watch,
) -> Rollout {
    let newer = reading.primary().filter(|it| {
        Some(&it.id) != receipt.deployment.as_ref()
            && (mine.is_some() || it.created_ms > receipt.created_ms)
    });
    match (course.and_then(Course::ended_badly), newer) {
        (Some(rolled_back @ Rollout::RolledBack { .. }), _) => return rolled_back,
        (_, Some(newer)) => return displaced(newer, mine, change),
        (Some(ended), None) => return ended,
        (None, None) => {}
    }
    let Some(mine) = mine else { return unseen(watch, "the deployment is not listed") };
    if let Some(hook) = course.and_then(|it| it.waits_at.clone()) {
        return Rollout::Paused(Pause::at(hook));
    }
    let goes_on = course.is_some_and(Course::goes_on);
    match mine.rollout {
        RolloutState::Failed => return Rollout::Failed(mine.reason.clone()),
        RolloutState::Completed if reading.desired == 0 => return Rollout::NothingRan,
        RolloutState::Completed if mine.running > 0 && !goes_on => return Rollout::Settled,
        RolloutState::Untold if reading.desired == 0 => return Rollout::NothingRan,
        RolloutState::Untold if reading.is_steady(mine) => return Rollout::Settled,
        _ => {}
    }
    // What has recovered is not given up for what stopped before.
    let is_failing = mine.failed > 0 || mine.running < mine.desired;
    let half = u32::try_from(reading.desired).unwrap_or_default().div_ceil(2);
    if is_failing && watch.stops.worst() >= half.max(FEWEST) {
        return Rollout::Failed("its tasks stop again and again".to_owned());
    }
    Rollout::InProgress { poll_after: watch.poll_after() }
}

/// What it means that a newer deployment is the primary one.
fn displaced(newer: &Deployment, mine: Option<&Deployment>, change: &Change) -> Rollout {
    let failed = mine.filter(|it| it.rollout == RolloutState::Failed);
    if newer.rolls_back() || (failed.is_some() && newer.revision == change.before.revision) {
        let why = failed.map_or(&newer.reason, |it| &it.reason).clone();
        return Rollout::RolledBack { by: "ECS".to_owned(), why };
    }
    Rollout::Superseded { by: newer.to_string() }
}

/// What it means that a reading does not show what was begun.
fn unseen(watch: &mut Watch, what: &str) -> Rollout {
    if watch.is_missed() {
        return Rollout::Failed(what.to_owned());
    }
    Rollout::InProgress { poll_after: watch.poll_after() }
}

/// Why tasks stopped, and what the service says.
fn with_reasons(why: String, reading: &Reading, receipt: &Receipt, watch: &Watch) -> String {
    let mut told = vec![why];
    if watch.stops.worst() > 0 {
        told.push(watch.stops.to_string());
    }
    let events: Vec<_> = events_since(reading, receipt).take(EVENTS).collect();
    told.extend(events.into_iter().rev().map(str::to_owned));
    told.join("; ")
}

/// What the service says since the deployment was begun, but of tasks that start: the newest first,
/// nothing twice.
fn events_since<'r>(reading: &'r Reading, receipt: &Receipt) -> impl Iterator<Item = &'r str> {
    let mut told = BTreeSet::new();
    let begun = receipt.created_ms;
    let news = reading.events.iter().filter(move |(at, says)| {
        *at > begun && ![" has started ", " registered "].iter().any(|it| says.contains(it))
    });
    news.map(|(_, says)| says.as_str()).filter(move |says| told.insert(*says))
}

/// How it is getting on, and why that may be: what a deadline ends is told with the last of these.
fn progress(reading: &Reading, mine: &Deployment, receipt: &Receipt, watch: &Watch) -> String {
    let mut told = vec![
        format!("{} of {} tasks run", mine.running, reading.desired),
        format!("{} pending", mine.pending),
    ];
    if mine.failed > 0 {
        told.push(format!("{} failed", mine.failed));
    }
    let course = watch.last_course.as_ref();
    let stage = course.and_then(|it| it.stage.as_ref());
    told.extend(stage.map(|it| it.to_lowercase().replace('_', " ")));
    let weight = course.and_then(|it| it.weight);
    told.extend(weight.map(|it| format!("{it} % of the traffic")));
    let mut told = told.join(", ");
    if mine.running < mine.desired {
        let stops = Some(watch.stops.to_string()).filter(|it| !it.is_empty());
        let newest = events_since(reading, receipt).next().map(str::to_owned);
        for why in stops.into_iter().chain(newest) {
            told = format!("{told}; {why}");
        }
    }
    told
}
