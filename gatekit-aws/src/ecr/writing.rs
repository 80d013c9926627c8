//! Writing a tag, as carefully as an API without a compare-and-swap allows.

use std::time::Duration;

use gatekit_core::{ApplyContext, Digest, Effect, Error, Live, NextAction, Result, Verb};
use tokio::time::{Instant, sleep};

use super::api::{Api, Named, at};
use super::manifest::Manifest;
use super::names::Place;
use super::standing::live;
use crate::call::patiently;
use crate::code;
use crate::digest::written;
use crate::doubt::Doubt;

/// The pauses before a write is tried again that AWS was too busy for, or whose answer was lost; and
/// before a tag is read again that does not yet name what was written.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// The tags of a repository, for a run that may write them.
#[derive(Debug)]
pub(super) struct Tags<'a> {
    pub(super) api: &'a Api,
    pub(super) cx: &'a ApplyContext,
    pub(super) place: Place,
}

impl Tags<'_> {
    /// What a tag names, read afresh.
    pub(super) async fn named(&self, tag: &str) -> Result<Option<Named>> {
        patiently(self.cx.deadline(), || self.api.named(&self.place, tag)).await
    }

    /// # Errors
    /// `ecr.no_image` when the repository does not have it.
    pub(super) async fn manifest(&self, digest: &Digest) -> Result<Manifest> {
        let found =
            patiently(self.cx.deadline(), || self.api.manifest(&self.place, digest)).await?;
        found.ok_or_else(|| no_image(&self.place, digest))
    }

    /// Gives an image a tag that nobody else writes: written again, it has no second effect.
    pub(super) async fn keep(&self, manifest: &Manifest, tag: &str) -> Result<()> {
        let mut doubt = Doubt::default();
        let mut pauses = PAUSES.iter();
        loop {
            let permit = doubt.of(self.cx.permit(&format!("keep the image as tag {tag}")).await)?;
            match self.api.put(&permit, &self.place, manifest, tag).await {
                Err(error) if error.is_temporary() => {
                    doubt.cast(&error);
                    self.pause(&mut pauses, error).await.map_err(|error| doubt.on(error))?;
                }
                written => return doubt.of(written),
            }
        }
    }

    /// Points a tag from one image to another, or takes it away when there is no other; and sees that
    /// it is so.
    ///
    /// Read immediately before each try: what has landed already is not written again, and what
    /// somebody else has written, not overwritten.
    ///
    /// # Errors
    /// `ecr.tag_moved` when it names neither image, with what this call has done to it.
    pub(super) async fn point(
        &self,
        tag: &str,
        from: Option<&Digest>,
        to: Option<&Manifest>,
    ) -> Result<Option<Named>> {
        let wish = to.map(|it| &it.digest);
        let call = match wish {
            Some(digest) => format!("point tag {tag} to {}", written(digest)),
            None => format!("remove tag {tag}"),
        };
        let mut doubt = Doubt::default();
        let mut pauses = PAUSES.iter();
        loop {
            let permit = doubt.of(self.cx.permit(&call).await)?;
            let tried = match self.api.named(&self.place, tag).await {
                Ok(now) => {
                    let found = now.as_ref().map(|it| &it.digest);
                    if found == wish {
                        return Ok(now);
                    }
                    if found != from {
                        return doubt.of(Err(moved(&self.place, tag, now.as_ref())));
                    }
                    match (to, &now) {
                        (Some(to), _) => self.api.put(&permit, &self.place, to, tag).await,
                        (None, Some(image)) if image.tags.len() < 2 => {
                            Err(last_tag(&self.place, tag))
                        }
                        (None, _) => self.api.untag(&permit, &self.place, tag).await,
                    }
                }
                // Not patiently: a permit is good for a short while only.
                Err(error) => Err(error),
            };
            match tried {
                Ok(()) => return self.seen(tag, from, wish).await,
                Err(error) if error.is_temporary() => {
                    doubt.cast(&error);
                    self.pause(&mut pauses, error).await.map_err(|error| doubt.on(error))?;
                }
                Err(error) => return doubt.of(Err(error)),
            }
        }
    }

    /// Reads a tag until it names what was written: answers may be older than the last write.
    async fn seen(
        &self,
        tag: &str,
        from: Option<&Digest>,
        wish: Option<&Digest>,
    ) -> Result<Option<Named>> {
        let mut pauses = PAUSES.iter();
        loop {
            let now = self.named(tag).await.map_err(|error| error.with_effect(Effect::Unknown))?;
            let found = now.as_ref().map(|it| &it.digest);
            if found == wish {
                return Ok(now);
            }
            if found != from {
                return Err(moved(&self.place, tag, now.as_ref()).with_effect(Effect::Done));
            }
            let what = "ECR accepted the write, and the tag still names what it named before";
            let error = Error::new(code::ECR_CANNOT_TELL, what).with_context("tag", tag);
            let error = error.with_next(NextAction::verb(Verb::Reconcile, &[]));
            self.pause(&mut pauses, at(error, &self.place)).await?;
        }
    }

    /// Waits for the next try; the error itself when there is none left.
    async fn pause<'p>(
        &self,
        pauses: &mut impl Iterator<Item = &'p Duration>,
        error: Error,
    ) -> Result<()> {
        let pause = pauses.next().map(|it| it.mul_f64(0.5 + fastrand::f64()));
        match pause.filter(|pause| Instant::now() + *pause < self.cx.deadline()) {
            Some(pause) => {
                sleep(pause).await;
                Ok(())
            }
            None => Err(error),
        }
    }
}

pub(super) fn no_image(place: &Place, digest: &Digest) -> Error {
    let error = Error::new(code::ECR_NO_IMAGE, "the repository has no image of that digest");
    at(error.with_context("digest", written(digest)), place).with_effect(Effect::None)
}

pub(super) fn moved(place: &Place, tag: &str, now: Option<&Named>) -> Error {
    let now = now.map(live).map_or_else(|| "nothing".to_owned(), |live: Live| live.release);
    let error = Error::new(code::ECR_TAG_MOVED, "somebody else has moved the tag");
    at(error.with_context("tag", tag).with_context("names", now), place)
        .with_effect(Effect::None)
        .with_next(NextAction::verb(Verb::Status, &[]))
}

fn last_tag(place: &Place, tag: &str) -> Error {
    let what = "the tag is the image's last: ECR would delete the image with it";
    at(Error::new(code::ECR_LAST_TAG, what).with_context("tag", tag), place)
        .with_effect(Effect::None)
}
