//! An emulated account, and the SDK's configuration for it.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_credential_types::Credentials;
use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_types::SdkConfig;
use aws_types::region::Region;
use gatekit_aws::Aws;
use gatekit_emulators::Aws as Account;

/// The account, in this process: its time is tokio's. So its pace is no other's.
pub(crate) fn in_process(account: &Account) -> Aws {
    let [aws, _] = twice_in_process(account);
    aws
}

/// The same, by two parts of a program that do not know of each other.
pub(crate) fn twice_in_process(account: &Account) -> [Aws; 2] {
    static ACCOUNTS: AtomicUsize = AtomicUsize::new(0);
    let number = ACCOUNTS.fetch_add(1, Ordering::Relaxed);
    let config = config(&format!("http://account-{number}.invalid")).into_builder();
    let config = config.http_client(account.http_client()).build();
    [Aws::new(&config), Aws::new(&config)]
}

/// The account behind an endpoint, reached as any program reaches it.
pub(crate) fn at(endpoint: &str) -> Aws {
    let config = config(endpoint).into_builder();
    Aws::new(&config.build())
}

/// The same, by somebody whose credentials cannot be had.
pub(crate) fn nobody(endpoint: &str) -> Aws {
    let none = provide_credentials_fn(|| async { Err(CredentialsError::not_loaded_no_source()) });
    let config = config(endpoint).into_builder();
    Aws::new(&config.credentials_provider(SharedCredentialsProvider::new(none)).build())
}

fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::from_keys("AKIDEXAMPLE", "CANARY-secret-key", None);
    SdkConfig::builder()
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .build()
}
