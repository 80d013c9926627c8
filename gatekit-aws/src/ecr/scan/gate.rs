//! The gate on what was found in an image.

use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::{
    Digest, Evidence, Finding, Gate, NextAction, PlanContext, Result, StageId, Verdict,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::findings::{Progress, Report};
use super::policy::Policy;
use super::severity::Severity;
use crate::aws::Aws;
use crate::call::patiently;
use crate::code;
use crate::digest::written;
use crate::ecr::api::Api;
use crate::ecr::manifest::{Descriptor, Kind};
use crate::ecr::names::Place;
use crate::ecr::writing::no_image;

/// How long before its deadline the gate gives its answer.
const AHEAD: Duration = Duration::from_millis(300);

/// The pauses between two looks at a scan that is under way.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(15));

/// The most images that an index may have.
const IMAGES: usize = 64;

/// Passes when ECR's scan of an image has found no more than is allowed.
///
/// By default that is nothing critical and nothing high; other severities are counted, and let
/// through. Of an index, every image is judged.
///
/// Basic and enhanced scanning are told apart by what they have found, because their status does not
/// tell. While a scan is under way the gate waits, up to its deadline. A scan that is not there, has
/// failed, has expired or does not know the kind of image is no pass: it is inconclusive. So is a scan
/// that does not say when it was complete. Findings come in after the status `COMPLETE`, so a pass is
/// read twice, 3 s apart.
///
/// What the account's own rules have suppressed is not counted; the evidence says how much that is.
///
/// # Example
/// ```no_run
/// # fn example(aws: gatekit_aws::Aws, digest: gatekit_core::Digest) -> gatekit_core::Result<()> {
/// use gatekit_aws::ecr::{Scan, Severity};
/// use gatekit_core::enforced;
///
/// let scan = Scan::of(&aws, "myapp", digest)?
///     .none_from(Severity::High)
///     .at_most(Severity::Medium, 20)
///     .allow("CVE-2026-1234", "2026-12-31", "the parser is not compiled in")?;
/// let gate = enforced(scan);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to `enforced(..)` or `advisory(..)`"]
pub struct Scan {
    id: StageId,
    aws: Aws,
    place: Place,
    digest: Digest,
    policy: Policy,
    settle: Duration,
}

impl Scan {
    /// The gate on the image of that digest in a repository, as `team/myapp`. Its id is `image-scan`.
    ///
    /// # Errors
    /// `ecr.config` when no repository can have that name.
    pub fn of(aws: &Aws, repository: impl Into<String>, digest: Digest) -> Result<Self> {
        let place = Place::new(repository);
        place.check()?;
        let (id, settle) = (StageId::new("image-scan")?, Duration::from_secs(3));
        Ok(Self { id, aws: aws.clone(), place, digest, policy: Policy::default(), settle })
    }

    /// Names the account whose registry it is, by its 12 digits. By default it is the caller's.
    ///
    /// # Errors
    /// `ecr.config` when that is no account.
    pub fn in_registry(mut self, id: impl Into<String>) -> Result<Self> {
        self.place.registry = Some(id.into());
        self.place.check()?;
        Ok(self)
    }

    /// Gives it another id: a pipeline with two of them needs that.
    pub fn with_id(mut self, id: StageId) -> Self {
        self.id = id;
        self
    }

    /// Lets so many findings of that severity through, and no more.
    pub fn at_most(mut self, severity: Severity, most: u32) -> Self {
        self.policy.limit(severity, most);
        self
    }

    /// Lets nothing of that severity through, and nothing worse.
    pub fn none_from(mut self, least: Severity) -> Self {
        self.policy.none_from(least);
        self
    }

    /// Leaves out what has no fix. Only enhanced scanning tells that: what basic scanning has found
    /// counts all the same.
    pub fn only_fixable(mut self) -> Self {
        self.policy.only_fixable();
        self
    }

    /// Accepts a vulnerability by its name, up to the end of that day in UTC, as `2026-12-31`.
    ///
    /// # Errors
    /// `scan.config` when that is no date.
    pub fn allow(
        mut self,
        name: impl Into<String>,
        until: &str,
        why: impl Into<String>,
    ) -> Result<Self> {
        self.policy.allow(name.into(), until, why.into())?;
        Ok(self)
    }

    /// Reads what would pass a second time after another pause than 3 s.
    pub fn settling_for(mut self, pause: Duration) -> Self {
        self.settle = pause;
        self
    }

    fn api(&self) -> &Api {
        self.aws.ecr()
    }

    /// The images that are judged: those of an index, or the image itself.
    async fn images(&self, end: Instant) -> Result<Vec<Digest>> {
        let (mut images, mut left) = (Vec::new(), vec![self.digest.clone()]);
        while let Some(next) = left.pop() {
            let found = patiently(end, || self.api().manifest(&self.place, &next)).await?;
            let manifest = found.ok_or_else(|| no_image(&self.place, &next))?;
            match manifest.kind()? {
                Kind::Single(_) => images.push(next),
                Kind::Index(of) => {
                    let (indexes, single): (Vec<_>, Vec<_>) =
                        of.iter().filter(|it| it.is_image()).partition(|it| it.is_index());
                    let digests = |of: Vec<&Descriptor>| -> Result<Vec<_>> {
                        of.into_iter().map(Descriptor::digest).collect()
                    };
                    images.extend(digests(single)?);
                    left.extend(digests(indexes)?);
                }
            }
            if images.len() + left.len() > IMAGES {
                break;
            }
        }
        images.sort_unstable();
        images.dedup();
        Ok(images)
    }

    async fn look(&self, cx: &PlanContext, end: Instant, seen: &mut Seen) -> Result<Verdict> {
        let images = self.images(end).await?;
        if images.is_empty() || images.len() > IMAGES {
            let what = format!("the index has {} images to judge", images.len());
            return Ok(Verdict::Inconclusive(Finding::new(code::SCAN_UNUSABLE, what)));
        }
        let (mut pause, mut before) = (PAUSES.0, None);
        loop {
            let judgement = self.judge(&images, end).await?;
            seen.0 = judgement.evidence.clone();
            let wait = match judgement.says {
                Says::Verdict(verdict) => return Ok(verdict),
                Says::Passes if before.as_ref() == Some(&judgement.digest) => {
                    return Ok(Verdict::pass(judgement.evidence));
                }
                Says::Passes => {
                    before = Some(judgement.digest);
                    seen.1 = "to read once more what would pass".to_owned();
                    self.settle
                }
                Says::UnderWay(what) => {
                    cx.progress(format!("waits for {what}"));
                    before = None;
                    seen.1 = what;
                    let wait = pause;
                    pause = (pause * 2).min(PAUSES.1);
                    // Those who began together do not go on together.
                    wait.mul_f64(0.5 + fastrand::f64())
                }
            };
            sleep(wait).await;
        }
    }

    async fn judge(&self, images: &[Digest], end: Instant) -> Result<Judgement> {
        let (mut evidence, mut over, mut under_way) = (Vec::new(), Vec::new(), None);
        let (mut unusable, mut raw) = (None, Vec::new());
        for image in images {
            let name = written(image);
            let report = patiently(end, || self.api().findings(&self.place, image)).await?;
            let Some(report) = report else {
                let what = format!("ECR has no scan of {name}");
                let scan =
                    NextAction::outside("scan the image: switch scan on push on, or start one");
                let finding = Finding::new(code::SCAN_NOT_FOUND, what).with_next(scan);
                unusable.get_or_insert(finding);
                continue;
            };
            let judged = self.policy.judge(&report, Timestamp::now());
            raw.push(report.raw());
            evidence.push(self.evidence(&name, &report, judged.facts));
            over.extend(judged.over.into_iter().map(|it| format!("{name} has {it}")));
            if !judged.unknown.is_empty() {
                let what = format!("{name} has findings of unknown severity: {:?}", judged.unknown);
                unusable.get_or_insert(Finding::new(code::SCAN_UNUSABLE, what));
            }
            let status = &report.status;
            match report.progress() {
                Progress::Done => {}
                Progress::UnderWay => {
                    under_way.get_or_insert(format!("the scan of {name}: {status}"));
                }
                Progress::Unusable => {
                    let what = format!("the scan of {name} tells nothing: {status}");
                    unusable.get_or_insert(Finding::new(code::SCAN_UNUSABLE, what));
                }
            }
        }
        let says = match (unusable, under_way) {
            // More cannot make it better.
            _ if !over.is_empty() => {
                let finding = Finding::new(code::SCAN_FINDINGS, over.join("; "));
                Says::Verdict(Verdict::Fail(finding.with_evidence(evidence.clone())))
            }
            (Some(finding), _) => {
                Says::Verdict(Verdict::Inconclusive(finding.with_evidence(evidence.clone())))
            }
            (None, Some(what)) => Says::UnderWay(what),
            (None, None) => Says::Passes,
        };
        Ok(Judgement { says, evidence, digest: Digest::of_json(&json!(raw)) })
    }

    fn evidence(&self, image: &str, report: &Report, mut facts: Value) -> Evidence {
        let source = format!("ecr:DescribeImageScanFindings {}@{image}", self.place.repository);
        facts["image"] = json!(image);
        Evidence::read(source, report.raw().to_string(), facts)
    }
}

/// What was seen last, and what is waited for.
#[derive(Debug, Default)]
struct Seen(Vec<Evidence>, String);

#[derive(Debug)]
struct Judgement {
    says: Says,
    evidence: Vec<Evidence>,
    /// Of all that was told.
    digest: Digest,
}

#[derive(Debug)]
enum Says {
    Verdict(Verdict),
    Passes,
    UnderWay(String),
}

#[async_trait]
impl Gate for Scan {
    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        let Place { registry, repository } = &self.place;
        json!({
            "kind": "ecr_scan", "region": self.api().region(), "registry": registry,
            "repository": repository, "policy": self.policy.describe(),
        })
    }

    /// Reads all findings of every image, until two readings that would pass are the same.
    ///
    /// # Errors
    /// `ecr.no_repository`, `ecr.no_image`, `ecr.digest`, `aws.*`.
    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        let end = cx.deadline().checked_sub(AHEAD).unwrap_or_else(Instant::now);
        let mut seen = Seen::default();
        match timeout_at(end, self.look(cx, end, &mut seen)).await {
            Ok(verdict) => verdict,
            Err(_) => {
                let waits = if seen.1.is_empty() { "for an answer of ECR" } else { &seen.1 };
                let what = format!("there was no time left: {waits}");
                let finding = Finding::new(code::SCAN_PENDING, what).with_evidence(seen.0);
                Ok(Verdict::Inconclusive(finding))
            }
        }
    }
}
