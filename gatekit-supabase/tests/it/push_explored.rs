//! Every single fault of a push, and of one that recovers from orphans, on a real server, in real time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::Ledger;
use gatekit_core::{
    Candidate, Engine, Evidence, OnInterrupt, Outcome, Pipeline, Replan, Result, StageId, Verdict,
    enforced, gate_fn, on,
};
use gatekit_supabase::code;
use gatekit_supabase::migrations::{Down, Orphans, Push, Repair, RestoreRows, Unattended};
use gatekit_testkit::explorer::doubles::{PathLedger, in_memory};
use gatekit_testkit::explorer::{Act, Explorer, Scene, Truth, Write};
use serde_json::json;
use tempfile::TempDir;

use super::explored::Lent;
use super::world::version;

/// How long a process goes on that has lost its ledger.
const LEASE: Duration = Duration::from_secs(2);

const RELEASES: [(&str, u32); 2] = [("two", 3), ("three", 4)];

/// What is in the database: tables and indexes.
const OBJECTS: &str = "
    SELECT relname::text || CASE WHEN indisvalid THEN '' ELSE ' bad' END
    FROM (SELECT c.oid, relname, coalesce(indisvalid, true) indisvalid
        FROM pg_class c LEFT JOIN pg_index ON indexrelid = c.oid
        WHERE relnamespace = 'public'::regnamespace) it
    ORDER BY 1";

fn candidate(version: &str) -> Candidate {
    Candidate::new().with_version(version)
}

/// What is explored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Each file in a transaction.
    Transactions,
    /// Statement by statement.
    Alone,
    /// In transactions, after the history was repaired.
    Orphaned,
}

impl Kind {
    /// What the file of that number does, and what takes it back.
    fn sql(self, number: u32) -> (String, String) {
        let table =
            (format!("create table o{number} ()"), format!("drop table if exists o{number}"));
        match (self, number) {
            (Self::Alone, 2) => (
                "create index concurrently o2 on o1 (i)".to_owned(),
                "drop index concurrently if exists o2".to_owned(),
            ),
            (Self::Alone, 3..) => {
                let directive = "-- pg-delta: transaction=false";
                (format!("{directive}\n{}", table.0), format!("{directive}\n{}", table.1))
            }
            _ => table,
        }
    }
}

/// Of one version that is applied a push makes three, and the next one four.
#[derive(Debug)]
struct Files {
    kind: Kind,
    folders: [TempDir; 2],
}

impl Files {
    fn new(kind: Kind) -> Self {
        let folders = RELEASES.map(|(_, count)| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("down")).unwrap();
            std::fs::write(path(folder.path(), 1, ""), FIRST).unwrap();
            for number in 2..=count {
                let (up, down) = kind.sql(number);
                std::fs::write(path(folder.path(), number, ""), up).unwrap();
                std::fs::write(path(&folder.path().join("down"), number, ".down"), down).unwrap();
            }
            folder
        });
        Self { kind, folders }
    }
}

const FIRST: &str = "create table o1 (i int)";

fn path(folder: &Path, number: u32, of: &str) -> std::path::PathBuf {
    folder.join(format!("{}_m{number}{of}.sql", version(number)))
}

impl Scene for Files {
    fn name(&self) -> String {
        let name = match self.kind {
            Kind::Transactions => "a push",
            Kind::Alone => "a push without transactions",
            Kind::Orphaned => "a push that recovers from orphans",
        };
        name.to_owned()
    }

    fn world(&self) -> Arc<dyn gatekit_testkit::explorer::World> {
        let row = |number, name: &str, says: &str| {
            let version = version(number);
            format!(
                "INSERT INTO supabase_migrations.schema_migrations VALUES ('{version}', {says}, '{name}')"
            )
        };
        let mut setup = format!("{FIRST}; {}", row(1, "m1", &format!("array['{FIRST}']")));
        if self.kind == Kind::Orphaned {
            let orphan = row(9, "orphan", "array['create table nowhere ()']");
            setup = format!("{setup}; {orphan}");
        }
        let folders = self.folders.each_ref().map(|it| it.path().to_owned());
        Arc::new(Site { kind: self.kind, lent: Lent::new(&setup), folders, ledger: in_memory()() })
    }

