//! Where a tag stands, and what that means for a change.

use gatekit_core::{Digest, Live, Location, RunId};
use serde::{Deserialize, Serialize};

use super::api::Named;
use super::names::Place;
use crate::digest::written;

/// The change of a [`MoveTag`](super::MoveTag).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TagChange {
    /// The region of the registry.
    pub region: String,
    /// The account whose registry it is, where ECR has told it.
    pub registry: Option<String>,
    /// The repository.
    pub repository: String,
    /// The tag that moves.
    pub tag: String,
    /// The image that the tag named when the change was planned; `None` when there was no such tag.
    pub before: Option<Digest>,
    /// The image that it is to name.
    pub wish: Digest,
    /// What the names of the tags begin with that keep the images.
    pub prefix: String,
    /// The run that planned it.
    pub run: RunId,
}

/// The receipt of a [`MoveTag`](super::MoveTag).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TagReceipt {
    /// The image that the tag names.
    pub digest: Digest,
    /// The runs that had released that image under the tag by then: another one since is another
    /// release.
    pub runs: Vec<RunId>,
}

impl TagChange {
    pub(super) fn place(&self) -> Place {
        Place { registry: self.registry.clone(), repository: self.repository.clone() }
    }

    /// The tag by which the wished image is kept, as what this run has released.
    pub(super) fn mark(&self) -> String {
        format!("{}{}", self.stem(), self.run)
    }

    /// The tag by which the image of before is kept, when no run of gatekit has released it.
    pub(super) fn keeper(&self) -> String {
        format!("{}before-{}", self.stem(), self.run)
    }

    fn stem(&self) -> String {
        format!("{}-{}-", self.prefix, self.tag)
    }

    /// The runs that have released an image under the tag.
    pub(super) fn runs_of(&self, image: &Named) -> Vec<RunId> {
        let stem = self.stem();
        let run_of = |tag: &String| tag.strip_prefix(&stem)?.parse().ok();
        image.tags.iter().filter_map(run_of).collect()
    }

    /// Whether that image has a tag that keeps it when this one moves on.
    pub(super) fn keeps(&self, image: &Named) -> bool {
        let stem = self.stem();
        image.tags.iter().any(|tag| {
            let run = tag.strip_prefix(&stem);
            run.is_some_and(|it| it.strip_prefix("before-").unwrap_or(it).parse::<RunId>().is_ok())
        })
    }

    pub(super) fn receipt(&self, image: &Named) -> TagReceipt {
        TagReceipt { digest: image.digest.clone(), runs: self.runs_of(image) }
    }

    /// Where the tag stands that names this image now.
    pub(super) fn locate(&self, named: Option<&Named>, receipt: Option<&TagReceipt>) -> Location {
        match named {
            Some(image) if image.digest == self.wish => {
                let known =
                    |run: &RunId, of: &TagReceipt| *run == self.run || of.runs.contains(run);
                let other = |of| self.runs_of(image).iter().any(|run| !known(run, of));
                if receipt.is_some_and(other) {
                    return Location::Elsewhere(live(image));
                }
                Location::After
            }
            Some(image) if Some(&image.digest) == self.before.as_ref() => Location::Before,
            Some(image) => Location::Elsewhere(live(image)),
            None if self.before.is_none() => Location::Before,
            None => Location::Unknown(format!("somebody has removed the tag `{}`", self.tag)),
        }
    }
}

/// An image as what is live.
pub(super) fn live(image: &Named) -> Live {
    Live::new(written(&image.digest), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: Option<&str>) -> TagChange {
        TagChange {
            region: "r".to_owned(),
            registry: None,
            repository: "myapp".to_owned(),
            tag: "live".to_owned(),
            before: before.map(Digest::of),
            wish: Digest::of("new"),
            prefix: "gatekit".to_owned(),
            run: RunId::generate(),
        }
    }

    fn named(image: &str, tags: &[String]) -> Option<Named> {
        Some(Named { registry: None, digest: Digest::of(image), tags: tags.to_vec() })
    }

    #[test]
    fn a_tag_is_where_its_digest_says() {
        let (old, none) = (change(Some("old")), change(None));
        let at = |change: &TagChange, image: Option<&str>| {
            change.locate(image.and_then(|it| named(it, &[])).as_ref(), None)
        };
        let other = Location::Elsewhere(Live::new(written(&Digest::of("x")), None));
        for (change, image, location) in [
            (&old, Some("new"), Location::After),
            (&old, Some("old"), Location::Before),
            (&old, Some("x"), other.clone()),
            (&none, None, Location::Before),
            (&none, Some("new"), Location::After),
            (&none, Some("x"), other),
        ] {
            assert_eq!(at(change, image), location, "{change:?} {image:?}");
        }
        assert!(matches!(at(&old, None), Location::Unknown(_)));
        assert_eq!(at(&change(Some("new")), Some("new")), Location::After, "nothing to do");
    }

    #[test]
    fn a_later_release_of_the_same_image_is_another_one() {
        let (mine, other) = (change(Some("old")), change(Some("old")));
        let before = named("new", &[mine.mark()]).unwrap();
        let receipt = mine.receipt(&before);
        assert_eq!(mine.locate(Some(&before), Some(&receipt)), Location::After);
        let after = named("new", &[mine.mark(), other.mark()]).unwrap();
        assert!(matches!(mine.locate(Some(&after), Some(&receipt)), Location::Elsewhere(_)));
        assert_eq!(mine.locate(Some(&after), None), Location::After, "the wish holds");
        assert_eq!(other.locate(Some(&after), Some(&other.receipt(&after))), Location::After);
        let kept = named("new", &[mine.mark(), other.keeper(), "live-x".to_owned()]).unwrap();
        assert_eq!(
            mine.locate(Some(&kept), Some(&receipt)),
            Location::After,
            "it was displaced only"
        );
        assert!(mine.keeps(&kept) && !mine.keeps(&named("new", &["live".to_owned()]).unwrap()));
    }
}
