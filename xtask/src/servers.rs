//! The servers that tests share.

use gatekit_peers::{Cluster, Pooler, Programs};

use crate::failure::{Failure, Result};
use crate::step::{Step, target_folder};

/// A PostgreSQL server and a pooler before it, which all tests share: each has databases of its own.
#[derive(Debug)]
pub(crate) struct Servers {
    cluster: Cluster,
    pooler: Pooler,
}

impl Servers {
    pub(crate) fn start() -> Result<Self> {
        let programs = Programs::find(&target_folder()?.join("peers"))
            .map_err(|error| Failure::of("no PostgreSQL or PgBouncer", error))?;
        let of = |error| Failure::of("no server for the tests", error);
        let cluster = Cluster::start(&programs, &[]).map_err(of)?;
        let pooler = Pooler::start(&programs, &cluster).map_err(of)?;
        Ok(Self { cluster, pooler })
    }

    pub(crate) fn known_to(&self, step: Step) -> Step {
        step.env("GATEKIT_TEST_POSTGRES", self.cluster.url())
            .env("GATEKIT_TEST_PGBOUNCER", self.pooler.url())
    }
}
