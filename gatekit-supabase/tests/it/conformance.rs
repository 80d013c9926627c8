//! The public suites of deployer and rollback.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use gatekit_core::ledger::{Ledger, MemoryLedger};
use gatekit_core::{Candidate, Digest, TargetName};
use gatekit_peers::{Proxy, Via, Way};
use gatekit_supabase::Database;
use gatekit_supabase::migrations::{Down, Push};
use gatekit_testkit::conformance::deployer::{
    Capability, DeployerSubject, DeployerWorld, Release, Start, Trace, Truth,
};

use super::world::{World, end, version};

/// How the database is reached.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Directly,
    ByPooler,
    /// Statement by statement.
    WithoutTransaction,
}

impl Kind {
    fn head(self) -> &'static str {
        match self {
            Self::WithoutTransaction => "-- pg-delta: transaction=false\n",
            Self::Directly | Self::ByPooler => "",
        }
    }
}

#[async_trait]
impl DeployerSubject for Kind {
    type World = Site;

    fn capability(&self) -> Capability {
        // What is pending depends on what is applied. What somebody else applies comes on top, and takes
        // nobody's place: `together` and `down` have that.
        Capability::new()
            .starting_empty()
            .with_scope_of_before()
            .losing_answers()
            .going_only_forward()
    }

    async fn world(&self, live: Start) -> Site {
        let via = match self {
            Self::Directly | Self::WithoutTransaction => Via::Server,
            Self::ByPooler => Via::Pooler,
        };
        let world = World::via(via);
        write(world.folder(), &[1], self.head());
        if live == Start::Old {
            assert_eq!(end(&world.ship().await).1, "");
        }
        let new = tempfile::tempdir().unwrap();
        write(new.path(), &[1, 2], self.head());
        let proxy = Proxy::before(&world.url).await.unwrap();
        Site { world, new, proxy, ledger: Arc::new(MemoryLedger::new()) }
    }
}

/// Writes the migrations of these numbers, each with its way back.
fn write(folder: &Path, numbers: &[u32], head: &str) {
    std::fs::create_dir_all(folder.join("down")).unwrap();
    for number in numbers {
        let name = format!("{}_m{number}", version(*number));
        let up = format!("{head}create table t{number} (); create table u{number} ();");
        let down = format!("{head}drop table if exists u{number}; drop table if exists t{number};");
        std::fs::write(folder.join(format!("{name}.sql")), up).unwrap();
        std::fs::write(folder.join(format!("down/{name}.down.sql")), down).unwrap();
    }
}

#[derive(Debug)]
struct Site {
    /// With the folder of the old release.
    world: World,
    new: tempfile::TempDir,
    /// What conforms reaches the database by it.
    proxy: Proxy,
    ledger: Arc<MemoryLedger>,
}

impl Site {
    fn push(&self, release: Release) -> Push {
        let folder = if release == Release::Old { self.world.folder() } else { self.new.path() };
        let url = self.proxy.url(&self.world.url).unwrap();
        let url = url.replace("gatekit@", "gatekit:CANARY@");
        Push::new(Database::without_tls(&url).unwrap(), folder).unwrap()
    }
}

#[async_trait]
impl DeployerWorld for Site {
    type Deployer = Push;
    type Rollback = Down;

    fn target(&self) -> TargetName {
        "test/db".parse().unwrap()
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::clone(&self.ledger) as _
    }

    fn candidate(&self, release: Release) -> Candidate {
        Candidate::new().with_version(format!("{release:?}"))
    }

    fn deployer(&self, release: Release) -> Push {
        self.push(release)
    }

    fn rollback(&self, release: Release) -> Down {
        Down::of(&self.push(release))
    }

    async fn truth(&self) -> Truth {
        let rows = self.world.history().await.len();
        let tables = self.world.tables().await.join(" ");
        match (&*tables, rows) {
            ("", 0) => Truth::Nothing,
            ("t1 u1", 1) => Truth::Old,
            ("t1 t2 u1 u2", 2) => Truth::New,
            other => Truth::Partly(format!("{other:?}")),
        }
    }

    async fn trace(&self) -> Trace {
        let (history, tables) = (self.world.history().await, self.world.tables().await);
        Trace::of_state(Digest::of(format!("{history:?} {tables:?}")))
    }

    /// A write has landed when it is committed; each permit is of one transaction.
    async fn lose_answer(&self, after: u64) {
        self.proxy.set(Way::LoseCommit(after));
    }

    fn secrets(&self) -> Vec<String> {
        vec!["CANARY".to_owned()]
    }
}

gatekit_testkit::deployer_conforms!(
    #[tokio::test]
    directly: Kind::Directly,
    by_pooler: Kind::ByPooler,
    without_transaction: Kind::WithoutTransaction,
);

gatekit_testkit::rollback_conforms!(
    #[tokio::test]
    directly_undone: Kind::Directly,
    by_pooler_undone: Kind::ByPooler,
    without_transaction_undone: Kind::WithoutTransaction,
);
