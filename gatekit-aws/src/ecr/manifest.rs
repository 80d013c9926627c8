//! Manifests: the bytes that a digest is of, and the little that is read in them.

use gatekit_core::{Digest, Effect, Error, Result};
use serde::Deserialize;

use crate::code;
use crate::digest::{parse, written};

/// The kinds that are asked for, and taken as they are. A registry that is not told of indexes gives
/// one of their images instead.
pub(crate) const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// A manifest, byte for byte.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) digest: Digest,
    pub(crate) text: String,
    pub(crate) media_type: String,
    /// The account in whose registry it was found.
    pub(crate) registry: Option<String>,
}

/// The part of a manifest or an index that is read. All else is kept, and not looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    media_type: Option<String>,
    config: Option<Descriptor>,
    manifests: Option<Vec<Descriptor>>,
}

/// What a manifest says of something that it refers to.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    media_type: Option<String>,
    digest: String,
    pub(crate) platform: Option<Runs>,
}

/// Where an image runs, as indexes and configurations say it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Runs {
    pub(crate) os: Option<String>,
    pub(crate) architecture: Option<String>,
    pub(crate) variant: Option<String>,
}

/// What an image is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// One for one platform, with its configuration.
    Single(Option<Descriptor>),
    /// Several: for each platform one.
    Index(Vec<Descriptor>),
}

impl Manifest {
    /// The manifest of that digest, if that is what was given.
    ///
    /// # Errors
    /// `ecr.digest` when these bytes have another digest, or their kind cannot be told.
    pub(crate) fn new(
        digest: &Digest,
        text: String,
        media_type: Option<String>,
        registry: Option<String>,
    ) -> Result<Self> {
        let found = Digest::of(&text);
        if found != *digest {
            return Err(altered("the registry gave a manifest of another digest", digest)
                .with_context("given", written(&found)));
        }
        let media_type = media_type
            .or_else(|| serde_json::from_str::<Body>(&text).unwrap_or_default().media_type)
            .ok_or_else(|| {
                altered("neither the registry nor the manifest says its kind", digest)
            })?;
        Ok(Self { digest: found, text, media_type, registry })
    }

    /// # Errors
    /// `ecr.digest` when it cannot be read.
    pub(crate) fn kind(&self) -> Result<Kind> {
        let body: Body = serde_json::from_str(&self.text).map_err(|source| {
            altered("the manifest cannot be read", &self.digest).with_source(source)
        })?;
        Ok(match body.manifests {
            Some(manifests) => Kind::Index(manifests),
            None => Kind::Single(body.config),
        })
    }
}

impl Descriptor {
    /// # Errors
    /// `ecr.digest` when it is not one of SHA-256.
    pub(crate) fn digest(&self) -> Result<Digest> {
        parse(&self.digest).ok_or_else(|| {
            Error::new(code::ECR_DIGEST, "a manifest refers to something by an unknown digest")
                .with_context("digest", self.digest.escape_debug())
                .with_effect(Effect::None)
        })
    }

    /// Whether it is an image that runs somewhere: builders put attestations beside those.
    pub(crate) fn is_image(&self) -> bool {
        let unknown = |of: Option<&String>| of.is_some_and(|it| it == "unknown");
        !self
            .platform
            .as_ref()
            .is_some_and(|it| unknown(it.os.as_ref()) && unknown(it.architecture.as_ref()))
    }

    pub(crate) fn is_index(&self) -> bool {
        let kind = self.media_type.as_deref().unwrap_or_default();
        kind == MEDIA_TYPES[0] || kind == MEDIA_TYPES[2]
    }
}

fn altered(what: &'static str, digest: &Digest) -> Error {
    Error::new(code::ECR_DIGEST, what)
        .with_context("digest", written(digest))
        .with_effect(Effect::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_another_digest_are_refused() {
        let text = r#"{"mediaType":"m"}"#;
        let manifest = Manifest::new(&Digest::of(text), text.to_owned(), None, None).unwrap();
        assert_eq!(manifest.media_type, "m");
        let with_newline = format!("{text}\n");
        let error = Manifest::new(&Digest::of(text), with_newline, None, None).unwrap_err();
        assert_eq!(error.code(), &code::ECR_DIGEST);
        let error = Manifest::new(&Digest::of("{}"), "{}".to_owned(), None, None).unwrap_err();
        assert_eq!(error.code(), &code::ECR_DIGEST, "nobody says its kind");
    }

    #[test]
    fn attestations_are_no_images() {
        let descriptor = |os: &str| -> Descriptor {
            let platform = serde_json::json!({"os": os, "architecture": os});
            let digest = written(&Digest::of(os));
            serde_json::from_value(serde_json::json!({"digest": digest, "platform": platform}))
                .unwrap()
        };
        assert!(descriptor("linux").is_image());
        assert!(!descriptor("unknown").is_image());
    }
}
