//! Alarms: their states change at moments that a script gives.

use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::Clock;
use crate::wire::{Fault, Reply};

/// Since when an alarm is in its first state, before the emulator began.
const BEFORE: Duration = Duration::from_secs(3600);

/// The state of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmState {
    /// All is well.
    Ok,
    /// It fires.
    Alarm,
    /// Nothing is known: there is no data, or not enough.
    InsufficientData,
}

impl AlarmState {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

/// An alarm and what becomes of it.
///
/// # Default
/// OK since an hour before the emulator began.
#[derive(Debug, Clone)]
#[must_use = "give it to `Aws::put_alarm`"]
pub struct Alarm {
    name: String,
    composite: bool,
    evaluation: Option<&'static str>,
    first: AlarmState,
    /// Later states, the earliest first.
    script: Vec<(Duration, AlarmState)>,
}

impl Alarm {
    /// An alarm on a metric.
    pub fn metric(name: &str) -> Self {
        let (name, script) = (name.to_owned(), Vec::new());
        Self { name, composite: false, evaluation: None, first: AlarmState::Ok, script }
    }

    /// An alarm on other alarms.
    pub fn composite(name: &str) -> Self {
        Self { composite: true, ..Self::metric(name) }
    }

    /// Its state before the emulator began.
    pub fn first(mut self, state: AlarmState) -> Self {
        self.first = state;
        self
    }

    /// Its state from that moment of the emulator's clock on.
    pub fn at(mut self, moment: Duration, state: AlarmState) -> Self {
        self.script.push((moment, state));
        self.script.sort_by_key(|(at, _)| *at);
        self
    }

    /// The service cannot evaluate it, for that reason, as `EVALUATION_ERROR`.
    pub fn evaluated_badly(mut self, how: &'static str) -> Self {
        self.evaluation = Some(how);
        self
    }

    fn json(&self, clock: &Clock, now: Duration) -> Value {
        let reached = self.script.iter().rev().find(|(at, _)| *at <= now);
        let state = reached.map_or(self.first, |(_, state)| *state);
        // A state that is set again has not changed since.
        let past = self.script.iter().take_while(|(at, _)| *at <= now);
        let (mut last, mut since) = (self.first, None);
        for (at, state) in past {
            if *state != last {
                (last, since) = (*state, Some(*at));
            }
        }
        let since = match since {
            Some(at) => clock.stamp(at),
            None => clock.stamp(Duration::ZERO) - BEFORE.as_secs_f64(),
        };
        let kind = if self.composite { "composite" } else { "metric" };
        let mut told = json!({
            "AlarmName": self.name, "StateValue": state.name(),
            "AlarmArn": format!("arn:aws:cloudwatch:us-east-1:123456789012:alarm:{}", self.name),
            "StateReason": format!("the {kind} alarm is in {}", state.name()),
            "StateUpdatedTimestamp": since, "StateTransitionedTimestamp": since,
            "ActionsEnabled": true,
        });
        if self.composite {
            told["AlarmRule"] = json!("ALARM(\"web-5xx\")");
            return told;
        }
        for (name, value) in [
            ("MetricName", json!("HTTPCode_Target_5XX_Count")),
            ("Namespace", json!("AWS/ApplicationELB")),
            ("Statistic", json!("Sum")),
            ("Period", json!(60)),
            ("EvaluationPeriods", json!(1)),
            ("Threshold", json!(0.0)),
            ("ComparisonOperator", json!("GreaterThanThreshold")),
        ] {
            told[name] = value;
        }
        if let Some(evaluation) = self.evaluation {
            told["EvaluationState"] = json!(evaluation);
        }
        told
    }
}

/// All alarms.
#[derive(Debug, Default)]
pub(crate) struct Alarms(Vec<Alarm>);

impl Alarms {
    /// Adds an alarm, or puts it in the place of the one of its name.
    pub(crate) fn put(&mut self, alarm: Alarm) {
        self.0.retain(|it| it.name != alarm.name);
        self.0.push(alarm);
        self.0.sort_by(|one, other| one.name.cmp(&other.name));
    }

    /// Turns an alarm at that moment, or makes it a metric's.
    pub(crate) fn turn(&mut self, name: &str, at: Duration, state: AlarmState) {
        match self.0.iter_mut().find(|it| it.name == name) {
            Some(alarm) => *alarm = alarm.clone().at(at, state),
            None => self.put(Alarm::metric(name).at(at, state)),
        }
    }

    pub(crate) fn answer(&self, operation: &str, ask: &Value, clock: &Clock) -> Reply {
        match operation {
            "DescribeAlarms" => self.describe(ask, clock),
            _ => Err(Fault::client("UnknownOperationException", "")),
        }
    }

    fn describe(&self, ask: &Value, clock: &Clock) -> Reply {
        let listed = |key: &str| -> Vec<&str> {
            ask[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let (names, types) = (listed("AlarmNames"), listed("AlarmTypes"));
        let prefix = ask["AlarmNamePrefix"].as_str().unwrap_or_default();
        // Whoever does not say gets the alarms of metrics alone.
        let asked = |composite: bool| match composite {
            true => types.contains(&"CompositeAlarm"),
            false => types.is_empty() || types.contains(&"MetricAlarm"),
        };
        let now = clock.elapsed();
        let mut found: Vec<_> = self
            .0
            .iter()
            .filter(|it| asked(it.composite) && it.name.starts_with(prefix))
            .filter(|it| names.is_empty() || names.contains(&&*it.name))
            .map(|it| (it.composite, it.json(clock, now)))
            .collect();
        found
            .retain(|(_, it)| ask["StateValue"].is_null() || it["StateValue"] == ask["StateValue"]);
        let number = |value: &Value| value.as_u64().and_then(|it| usize::try_from(it).ok());
        let size = number(&ask["MaxRecords"]).unwrap_or(50).clamp(1, 100);
        let from = match ask["NextToken"].as_str() {
            None => 0,
            Some(token) => token
                .parse()
                .map_err(|_| Fault::client("InvalidNextToken", "The token is not valid."))?,
        };
        let more = found.len() > from + size;
        let page: Vec<_> = found.into_iter().skip(from).take(size).collect();
        let of = |composite: bool| -> Vec<_> {
            page.iter().filter(|(it, _)| *it == composite).map(|(_, it)| it.clone()).collect()
        };
        let mut answer = json!({ "MetricAlarms": of(false), "CompositeAlarms": of(true) });
        if more {
            answer["NextToken"] = json!((from + size).to_string());
        }
        Ok(answer)
    }
}
