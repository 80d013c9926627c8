//! The gate on what a tag names.

use async_trait::async_trait;
use gatekit_core::{Digest, Evidence, Finding, Gate, PlanContext, Result, StageId, Verdict};
use serde_json::{Value, json};

use super::names::{Place, check_tag};
use crate::aws::Aws;
use crate::call::patiently;
use crate::code;
use crate::digest::written;

/// Passes while a tag names the image of that digest.
///
/// What is shipped is a digest, and stays it, whatever becomes of the tag by which people chose it. This
/// tells that somebody has moved that tag since, so that what was chosen and what is shipped are no
/// longer the same: `ecr.tag_moved`. A tag that is gone is `ecr.no_tag`.
///
/// # Example
/// ```no_run
/// # fn example(aws: gatekit_aws::Aws, digest: gatekit_core::Digest) -> gatekit_core::Result<()> {
/// use gatekit_aws::ecr::TagNames;
/// use gatekit_core::enforced;
///
/// let gate = enforced(TagNames::of(&aws, "myapp", "v1.4.0", digest)?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to `enforced(..)` or `advisory(..)`"]
pub struct TagNames {
    id: StageId,
    aws: Aws,
    place: Place,
    tag: String,
    digest: Digest,
}

impl TagNames {
    /// The gate on a tag of a repository, as `team/myapp`. Its id is `image-tag`.
    ///
    /// # Errors
    /// `ecr.config` when no repository or tag can have that name.
    pub fn of(
        aws: &Aws,
        repository: impl Into<String>,
        tag: impl Into<String>,
        digest: Digest,
    ) -> Result<Self> {
        let (place, tag) = (Place::new(repository), tag.into());
        place.check()?;
        check_tag(&tag)?;
        Ok(Self { id: StageId::new("image-tag")?, aws: aws.clone(), place, tag, digest })
    }

    /// Names the account whose registry it is, by its 12 digits. By default it is the caller's.
    ///
    /// # Errors
    /// `ecr.config` when that is no account.
    pub fn in_registry(mut self, id: impl Into<String>) -> Result<Self> {
        self.place.registry = Some(id.into());
        self.place.check()?;
        Ok(self)
    }

    /// Gives it another id: a pipeline with two of them needs that.
    pub fn called(mut self, id: StageId) -> Self {
        self.id = id;
        self
    }
}

#[async_trait]
impl Gate for TagNames {
    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        let Place { registry, repository } = &self.place;
        let region = self.aws.ecr().region();
        // Which tag and which image are for the candidate to say.
        json!({ "tag_names": { "region": region, "registry": registry, "repository": repository } })
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        let (place, tag) = (&self.place, &self.tag);
        let named = patiently(cx.deadline(), || self.aws.ecr().named(place, tag)).await?;
        let names = named.map(|it| written(&it.digest));
        let facts = json!({ "repository": place.repository, "tag": tag, "names": names });
        let source = format!("ecr: {}:{tag}", place.repository);
        let evidence = Evidence::read(source, facts.to_string(), facts);
        let wished = written(&self.digest);
        let finding = match names {
            Some(names) if names == wished => return Ok(Verdict::pass([evidence])),
            Some(names) => {
                let what = format!("`{tag}` names {names} now, and {wished} is shipped");
                Finding::new(code::ECR_TAG_MOVED, what)
            }
            None => Finding::new(code::ECR_NO_TAG, format!("there is no tag `{tag}` any more")),
        };
        Ok(Verdict::Fail(finding.with_evidence([evidence])))
    }
}
