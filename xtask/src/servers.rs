//! The servers that tests share.

use std::io;
use std::path::Path;

use gatekit_peers::{AwsTools, Cluster, Moto, Pooler, Programs, Registry, Shared, SupabaseCli};

use crate::failure::{Failure, Result};
use crate::step::{Step, target_folder};

/// A PostgreSQL server and a pooler before it, which all tests share: each has databases of its own.
#[derive(Debug)]
pub(crate) struct Servers {
    cluster: Cluster,
    pooler: Pooler,
    cloud: Option<Cloud>,
    supabase: Option<SupabaseCli>,
}

/// What tests of AWS share beside: a registry, moto, and `aws`.
#[derive(Debug)]
struct Cloud {
    registry: Registry,
    tools: AwsTools,
    moto_url: String,
    _moto: Moto,
}

impl Servers {
    /// All that any test needs.
    pub(crate) fn start() -> Result<Self> {
        let mut servers = Self::databases()?;
        let of = |error| Failure::of("no registry, moto or `aws` for the tests", error);
        servers.cloud = Some(Cloud::start(&target_folder()?.join("peers")).map_err(of)?);
        servers.with_supabase()
    }

    /// The same, with the command lines of Supabase where there is npm. Their test decides whether it can do
    /// without.
    pub(crate) fn with_supabase(mut self) -> Result<Self> {
        let of = |error| Failure::of("no `supabase`", error);
        self.supabase = SupabaseCli::find(&target_folder()?.join("peers")).map_err(of)?;
        Ok(self)
    }

    /// What ledgers need.
    pub(crate) fn databases() -> Result<Self> {
        let programs = Programs::find(&target_folder()?.join("peers"))
            .map_err(|error| Failure::of("no PostgreSQL or PgBouncer", error))?;
        let of = |error| Failure::of("no server for the tests", error);
        let cluster = Cluster::start(&programs, &[]).map_err(of)?;
        let pooler = Pooler::start(&programs, &cluster).map_err(of)?;
        Ok(Self { cluster, pooler, cloud: None, supabase: None })
    }

    pub(crate) fn known_to(&self, step: Step) -> Step {
        let supabase = self.supabase.as_ref().map_or(Path::new(""), SupabaseCli::folder);
        let step = step
            .env("GATEKIT_TEST_POSTGRES", self.cluster.url())
            .env("GATEKIT_TEST_PGBOUNCER", self.pooler.url())
            .env(Shared::Supabase.variable(), supabase);
        let Some(cloud) = &self.cloud else { return step };
        step.env(Shared::Registry.variable(), cloud.registry.url())
            .env(Shared::Moto.variable(), &cloud.moto_url)
            .env(Shared::AwsCli.variable(), cloud.tools.cli())
            .env(Shared::Botocore.variable(), cloud.tools.botocore())
    }
}

impl Cloud {
    fn start(folder: &Path) -> io::Result<Self> {
        let tools = AwsTools::find(folder)?;
        // It takes longest to start.
        let mut moto = Moto::start(&tools)?;
        let registry = Registry::start(folder)?;
        Ok(Self { registry, tools, moto_url: moto.url()?, _moto: moto })
    }
}
