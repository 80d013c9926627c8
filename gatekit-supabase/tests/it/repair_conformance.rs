//! The public suites of deployer and rollback, of repairs.

use std::sync::Arc;

use async_trait::async_trait;
use gatekit_core::ledger::{Ledger, MemoryLedger};
use gatekit_core::{Candidate, Digest, TargetName};
use gatekit_peers::Via;
use gatekit_supabase::Database;
use gatekit_supabase::migrations::{Proof, Repair, RestoreRows};
use gatekit_testkit::conformance::deployer::{
    Capability, DeployerSubject, DeployerWorld, Release, Start, Trace, Truth,
};

use super::world::{World, end, version};

const TABLE: &str = "supabase_migrations.schema_migrations";

/// How the database is reached.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Directly,
    ByPooler,
}

#[async_trait]
impl DeployerSubject for Kind {
    type World = Site;

    fn capability(&self) -> Capability {
        // What is repaired are rows, which therefore belong to what is approved.
        Capability::new().with_others().with_scope_of_before()
    }

    async fn world(&self, _: Start) -> Site {
        let via = match self {
            Self::Directly => Via::Server,
            Self::ByPooler => Via::Pooler,
        };
        let world = World::via(via);
        for number in 1..=3 {
            world.file(number, &format!("create table t{number} ();"));
        }
        assert_eq!(end(&world.ship().await).1, "");
        Site { world, ledger: Arc::new(MemoryLedger::new()) }
    }
}

/// The old release are three versions, the new one is without the newer two.
#[derive(Debug)]
struct Site {
    world: World,
    ledger: Arc<MemoryLedger>,
}

impl Site {
    fn repair(&self, release: Release) -> Repair {
        let url = self.world.url.replace("gatekit@", "gatekit:CANARY@");
        let database = Database::without_tls(&url).unwrap();
        let versions = [version(2), version(3)];
        let repair = match release {
            Release::New => Repair::reverted(database, versions),
            _ => Repair::applied(database, self.world.folder(), versions, Proof::objects()),
        };
        repair.unwrap()
    }
}

#[async_trait]
impl DeployerWorld for Site {
    type Deployer = Repair;
    type Rollback = RestoreRows;

    fn target(&self) -> TargetName {
        "test/db".parse().unwrap()
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::clone(&self.ledger) as _
    }

    fn candidate(&self, release: Release) -> Candidate {
        Candidate::new().with_version(format!("{release:?}"))
    }

    fn deployer(&self, release: Release) -> Repair {
        self.repair(release)
    }

    fn rollback(&self, release: Release) -> RestoreRows {
        RestoreRows::of(&self.repair(release))
    }

    async fn truth(&self) -> Truth {
        let rows = self.world.history().await;
        let row = |number: u32| {
            format!("{} m{number} {{\"create table t{number} ()\"}}", version(number))
        };
        match rows.as_slice() {
            [first] if *first == row(1) => Truth::New,
            all if *all == [row(1), row(2), row(3)] => Truth::Old,
            all if all.iter().any(|it| it.contains("theirs")) => Truth::Others,
            other => Truth::Partly(format!("{other:?}")),
        }
    }

    async fn trace(&self) -> Trace {
        let history = self.world.history().await;
        let tables = self.world.tables().await;
        let kept = "supabase_migrations.gatekit_repairs";
        let is_there =
            self.world.texts(&format!("SELECT 'x' WHERE to_regclass('{kept}') IS NOT NULL")).await;
        let kept = match is_there.as_slice() {
            [] => Vec::new(),
            _ => self.world.texts(&format!("SELECT k::text FROM {kept} k ORDER BY number")).await,
        };
        Trace::of_state(Digest::of(format!("{history:?} {tables:?} {kept:?}")))
    }

    fn secrets(&self) -> Vec<String> {
        vec!["CANARY".to_owned()]
    }

    async fn somebody_else_releases(&self) {
        let newest = version(3);
        self.world
            .run(&format!(
                "INSERT INTO {TABLE} (version, name) VALUES ('{newest}', 'theirs') \
                 ON CONFLICT (version) DO UPDATE SET name = 'theirs'"
            ))
            .await;
    }
}

gatekit_testkit::deployer_conforms!(
    #[tokio::test]
    directly: Kind::Directly,
    by_pooler: Kind::ByPooler,
);

gatekit_testkit::rollback_conforms!(
    #[tokio::test]
    directly_undone: Kind::Directly,
    by_pooler_undone: Kind::ByPooler,
);
