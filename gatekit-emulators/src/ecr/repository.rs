//! What ECR adds to a registry: tags with rules, and what was found in images.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A repository, but for its manifests and blobs.
#[derive(Debug, Default)]
pub(super) struct Repository {
    pub(super) mutability: String,
    pub(super) exempt: Vec<String>,
    pub(super) tags: BTreeMap<String, String>,
    /// By image: what its scan tells next, and at last from then on.
    pub(super) scans: BTreeMap<String, Vec<ScanReport>>,
}

impl Repository {
    /// Whether that tag, once it names an image, names it for good.
    pub(super) fn fixes(&self, tag: &str) -> bool {
        let exempt = self.exempt.iter().any(|filter| is_like(tag, filter));
        match self.mutability.as_str() {
            "IMMUTABLE" => true,
            "IMMUTABLE_WITH_EXCLUSION" => !exempt,
            "MUTABLE_WITH_EXCLUSION" => exempt,
            _ => false,
        }
    }

    pub(super) fn tags_of(&self, digest: &str) -> Vec<String> {
        let of = self.tags.iter().filter(|(_, of)| *of == digest);
        of.map(|(tag, _)| tag.clone()).collect()
    }
}

/// Whether a tag is one of those that a filter with `*` means.
fn is_like(tag: &str, filter: &str) -> bool {
    let mut parts = filter.split('*');
    let Some(mut rest) = tag.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// What the scan of an image tells.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanReport {
    /// Its status, as `COMPLETE`.
    pub status: String,
    /// When it was complete, in seconds since 1970.
    pub completed_at: Option<f64>,
    /// What basic scanning has found, as ECR writes it.
    pub findings: Vec<Value>,
    /// What enhanced scanning has found, as ECR writes it.
    pub enhanced: Vec<Value>,
}

impl ScanReport {
    /// A scan that has got that far, and found nothing yet.
    #[must_use]
    pub fn at(status: &str) -> Self {
        let status = status.to_owned();
        Self { status, completed_at: None, findings: Vec::new(), enhanced: Vec::new() }
    }

    /// A complete basic scan that has found vulnerabilities of these names and severities.
    #[must_use]
    pub fn basic(found: &[(&str, &str)]) -> Self {
        let finding = |(name, severity): &(&str, &str)| {
            json!({ "name": name, "severity": severity, "uri": format!("https://cve.invalid/{name}"),
                    "attributes": [{ "key": "package_name", "value": "openssl" }] })
        };
        let findings = found.iter().map(finding).collect();
        Self { completed_at: Some(1.7e9), findings, ..Self::at("COMPLETE") }
    }

    /// An enhanced scan that has found vulnerabilities of these names, severities and whether there
    /// is a fix.
    #[must_use]
    pub fn enhanced(status: &str, found: &[(&str, &str, &str)]) -> Self {
        let finding = |(name, severity, fix): &(&str, &str, &str)| {
            json!({ "severity": severity, "status": "ACTIVE", "fixAvailable": fix, "score": 7.5,
                    "title": format!("{name} - openssl"), "type": "PACKAGE_VULNERABILITY",
                    "packageVulnerabilityDetails": { "vulnerabilityId": name } })
        };
        let enhanced = found.iter().map(finding).collect();
        Self { completed_at: Some(1.7e9), enhanced, ..Self::at(status) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_have_stars() {
        for (filter, tag, is) in [
            ("latest", "latest", true),
            ("latest", "latest1", false),
            ("prod*", "production", true),
            ("*-latest", "production-latest", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c", false),
        ] {
            assert_eq!(is_like(tag, filter), is, "{filter} {tag}");
        }
    }
}
