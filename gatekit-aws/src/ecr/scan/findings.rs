//! What ECR tells of the scan of one image.

use aws_sdk_ecr::operation::describe_image_scan_findings::DescribeImageScanFindingsOutput;
use aws_sdk_ecr::types::{
    EnhancedImageScanFinding, FindingSeverity, ImageIdentifier, ImageScanFinding, ScanStatus,
};
use gatekit_core::{Digest, Result};
use serde_json::{Value, json};

use super::severity::Severity;
use crate::call::{lacking, unread};
use crate::digest::written;
use crate::ecr::api::{Api, OWN, at};
use crate::ecr::names::Place;
use crate::operations::DESCRIBE_IMAGE_SCAN_FINDINGS;

/// The most findings that a page may have.
const PAGE: i32 = 1000;

/// The most pages that are read.
const PAGES: usize = 200;

/// What a scan has told, all pages of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    pub(super) status: String,
    pub(super) completed_at: Option<String>,
    pub(super) found: Vec<Found>,
    /// Which kinds of findings there are: not the status tells that, which is `COMPLETE` for both.
    pub(super) basic: bool,
    pub(super) enhanced: bool,
}

/// One vulnerability in one place.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) name: String,
    /// The name of it, where it is none that is known here.
    pub(super) severity: std::result::Result<Severity, String>,
    /// Whether there is a fix; `None` when that is not told.
    pub(super) fixable: Option<bool>,
    /// Whether the account's own rules have set it aside, or it is over.
    pub(super) suppressed: bool,
}

/// How far a scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Done,
    UnderWay,
    /// It will not tell anything that could be judged.
    Unusable,
}

impl Report {
    pub(super) fn progress(&self) -> Progress {
        match self.status.as_str() {
            // A scan without a time, and without findings, tells what it had before it began.
            "COMPLETE" | "ACTIVE" if self.completed_at.is_some() || !self.found.is_empty() => {
                Progress::Done
            }
            "COMPLETE" | "ACTIVE" | "IN_PROGRESS" | "PENDING" => Progress::UnderWay,
            _ => Progress::Unusable,
        }
    }

    pub(super) fn shape(&self) -> &'static str {
        match (self.basic, self.enhanced) {
            (true, false) => "basic",
            (false, true) => "enhanced",
            (true, true) => "basic and enhanced",
            (false, false) => "no findings",
        }
    }

    /// All that was told, for a digest of it.
    pub(super) fn raw(&self) -> Value {
        let mut found: Vec<_> = self
            .found
            .iter()
            .map(|it| format!("{} {:?} {:?} {}", it.name, it.severity, it.fixable, it.suppressed))
            .collect();
        found.sort_unstable();
        json!({ "status": self.status, "completed_at": self.completed_at, "found": found })
    }

    fn add(&mut self, answer: &DescribeImageScanFindingsOutput) -> Result<()> {
        let status = answer.image_scan_status().and_then(|it| it.status()).map(ScanStatus::as_str);
        let status = status
            .ok_or_else(|| lacking(DESCRIBE_IMAGE_SCAN_FINDINGS, "the status of the scan"))?;
        if !self.status.is_empty() && self.status != status {
            return Err(lacking(DESCRIBE_IMAGE_SCAN_FINDINGS, "the same status on all its pages"));
        }
        status.clone_into(&mut self.status);
        let Some(findings) = answer.image_scan_findings() else { return Ok(()) };
        self.completed_at = findings.image_scan_completed_at().map(ToString::to_string);
        self.basic |= !findings.findings().is_empty();
        self.enhanced |= !findings.enhanced_findings().is_empty();
        self.found.extend(findings.findings().iter().map(Found::basic));
        self.found.extend(findings.enhanced_findings().iter().map(Found::enhanced));
        Ok(())
    }
}

impl Found {
    fn basic(it: &ImageScanFinding) -> Self {
        let severity = it.severity().map_or("", FindingSeverity::as_str);
        Self {
            name: it.name().unwrap_or("a vulnerability without a name").to_owned(),
            severity: Severity::parse(severity),
            fixable: None,
            suppressed: false,
        }
    }

    fn enhanced(it: &EnhancedImageScanFinding) -> Self {
        let details = it.package_vulnerability_details();
        let name = details.and_then(|it| it.vulnerability_id()).or_else(|| it.title());
        Self {
            name: name.unwrap_or("a vulnerability without a name").to_owned(),
            severity: Severity::parse(it.severity().unwrap_or_default()),
            // What has a fix in part is fixable in part.
            fixable: it.fix_available().map(|it| it != "NO"),
            suppressed: matches!(it.status(), Some("SUPPRESSED" | "CLOSED")),
        }
    }
}

impl Api {
    /// What the scan of an image tells, all pages; `None` when there is no scan.
    pub(super) async fn findings(&self, place: &Place, digest: &Digest) -> Result<Option<Report>> {
        let mut report = Report::default();
        let mut token = None;
        for _ in 0..PAGES {
            self.paces.scans.turn().await;
            let call = self
                .client
                .describe_image_scan_findings()
                .set_registry_id(place.registry.clone())
                .repository_name(&place.repository)
                .image_id(ImageIdentifier::builder().image_digest(written(digest)).build())
                .set_next_token(token.clone())
                .max_results(PAGE);
            let answer = match call.send().await {
                Ok(answer) => answer,
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(|it| it.is_scan_not_found_exception()) =>
                {
                    return Ok(None);
                }
                Err(error) => {
                    return Err(at(unread(DESCRIBE_IMAGE_SCAN_FINDINGS, error, OWN), place));
                }
            };
            report.add(&answer)?;
            let next = answer.next_token().filter(|it| !it.is_empty()).map(str::to_owned);
            match next {
                None => return Ok(Some(report)),
                next if next == token => break,
                next => token = next,
            }
        }
        Err(lacking(DESCRIBE_IMAGE_SCAN_FINDINGS, "an end of its pages"))
    }
}
