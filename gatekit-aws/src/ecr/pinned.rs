//! The digest that an image's name means now.

use gatekit_core::{Effect, Error, NextAction, Result};

use super::api::at;
use super::names::Place;
use super::repository::Repository;
use crate::aws::Aws;
use crate::code;
use crate::digest::written;
use crate::ecs::{Image, repository_of};

/// What `docker` means where no tag is named.
const DEFAULT_TAG: &str = "latest";

/// What the domains of registries end with, by the beginning of their region's name; elsewhere it is
/// `amazonaws.com`.
const DOMAINS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("eusc-", "amazonaws.eu"),
];

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

/// The host name of an account's registry.
pub(super) fn host(account: &str, region: &str) -> String {
    let domain = DOMAINS.iter().find(|(begins, _)| region.starts_with(begins));
    let domain = domain.map_or("amazonaws.com", |(_, domain)| domain);
    format!("{account}.dkr.ecr.{region}.{domain}")
}

pub(super) fn no_tag(place: &Place, tag: &str) -> Error {
    let error = Error::new(code::ECR_NO_TAG, "the repository has no such tag");
    at(error.with_context("tag", tag), place).with_effect(Effect::None)
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

/// What the name of an image in ECR says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Host<'a> {
    pub(super) account: &'a str,
    pub(super) region: &'a str,
    pub(super) repository: &'a str,
}

impl<'a> Host<'a> {
    /// `None` when it is of another registry.
    pub(super) fn of(name: &'a str) -> Option<Self> {
        let (host, repository) = name.split_once('/')?;
        let (account, rest) = host.split_once('.')?;
        let is_account = account.len() == 12 && account.bytes().all(|it| it.is_ascii_digit());
        let known = ["dkr.ecr.", "dkr.ecr-fips.", "dkr-ecr.", "dkr-ecr-fips."];
        let rest = known.iter().find_map(|it| rest.strip_prefix(it)).filter(|_| is_account)?;
        let (region, _) = rest.split_once('.')?;
        Some(Self { account, region, repository })
    }

    fn place(&self) -> Place {
        Place { registry: Some(self.account.to_owned()), ..Place::new(self.repository) }
    }
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

    #[test]
    fn a_registry_of_ecr_is_known_by_its_host() {
        let host = |name| Host::of(name).map(|it| (it.account, it.region, it.repository));
        let known = Some(("123456789012", "eu-west-1", "team/web"));
        for name in [
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/web",
            "123456789012.dkr.ecr-fips.eu-west-1.amazonaws.com/team/web",
            "123456789012.dkr-ecr.eu-west-1.on.aws/team/web",
        ] {
            assert_eq!(host(name), known, "{name}");
        }
        for name in [
            "web",
            "ghcr.io/team/web",
            "12345678901.dkr.ecr.eu-west-1.amazonaws.com/web",
            "123456789012.dkr.ecr/web",
            "public.ecr.aws/team/web",
        ] {
            assert_eq!(host(name), None, "{name}");
        }
    }

    #[test]
    fn the_host_of_a_registry_is_of_the_domain_of_its_region() {
        for (region, domain) in [
            ("eu-west-1", "amazonaws.com"),
            ("us-gov-west-1", "amazonaws.com"),
            ("cn-north-1", "amazonaws.com.cn"),
            ("us-isob-east-1", "sc2s.sgov.gov"),
            ("eusc-de-east-1", "amazonaws.eu"),
        ] {
            assert_eq!(
                host("123456789012", region),
                format!("123456789012.dkr.ecr.{region}.{domain}")
            );
        }
    }
}
