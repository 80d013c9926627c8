//! `MoveTag`, and what it does as a deployer.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::future::try_join;
use gatekit_core::{
    ApplyContext, Deployer, Digest, Effect, Error, Live, Location, NextAction, PlanContext,
    Planned, Result, Rollout, RunId, StageId, Verb,
};
use serde_json::{Value, json};

use super::api::{Api, Named, at};
use super::manifest::Manifest;
use super::names::{Place, check_tag};
use super::standing::{TagChange, TagReceipt, live};
use super::writing::{Tags, moved, no_image};
use crate::aws::Aws;
use crate::call::patiently;
use crate::code;
use crate::digest::written;

/// Points a tag of a repository to an image by its digest.
///
/// The image must be in the repository. Its manifest is fetched by digest, checked against it, and put
/// back under the tag byte for byte: an index stays an index, and no layer is pulled or pushed.
///
/// The image that the tag moves away from keeps a tag of its own first, and so does the new one: see
/// [the module](super).
///
/// The deploy has landed when the tag names the digest. A tag that names it already is left alone. One
/// that somebody else has moved since the change was planned is not overwritten.
///
/// # Example
/// ```no_run
/// # fn example(aws: gatekit_aws::Aws, digest: gatekit_core::Digest) -> gatekit_core::Result<()> {
/// use gatekit_aws::ecr;
/// use gatekit_core::Pipeline;
///
/// let pipeline = Pipeline::to("production/api")
///     .deploy(ecr::MoveTag::new(&aws, "myapp", digest).to("production-latest")?)
///     .rollback_with(ecr::RestoreTag::new(&aws))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to `.deploy`"]
pub struct MoveTag {
    id: StageId,
    aws: Aws,
    place: Place,
    tag: String,
    digest: Digest,
    prefix: String,
    fetched: Arc<Mutex<Option<Fetched>>>,
}

/// The manifest that a run has fetched, which its later steps need again.
#[derive(Debug)]
struct Fetched {
    run: RunId,
    manifest: Arc<Manifest>,
}

/// A [`MoveTag`] that does not yet know its tag.
#[derive(Debug, Clone)]
#[must_use = "say which tag it moves, by `.to`"]
pub struct Moving {
    aws: Aws,
    place: Place,
    digest: Digest,
}

impl MoveTag {
    /// A move to the image of that digest in a repository, as `team/myapp`: see [`Moving::to`].
    #[expect(clippy::new_ret_no_self, reason = "without a tag it moves nothing")]
    pub fn new(aws: &Aws, repository: impl Into<String>, digest: Digest) -> Moving {
        Moving { aws: aws.clone(), place: Place::new(repository), digest }
    }

    /// Gives it another id than `move-tag`: a pipeline with two of them needs that.
    pub fn with_id(mut self, id: StageId) -> Self {
        self.id = id;
        self
    }

    /// Lets the names of the tags that keep the images begin otherwise than with `gatekit`.
    ///
    /// # Errors
    /// `ecr.config` when such a name cannot be that of a tag: all in all, prefix and tag may have 83
    /// characters.
    pub fn keeping_under(mut self, prefix: impl Into<String>) -> Result<Self> {
        self.prefix = prefix.into();
        // As long as the longest of them.
        check_tag(&format!("{}-{}-before-{}", self.prefix, self.tag, "0".repeat(36)))?;
        Ok(self)
    }

    fn api(&self) -> &Api {
        self.aws.ecr()
    }

    /// The manifest of that digest, if that run has fetched it already.
    fn fetched(&self, run: RunId, digest: &Digest) -> Option<Arc<Manifest>> {
        let fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        let fetched = fetched.as_ref().filter(|it| it.run == run && it.manifest.digest == *digest);
        fetched.map(|it| Arc::clone(&it.manifest))
    }

    fn keep_fetched(&self, run: RunId, manifest: &Arc<Manifest>) {
        let fetched = Fetched { run, manifest: Arc::clone(manifest) };
        *self.fetched.lock().unwrap_or_else(PoisonError::into_inner) = Some(fetched);
    }
}

