//! The way back to the image that a tag named before.

use async_trait::async_trait;
use gatekit_core::{
    ApplyContext, Effect, Error, Location, NextAction, PlanContext, Result, Reversibility,
    Rollback, Rollout, Verb,
};

use super::deployer::{MoveTag, in_region, settled};
use super::standing::{TagChange, TagReceipt};
use super::writing::Tags;
use crate::aws::Aws;
use crate::code;

/// Points the tag back to the image that it named before; one that was not there is removed.
///
/// Everything it needs is in the change: one object undoes the moves of any [`MoveTag`].
///
/// ECR deletes an image with its last tag. So a tag is only removed once the image is seen to have the
/// one that [`MoveTag`] has given it, which stays. The images keep their own tags: see
/// [the module](super).
///
/// Correct wherever `apply` has ended, and idempotent. A tag that somebody else has moved is left
/// alone.
#[derive(Debug, Clone)]
#[must_use = "give it to `.rollback_with`"]
pub struct RestoreTag {
    aws: Aws,
}

impl RestoreTag {
    /// The way back for moves in that account and region.
    pub fn new(aws: &Aws) -> Self {
        Self { aws: aws.clone() }
    }
}

#[async_trait]
impl Rollback<MoveTag> for RestoreTag {
    fn reversibility(&self, _: &TagChange) -> Reversibility {
        // The image of before was there when this was planned, and is kept by a tag before the tag moves.
        Reversibility::Free
    }

    /// Puts the old manifest back, or removes the tag, and reads it again.
    ///
    /// # Errors
    /// With [`Effect::None`]: `ecr.no_image` when somebody has deleted the old image,
    /// `ecr.cannot_tell` when somebody has removed the tag, `ecr.last_tag`, `ecr.immutable`. Otherwise
    /// those of [`MoveTag`].
    async fn roll_back(
        &self,
        cx: &ApplyContext,
        change: &TagChange,
        receipt: Option<&TagReceipt>,
    ) -> Result<()> {
        let api = self.aws.ecr();
        in_region(api, change)?;
        let tags = Tags { api, cx, place: change.place() };
        let Some(image) = tags.named(&change.tag).await? else {
            return if change.before.is_none() { Ok(()) } else { Err(removed(change)) };
        };
        if change.before.as_ref() == Some(&change.wish)
            || change.locate(Some(&image), receipt) != Location::After
        {
            return Ok(());
        }
        let old = match &change.before {
            Some(old) => Some(tags.manifest(old).await?),
            None => {
                if !image.tags.contains(&change.mark()) {
                    let wish = tags.manifest(&change.wish).await?;
                    tags.keep(&wish, &change.mark()).await?;
                }
                None
            }
        };
        tags.point(&change.tag, Some(&change.wish), old.as_ref()).await?;
        Ok(())
    }

    async fn observe_back(
        &self,
        _: &PlanContext,
        change: &TagChange,
        _: Option<&TagReceipt>,
    ) -> Result<Rollout> {
        let api = self.aws.ecr();
        in_region(api, change)?;
        let named = api.named(&change.place(), &change.tag).await?;
        Ok(settled(named.as_ref(), change.before.as_ref(), Some(&change.wish)))
    }
}

fn removed(change: &TagChange) -> Error {
    Error::new(code::ECR_CANNOT_TELL, "somebody has removed the tag: it is not put back")
        .with_context("repository", &change.repository)
        .with_context("tag", &change.tag)
        .with_effect(Effect::None)
        .with_next(NextAction::verb(Verb::Reconcile, &[]))
}
