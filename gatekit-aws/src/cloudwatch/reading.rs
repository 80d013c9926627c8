//! An alarm as it was read.

use aws_sdk_cloudwatch::types::{CompositeAlarm, MetricAlarm};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::{Value, json};

pub(super) const OK: &str = "OK";
pub(super) const ALARM: &str = "ALARM";
pub(super) const INSUFFICIENT_DATA: &str = "INSUFFICIENT_DATA";

/// The longest reason that is repeated, in characters.
const REASON: usize = 200;

/// An alarm as it was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) state: String,
    pub(super) reason: Option<String>,
    /// Since when it is in that state.
    pub(super) since: Option<DateTime>,
    /// How badly the service can evaluate it: it says nothing where all is well.
    pub(super) evaluation: Option<String>,
}

impl Reading {
    pub(super) fn of_metric(alarm: &MetricAlarm) -> Option<Self> {
        Some(Self {
            name: alarm.alarm_name()?.to_owned(),
            kind: "metric",
            state: alarm.state_value()?.as_str().to_owned(),
            reason: alarm.state_reason().map(short),
            since: changed(alarm.state_transitioned_timestamp(), alarm.state_updated_timestamp()),
            evaluation: alarm.evaluation_state().map(|it| it.as_str().to_owned()),
        })
    }

    pub(super) fn of_composite(alarm: &CompositeAlarm) -> Option<Self> {
        Some(Self {
            name: alarm.alarm_name()?.to_owned(),
            kind: "composite",
            state: alarm.state_value()?.as_str().to_owned(),
            reason: alarm.state_reason().map(short),
            since: changed(alarm.state_transitioned_timestamp(), alarm.state_updated_timestamp()),
            evaluation: None,
        })
    }

    /// Its name, and since when it is as it is.
    pub(super) fn told(&self) -> String {
        let since = self.since.map(|at| format!(" since {}", text(&at))).unwrap_or_default();
        format!("`{}` is in {}{since}", self.name, self.state)
    }

    pub(super) fn facts(&self) -> Value {
        let mut facts = json!({ "name": self.name, "kind": self.kind, "state": self.state });
        if let Some(since) = &self.since {
            facts["since"] = json!(text(since));
        }
        if let Some(evaluation) = &self.evaluation {
            facts["evaluation"] = json!(evaluation);
        }
        facts
    }
}

/// When its state changed. The other time changes with how it is evaluated, too.
fn changed(transitioned: Option<&DateTime>, updated: Option<&DateTime>) -> Option<DateTime> {
    transitioned.or(updated).copied()
}

fn short(reason: &str) -> String {
    reason.chars().take(REASON).collect()
}

fn text(at: &DateTime) -> String {
    // Only years that have five digits have no such form.
    at.fmt(Format::DateTime).unwrap_or_default()
}
