//! A repository of its own for each test, in an emulated account of its own.

use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use aws_sdk_ecr::config::{Credentials, Region, SharedCredentialsProvider};
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use gatekit_aws::{Aws, ecr};
use gatekit_core::ledger::{Hold, Ledger as _, MemoryLedger};
use gatekit_core::testing::{apply_context, plan_context};
use gatekit_core::{
    ApplyContext, Candidate, Deployer as _, Digest, Location, PlanContext, Planned, Result,
    Rollback as _, RunId, TargetName,
};
use gatekit_emulators::{Clock, Ecr, Injection, Listening, Scenario, Trouble};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

pub(crate) const TAG: &str = "production-latest";
pub(crate) const LEASE: Duration = Duration::from_secs(3600);
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const REGION: &str = "eu-central-1";

/// Where the emulators run: they outlive the runtimes of those who call them.
pub(crate) fn outside() -> &'static Runtime {
    static OUTSIDE: OnceLock<Runtime> = OnceLock::new();
    OUTSIDE.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    })
}

/// Waits for what is done there, from inside of another runtime, too.
pub(crate) fn done_outside<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    outside().spawn(async move { sender.send(work.await) });
    receiver.recv().unwrap()
}

/// The registry that all tests share.
#[expect(clippy::expect_used, reason = "a helper of tests, outside `#[test]`")]
pub(crate) fn registry() -> String {
    std::env::var("GATEKIT_TEST_REGISTRY").expect(
        "GATEKIT_TEST_REGISTRY is the address of an OCI registry that allows deletion, as \
         http://127.0.0.1:5000",
    )
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) ecr: Ecr,
    pub(crate) emulator: gatekit_emulators::Aws,
    listening: Listening,
    pub(crate) repository: String,
    pub(crate) ledger: Arc<MemoryLedger>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with("MUTABLE", &[])
    }

    pub(crate) fn with(mutability: &str, exempt: &[&str]) -> Self {
        let ecr = Ecr::new(&registry()).unwrap();
        let repository = format!("t/{}", RunId::generate());
        ecr.create(&repository, mutability, exempt);
        let emulator =
            gatekit_emulators::Aws::new("ok".parse::<Scenario>().unwrap(), Clock::at_speed(1.0));
        let emulator = emulator.with_ecr(ecr.clone());
        let listening = {
            let emulator = emulator.clone();
            done_outside(async move { emulator.listen(0).await.unwrap() })
        };
        Self { ecr, emulator, listening, repository, ledger: Arc::default() }
    }

    pub(crate) fn aws(&self) -> Aws {
        self.aws_at(&self.listening.url())
    }

    pub(crate) fn url(&self) -> String {
        self.listening.url()
    }

    pub(crate) fn aws_at(&self, url: &str) -> Aws {
        Aws::new(&config(url, REGION))
    }

    /// Pushes an image for one platform; `name` makes it another one.
    pub(crate) fn image(&self, name: &str) -> Digest {
        self.image_for(name, "amd64", 512)
    }

    pub(crate) fn image_for(&self, name: &str, architecture: &str, layer: usize) -> Digest {
        let config = json!({ "os": "linux", "architecture": architecture, "config": { "Labels": { "name": name } } });
        self.image_of(config.to_string(), layer)
    }

    /// Pushes an image with that configuration, and a layer of so many bytes.
    pub(crate) fn image_of(&self, config: String, layer: usize) -> Digest {
        let (ecr, repository) = (self.ecr.clone(), self.repository.clone());
        // Nothing that anybody could compress.
        let mut random = fastrand::Rng::with_seed(7);
        let layer: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(layer).collect();
        done_outside(async move {
            let blobs = (
                ecr.push_blob(&repository, config.as_bytes()).await.unwrap(),
                ecr.push_blob(&repository, &layer).await.unwrap(),
            );
            let manifest = json!({
                "schemaVersion": 2, "mediaType": MANIFEST,
                "config": { "mediaType": "application/vnd.oci.image.config.v1+json",
                            "digest": blobs.0, "size": config.len() },
                "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar",
                             "digest": blobs.1, "size": layer.len() }],
            });
            // With white space: whoever prints it anew changes its digest.
            let text = format!("{manifest:#}\n");
            parse(&ecr.push_manifest(&repository, MANIFEST, &text).await.unwrap())
        })
    }

    /// Pushes an index of images with their platforms.
    pub(crate) fn index(&self, images: &[(&Digest, Value)]) -> Digest {
        let manifests: Vec<_> = images
            .iter()
            .map(|(digest, platform)| {
                json!({ "mediaType": MANIFEST, "digest": written(digest), "size": 1, "platform": platform })
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
        let (ecr, repository) = (self.ecr.clone(), self.repository.clone());
        done_outside(async move {
            let text = index.to_string();
            parse(&ecr.push_manifest(&repository, INDEX, &text).await.unwrap())
        })
    }

    pub(crate) fn set_tag(&self, tag: &str, digest: &Digest) {
        self.ecr.set_tag(&self.repository, tag, &written(digest));
    }

    /// What a tag names, as its owner sees it.
    pub(crate) fn names(&self, tag: &str) -> Option<Digest> {
        self.ecr.tags(&self.repository).get(tag).map(|it| parse(it))
    }

    pub(crate) fn has(&self, digest: &Digest) -> bool {
        let (ecr, repository, digest) =
            (self.ecr.clone(), self.repository.clone(), written(digest));
        done_outside(async move { ecr.has(&repository, &digest).await.unwrap() })
    }

    pub(crate) fn delete(&self, digest: &Digest) {
        let (ecr, repository, digest) =
            (self.ecr.clone(), self.repository.clone(), written(digest));
        done_outside(async move { ecr.delete(&repository, &digest).await.unwrap() });
    }

    pub(crate) fn move_to(&self, digest: &Digest) -> ecr::MoveTag {
        ecr::MoveTag::new(&self.aws(), &self.repository, digest.clone()).to(TAG).unwrap()
    }

    /// The same, where a call may take that long.
    pub(crate) fn move_to_within(&self, digest: &Digest, attempt: Duration) -> ecr::MoveTag {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(attempt).build();
        let config = config(&self.url(), REGION).to_builder().timeout_config(timeouts).build();
        ecr::MoveTag::new(&Aws::new(&config), &self.repository, digest.clone()).to(TAG).unwrap()
    }

    pub(crate) fn inject(&self, operation: &str, trouble: Trouble, times: u32) {
        self.emulator.inject(Injection::of(trouble, operation, times));
    }

    /// The operations that were called, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.emulator.calls().into_iter().map(|call| call.operation).collect()
    }

    pub(crate) fn run<'a>(&'a self, mover: &'a ecr::MoveTag) -> Run<'a> {
        let cx = plan_context(&target(), Candidate::new(), &mover.id(), Duration::from_secs(60));
        Run { world: self, mover, cx }
    }
}

