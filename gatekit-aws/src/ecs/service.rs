//! The configuration of the deployer.

use gatekit_core::{Effect, Error, Result, StageId};

use super::image::{Image, WishedImage};
use super::site::Site;
use crate::aws::Aws;
use crate::code;

/// What is to run afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    Images(Vec<WishedImage>),
    /// A revision that exists, as it was named.
    Revision(String),
    /// The same revision, in a new deployment.
    Again,
    /// Nothing: for reading, and for rolling back.
    Nothing,
}

/// Deploys to a service of ECS, and follows the deployment that it has begun.
///
/// By default it registers a revision of the task definition that runs, with images replaced by
/// digest, tagged with the run (`gatekit:run`); a given [revision](Self::revision) can be deployed
/// instead, or the same one [again](Self::force).
///
/// Success is the primary deployment being the run's own, completed, with tasks that run. A rollout is
/// given up before ECS does so when three of its tasks, or half of those desired where that is more,
/// stop for the same reason.
///
/// What this needs of a policy is in [`operations`](crate::operations). Services behind `CODE_DEPLOY`
/// or an external controller are refused.
///
/// # Default
/// id `ecs`.
///
/// # Example
/// ```no_run
/// use gatekit_aws::{Aws, ecs};
/// use gatekit_core::Pipeline;
///
/// # fn example(aws: &Aws) -> gatekit_core::Result<()> {
/// let image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/api@sha256:\
///              9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
/// let service = ecs::Service::new(aws, "production", "api")?.image(image.parse()?);
/// let back = ecs::PreviousRevision::of(&service);
/// let pipeline = Pipeline::to("production/api").deploy(service).rollback_with(back).build()?;
/// # let _ = pipeline;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to a pipeline"]
pub struct Service {
    pub(super) id: StageId,
    pub(super) site: Site,
    pub(super) wish: Wish,
}

impl Service {
    /// A service by name, in a cluster by name or ARN. It wishes for nothing yet: that suffices for
    /// `live`, `locate` and rolling back, and `plan` is refused with `ecs.nothing_to_ship`. Calls
    /// nothing.
    ///
    /// # Errors
    /// `ecs.config` when a name is empty.
    pub fn new(aws: &Aws, cluster: &str, service: &str) -> Result<Self> {
        if cluster.trim().is_empty() || service.trim().is_empty() {
            let what = "the name of the cluster or of the service is empty";
            return Err(Error::new(code::CONFIG, what).with_effect(Effect::None));
        }
        let site = Site::new(aws, cluster, service);
        Ok(Self { id: StageId::new("ecs")?, site, wish: Wish::Nothing })
    }

    /// Names the deploy in its pipeline.
    pub fn with_id(mut self, id: StageId) -> Self {
        self.id = id;
        self
    }

    /// Wishes for this image, in the container that has one of the same repository, or in the only one;
    /// beside other images that were wished for. Which container that is, is for `plan` to find.
    pub fn image(self, image: Image) -> Self {
        self.with_image(WishedImage { container: None, image })
    }

    /// The same, in the container of that name.
    pub fn image_of(self, container: impl Into<String>, image: Image) -> Self {
        self.with_image(WishedImage { container: Some(container.into()), image })
    }

    /// Wishes for a revision that exists, as `FAMILY:NUMBER` or by its ARN, instead.
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.wish = Wish::Revision(revision.into());
        self
    }

    /// Wishes for a new deployment of the revision that runs, instead: what its tags name now is then
    /// pulled anew.
    ///
    /// ECS does not tell whose a forced deployment is. When the answer to the call is lost, it ends
    /// with `ecs.cannot_tell`, and the target is suspect.
    pub fn force(mut self) -> Self {
        self.wish = Wish::Again;
        self
    }

    fn with_image(mut self, wished: WishedImage) -> Self {
        match &mut self.wish {
            Wish::Images(images) => images.push(wished),
            wish => *wish = Wish::Images(vec![wished]),
        }
        self
    }
}
