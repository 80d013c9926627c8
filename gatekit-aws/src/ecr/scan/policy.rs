//! How much may be found.

use std::collections::BTreeMap;

use gatekit_core::{Error, Result};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::findings::{Found, Report};
use super::severity::Severity;
use crate::code;

/// How many names a message tells.
const NAMES: usize = 10;

/// A vulnerability that is accepted for a while.
#[derive(Debug, Clone)]
struct Allowed {
    until: Date,
    why: String,
}

/// How much may be found.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    limits: BTreeMap<Severity, u32>,
    only_fixable: bool,
    allowed: BTreeMap<String, Allowed>,
}

/// What a policy says of one image.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) facts: Value,
    /// What is too much.
    pub(super) over: Vec<String>,
    /// Severities that nobody knows.
    pub(super) unknown: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        let limits = BTreeMap::from([(Severity::High, 0), (Severity::Critical, 0)]);
        Self { limits, only_fixable: false, allowed: BTreeMap::new() }
    }
}

impl Policy {
    pub(super) fn limit(&mut self, severity: Severity, most: u32) {
        self.limits.insert(severity, most);
    }

    pub(super) fn none_from(&mut self, least: Severity) {
        for (severity, _) in Severity::ALL {
            if severity >= least {
                self.limits.insert(severity, 0);
            }
        }
    }

    pub(super) fn only_fixable(&mut self) {
        self.only_fixable = true;
    }

    /// # Errors
    /// `scan.config` when that is no date.
    pub(super) fn allow(&mut self, name: String, until: &str, why: String) -> Result<()> {
        let until: Date = until.parse().map_err(|source: jiff::Error| {
            let what = format!("`{}` is no date like `2026-12-31`", until.escape_debug());
            Error::new(code::SCAN_CONFIG, what).with_source(source)
        })?;
        self.allowed.insert(name, Allowed { until, why });
        Ok(())
    }

    pub(super) fn describe(&self) -> Value {
        let limits: BTreeMap<_, _> =
            self.limits.iter().map(|(severity, most)| (severity.to_string(), most)).collect();
        let allowed: BTreeMap<_, _> = self
            .allowed
            .iter()
            .map(|(name, it)| (name, json!({ "until": it.until.to_string(), "why": it.why })))
            .collect();
        json!({ "at_most": limits, "only_fixable": self.only_fixable, "allowed": allowed })
    }

    pub(super) fn judge(&self, report: &Report, now: Timestamp) -> Judged {
        let today = now.to_zoned(TimeZone::UTC).date();
        let is_allowed =
            |it: &Found| self.allowed.get(&it.name).is_some_and(|it| today <= it.until);
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        let mut counted: BTreeMap<Severity, Vec<&str>> = BTreeMap::new();
        let (mut allowed, mut suppressed, mut unfixable) = (Vec::new(), 0, 0);
        let mut unknown = Vec::new();
        for it in &report.found {
            let severity = match &it.severity {
                Ok(severity) => *severity,
                Err(name) => {
                    unknown.push(name.clone());
                    continue;
                }
            };
            *counts.entry(severity.to_string()).or_default() += 1;
            if it.suppressed {
                suppressed += 1;
            } else if is_allowed(it) {
                allowed.push(it.name.as_str());
            } else if self.only_fixable && it.fixable == Some(false) {
                unfixable += 1;
            } else {
                counted.entry(severity).or_default().push(&it.name);
            }
        }
        let mut over = Vec::new();
        for (severity, names) in counted.iter().rev() {
            let most = self.limits.get(severity).copied().unwrap_or(u32::MAX);
            if names.len() > usize::try_from(most).unwrap_or(usize::MAX) {
                over.push(format!("{} {severity} (at most {most}): {}", names.len(), some(names)));
            }
        }
        allowed.sort_unstable();
        allowed.dedup();
        let expired: Vec<_> =
            self.allowed.iter().filter(|(_, it)| it.until < today).map(|(name, _)| name).collect();
        let facts = json!({
            "status": report.status, "scan": report.shape(), "completed_at": report.completed_at,
            "counts": counts, "allowed": allowed, "allowed_no_longer": expired,
            "suppressed": suppressed, "without_fix": unfixable,
        });
        Judged { facts, over, unknown }
    }
}

/// The first names of a list, each once.
fn some(names: &[&str]) -> String {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    let more = names.len().saturating_sub(NAMES);
    names.truncate(NAMES);
    let told = names.join(", ");
    if more == 0 { told } else { format!("{told} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, severity: Severity, fixable: Option<bool>) -> Found {
        Found { name: name.to_owned(), severity: Ok(severity), fixable, suppressed: false }
    }

    fn over(policy: &Policy, found: Vec<Found>, on: &str) -> Vec<String> {
        let now = format!("{on}T12:00:00Z").parse().unwrap();
        policy.judge(&Report { found, ..Report::default() }, now).over
    }

    #[test]
    fn by_default_nothing_high_or_critical_is_let_through() {
        let policy = Policy::default();
        for (severity, passes) in [
            (Severity::Critical, false),
            (Severity::High, false),
            (Severity::Medium, true),
            (Severity::Undefined, true),
        ] {
            let over = over(&policy, vec![found("CVE-1", severity, None)], "2026-01-01");
            assert_eq!(over.is_empty(), passes, "{severity}: {over:?}");
        }
    }

    #[test]
    fn limits_are_those_of_a_severity() {
        let mut policy = Policy::default();
        policy.limit(Severity::High, 1);
        let highs = |count: usize| vec![found("CVE-1", Severity::High, None); count];
        assert!(over(&policy, highs(1), "2026-01-01").is_empty());
        assert_eq!(over(&policy, highs(2), "2026-01-01"), ["2 high (at most 1): CVE-1"]);
        policy.none_from(Severity::Medium);
        assert_eq!(over(&policy, highs(1), "2026-01-01"), ["1 high (at most 0): CVE-1"]);
        let medium = vec![found("CVE-2", Severity::Medium, None)];
        assert_eq!(over(&policy, medium, "2026-01-01").len(), 1);
    }

    #[test]
    fn what_is_accepted_is_so_until_the_end_of_its_day() {
        let mut policy = Policy::default();
        policy.allow("CVE-1".to_owned(), "2026-03-31", "not reachable".to_owned()).unwrap();
        let one = || vec![found("CVE-1", Severity::High, None)];
        assert!(over(&policy, one(), "2026-03-31").is_empty());
        assert_eq!(over(&policy, one(), "2026-04-01").len(), 1);
        let other = vec![found("CVE-2", Severity::High, None)];
        assert_eq!(over(&policy, other, "2026-03-31").len(), 1);
        let error = policy.allow("x".to_owned(), "soon", String::new()).unwrap_err();
        assert_eq!(error.code(), &code::SCAN_CONFIG);
    }

    #[test]
    fn what_has_no_fix_can_be_left_out_and_only_that() {
        let mut policy = Policy::default();
        policy.only_fixable();
        for (fixable, passes) in [(Some(true), false), (None, false), (Some(false), true)] {
            let over = over(&policy, vec![found("CVE-1", Severity::High, fixable)], "2026-01-01");
            assert_eq!(over.is_empty(), passes, "{fixable:?}");
        }
    }
}
