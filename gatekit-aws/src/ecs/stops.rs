//! Why tasks stopped, grouped and counted.

use std::collections::BTreeMap;
use std::fmt;

use aws_sdk_ecs::types::{Task, TaskStopCode};

use crate::said::said;

/// The reasons for which tasks of a deployment stopped, by how often.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Stops {
    /// By the reason without what differs from task to task: how often, and the reason of the first.
    by_reason: BTreeMap<String, (u32, String)>,
}

impl Stops {
    /// Counts a stopped task, unless somebody wanted it to stop.
    pub(super) fn count(&mut self, task: &Task) {
        if let Some((key, text)) = failure(task) {
            self.by_reason.entry(key).or_insert((0, text)).0 += 1;
        }
    }

    /// How often the most frequent reason was met.
    pub(super) fn worst(&self) -> u32 {
        self.by_reason.values().map(|(times, _)| *times).max().unwrap_or_default()
    }
}

impl fmt::Display for Stops {
    /// `3× CannotPullContainerError: …`, the most frequent first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reasons: Vec<_> = self.by_reason.values().collect();
        reasons.sort_by_key(|(times, _)| std::cmp::Reverse(*times));
        for (i, (times, reason)) in reasons.iter().enumerate() {
            write!(f, "{}{times}× {reason}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// Why a task stopped, when that was a failure: for grouping, and for people.
fn failure(task: &Task) -> Option<(String, String)> {
    let reason = said(task.stopped_reason().unwrap_or("it does not say why"));
    let wanted = match task.stop_code.as_ref()? {
        TaskStopCode::TaskFailedToStart | TaskStopCode::EssentialContainerExited => false,
        // The scheduler stops what is not healthy, and what is no longer needed.
        TaskStopCode::ServiceSchedulerInitiated => {
            !["fail", "unhealthy"].iter().any(|sign| reason.contains(sign))
        }
        // A person, or the capacity under it.
        _ => true,
    };
    if wanted {
        return None;
    }
    let (mut key, mut text) = (vec![alike(&reason)], vec![reason.clone()]);
    for container in task.containers() {
        let name = container.name().unwrap_or("?");
        if let Some(code) = container.exit_code.filter(|code| *code != 0) {
            key.push(format!("{name} {code}"));
            text.push(format!("container `{name}` exited with {code}"));
        }
        if let Some(why) = container.reason().map(said).filter(|why| *why != reason) {
            key.push(format!("{name} {}", alike(&why)));
            text.push(format!("container `{name}`: {why}"));
        }
    }
    Some((key.join(", "), text.join(", ")))
}

/// The same for reasons that differ only in ids, numbers and addresses.
fn alike(reason: &str) -> String {
    let words = reason.split(|it: char| !(it.is_ascii_alphanumeric() || it == '-'));
    let has_digit = |word: &str| word.contains(|it: char| it.is_ascii_digit());
    let words = words.map(|word| if has_digit(word) { "#" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ecs::types::Container;

    fn task(code: TaskStopCode, reason: &str, exit: Option<i32>) -> Task {
        let container = Container::builder().name("web").set_exit_code(exit).build();
        Task::builder().stop_code(code).stopped_reason(reason).containers(container).build()
    }

    #[test]
    fn reasons_are_grouped_without_what_differs_from_task_to_task() {
        let mut stops = Stops::default();
        let pull = |id, times| {
            let why = "CannotPullContainerError: pull of layer";
            format!("{why} sha256:{id} has been retried {times} time(s)")
        };
        for (id, times) in [("1f2e3d4c5b6a", 1), ("a1b2c3d4e5f60718", 5)] {
            stops.count(&task(TaskStopCode::TaskFailedToStart, &pull(id, times), None));
        }
        for code in [1, 1, 1, 137] {
            let exited = TaskStopCode::EssentialContainerExited;
            stops.count(&task(exited, "Essential container in task exited", Some(code)));
        }
        assert_eq!(stops.worst(), 3);
        assert_eq!(
            stops.to_string(),
            format!(
                "3× Essential container in task exited, container `web` exited with 1; 2× {}; 1× \
                 Essential container in task exited, container `web` exited with 137",
                pull("1f2e3d4c5b6a", 1)
            )
        );
    }

    #[test]
    fn what_somebody_stopped_is_no_failure() {
        let mut stops = Stops::default();
        let scaled = "Scaling activity initiated by deployment ecs-svc/1";
        stops.count(&task(TaskStopCode::ServiceSchedulerInitiated, scaled, Some(0)));
        stops.count(&task(TaskStopCode::UserInitiated, "Task stopped by user", Some(143)));
        stops.count(&task(TaskStopCode::SpotInterruption, "Spot", Some(143)));
        assert_eq!(stops.worst(), 0);
        let unhealthy = "Task failed ELB health checks in (target-group arn)";
        stops.count(&task(TaskStopCode::ServiceSchedulerInitiated, unhealthy, Some(143)));
        assert_eq!(stops.worst(), 1);
    }
}
