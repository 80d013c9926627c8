//! The account that everything here works in.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::app_name::AppName;

use crate::pace::{Limits, Paces};
use crate::{cloudwatch, ecr, ecs};

/// How long one call may take, where the configuration says nothing.
const ATTEMPT: Duration = Duration::from_secs(6);

/// The services of one account in one region, and the pace at which they are asked.
///
/// The limits of AWS are those of an account in a region: all values of this process for the same
/// account, region and endpoint share one pace. Clones of one value share their calls, too: services
/// that are watched at once are described together.
///
/// Region, credentials, endpoints and the HTTP client are those of `config`. Its retries are not
/// used: what is safe to repeat, this crate repeats itself, and follows every other call to its
/// effect. An attempt may take 6 s unless `config` says otherwise.
///
/// # Example
/// ```no_run
/// # async fn example() {
/// let config = aws_config::load_defaults(aws_config::BehaviorVersion::v2026_01_12()).await;
/// let aws = gatekit_aws::Aws::new(&config);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Aws {
    services: Arc<Services>,
}

#[derive(Debug)]
struct Services {
    cloudwatch: cloudwatch::Api,
    ecr: ecr::Api,
    ecs: ecs::Api,
}

impl Aws {
    /// The services that this configuration reaches. Calls nothing.
    ///
    /// Without a call nobody knows whose the credentials are: all that is made this way in a process
    /// shares one pace for each region and endpoint. A program that works in several accounts names
    /// each, by [`of_account`](Self::of_account).
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self::paced(config, None)
    }

    /// The same for an account by its number, as `123456789012`, which has a pace of its own.
    ///
    /// The number only tells the paces of accounts apart. Which account is called is up to the
    /// credentials.
    #[must_use]
    pub fn of_account(config: &SdkConfig, account: impl Into<String>) -> Self {
        Self::paced(config, Some(account.into()))
    }

    fn paced(config: &SdkConfig, account: Option<String>) -> Self {
        let paces = Paces::of(Limits {
            account,
            region: config.region().map(ToString::to_string).unwrap_or_default(),
            endpoint: config.endpoint_url().map(str::to_owned),
        });
        let timeouts = config.timeout_config().map(TimeoutConfig::to_builder).unwrap_or_default();
        let ours = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).build();
        let timeouts = timeouts.take_unset_from(ours.to_builder()).build();
        let mut config = config.to_builder();
        config
            .set_behavior_version(Some(aws_sdk_ecs::config::BehaviorVersion::v2026_01_12()))
            .set_retry_config(Some(RetryConfig::disabled()))
            .set_timeout_config(Some(timeouts))
            .set_app_name(AppName::new("gatekit").ok());
        let config = config.build();
        let services = Services {
            cloudwatch: cloudwatch::Api::new(&config, Arc::clone(&paces)),
            ecr: ecr::Api::new(&config, Arc::clone(&paces)),
            ecs: ecs::Api::new(&config, paces),
        };
        Self { services: Arc::new(services) }
    }

    pub(crate) fn cloudwatch(&self) -> &cloudwatch::Api {
        &self.services.cloudwatch
    }

    pub(crate) fn ecr(&self) -> &ecr::Api {
        &self.services.ecr
    }

    pub(crate) fn ecs(&self) -> &ecs::Api {
        &self.services.ecs
    }
}
