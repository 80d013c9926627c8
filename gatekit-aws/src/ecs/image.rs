//! An image of a container, by digest.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use gatekit_core::{Digest, Effect, Error, Result};
use serde::{Deserialize, Serialize};

use crate::code;
use crate::digest::{parse, written};

/// An image by its digest, as `123456789012.dkr.ecr.eu-west-1.amazonaws.com/web@sha256:…`.
///
/// A tag is not kept: what it names may change at any time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Image {
    repository: String,
    digest: Digest,
}

impl Image {
    /// The image of that digest in a repository, which is named with its registry.
    ///
    /// # Errors
    /// `ecs.image` when the name of the repository is empty, or has a tag or digest in it.
    pub fn new(repository: impl Into<String>, digest: Digest) -> Result<Self> {
        let repository = repository.into();
        if repository.is_empty() || repository != repository_of(&repository) {
            return Err(unusable(&repository, "it is not the name of a repository"));
        }
        Ok(Self { repository, digest })
    }

    /// The repository with its registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Whether that reference names this very image, with or without a tag beside the digest.
    pub(super) fn is(&self, reference: &str) -> bool {
        reference.parse::<Self>().is_ok_and(|it| it == *self)
    }

    /// The digest of its manifest or index.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, written(&self.digest))
    }
}

impl FromStr for Image {
    type Err = Error;

    /// `REPOSITORY[:TAG]@sha256:…`.
    fn from_str(text: &str) -> Result<Self> {
        let Some((_, digest)) = text.split_once('@') else {
            return Err(unusable(text, "it has no digest, and what a tag names may change"));
        };
        let digest = parse(digest).ok_or_else(|| {
            unusable(text, "its digest is not `sha256:` and 64 hexadecimal digits")
        })?;
        Self::new(repository_of(text), digest)
    }
}

impl TryFrom<String> for Image {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Image> for String {
    fn from(image: Image) -> Self {
        image.to_string()
    }
}

fn unusable(image: &str, why: &str) -> Error {
    Error::new(code::IMAGE, format!("the image cannot be deployed: {why}"))
        .with_effect(Effect::None)
        .with_context("image", image)
}

/// The repository that any reference to an image names, without tag and digest.
pub(crate) fn repository_of(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or(reference);
    // A colon before the last slash is that of a registry's port.
    let path = name.rfind('/').map_or(0, |slash| slash + 1);
    name[path..].find(':').map_or(name, |colon| &name[..path + colon])
}

/// An image that is wished for, and for which container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WishedImage {
    /// `None` for the container that has an image of the same repository, or the only one.
    pub(super) container: Option<String>,
    pub(super) image: Image,
}

/// Which container gets which image.
pub(super) fn assigned(
    wished: &[WishedImage],
    containers: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Image>> {
    let mut assigned = BTreeMap::new();
    for WishedImage { container, image } in wished {
        let name = match container {
            Some(name) if containers.contains_key(name) => name,
            Some(name) => return Err(which(containers, format!("there is no container `{name}`"))),
            None => the_one(image, containers)?,
        };
        if assigned.insert(name.clone(), image.clone()).is_some() {
            return Err(which(containers, format!("container `{name}` would get two images")));
        }
    }
    Ok(assigned)
}

fn the_one<'a>(image: &Image, containers: &'a BTreeMap<String, String>) -> Result<&'a String> {
    let same = |current: &str| repository_of(current) == image.repository;
    let mut alike = containers.iter().filter(|(_, current)| same(current)).map(|(name, _)| name);
    match (alike.next(), alike.next()) {
        (Some(name), None) => Ok(name),
        (None, _) if containers.len() == 1 => {
            containers.keys().next().ok_or_else(|| which(containers, String::new()))
        }
        (None, _) => {
            let what = format!("no container has an image of `{}`", image.repository);
            Err(which(containers, what))
        }
        (Some(_), Some(_)) => {
            let what = format!("several containers have an image of `{}`", image.repository);
            Err(which(containers, what))
        }
    }
}

fn which(containers: &BTreeMap<String, String>, what: String) -> Error {
    let names: Vec<_> = containers.keys().map(String::as_str).collect();
    Error::new(code::CONTAINER, what)
        .with_effect(Effect::None)
        .with_context("containers", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(repository: &str) -> Image {
        Image::new(repository, Digest::of("x")).unwrap()
    }

    fn containers(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(name, image)| ((*name).to_owned(), (*image).to_owned())).collect()
    }

    fn wish(container: Option<&str>, repository: &str) -> WishedImage {
        WishedImage { container: container.map(str::to_owned), image: image(repository) }
    }

    #[test]
    fn a_reference_names_its_repository() {
        let names = [
            ("web", "web"),
            ("web:1", "web"),
            ("web@sha256:0", "web"),
            ("localhost:5000/team/web", "localhost:5000/team/web"),
            ("localhost:5000/team/web:1@sha256:0", "localhost:5000/team/web"),
        ];
        for (reference, repository) in names {
            assert_eq!(repository_of(reference), repository, "{reference}");
        }
    }

    #[test]
    fn an_image_without_a_digest_is_refused() {
        let digest = Digest::of("x");
        let parsed: Image = format!("a:5000/web:1@sha256:{digest}").parse().unwrap();
        assert_eq!(parsed.to_string(), format!("a:5000/web@sha256:{digest}"));
        for bad in [
            "web:1",
            "web",
            "",
            "web@sha256:12",
            &format!("web@{digest}"),
            &format!("@sha256:{digest}"),
        ] {
            let error = bad.parse::<Image>().unwrap_err();
            assert_eq!(*error.code(), code::IMAGE, "{bad}");
        }
        assert_eq!(*Image::new("web:1", digest).unwrap_err().code(), code::IMAGE);
    }

    #[test]
    fn the_container_of_the_same_repository_gets_the_image() {
        let two = containers(&[("app", "r/web:1"), ("proxy", "r/envoy:2")]);
        let got = assigned(&[wish(None, "r/web")], &two).unwrap();
        assert_eq!(got.keys().collect::<Vec<_>>(), ["app"]);
        let one = containers(&[("app", "old/name:1")]);
        assert!(assigned(&[wish(None, "new/name")], &one).unwrap().contains_key("app"));
    }

    #[test]
    fn nobody_guesses_a_container() {
        let two = containers(&[("app", "r/web:1"), ("worker", "r/web:1")]);
        let refused = [
            vec![wish(None, "r/web")],
            vec![wish(None, "r/other")],
            vec![wish(Some("missing"), "r/web")],
            vec![wish(Some("app"), "r/web"), wish(Some("app"), "r/web")],
        ];
        for wished in refused {
            let error = assigned(&wished, &two).unwrap_err();
            assert_eq!(*error.code(), code::CONTAINER, "{error}");
            assert!(error.to_string().contains("app, worker"), "{error}");
        }
        assert_eq!(assigned(&[wish(Some("app"), "r/web")], &two).unwrap().len(), 1);
    }
}
