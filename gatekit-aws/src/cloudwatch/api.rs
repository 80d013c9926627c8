//! The calls of CloudWatch.

use std::sync::Arc;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::AlarmType;
use aws_types::SdkConfig;
use gatekit_core::Result;

use super::reading::{ALARM, Reading};
use crate::call::{lacking, unread};
use crate::operations;
use crate::pace::Paces;

/// How many names one call takes, and how many alarms it tells at once.
pub(super) const NAMES: usize = 100;
const PAGE: i32 = 100;

/// CloudWatch.
#[derive(Debug)]
pub(crate) struct Api {
    client: Client,
    paces: Arc<Paces>,
}

impl Api {
    pub(crate) fn new(config: &SdkConfig, paces: Arc<Paces>) -> Self {
        Self { client: Client::new(config), paces }
    }

    /// The metric and composite alarms that have these names; those that are not there are left out.
    /// Cancel-safe.
    pub(super) async fn alarms(&self, names: &[String]) -> Result<Vec<Reading>> {
        let operation = operations::DESCRIBE_ALARMS;
        let mut readings = Vec::new();
        let mut token = None;
        loop {
            self.paces.alarms.turn().await;
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
