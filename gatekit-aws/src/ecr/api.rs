//! The calls. What only reads needs nothing; what writes, a permit.

use std::sync::Arc;

use aws_sdk_ecr::Client;
use aws_sdk_ecr::types::{ImageFailure, ImageFailureCode, ImageIdentifier, Repository};
use aws_types::SdkConfig;
use gatekit_core::{Code, Digest, Effect, Error, Permit, Result};

use super::manifest::{MEDIA_TYPES, Manifest};
use super::names::{Place, matches};
use crate::call::{failed, if_allowed, lacking, unread};
use crate::code;
use crate::digest::{parse, written};
use crate::operations::{
    BATCH_DELETE_IMAGE, BATCH_GET_IMAGE, DESCRIBE_IMAGES, DESCRIBE_REPOSITORIES,
    GET_DOWNLOAD_URL_FOR_LAYER, Operation, PUT_IMAGE,
};
use crate::pace::Paces;

/// What ECR calls an error, of any call.
pub(super) const OWN: &[(&str, Code)] = &[
    ("RepositoryNotFoundException", code::ECR_NO_REPOSITORY),
    ("ImageNotFoundException", code::ECR_NO_IMAGE),
    ("InvalidParameterException", code::ECR_CONFIG),
    ("ImageTagAlreadyExistsException", code::ECR_IMMUTABLE),
    ("ImageDigestDoesNotMatchException", code::ECR_DIGEST),
    ("LayersNotFoundException", code::ECR_INCOMPLETE),
    ("ReferencedImagesNotFoundException", code::ECR_INCOMPLETE),
];

/// The calls to the registries of one region.
#[derive(Debug)]
pub(crate) struct Api {
    pub(super) client: Client,
    region: String,
    pub(super) paces: Arc<Paces>,
}

/// The image that a tag names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// The account whose registry it is in, where ECR tells it.
    pub(crate) registry: Option<String>,
    pub(crate) digest: Digest,
    /// All its tags.
    pub(crate) tags: Vec<String>,
}

impl Api {
    pub(crate) fn new(config: &SdkConfig, paces: Arc<Paces>) -> Self {
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        Self { client: Client::new(config), region, paces }
    }

    /// The region whose registries are called.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// What a tag names now; `None` when there is no such tag.
    pub(crate) async fn named(&self, place: &Place, tag: &str) -> Result<Option<Named>> {
        self.paces.images.turn().await;
        let call = self
            .client
            .describe_images()
            .set_registry_id(place.registry.clone())
            .repository_name(&place.repository)
            .image_ids(ImageIdentifier::builder().image_tag(tag).build());
        let answer = match call.send().await {
            Ok(answer) => answer,
            Err(error)
                if error.as_service_error().is_some_and(|it| it.is_image_not_found_exception()) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(at(unread(DESCRIBE_IMAGES, error, OWN), place)),
        };
        let [detail] = answer.image_details() else {
            return Err(lacking(DESCRIBE_IMAGES, "the image that was asked for, alone"));
        };
        let digest = detail.image_digest().and_then(parse);
        let digest = digest.ok_or_else(|| lacking(DESCRIBE_IMAGES, "the digest of the image"))?;
        let tags = detail.image_tags().to_vec();
        if !tags.iter().any(|it| it == tag) {
            return Err(lacking(DESCRIBE_IMAGES, "the tag that was asked for"));
        }
        let registry = detail.registry_id().map(str::to_owned);
        Ok(Some(Named { registry, digest, tags }))
    }

    /// The manifest of that digest; `None` when the repository has no such image.
    pub(crate) async fn manifest(
        &self,
        place: &Place,
        digest: &Digest,
    ) -> Result<Option<Manifest>> {
        self.paces.images.turn().await;
        let call = self
            .client
            .batch_get_image()
            .set_registry_id(place.registry.clone())
            .repository_name(&place.repository)
            // By digest: what is asked for by tag, ECR may translate to another kind.
            .image_ids(ImageIdentifier::builder().image_digest(written(digest)).build())
            .set_accepted_media_types(Some(MEDIA_TYPES.map(str::to_owned).to_vec()));
        let answer = call.send().await;
        let answer = answer.map_err(|error| at(unread(BATCH_GET_IMAGE, error, OWN), place))?;
        if let [failure, ..] = answer.failures() {
            let failed = of_one(BATCH_GET_IMAGE, failure, place).with_effect(Effect::None);
            return if is(failure, &ImageFailureCode::ImageNotFound) {
                Ok(None)
            } else {
                Err(failed)
            };
        }
        let [image] = answer.images() else {
            return Err(lacking(BATCH_GET_IMAGE, "the image that was asked for, alone"));
        };
        let text =
            image.image_manifest().ok_or_else(|| lacking(BATCH_GET_IMAGE, "its manifest"))?;
        let kind = image.image_manifest_media_type().map(str::to_owned);
        let registry = image.registry_id().map(str::to_owned);
        Manifest::new(digest, text.to_owned(), kind, registry).map(Some)
    }

