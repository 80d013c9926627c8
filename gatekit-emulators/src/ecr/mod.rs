//! The image registry: ECR's API and rules in front of a real OCI registry.
//!
//! Manifests and blobs are in the registry behind it, so their digests are real, and what is
//! incomplete is refused by it. Tags are in memory alone: a plain registry cannot take one away. The
//! registry MUST allow deletion (`REGISTRY_STORAGE_DELETE_ENABLED=true`).
//!
//! | module | what it knows |
//! |---|---|
//! | `api` | the operations |
//! | `registry` | the registry behind it, over `/v2/` |
//! | `repository` | tags, immutability, scans |

mod api;
mod registry;
mod repository;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

pub use repository::ScanReport;

use crate::injection::Trouble;
use crate::wire::Reply;
use registry::Registry;
use repository::Repository;

/// The account whose registry it is.
pub(crate) const ACCOUNT: &str = "123456789012";

/// An emulated ECR in front of a real OCI registry.
#[derive(Clone)]
pub struct Ecr {
    registry: Arc<Registry>,
    state: Arc<Mutex<State>>,
    /// Calls are answered one after the other: each sees all that the earlier ones did.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    repositories: BTreeMap<String, Repository>,
    /// How many writes had an effect.
    effects: u64,
    /// After how many more effects an answer is lost.
    loses_after: Option<u64>,
    page: Option<usize>,
    /// Whether manifests come with a newline that is not theirs, as some tools print them.
    adds_newline: bool,
    /// The last tag that was written through the API, by repository and name, and what it named before.
    last: Option<(String, String, Option<String>)>,
    /// How many more descriptions of it are older than that.
    stale: u32,
}

impl fmt::Debug for Ecr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ecr").field("registry", &self.registry).finish_non_exhaustive()
    }
}

impl Ecr {
    /// In front of the registry at that address, as `http://127.0.0.1:5000`.
    ///
    /// # Errors
    /// When that is no address of a plain HTTP server.
    pub fn new(registry: &str) -> io::Result<Self> {
        let registry = Arc::new(Registry::new(registry)?);
        Ok(Self { registry, state: Arc::default(), turn: Arc::default() })
    }

    /// Creates a repository, if it is not there: `mutability` as ECR writes it, with the filters of the
    /// tags that are exempt.
    pub fn create(&self, repository: &str, mutability: &str, exempt: &[&str]) {
        let mut state = self.state();
        let created = state.repositories.entry(repository.to_owned()).or_default();
        mutability.clone_into(&mut created.mutability);
        created.exempt = exempt.iter().map(|it| (*it).to_owned()).collect();
    }

    /// Uploads a blob, as `docker push` does, and gives its digest with `sha256:`.
    ///
    /// # Errors
    /// When the registry refuses it.
    pub async fn push_blob(&self, repository: &str, bytes: &[u8]) -> io::Result<String> {
        self.registry.push_blob(repository, bytes).await
    }

    /// Uploads a manifest without a tag, as `docker push` by digest does, and gives its digest.
    ///
    /// # Errors
    /// When the registry refuses it.
    pub async fn push_manifest(
        &self,
        repository: &str,
        kind: &str,
        manifest: &str,
    ) -> io::Result<String> {
        let digest = registry::digest(manifest.as_bytes());
        let put = self.registry.put_manifest(repository, &digest, kind, manifest).await?;
        put.map(|()| digest).map_err(|refused| io::Error::other(format!("{refused:?}")))
    }

    /// Lets a tag name an image, whatever the rules: as its owner did.
    pub fn set_tag(&self, repository: &str, tag: &str, digest: &str) {
        let mut state = self.state();
        if let Some(found) = state.repositories.get_mut(repository) {
            found.tags.insert(tag.to_owned(), digest.to_owned());
        }
    }

    /// Takes a tag away, and leaves the image there whatever the rules.
    pub fn take_tag(&self, repository: &str, tag: &str) {
        let mut state = self.state();
        if let Some(found) = state.repositories.get_mut(repository) {
            found.tags.remove(tag);
        }
    }

    /// Deletes an image with all its tags, as a lifecycle policy does.
    ///
    /// # Errors
    /// When the registry refuses it.
    pub async fn delete(&self, repository: &str, digest: &str) -> io::Result<()> {
        if let Some(found) = self.state().repositories.get_mut(repository) {
            found.tags.retain(|_, of| of != digest);
        }
        self.registry.delete_manifest(repository, digest).await
    }

    /// Whether an image is there.
    ///
    /// # Errors
    /// When the registry does not answer.
    pub async fn has(&self, repository: &str, digest: &str) -> io::Result<bool> {
        Ok(self.registry.manifest(repository, digest).await?.is_some())
    }

    /// The tags of a repository, and what each names.
    #[must_use]
    pub fn tags(&self, repository: &str) -> BTreeMap<String, String> {
        let state = self.state();
        state.repositories.get(repository).map(|it| it.tags.clone()).unwrap_or_default()
    }

    /// What the scan of an image tells: one report after the other, and the last from then on.
    pub fn set_scan(&self, repository: &str, digest: &str, reports: Vec<ScanReport>) {
        let mut state = self.state();
        if let Some(found) = state.repositories.get_mut(repository) {
            found.scans.insert(digest.to_owned(), reports);
        }
    }

    /// Tells findings in pages of that size.
    pub fn set_page(&self, size: usize) {
        self.state().page = Some(size);
    }

    /// Lets so many descriptions of a tag be older than its last write.
    pub fn set_stale(&self, reads: u32) {
        self.state().stale = reads;
    }

    /// Gives manifests with a newline at the end that is not theirs, as some tools print them.
    pub fn add_newline(&self) {
        self.state().adds_newline = true;
    }

    /// How many writes had an effect.
    #[must_use]
    pub fn effects(&self) -> u64 {
        self.state().effects
    }

    /// Lets the answer to a later write be lost: after `after` more that have an effect.
    pub fn lose_answer(&self, after: u64) {
        self.state().loses_after = Some(after);
    }

    /// Answers one call; and says whether that answer is to be lost.
    pub(crate) async fn answer(&self, operation: &str, ask: &Value) -> (Reply, Option<Trouble>) {
        let _turn = self.turn.lock().await;
        let before = self.effects();
        let reply = self.operate(operation, ask).await;
        let mut state = self.state();
        let effects = state.effects - before;
        let lost = match state.loses_after {
            Some(left) if effects > left => {
                state.loses_after = None;
                Some(Trouble::CutAfter)
            }
            left => {
                state.loses_after = left.map(|it| it - effects);
                None
            }
        };
        (reply, lost)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
