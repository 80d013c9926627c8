//! The gate on scan findings: every answer that ECR has.

use std::time::Duration;

use async_trait::async_trait;
use gatekit_aws::ecr::{Scan, Severity};
use gatekit_core::testing::plan_context;
use gatekit_core::{Candidate, Digest, Gate as _, Verdict};
use gatekit_emulators::{ScanReport, Trouble};
use gatekit_testkit::conformance::gate::{self, Capability, GateSubject, GateWorld, Scene};
use serde_json::{Value, json};

use super::world::{World, target, written};

const SETTLE: Duration = Duration::from_millis(50);

fn scan(world: &World, image: &Digest) -> Scan {
    Scan::of(&world.aws(), &world.repository, image.clone()).unwrap().settling_for(SETTLE)
}

async fn asked(scan: &Scan, within: Duration) -> Verdict {
    let cx = plan_context(&target(), Candidate::new(), &scan.id(), within);
    scan.check(&cx).await.unwrap()
}

async fn ask(scan: &Scan) -> Verdict {
    asked(scan, Duration::from_secs(30)).await
}

/// The verdict as a word, and its code.
fn told(verdict: &Verdict) -> (&'static str, &str) {
    (verdict.word(), verdict.finding().map_or("", |it| it.code.as_str()))
}

fn show(world: &World, image: &Digest, reports: Vec<ScanReport>) {
    world.ecr.set_scan(&world.repository, &written(image), reports);
}

fn facts(verdict: &Verdict) -> Vec<Value> {
    match verdict {
        Verdict::Pass(proof) => proof.evidence().iter().map(|it| it.facts().clone()).collect(),
        other => other.finding().unwrap().evidence.iter().map(|it| it.facts().clone()).collect(),
    }
}

/// Tools that read the one list only see nothing in the other; both have the status `COMPLETE`.
#[tokio::test]
async fn basic_and_enhanced_findings_are_told_apart_by_their_shape() {
    let world = World::new();
    let image = world.image("image");
    for (report, shape, word) in [
        (ScanReport::basic(&[("CVE-1", "HIGH")]), "basic", "fail"),
        (ScanReport::basic(&[("CVE-1", "MEDIUM")]), "basic", "pass"),
        (ScanReport::enhanced("COMPLETE", &[("CVE-1", "CRITICAL", "YES")]), "enhanced", "fail"),
        (ScanReport::enhanced("ACTIVE", &[("CVE-1", "HIGH", "NO")]), "enhanced", "fail"),
        (ScanReport::enhanced("ACTIVE", &[("CVE-1", "LOW", "NO")]), "enhanced", "pass"),
        (ScanReport::basic(&[]), "no findings", "pass"),
    ] {
        show(&world, &image, vec![report]);
        let verdict = ask(&scan(&world, &image)).await;
        assert_eq!(verdict.word(), word, "{verdict:?}");
        assert_eq!(facts(&verdict)[0]["scan"], shape);
    }
}

#[tokio::test]
async fn evidence_counts_by_severity() {
    let world = World::new();
    let image = world.image("image");
    let found = [("CVE-1", "HIGH"), ("CVE-2", "HIGH"), ("CVE-3", "CRITICAL"), ("CVE-4", "LOW")];
    show(&world, &image, vec![ScanReport::basic(&found)]);
    let verdict = ask(&scan(&world, &image)).await;
    let counts = json!({ "critical": 1, "high": 2, "low": 1 });
    assert_eq!(facts(&verdict)[0]["counts"], counts);
    let finding = verdict.finding().unwrap();
    let what = format!(
        "sha256:{image} has 1 critical (at most 0): CVE-3; sha256:{image} has 2 high (at most 0): \
         CVE-1, CVE-2"
    );
    assert_eq!((finding.code.as_str(), &finding.message), ("scan.findings", &what));
    let gate = scan(&world, &image).at_most(Severity::Critical, 1).at_most(Severity::High, 2);
    assert!(ask(&gate).await.is_pass());
    let gate = gate.allow("CVE-3", "2020-01-01", "long ago").unwrap().none_from(Severity::Critical);
    let verdict = ask(&gate).await;
    assert_eq!(told(&verdict), ("fail", "scan.findings"));
    assert_eq!(facts(&verdict)[0]["allowed_no_longer"], json!(["CVE-3"]));
    let gate = gate.allow("CVE-3", "9999-12-31", "for ever").unwrap();
    assert!(ask(&gate).await.is_pass());
}

#[tokio::test]
async fn what_has_no_fix_is_left_out_if_so_asked() {
    let world = World::new();
    let image = world.image("image");
    for (fix, word) in [("NO", "pass"), ("YES", "fail"), ("PARTIAL", "fail")] {
        show(&world, &image, vec![ScanReport::enhanced("ACTIVE", &[("CVE-1", "HIGH", fix)])]);
        assert_eq!(ask(&scan(&world, &image).only_fixable()).await.word(), word, "{fix}");
    }
}

#[tokio::test]
async fn every_page_is_read() {
    let world = World::new();
    let image = world.image("image");
    world.ecr.set_page(2);
    let found =
        [("CVE-1", "LOW"), ("CVE-2", "LOW"), ("CVE-3", "LOW"), ("CVE-4", "LOW"), ("CVE-5", "HIGH")];
    show(&world, &image, vec![ScanReport::basic(&found)]);
    assert_eq!(told(&ask(&scan(&world, &image)).await), ("fail", "scan.findings"));
    assert_eq!(world.calls().iter().filter(|it| *it == "DescribeImageScanFindings").count(), 3);
}