    fn act(&self) -> Act {
        Act::Ship(candidate(RELEASES[0].0))
    }

    fn ends(&self) -> Outcome {
        Outcome::Released
    }

    fn next(&self) -> Candidate {
        candidate(RELEASES[1].0)
    }

    fn engine(&self, engine: Engine) -> Engine {
        engine.with_lease(LEASE).unwrap()
    }

    fn in_real_time(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Site {
    kind: Kind,
    lent: Lent,
    folders: [std::path::PathBuf; 2],
    ledger: PathLedger,
}

#[async_trait]
impl gatekit_testkit::explorer::World for Site {
    fn pipeline(&self, candidate: &Candidate) -> Pipeline {
        let is_next = candidate.version.as_deref() == Some(RELEASES[1].0);
        let folder = &self.folders[usize::from(is_next)];
        let push = Push::new(self.lent.world().database(), folder).unwrap();
        let works = gate_fn("works", |_| async {
            Ok(Verdict::pass([Evidence::read("the database", "works", json!({ "works": true }))]))
        });
        let works = enforced(works.unwrap());
        let pipeline = Pipeline::to("test/db").on_interrupt(OnInterrupt::Unwind);
        let down = Down::of(&push);
        if self.kind != Kind::Orphaned {
            return pipeline.deploy(push).rollback_with(down).verify(works).build().unwrap();
        }
        let push = push.leaving_orphans();
        let orphans = Orphans::of(&push).unwrap().unattended(Unattended::none().reverted());
        let repair = Repair::orphans(&orphans).unwrap();
        let back = RestoreRows::of(&repair);
        pipeline
            .gate(enforced(orphans))
            .deploy(push)
            .rollback_with(down)
            .recover(on(code::ORPHANED).deploy(repair).rollback_with(back).then(Replan).at_most(2))
            .verify(works)
            .build()
            .unwrap()
    }

    async fn ledger(&self) -> Result<Arc<dyn Ledger>> {
        Ok(Arc::clone(&self.ledger.ledger))
    }

    fn advance(&self, by: Duration) {
        (self.ledger.advance)(by);
    }

    fn truth(&self) -> Truth {
        let (names, objects) = (self.lent.names(), self.lent.texts(OBJECTS));
        let is = |count: u32, more: &[&str]| {
            let of = |letter| (1..=count).map(move |number| format!("{letter}{number}"));
            let more = more.iter().map(|it| (*it).to_owned());
            of('m').chain(more).eq(names.iter().cloned()) && of('o').eq(objects.iter().cloned())
        };
        let before: &[&str] = if self.kind == Kind::Orphaned { &["orphan"] } else { &[] };
        match () {
            () if is(1, before) => Truth::Old,
            () if is(RELEASES[0].1, &[]) => Truth::New,
            () if is(RELEASES[1].1, &[]) => Truth::Next,
            () => Truth::Other(format!("{names:?} {objects:?}")),
        }
    }

    fn writes(&self, from: usize) -> Vec<Write> {
        let write = |what: String| {
            let stage = if what.ends_with("orphan") { "repair" } else { "migrations" };
            Write { stage: StageId::new(stage).unwrap(), what, fence: None, wrong: None }
        };
        self.lent.writes(from).into_iter().map(write).collect()
    }
}

fn explore(kind: Kind) {
    let scene = Files::new(kind);
    let explorer = Explorer::new(&scene).singles_only().threads(8);
    let exploration = explorer.explore();
    println!("{exploration}");
    if let Some((script, _)) = exploration.failures().first() {
        println!("{}", explorer.replay(script));
    }
    exploration.assert_sound();
}

#[test]
fn no_single_fault_makes_a_push_lie() {
    explore(Kind::Transactions);
}

#[test]
fn no_single_fault_makes_a_push_without_transactions_lie() {
    explore(Kind::Alone);
}

#[test]
fn no_single_fault_makes_a_push_that_recovers_lie() {
    explore(Kind::Orphaned);
}
