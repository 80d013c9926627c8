//! The digest that an image's name means now.

use gatekit_core::{Effect, Error, NextAction, Result};

use super::host::Host;
use super::repository::{Repository, no_tag};
use crate::aws::Aws;
use crate::code;
use crate::digest::written;
use crate::ecs::{Image, repository_of};

/// What `docker` means where no tag is named.
const DEFAULT_TAG: &str = "latest";

/// The reference to an image with the digest that its tag names now, as `REPOSITORY:TAG@sha256:…`: what
/// to ship, and to journal. [`ecs::Image`](crate::ecs::Image) reads it.
///
/// A reference that has a digest is returned as it is, of whichever registry. Without a tag, `latest` is
/// meant. Only tags of ECR are looked up, in the account that the reference names. Tries for up to
/// 30 s. Cancel-safe.
///
/// # Errors
/// `ecs.image` when the tag is of another registry, or the reference is none; `ecr.config` when the
/// registry is in another region; `ecr.no_tag`, `ecr.no_repository`, `aws.*`.
///
/// # Example
/// ```no_run
/// # async fn example(aws: gatekit_aws::Aws) -> gatekit_core::Result<()> {
/// use gatekit_aws::{ecr, ecs};
///
/// let given = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/myapp:v1";
/// let image: ecs::Image = ecr::pinned(&aws, given).await?.parse()?;
/// # Ok(())
/// # }
/// ```
pub async fn pinned(aws: &Aws, reference: &str) -> Result<String> {
    if reference.contains('@') {
        reference.parse::<Image>()?;
        return Ok(reference.to_owned());
    }
    let (name, tag) = split(reference);
    let Some(of_ecr) = Host::of(name) else { return Err(foreign(reference)) };
    let region = aws.ecr().region();
    if of_ecr.region != region {
        return Err(Error::new(code::ECR_CONFIG, "the image's registry is in another region")
            .with_effect(Effect::None)
            .with_context("image", reference)
            .with_context("configured", region)
            .with_next(NextAction::outside(
                "give the image by its digest, or replicate it to the service's region",
            )));
    }
    let (place, tag) = (of_ecr.place(), tag.unwrap_or(DEFAULT_TAG));
    let repository = Repository::new(aws, &place.repository).in_registry(of_ecr.account);
    let digest = repository.resolve(tag).await?.ok_or_else(|| no_tag(&place, tag))?;
    Ok(format!("{name}:{tag}@{}", written(&digest)))
}

fn foreign(reference: &str) -> Error {
    let what = "only tags of ECR are looked up, and this names no registry of ECR";
    let next = format!(
        "give the image by its digest, as `skopeo inspect docker://{reference}` tells it: \
         `REPOSITORY@sha256:…`"
    );
    Error::new(code::IMAGE, what)
        .with_effect(Effect::None)
        .with_context("image", reference)
        .with_next(NextAction::outside(next))
}

/// A reference without digest: its repository, and its tag.
fn split(reference: &str) -> (&str, Option<&str>) {
    let name = repository_of(reference);
    (name, reference[name.len()..].strip_prefix(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_stands_behind_the_last_slash() {
        for (reference, name, tag) in [
            ("r/web:1", "r/web", Some("1")),
            ("r/web", "r/web", None),
            ("localhost:5000/web", "localhost:5000/web", None),
            ("localhost:5000/web:1", "localhost:5000/web", Some("1")),
        ] {
            assert_eq!(split(reference), (name, tag), "{reference}");
        }
    }
}