impl Moving {
    /// Names the account whose registry it is, by its 12 digits. By default it is the caller's.
    pub fn in_registry(mut self, id: impl Into<String>) -> Self {
        self.place.registry = Some(id.into());
        self
    }

    /// Names the tag that is to move. The id of the deploy is `move-tag`.
    ///
    /// # Errors
    /// `ecr.config` when no registry, repository or tag can have that name.
    pub fn to(self, tag: impl Into<String>) -> Result<MoveTag> {
        let Self { aws, place, digest } = self;
        let (id, tag) = (StageId::new("move-tag")?, tag.into());
        place.check()?;
        check_tag(&tag)?;
        let (prefix, fetched) = (String::new(), Arc::default());
        MoveTag { id, aws, place, tag, digest, prefix, fetched }.keeping_under("gatekit")
    }
}

#[async_trait]
impl Deployer for MoveTag {
    type Change = TagChange;
    type Receipt = TagReceipt;

    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        let Place { registry, repository } = &self.place;
        json!({
            "kind": "ecr_move_tag", "region": self.api().region(), "registry": registry,
            "repository": repository, "tag": self.tag, "prefix": self.prefix,
        })
    }

    /// Reads the tag, and, once in a run, the manifest of the image.
    ///
    /// # Errors
    /// `ecr.no_repository`; `ecr.no_image` when the repository does not have it; `ecr.digest` when the
    /// registry gives other bytes; `ecr.immutable` when the repository fixes the tag to another image;
    /// `aws.*`.
    async fn plan(&self, cx: &PlanContext) -> Result<Planned<TagChange>> {
        let (api, place, wish) = (self.api(), &self.place, &self.digest);
        let known = self.fetched(cx.run(), wish);
        let is_first = known.is_none();
        let named = patiently(cx.deadline(), || api.named(place, &self.tag));
        let manifest = async {
            if let Some(manifest) = known {
                return Ok(manifest);
            }
            let found = patiently(cx.deadline(), || api.manifest(place, wish)).await?;
            found.map(Arc::new).ok_or_else(|| no_image(place, wish))
        };
        let (named, manifest) = try_join(named, manifest).await?;
        let before = named.map(|it| it.digest);
        let moves = before.as_ref().filter(|it| *it != wish);
        // Once in a run: the write itself is refused, too.
        if let Some(old) = moves
            && is_first
            && patiently(cx.deadline(), || api.is_fixed(place, &self.tag)).await? == Some(true)
        {
            return Err(immutable(place, &self.tag, old));
        }
        self.keep_fetched(cx.run(), &manifest);
        let summary = match (&before, moves) {
            (None, _) => format!("new: {}", written(wish)),
            (Some(_), None) => format!("already {}", written(wish)),
            (Some(_), Some(old)) => format!("{} -> {}", written(old), written(wish)),
        };
        // Approvals bind to the account and the region, too: another caller's are other registries.
        let (region, registry) =
            (api.region(), place.registry.clone().or_else(|| manifest.registry.clone()));
        let scope = json!({
            "region": region, "registry": registry, "repository": place.repository,
            "tag": self.tag, "wish": wish,
        });
        Ok(Planned {
            summary: format!("{}:{} {summary}", place.repository, self.tag),
            scope: Digest::of_json(&scope),
            change: TagChange {
                region: region.to_owned(),
                registry,
                repository: place.repository.clone(),
                tag: self.tag.clone(),
                before,
                wish: wish.clone(),
                prefix: self.prefix.clone(),
                run: cx.run(),
            },
        })
    }

    /// Gives the images their own tags, moves the tag, and reads it again.
    ///
    /// # Errors
    /// With [`Effect::None`]: those of `plan`, and `ecr.tag_moved` when somebody else has moved the tag
    /// since. `ecr.tag_moved` with [`Effect::Done`] when somebody did right after it was moved.
    /// `ecr.cannot_tell` when ECR accepted the write and still tells the old image. `ecr.incomplete`
    /// when a part of the image is gone. `aws.unreachable` and `aws.unavailable` when all tries were
    /// without an answer.
    async fn apply(
        &self,
        cx: &ApplyContext,
        change: &TagChange,
        earlier: Option<&TagReceipt>,
    ) -> Result<TagReceipt> {
        in_region(self.api(), change)?;
        let tags = Tags { api: self.api(), cx, place: change.place() };
        let named = tags.named(&change.tag).await?;
        match (change.locate(named.as_ref(), earlier), &named) {
            (Location::After, Some(image)) => return Ok(change.receipt(image)),
            (Location::Before, _) => {}
            _ => return Err(moved(&tags.place, &change.tag, named.as_ref())),
        }
        let wish = match self.fetched(change.run, &change.wish) {
            Some(manifest) => manifest,
            None => Arc::new(tags.manifest(&change.wish).await?),
        };
        if let Some(old) = named.as_ref().filter(|it| !change.keeps(it)) {
            let old = tags.manifest(&old.digest).await?;
            tags.keep(&old, &change.keeper()).await?;
        }
        tags.keep(&wish, &change.mark()).await?;
        match tags.point(&change.tag, change.before.as_ref(), Some(&wish)).await {
            Ok(Some(image)) => Ok(change.receipt(&image)),
            Ok(None) => Err(moved(&tags.place, &change.tag, None).with_effect(Effect::Unknown)),
            Err(error) if *error.code() == code::ECR_IMMUTABLE => match &change.before {
                Some(old) => Err(immutable(&tags.place, &change.tag, old).with_source(error)),
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    async fn observe(
        &self,
        _: &PlanContext,
        change: &TagChange,
        _: &TagReceipt,
    ) -> Result<Rollout> {
        in_region(self.api(), change)?;
        let named = self.api().named(&change.place(), &change.tag).await?;
        Ok(settled(named.as_ref(), Some(&change.wish), change.before.as_ref()))
    }

    async fn locate(
        &self,
        cx: &PlanContext,
        change: &TagChange,
        receipt: Option<&TagReceipt>,
    ) -> Result<Location> {
        locate(self.api(), cx, change, receipt).await
    }

    async fn live(&self, cx: &PlanContext) -> Result<Option<Live>> {
        let read = || self.api().named(&self.place, &self.tag);
        Ok(patiently(cx.deadline(), read).await?.as_ref().map(live))
    }
}

/// Where the tag of a change stands now.
pub(super) async fn locate(
    api: &Api,
    cx: &PlanContext,
    change: &TagChange,
    receipt: Option<&TagReceipt>,
) -> Result<Location> {
    in_region(api, change)?;
    let place = change.place();
    let named = patiently(cx.deadline(), || api.named(&place, &change.tag)).await?;
    Ok(change.locate(named.as_ref(), receipt))
}

/// How a tag got on that was to name `wish`, and named `before`.
pub(super) fn settled(
    now: Option<&Named>,
    wish: Option<&Digest>,
    before: Option<&Digest>,
) -> Rollout {
    let found = now.map(|it| &it.digest);
    if found == wish {
        return Rollout::Settled;
    }
    match now {
        Some(image) if found != before => Rollout::Superseded { by: live(image).release },
        Some(_) => Rollout::Failed("the tag names the image that it named before".to_owned()),
        None => Rollout::Failed("there is no such tag".to_owned()),
    }
}

/// A change is of one region: in another one there may be a repository of the same name.
pub(super) fn in_region(api: &Api, change: &TagChange) -> Result<()> {
    if api.region() == change.region {
        return Ok(());
    }
    Err(Error::new(code::ECR_CONFIG, "the change was planned in another region")
        .with_context("planned", &change.region)
        .with_context("configured", api.region())
        .with_effect(Effect::None)
        .with_next(NextAction::verb(Verb::Resume, &[]).by("operator")))
}

fn immutable(place: &Place, tag: &str, old: &Digest) -> Error {
    let what = "the repository is immutable: the tag names another image, and always will";
    let next = "choose another tag, or exclude this one from the repository's immutability";
    at(Error::new(code::ECR_IMMUTABLE, what), place)
        .with_context("tag", tag)
        .with_context("names", written(old))
        .with_effect(Effect::None)
        .with_next(NextAction::outside(next).by("operator"))
}
