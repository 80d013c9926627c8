//! How registries of ECR are called.

use super::names::Place;

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

/// The host name of an account's registry.
pub(super) fn host(account: &str, region: &str) -> String {
    let domain = DOMAINS.iter().find(|(begins, _)| region.starts_with(begins));
    let domain = domain.map_or("amazonaws.com", |(_, domain)| domain);
    format!("{account}.dkr.ecr.{region}.{domain}")
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

    pub(super) fn place(&self) -> Place {
        Place { registry: Some(self.account.to_owned()), ..Place::new(self.repository) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