/// One run, step by step.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    world: &'a World,
    mover: &'a ecr::MoveTag,
    pub(crate) cx: PlanContext,
}

impl Run<'_> {
    pub(crate) async fn plan(&self) -> Result<Planned<ecr::TagChange>> {
        self.mover.plan(&self.cx).await
    }

    pub(crate) async fn hold(&self) -> ApplyContext {
        apply_context(&self.cx, Arc::clone(&self.world.ledger) as _, LEASE).await.unwrap()
    }

    pub(crate) async fn free(&self, cx: &ApplyContext) {
        let hold = Hold::new(target(), cx.run(), cx.fence().unwrap(), LEASE);
        self.world.ledger.release(&hold).await.unwrap();
    }

    pub(crate) async fn apply(&self, change: &ecr::TagChange) -> Result<ecr::TagReceipt> {
        let cx = self.hold().await;
        let applied = self.mover.apply(&cx, change, None).await;
        self.free(&cx).await;
        applied
    }

    pub(crate) async fn ship(&self) -> (ecr::TagChange, ecr::TagReceipt) {
        let change = self.plan().await.unwrap().change;
        let receipt = self.apply(&change).await.unwrap();
        let location = self.mover.locate(&self.cx, &change, Some(&receipt)).await.unwrap();
        assert_eq!(location, Location::After);
        (change, receipt)
    }

    pub(crate) async fn undo(
        &self,
        change: &ecr::TagChange,
        receipt: Option<&ecr::TagReceipt>,
    ) -> Result<()> {
        let back = ecr::RestoreTag::new(&self.world.aws());
        let cx = self.hold().await;
        let undone = back.roll_back(&cx, change, receipt).await;
        self.free(&cx).await;
        undone
    }

    pub(crate) async fn locate(&self, change: &ecr::TagChange) -> Location {
        self.mover.locate(&self.cx, change, None).await.unwrap()
    }
}

pub(crate) fn config(url: &str, region: &'static str) -> SdkConfig {
    let credentials = Credentials::new("AKIDTEST", "CANARY-secret", None, None, "test");
    SdkConfig::builder()
        .region(Region::new(region))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

pub(crate) fn target() -> TargetName {
    TargetName::new("test/tag").unwrap()
}

pub(crate) fn written(digest: &Digest) -> String {
    format!("sha256:{digest}")
}

pub(crate) fn parse(digest: &str) -> Digest {
    digest.strip_prefix("sha256:").unwrap().parse().unwrap()
}