    /// Where a blob can be fetched for a while, by whoever has the address.
    pub(super) async fn blob_url(&self, place: &Place, digest: &Digest) -> Result<String> {
        self.paces.images.turn().await;
        let call = self
            .client
            .get_download_url_for_layer()
            .set_registry_id(place.registry.clone())
            .repository_name(&place.repository)
            .layer_digest(written(digest));
        let answer = call.send().await;
        let answer = answer.map_err(|e| at(unread(GET_DOWNLOAD_URL_FOR_LAYER, e, OWN), place))?;
        let url = answer.download_url().map(str::to_owned);
        url.ok_or_else(|| lacking(GET_DOWNLOAD_URL_FOR_LAYER, "the address"))
    }

    /// Whether a tag of the repository can never name another image; `None` when that is not told.
    pub(crate) async fn is_fixed(&self, place: &Place, tag: &str) -> Result<Option<bool>> {
        self.paces.images.turn().await;
        let call = self
            .client
            .describe_repositories()
            .set_registry_id(place.registry.clone())
            .repository_names(&place.repository);
        let answer = call.send().await;
        let answer = answer.map_err(|error| at(unread(DESCRIBE_REPOSITORIES, error, OWN), place));
        let Some(answer) = if_allowed(answer)? else { return Ok(None) };
        let [repository] = answer.repositories() else { return Ok(None) };
        Ok(fixes(repository, tag))
    }

    /// Points a tag to the image of that manifest. That it names it already is no error.
    pub(crate) async fn put(
        &self,
        _: &Permit,
        place: &Place,
        manifest: &Manifest,
        tag: &str,
    ) -> Result<()> {
        self.paces.image_writes.turn().await;
        let call = self
            .client
            .put_image()
            .set_registry_id(place.registry.clone())
            .repository_name(&place.repository)
            .image_manifest(&manifest.text)
            .image_manifest_media_type(&manifest.media_type)
            .image_digest(written(&manifest.digest))
            .image_tag(tag);
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|it| it.is_image_already_exists_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(at(failed(PUT_IMAGE, error, OWN), place).with_context("tag", tag)),
        }
    }

    /// Takes a tag away: by its name, because by a digest ECR deletes the image with all its tags. That
    /// it is gone already is no error. The image MUST have another tag: it is deleted with its last.
    pub(crate) async fn untag(&self, _: &Permit, place: &Place, tag: &str) -> Result<()> {
        self.paces.image_writes.turn().await;
        let call = self
            .client
            .batch_delete_image()
            .set_registry_id(place.registry.clone())
            .repository_name(&place.repository)
            .image_ids(ImageIdentifier::builder().image_tag(tag).build());
        let answer = call.send().await;
        let answer = answer.map_err(|error| {
            at(failed(BATCH_DELETE_IMAGE, error, OWN), place).with_context("tag", tag)
        })?;
        match answer.failures() {
            [failure, ..] if !is(failure, &ImageFailureCode::ImageNotFound) => {
                Err(of_one(BATCH_DELETE_IMAGE, failure, place).with_effect(Effect::None))
            }
            _ => Ok(()),
        }
    }
}

fn is(failure: &ImageFailure, code: &ImageFailureCode) -> bool {
    failure.failure_code() == Some(code)
}

/// What failed with one image, in an answer that is none of a failure.
fn of_one(operation: &'static Operation, failure: &ImageFailure, place: &Place) -> Error {
    let code = failure.failure_code().map_or("", ImageFailureCode::as_str);
    let error = Error::new(code::ECR_IMAGE, "ECR could not do that with the image")
        .with_context("action", operation)
        .with_context("error", code)
        .with_context("says", failure.failure_reason().unwrap_or_default());
    let error = at(error, place);
    // The registry behind a pull-through cache.
    if ["UpstreamTooManyRequests", "UpstreamUnavailable"].contains(&code) {
        return error.retry_later();
    }
    error
}

pub(super) fn at(error: Error, place: &Place) -> Error {
    let error = error.with_context("repository", &place.repository);
    match &place.registry {
        Some(registry) => error.with_context("registry", registry),
        None => error,
    }
}

/// Whether the repository fixes a tag; `None` when it says so in a way that is not known here.
fn fixes(repository: &Repository, tag: &str) -> Option<bool> {
    let filters = repository.image_tag_mutability_exclusion_filters();
    let excluded = filters.iter().any(|it| matches(it.filter(), tag));
    match repository.image_tag_mutability().map(|it| it.as_str()) {
        Some("MUTABLE") => Some(false),
        Some("IMMUTABLE") => Some(true),
        Some("MUTABLE_WITH_EXCLUSION") => Some(excluded),
        Some("IMMUTABLE_WITH_EXCLUSION") => Some(!excluded),
        _ => None,
    }
}
