//! The way back.

use gatekit_core::{Candidate, Finding, Outcome, Pipeline, RunReport, Verdict, enforced, gate_fn};
use gatekit_peers::Via;
use gatekit_supabase::migrations::Down;

use super::world::{World, end, engine, version, why};

/// Ships, and what is verified is bad.
pub(crate) async fn ship_and_undo(world: &World) -> RunReport {
    let push = world.push();
    let down = Down::of(&push);
    let code = gatekit_core::Code::new("test.bad");
    let bad = gate_fn("bad", move |_| {
        let finding = Finding::new(code.clone(), "it is bad");
        async move { Ok(Verdict::Fail(finding)) }
    })
    .unwrap();
    let pipeline = Pipeline::to("test/db").deploy(push).rollback_with(down).verify(enforced(bad));
    engine().ship(&pipeline.build().unwrap(), Candidate::new()).await
}

#[tokio::test]
async fn what_does_not_pass_is_taken_back_newest_first() {
    for via in [Via::Server, Via::Pooler] {
        let world = World::via(via);
        world.file(1, "create table a ();");
        assert_eq!(end(&world.ship().await).0, Outcome::Released);
        world.file(2, "create table b (i int);");
        world.down(2, "drop table b;");
        world.file(3, "create view c as select i from b;");
        world.down(3, "drop view c;");
        let report = ship_and_undo(&world).await;
        assert_eq!(end(&report), (Outcome::RolledBack, "verify.failed"), "{}", why(&report));
        assert_eq!(world.tables().await, ["a"], "{via:?}");
        let history = world.history().await;
        assert!(history.len() == 1 && history[0].starts_with(&version(1)), "{history:?}");
        assert_eq!(end(&world.ship().await).0, Outcome::Released);
    }
}

#[tokio::test]
async fn a_file_that_fails_takes_those_before_it_along() {
    let world = World::new();
    world.file(1, "create table a ();");
    world.down(1, "drop table a;");
    world.file(2, "select nope;");
    world.down(2, "select 1;");
    let report = ship_and_undo(&world).await;
    assert_eq!(end(&report), (Outcome::RolledBack, "migration.failed"), "{}", why(&report));
    assert_eq!(world.tables().await, Vec::<String>::new());
    assert_eq!(world.history().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_push_of_which_a_file_has_no_way_back_is_not_begun() {
    let world = World::new();
    world.file(1, "create table a ();");
    world.down(1, "drop table a;");
    world.file(2, "create table b ();");
    let report = ship_and_undo(&world).await;
    assert_eq!(end(&report), (Outcome::Refused, "rollback.one_way"), "{}", why(&report));
    assert!(why(&report).contains("has no down file"), "{}", why(&report));
    assert_eq!(world.tables().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_way_back_that_fails_is_told_with_its_place() {
    let world = World::new();
    world.file(1, "create table a ();");
    world.down(1, "drop table a;\ndrop table nope;");
    let report = ship_and_undo(&world).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
    for part in ["the server refused a statement", "m1.down.sql", "line: 2", "42P01"] {
        assert!(why(&report).contains(part), "{part}: {}", why(&report));
    }
    assert_eq!(world.tables().await, ["a"]);
    assert_eq!(world.history().await.len(), 1);
}

/// What came after it stands on it.
#[tokio::test]
async fn what_somebody_else_has_applied_on_top_keeps_it_there() {
    let world = World::new();
    world.file(1, "create table a ();");
    world.down(1, "drop table a;");
    let push = world.push();
    let down = Down::of(&push);
    let url = world.url.clone();
    let bad = gate_fn("bad", move |_| {
        let url = url.clone();
        async move {
            let row = "('20270101000000', 'theirs')";
            let sql = format!(
                "INSERT INTO supabase_migrations.schema_migrations (version, name) VALUES {row}"
            );
            let (client, connection) =
                tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            client.batch_execute(&sql).await.unwrap();
            let code = gatekit_core::Code::new("test.bad");
            Ok(Verdict::Fail(Finding::new(code, "it is bad")))
        }
    })
    .unwrap();
    let pipeline = Pipeline::to("test/db").deploy(push).rollback_with(down).verify(enforced(bad));
    let report = engine().ship(&pipeline.build().unwrap(), Candidate::new()).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
    assert_eq!(world.tables().await, ["a"]);
    assert_eq!(world.history().await.len(), 2);
}

/// What is taken back leaves no trace of whose it was.
#[tokio::test]
async fn a_row_that_is_rewritten_on_the_way_back_keeps_its_file_there() {
    let world = World::new();
    world.file(1, "create table a ();");
    assert_eq!(end(&world.ship().await).0, Outcome::Released);
    world.file(2, "create table b ();");
    world.down(2, "drop table b;");
    world.file(3, "create table c ();");
    // In the place of somebody who does not wait for the lock.
    let rewritten =
        "update supabase_migrations.schema_migrations set statements = '{theirs}' where version =";
    world.down(3, &format!("drop table c; {rewritten} '{}';", version(2)));
    let report = ship_and_undo(&world).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
    assert_eq!(world.tables().await, ["a", "b"]);
    assert_eq!(world.history().await.len(), 2);
}
