//! The gate: how often it looks, and until when.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::{
    Effect, Error, Finding, Gate, NextAction, PlanContext, Result, StageId, Verdict,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::api::NAMES;
use super::bake::Bake;
use super::reading::Reading;
use crate::aws::Aws;
use crate::code;

/// How often it looks, and how often at least during a short bake.
const EVERY: Duration = Duration::from_secs(10);
const LOOKS: u32 = 4;

/// The first pause after a look that failed, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(5));

/// What it keeps of the time that it is given, for its answer.
const SPARE: Duration = Duration::from_millis(200);

/// Asks that alarms of CloudWatch exist and stay quiet for a while, as after a deploy.
///
/// It passes when all of them, metric and composite, were `OK` at every look of the bake, the last one
/// at its end, and none of them has changed its state between two looks. The times that CloudWatch
/// tells show that, so that a look that could not be made hides nothing: neither throttling nor a
/// network that is gone for a while ends the bake.
///
/// An alarm that fires fails it, at once. What fires since before the run was opened cannot have been
/// caused by it and cannot judge it: the verdict is then [`Inconclusive`](Verdict::Inconclusive), with
/// `alarm.fired_before`; the two clocks may be five seconds apart. It is inconclusive, too, about
/// alarms that are not there, have no data, cannot be evaluated, or were in another state in between.
///
/// The bake has to fit into the gate's time, and CloudWatch needs a period or two of an alarm's metric
/// before the alarm fires: a bake that is shorter shows little. An alarm that fired while the deploy
/// went on, and no longer does when the bake begins, is not held against it.
///
/// # Example
/// ```no_run
/// # use std::time::Duration;
/// # fn example(aws: &gatekit_aws::Aws) -> gatekit_core::Result<()> {
/// use gatekit_aws::cloudwatch::Alarms;
///
/// let gate = Alarms::of(aws, "alarms", ["web-5xx", "web-latency"])?.bake(Duration::from_secs(300));
/// # Ok(())
/// # }
/// ```
///
/// # Default
/// No bake: it looks once. An alarm without data is not quiet.
#[derive(Debug, Clone)]
#[must_use = "give it to `enforced(..)`"]
pub struct Alarms {
    aws: Aws,
    id: StageId,
    names: Vec<String>,
    bake: Duration,
    allows_no_data: bool,
}

impl Alarms {
    /// The alarms of these names, metric or composite.
    ///
    /// # Errors
    /// `config.name` when the id is not valid, `alarm.config` when there is no name, an empty one, or
    /// more than a hundred.
    pub fn of(
        aws: &Aws,
        id: impl Into<String>,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self> {
        let names: BTreeSet<String> = names.into_iter().map(Into::into).collect();
        let refused = |why| Err(Error::new(code::ALARM_CONFIG, why).with_effect(Effect::None));
        if names.is_empty() {
            return refused("no alarm is named: zero alarms are always quiet");
        }
        if names.iter().any(|name| name.trim().is_empty()) {
            return refused("an alarm has an empty name");
        }
        if names.len() > NAMES {
            return refused(
                "more than 100 alarms are named: use a composite alarm, or another gate",
            );
        }
        let (id, names) = (StageId::new(id)?, names.into_iter().collect());
        Ok(Self { aws: aws.clone(), id, names, bake: Duration::ZERO, allows_no_data: false })
    }

    /// How long they have to stay quiet.
    pub fn bake(mut self, time: Duration) -> Self {
        self.bake = time;
        self
    }

    /// Takes an alarm in `INSUFFICIENT_DATA` for quiet, like one on errors that are counted only when
    /// there are any.
    pub fn allow_insufficient_data(mut self) -> Self {
        self.allows_no_data = true;
        self
    }

    async fn read(&self, end: Instant) -> Result<Vec<Reading>> {
        match timeout_at(end, self.aws.cloudwatch().alarms(&self.names)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::new(code::UNREACHABLE, "CloudWatch did not answer in time")
                .with_effect(Effect::None)
                .retry_later()),
        }
    }

    fn too_long(&self, left: Duration) -> Verdict {
        let (bake, left) = (self.bake.as_secs_f64(), left.as_secs_f64());
        let why = format!("a bake of {bake:.1} s does not fit into the {left:.1} s that are left");
        let next = NextAction::outside("bake for a shorter time, or give the gates more");
        Verdict::Inconclusive(Finding::new(code::ALARM_NO_TIME, why).with_next(next))
    }
}

#[async_trait]
impl Gate for Alarms {
    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        json!({"alarms": {
            "names": self.names,
            "bake_ms": u64::try_from(self.bake.as_millis()).unwrap_or(u64::MAX),
            "allow_insufficient_data": self.allows_no_data,
        }})
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        let begun = Instant::now();
        let end = cx.deadline().checked_sub(SPARE).unwrap_or(begun);
        let Some(baked) = begun.checked_add(self.bake).filter(|baked| *baked < end) else {
            return Ok(self.too_long(end.saturating_duration_since(begun)));
        };
        let every = EVERY.min(self.bake / LOOKS);
        let mut bake = Bake::new(&self.names, self.allows_no_data, cx.run());
        let mut pause = PAUSES.0;
        loop {
            let looked = Instant::now();
            let next = match self.read(end).await {
                Ok(readings) => {
                    if let Some(verdict) = bake.look(readings) {
                        return Ok(verdict);
                    }
                    if looked >= baked {
                        return Ok(bake.pass(looked - begun));
                    }
                    pause = PAUSES.0;
                    let left = baked.saturating_duration_since(Instant::now()).as_secs();
                    cx.progress(format!("the alarms are quiet; the bake ends in {left} s"));
                    (Instant::now() + jittered(every)).min(baked)
                }
                Err(error) => {
                    let next = Instant::now() + jittered(pause);
                    if !error.is_temporary() || next >= end {
                        return Err(error);
                    }
                    cx.progress(format!("the alarms cannot be read: {error}"));
                    pause = (pause * 2).min(PAUSES.1);
                    next
                }
            };
            sleep_until(next).await;
        }
    }
}

/// Those who look together do not go on looking together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.75 + fastrand::f64() / 2.0)
}
