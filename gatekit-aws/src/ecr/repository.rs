//! Reading a repository: what a tag names.

use std::time::Duration;

use gatekit_core::{Digest, Effect, Error, Result};
use tokio::time::Instant;

use super::api::{Named, at};
use super::host::{Host, host};
use super::names::{Place, check_tag};
use super::platforms::{Platforms, platforms};
use crate::aws::Aws;
use crate::call::{lacking, patiently};
use crate::code;
use crate::digest::{parse, written};
use crate::ecs::repository_of;
use crate::operations::DESCRIBE_IMAGES;

/// How long a read is tried at most, by programs that have no deadline of their own.
const PATIENCE: Duration = Duration::from_secs(30);

/// A repository, to be read by programs that ship what is in it.
#[derive(Debug, Clone)]
#[must_use = "ask it something"]
pub struct Repository {
    aws: Aws,
    place: Place,
}

impl Repository {
    /// A repository in the caller's registry, as `team/myapp`.
    pub fn new(aws: &Aws, name: impl Into<String>) -> Self {
        Self { aws: aws.clone(), place: Place::new(name) }
    }

    /// Names the account whose registry it is, by its 12 digits.
    pub fn in_registry(mut self, id: impl Into<String>) -> Self {
        self.place.registry = Some(id.into());
        self
    }

    /// The repository and the digest of an image that is named by it, as
    /// `123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/myapp@sha256:DIGITS`. `None` when that is
    /// no image of ECR, is of another region, or is named by a tag alone.
    #[must_use]
    pub fn of_image(aws: &Aws, image: &str) -> Option<(Self, Digest)> {
        let (name, digest) = image.split_once('@')?;
        // A tag may stand before the digest, which counts.
        let of_ecr = Host::of(repository_of(name))?;
        let found = Self::new(aws, of_ecr.repository).in_registry(of_ecr.account);
        let fits = of_ecr.region == aws.ecr().region() && found.place.check().is_ok();
        Some((found, parse(digest)?)).filter(|_| fits)
    }

    /// The digest of the image that a tag names now; `None` when there is no such tag. Tries for up to
    /// 30 s. Cancel-safe.
    ///
    /// # Errors
    /// `ecr.config` when nothing can have that name, `ecr.no_repository`, `aws.*`.
    pub async fn resolve(&self, tag: &str) -> Result<Option<Digest>> {
        Ok(self.named(tag).await?.map(|it| it.digest))
    }

    /// The name of the image that a tag names now, with its digest: what to ship, and to journal. As
    /// `123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/myapp:v1@sha256:…`, which
    /// [`ecs::Image`](crate::ecs::Image) reads. Tries for up to 30 s. Cancel-safe.
    ///
    /// # Errors
    /// `ecr.no_tag`; those of [`resolve`](Self::resolve).
    pub async fn pinned(&self, tag: &str) -> Result<String> {
        let named = self.named(tag).await?;
        let named = named.ok_or_else(|| no_tag(&self.place, tag))?;
        let registry = self.place.registry.clone().or(named.registry);
        let registry =
            registry.ok_or_else(|| lacking(DESCRIBE_IMAGES, "the account of the registry"))?;
        let host = host(&registry, self.aws.ecr().region());
        let (repository, digest) = (&self.place.repository, written(&named.digest));
        Ok(format!("{host}/{repository}:{tag}@{digest}"))
    }

    async fn named(&self, tag: &str) -> Result<Option<Named>> {
        self.place.check()?;
        check_tag(tag)?;
        let deadline = Instant::now() + PATIENCE;
        patiently(deadline, || self.aws.ecr().named(&self.place, tag)).await
    }

    /// For which platforms the image of that digest is; `None` when the repository has no such image.
    /// Tries for up to 30 s. Cancel-safe.
    ///
    /// # Errors
    /// `ecr.config` when nothing can have that name, `ecr.no_repository`, `ecr.digest`, `aws.*`.
    pub async fn platforms(&self, digest: &Digest) -> Result<Option<Platforms>> {
        self.place.check()?;
        platforms(self.aws.ecr(), &self.place, digest, Instant::now() + PATIENCE).await
    }
}

/// The digest of the image that a tag of a repository names now: see [`Repository::resolve`].
///
/// A program ships the digest, and never the tag: that may name another image a moment later.
///
/// # Errors
/// As [`Repository::resolve`].
///
/// # Example
/// ```no_run
/// # async fn example(aws: gatekit_aws::Aws) -> gatekit_core::Result<()> {
/// use gatekit_core::Candidate;
///
/// if let Some(digest) = gatekit_aws::ecr::resolve(&aws, "myapp", "sha-4f2a91c").await? {
///     let candidate = Candidate::new().with_artifact("myapp", digest);
/// }
/// # Ok(())
/// # }
/// ```
pub async fn resolve(aws: &Aws, repository: &str, tag: &str) -> Result<Option<Digest>> {
    Repository::new(aws, repository).resolve(tag).await
}

pub(super) fn no_tag(place: &Place, tag: &str) -> Error {
    let error = Error::new(code::ECR_NO_TAG, "the repository has no such tag");
    at(error.with_context("tag", tag), place).with_effect(Effect::None)
}
