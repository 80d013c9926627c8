//! What each role may do, with the rights that `roles.sql` gives it.

use gatekit_core::ledger::{Body, Ledger as _, Word};
use gatekit_core::{Digest, StageId};
use gatekit_store::{PostgresLedger, code};

use super::database::{Database, Via};
use crate::support::*;

const ROLES: &str = include_str!("../../../src/postgres/schema/roles.sql");

fn approval() -> Body {
    Body::Approval {
        stage: StageId::new("approval").unwrap(),
        word: Word::Approve,
        intent: Digest::of("intent"),
        scope: Digest::of("scope"),
        comment: String::new(),
    }
}

#[tokio::test]
async fn each_role_does_its_own_and_no_more() {
    let database = Database::new(Via::Server).await;
    let owner = database.ledger().await;
    let held = mutating(&owner, &claim()).await;
    let raw = database.raw().await;
    // Also after an upgrade.
    for _ in 0..2 {
        raw.batch_execute(ROLES).await.unwrap();
    }
    let (reader, approver, runner) = (
        member(&database, "reader").await,
        member(&database, "approver").await,
        member(&database, "runner").await,
    );

    for ledger in [&reader, &approver, &runner] {
        assert_eq!(state(ledger).await.fence, held.fence);
        verify(ledger).await.unwrap();
        ledger.read_run(&target(), held.run).await.unwrap();
        ledger.read_kind(&target(), "opened", None, 1).await.unwrap();
    }
    refused(append_open(&reader, held.run, approval()).await, &code::LEDGER_DENIED);
    append_open(&approver, held.run, approval()).await.unwrap();
    append_open(&runner, held.run, approval()).await.unwrap();
    for ledger in [&reader, &approver] {
        refused(append_open(ledger, held.run, queued()).await, &code::LEDGER_DENIED);
        refused(append(ledger, &held, calling()).await, &code::LEDGER_DENIED);
        refused(ledger.enqueue(&claim()).await, &code::LEDGER_DENIED);
        refused(ledger.release(&held).await, &code::LEDGER_DENIED);
    }
    append(&runner, &held, calling()).await.unwrap();
    append(&runner, &held, closed(gatekit_core::Outcome::Released)).await.unwrap();
    let mine = claim();
    let own = hold(&runner, &mine).await;
    runner.renew(&own).await.unwrap();
    assert!(runner.release(&own).await.unwrap());
    let gone = mutating(&runner, &mine).await;
    database.pass(LEASE * 2).await;
    let mut later = mine.clone();
    later.id = claim().id;
    assert!(runner.take_over(&later, LEASE).await.unwrap().fence > gone.fence);
    runner.leave(&target(), mine.run).await.unwrap();
    verify(&owner).await.unwrap();
}

/// Past the functions, a role may change nothing; and a word is a word.
#[tokio::test]
async fn nobody_but_the_owner_touches_the_tables() {
    let database = Database::new(Via::Server).await;
    database.ledger().await.enqueue(&claim()).await.unwrap();
    let raw = database.raw().await;
    raw.batch_execute(ROLES).await.unwrap();
    let forged = |kind: &str, body: &str| {
        format!(
            "SELECT gatekit.append_word(1, 'token', 'production/api', 'run', '{kind}', \
             '{{\"target\":\"production/api\",\"run\":\"run\",\"body\":{{\"kind\":\"{body}\"}}}}')"
        )
    };
    for (role, sql) in [
        ("runner", "UPDATE gatekit.target SET state = 'free'".to_owned()),
        ("runner", "DELETE FROM gatekit.waiter".to_owned()),
        ("runner", "INSERT INTO gatekit.meta VALUES ('a', 'b')".to_owned()),
        ("runner", "SELECT gatekit.lock_rows(ARRAY['t'])".to_owned()),
        ("runner", "SELECT nextval('gatekit.ticket')".to_owned()),
        ("approver", forged("closed", "closed")),
        ("approver", forged("approval", "closed")),
        ("approver", "SELECT gatekit.bury_holder(1, 'production/api', 1, '')".to_owned()),
        ("reader", forged("approval", "approval")),
    ] {
        raw.batch_execute(&format!("SET ROLE gatekit_{role}")).await.unwrap();
        let error = raw.batch_execute(&sql).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "{role}: {sql}: {error:?}");
        raw.batch_execute("RESET ROLE").await.unwrap();
    }
    raw.batch_execute("SET ROLE gatekit_approver").await.unwrap();
    raw.batch_execute(&forged("approval", "approval")).await.unwrap();
}

async fn member(database: &Database, role: &str) -> PostgresLedger {
    let user = database.role(&format!("LOGIN PASSWORD 'sesame' IN ROLE gatekit_{role}")).await;
    let url = database.url().replace("gatekit@", &format!("{user}:sesame@"));
    PostgresLedger::builder(&url).unwrap().build().await.unwrap()
}
