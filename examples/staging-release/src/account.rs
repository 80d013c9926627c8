//! The account that is released to, as every tool of AWS finds it.

use aws_config::BehaviorVersion;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_types::SdkConfig;
use gatekit_aws::Aws;
use gatekit_core::{Code, Effect, Error, NextAction, Result};

/// No region is configured.
const ACCOUNT_REGION: Code = Code::new("account.region");
/// There are no credentials.
const ACCOUNT_CREDENTIALS: Code = Code::new("account.credentials");

/// The account of the SDK's standard environment: `AWS_REGION`, `AWS_PROFILE`, the usual chain of
/// credentials, `AWS_ENDPOINT_URL` and its like for each service.
///
/// # Errors
/// `account.region` and `account.credentials` when there is none: before anything is asked of AWS.
pub async fn from_env() -> Result<Aws> {
    // Pinned: what a newer version changes is for a person to decide.
    let config = aws_config::load_defaults(BehaviorVersion::v2026_01_12()).await;
    if config.region().is_none() {
        return Err(missing(ACCOUNT_REGION, "no region is configured").with_next(
            NextAction::outside("set `AWS_REGION`, or `AWS_PROFILE` to one that has it"),
        ));
    }
    has_credentials(&config).await?;
    Ok(Aws::new(&config))
}

async fn has_credentials(config: &SdkConfig) -> Result<()> {
    let error = missing(ACCOUNT_CREDENTIALS, "there are no credentials for AWS").with_next(
        NextAction::outside("log in, for example by `aws sso login`, or set `AWS_ACCESS_KEY_ID`"),
    );
    let Some(provider) = config.credentials_provider() else { return Err(error) };
    // Not the words of the failure: they may quote what a program printed that was to give them.
    let why = match provider.provide_credentials().await {
        Ok(_) => return Ok(()),
        Err(CredentialsError::CredentialsNotLoaded(_)) => "none were found",
        Err(CredentialsError::InvalidConfiguration(_)) => "their configuration is invalid",
        Err(CredentialsError::ProviderTimedOut(_)) => "whoever gives them did not answer in time",
        Err(_) => "whoever gives them failed: see by `aws sts get-caller-identity`",
    };
    Err(error.with_context("why", why))
}

fn missing(code: Code, what: &'static str) -> Error {
    Error::new(code, what).with_effect(Effect::None)
}
