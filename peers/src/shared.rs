//! What `cargo xtask test` hands to all tests.

use std::env;

use crate::{Result, failed};

/// A peer that tests share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    /// The URL of a [`Registry`](crate::Registry), in which each test has repositories of its own.
    Registry,
    /// The URL of a [`Moto`](crate::Moto).
    Moto,
    /// The path of `aws`.
    AwsCli,
    /// The folder of botocore's models.
    Botocore,
    /// The folder of a [`SupabaseCli`](crate::SupabaseCli); empty where there is none.
    Supabase,
}

impl Shared {
    /// The variable that says where it is.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Self::Registry => "GATEKIT_TEST_REGISTRY",
            Self::Moto => "GATEKIT_TEST_MOTO",
            Self::AwsCli => "GATEKIT_TEST_AWS_CLI",
            Self::Botocore => "GATEKIT_TEST_BOTOCORE",
            Self::Supabase => "GATEKIT_TEST_SUPABASE",
        }
    }

    /// Where it is.
    ///
    /// # Errors
    /// The environment does not say.
    pub fn place(self) -> Result<String> {
        let name = self.variable();
        let unset = "is not set: run the tests by `cargo xtask test`, which has what they need";
        env::var(name).map_err(|_| failed(format!("{name} {unset}")))
    }
}
