//! What looks at alarms come to.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_smithy_types::DateTime;
use gatekit_core::{Code, Evidence, Finding, NextAction, RunId, Verdict};
use serde_json::{Value, json};
use uuid::Uuid;

use super::reading::{ALARM, INSUFFICIENT_DATA, OK, Reading};
use crate::code;

/// How far the clocks of AWS and of who opened the run may be apart, in seconds.
const CLOCKS: i64 = 5;

/// The looks so far.
#[derive(Debug)]
pub(super) struct Bake<'a> {
    names: &'a [String],
    allows_no_data: bool,
    /// When the run was opened, which is before it deployed anything.
    opened: Option<DateTime>,
    looks: u32,
    /// The alarms at the last look, by name.
    last: BTreeMap<String, Reading>,
}

impl<'a> Bake<'a> {
    pub(super) fn new(names: &'a [String], allows_no_data: bool, run: RunId) -> Self {
        let opened = opened(run);
        Self { names, allows_no_data, opened, looks: 0, last: BTreeMap::new() }
    }

    /// What a look says against a pass, if anything.
    pub(super) fn look(&mut self, readings: Vec<Reading>) -> Option<Verdict> {
        self.looks += 1;
        let before = std::mem::replace(
            &mut self.last,
            readings.into_iter().map(|it| (it.name.clone(), it)).collect(),
        );
        let now: Vec<_> = self.last.values().collect();
        // What fails goes before what cannot be told.
        let (old, new): (Vec<&Reading>, Vec<&Reading>) = now
            .iter()
            .filter(|it| it.state == ALARM)
            .partition(|it| self.fired_before(it, &before));
        if !new.is_empty() {
            let reasons = new.iter().filter_map(|it| it.reason.as_deref());
            let reasons: Vec<_> =
                [all_told(&new)].into_iter().chain(reasons.map(str::to_owned)).collect();
            return Some(Verdict::Fail(self.finding(code::ALARM_FIRING, reasons.join(": "))));
        }
        let inconclusive = |code, why| Some(Verdict::Inconclusive(self.finding(code, why)));
        let unknown: Vec<_> =
            self.names.iter().filter(|name| !self.last.contains_key(*name)).collect();
        if !unknown.is_empty() {
            let names: Vec<_> = unknown.iter().map(|name| format!("`{name}`")).collect();
            let why =
                "no metric or composite alarm of this account and region that the caller sees";
            return inconclusive(code::ALARM_UNKNOWN, format!("{}: {why}", names.join(", ")));
        }
        if !old.is_empty() {
            let why = format!(
                "{}: was firing before the deploy, so that it judges nothing",
                all_told(&old)
            );
            return inconclusive(code::ALARM_FIRED_BEFORE, why);
        }
        let quiet = |it: &&&Reading| {
            it.state == OK || (self.allows_no_data && it.state == INSUFFICIENT_DATA)
        };
        let dark: Vec<_> = now.iter().filter(|it| !quiet(it)).copied().collect();
        if !dark.is_empty() {
            return inconclusive(code::ALARM_NO_DATA, all_told(&dark));
        }
        if let Some((it, how)) = now.iter().find_map(|it| Some((it, it.evaluation.as_ref()?))) {
            let why = format!("`{}` cannot be evaluated as it should: {how}", it.name);
            return inconclusive(code::ALARM_NOT_EVALUATED, why);
        }
        let returned = |it: &&&Reading| {
            before.get(&it.name).is_some_and(|was| was.state == it.state && was.since != it.since)
        };
        let unsteady: Vec<_> = now.iter().filter(returned).copied().collect();
        if !unsteady.is_empty() {
            let why = format!("{}: it was in another state between two looks", all_told(&unsteady));
            return inconclusive(code::ALARM_UNSTEADY, why);
        }
        None
    }

    /// Whether an alarm fires since before this run could have caused it.
    fn fired_before(&self, it: &Reading, before: &BTreeMap<String, Reading>) -> bool {
        let seen_quiet = before.get(&it.name).is_some_and(|was| was.state != ALARM);
        let since = it.since.zip(self.opened);
        !seen_quiet && since.is_some_and(|(since, opened)| since < opened)
    }

    /// All were quiet at every look of that time.
    pub(super) fn pass(&self, baked: Duration) -> Verdict {
        Verdict::pass([self.evidence(Some(baked))])
    }

    fn finding(&self, code: Code, why: String) -> Finding {
        let next = match &code {
            it if *it == code::ALARM_FIRED_BEFORE => "see why it fires, and ship when it is quiet",
            it if *it == code::ALARM_UNKNOWN => {
                "see the names, account and region, and allow `cloudwatch:DescribeAlarms` on `*`"
            }
            _ => "see the alarms in CloudWatch",
        };
        let finding = Finding::new(code, why).with_next(NextAction::outside(next));
        if self.last.is_empty() { finding } else { finding.with_evidence([self.evidence(None)]) }
    }

    fn evidence(&self, baked: Option<Duration>) -> Evidence {
        let alarms: Value = self.last.values().map(Reading::facts).collect();
        let raw = alarms.to_string();
        let mut facts = json!({ "looks": self.looks, "alarms": alarms });
        if let Some(baked) = baked {
            facts["baked_s"] = json!(baked.as_secs());
        }
        Evidence::read("cloudwatch:DescribeAlarms", raw, facts)
    }
}

fn all_told(readings: &[&Reading]) -> String {
    readings.iter().map(|it| it.told()).collect::<Vec<_>>().join(", ")
}

/// When a run was opened at the earliest, by the wall clock of who opened it: its id tells.
fn opened(run: RunId) -> Option<DateTime> {
    let (seconds, nanos) = run.to_string().parse::<Uuid>().ok()?.get_timestamp()?.to_unix();
    Some(DateTime::from_secs_and_nanos(i64::try_from(seconds).ok()? - CLOCKS, nanos))
}