#[tokio::test]
async fn a_scan_under_way_is_waited_for() {
    let world = World::new();
    let image = world.image("image");
    let done = ScanReport::basic(&[("CVE-1", "LOW")]);
    let begun = vec![ScanReport::at("PENDING"), ScanReport::at("IN_PROGRESS"), done];
    show(&world, &image, begun);
    let verdict = ask(&scan(&world, &image)).await;
    assert!(verdict.is_pass(), "{verdict:?}");
    show(&world, &image, vec![ScanReport::at("IN_PROGRESS")]);
    let begun = tokio::time::Instant::now();
    let verdict = asked(&scan(&world, &image), Duration::from_secs(2)).await;
    assert_eq!(told(&verdict), ("inconclusive", "scan.pending"));
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(facts(&verdict)[0]["status"], "IN_PROGRESS");
}

/// `COMPLETE` comes seconds before what was found.
#[tokio::test]
async fn a_scan_that_has_found_nothing_is_read_again() {
    let world = World::new();
    let image = world.image("image");
    let found = ScanReport::basic(&[("CVE-1", "CRITICAL")]);
    show(&world, &image, vec![ScanReport::basic(&[]), found.clone()]);
    assert_eq!(told(&ask(&scan(&world, &image)).await), ("fail", "scan.findings"));
    // The same before it says when it was complete.
    show(&world, &image, vec![ScanReport::at("COMPLETE"), found]);
    assert_eq!(told(&ask(&scan(&world, &image)).await), ("fail", "scan.findings"));
    show(&world, &image, vec![ScanReport::at("COMPLETE")]);
    let verdict = asked(&scan(&world, &image), Duration::from_secs(1)).await;
    assert_eq!(told(&verdict), ("inconclusive", "scan.pending"));
}

#[tokio::test]
async fn no_scan_and_no_good_scan_are_no_pass() {
    let world = World::new();
    let image = world.image("image");
    let verdict = ask(&scan(&world, &image)).await;
    assert_eq!(told(&verdict), ("inconclusive", "scan.not_found"));
    for status in [
        "FAILED",
        "UNSUPPORTED_IMAGE",
        "SCAN_ELIGIBILITY_EXPIRED",
        "FINDINGS_UNAVAILABLE",
        "LIMIT_EXCEEDED",
        "IMAGE_ARCHIVED",
        "SOMETHING_NEW",
    ] {
        let report = ScanReport { completed_at: Some(1.7e9), ..ScanReport::at(status) };
        show(&world, &image, vec![report]);
        let verdict = ask(&scan(&world, &image)).await;
        assert_eq!(told(&verdict), ("inconclusive", "scan.unusable"), "{status}");
    }
    show(&world, &image, vec![ScanReport::basic(&[("CVE-1", "CATASTROPHIC")])]);
    assert_eq!(told(&ask(&scan(&world, &image)).await), ("inconclusive", "scan.unusable"));
}

#[tokio::test]
async fn every_image_of_an_index_is_judged() {
    let world = World::new();
    let (amd, arm) = (world.image("amd"), world.image_for("arm", "arm64", 64));
    let attestation = world.image("attestation");
    let index = world.index(&[
        (&amd, json!({ "os": "linux", "architecture": "amd64" })),
        (&arm, json!({ "os": "linux", "architecture": "arm64" })),
        (&attestation, json!({ "os": "unknown", "architecture": "unknown" })),
    ]);
    let good = || vec![ScanReport::basic(&[("CVE-1", "LOW")])];
    show(&world, &amd, good());
    let verdict = ask(&scan(&world, &index)).await;
    assert_eq!(told(&verdict), ("inconclusive", "scan.not_found"), "of one there is no scan");
    show(&world, &arm, good());
    let verdict = ask(&scan(&world, &index)).await;
    assert_eq!(facts(&verdict).len(), 2, "{verdict:?}");
    assert!(verdict.is_pass());
    show(&world, &arm, vec![ScanReport::basic(&[("CVE-2", "CRITICAL")])]);
    assert_eq!(told(&ask(&scan(&world, &index)).await), ("fail", "scan.findings"));
    let empty =
        world.index(&[(&attestation, json!({ "os": "unknown", "architecture": "unknown" }))]);
    assert_eq!(told(&ask(&scan(&world, &empty)).await), ("inconclusive", "scan.unusable"));
}

#[derive(Debug)]
struct Scans;

#[async_trait]
impl GateSubject for Scans {
    type World = Site;

    fn capability(&self) -> Capability {
        Capability::new().with_empty().with_hanging()
    }

    async fn world(&self) -> Site {
        let world = World::new();
        let image = world.image("image");
        show(&world, &image, vec![ScanReport::basic(&[("CVE-1", "LOW")])]);
        Site { world, image }
    }
}

#[derive(Debug)]
struct Site {
    world: World,
    image: Digest,
}

#[async_trait]
impl GateWorld for Site {
    type Gate = Scan;

    fn gate(&self) -> Scan {
        scan(&self.world, &self.image)
    }

    async fn show(&self, scene: Scene) {
        self.world.emulator.mend();
        let report = match scene {
            Scene::Passes => ScanReport::basic(&[("CVE-1", "LOW")]),
            Scene::Fails => ScanReport::basic(&[("CVE-1", "CRITICAL")]),
            Scene::Unreadable => ScanReport::at("FAILED"),
            Scene::Hangs => {
                self.world.inject("DescribeImageScanFindings", Trouble::Silent, 99);
                return;
            }
            _ => return show(&self.world, &self.image, Vec::new()),
        };
        show(&self.world, &self.image, vec![report]);
    }

    async fn trace(&self) -> Digest {
        Digest::of(format!("{:?}", self.world.ecr.tags(&self.world.repository)))
    }

    fn secrets(&self) -> Vec<String> {
        vec!["CANARY-secret".to_owned()]
    }
}

#[tokio::test]
async fn it_conforms() {
    gate::all(&Scans).await;
}
