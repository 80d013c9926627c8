//! The calls of CloudWatch.

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::AlarmType;
use aws_types::SdkConfig;
use gatekit_core::Result;

use super::reading::{ALARM, Reading};
use crate::call::{lacking, unread};
use crate::operations;
use crate::pace::Pace;

/// How many names one call takes, and how many alarms it tells at once.
pub(super) const NAMES: usize = 100;
const PAGE: i32 = 100;

/// Half of what an account may call in a second.
const PER_SECOND: u32 = 4;

/// CloudWatch, at a pace that all gates of an account share.
#[derive(Debug)]
pub(crate) struct Api {
    client: Client,
    pace: Pace,
}

impl Api {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config), pace: Pace::new(PER_SECOND, PER_SECOND) }
    }

    /// The metric and composite alarms that have these names; those that are not there are left out.
    /// Cancel-safe.
    pub(super) async fn alarms(&self, names: &[String]) -> Result<Vec<Reading>> {
        let operation = operations::DESCRIBE_ALARMS;
        let mut readings = Vec::new();
        let mut token = None;
        loop {
            self.pace.turn().await;
            let answer = self
                .client
                .describe_alarms()
                .set_alarm_names(Some(names.to_vec()))
                // Whoever does not say gets no composite ones.
                .alarm_types(AlarmType::MetricAlarm)
                .alarm_types(AlarmType::CompositeAlarm)
                .max_records(PAGE)
                .set_next_token(token.take())
                .send()
                .await
                .map_err(|error| unread(operation, error, &[]))?;
            for alarm in answer.metric_alarms() {
                readings.push(Reading::of_metric(alarm));
            }
            for alarm in answer.composite_alarms() {
                readings.push(Reading::of_composite(alarm));
            }
            match answer.next_token() {
                Some(next) if !next.is_empty() => token = Some(next.to_owned()),
                _ => break,
            }
        }
        let complete: Option<Vec<_>> = readings.into_iter().collect();
        complete.ok_or_else(|| lacking(operation, "the name or the state of an alarm"))
    }

    /// Those of these alarms that fire. Cancel-safe.
    pub(crate) async fn firing(&self, names: &[String]) -> Result<Vec<String>> {
        let mut firing = Vec::new();
        for names in names.chunks(NAMES) {
            let alarms = self.alarms(names).await?.into_iter();
            firing.extend(alarms.filter(|it| it.state == ALARM).map(|it| it.name));
        }
        Ok(firing)
    }
}
