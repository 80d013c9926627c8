//! What each role may do, with the rights that `roles.sql` gives it.

use gatekit_core::ledger::{Body, Entry, Ledger as _, Word};
use gatekit_core::{Digest, StageId};
use gatekit_store::{PostgresLedger, code};
use tokio_postgres::Client;

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

/// Past the functions, a role may change nothing.
#[tokio::test]
async fn nobody_but_the_owner_touches_the_tables() {
    let database = Database::new(Via::Server).await;
    database.ledger().await.enqueue(&claim()).await.unwrap();
    let raw = database.raw().await;
    raw.batch_execute(ROLES).await.unwrap();
    for (role, sql) in [
        ("runner", "UPDATE gatekit.target SET state = 'free'"),
        ("runner", "DELETE FROM gatekit.waiter"),
        ("runner", "INSERT INTO gatekit.meta VALUES ('a', 'b')"),
        ("runner", "SELECT gatekit.lock_rows(ARRAY['t'])"),
        ("runner", "SELECT nextval('gatekit.ticket')"),
        ("approver", "SELECT gatekit.bury_holder(1, 'production/api', 1, '')"),
        ("reader", "SELECT gatekit.append_word(1, '', 'production/api', '', 'approval', '{}')"),
    ] {
        denied(&raw, role, sql).await;
    }
}

/// No other build could read what is none, and nobody could take it out of the chain.
#[tokio::test]
async fn a_word_is_a_word() {
    let database = Database::new(Via::Server).await;
    database.ledger().await.enqueue(&claim()).await.unwrap();
    let raw = database.raw().await;
    raw.batch_execute(ROLES).await.unwrap();
    let run = claim().run;
    let entry = |body| Entry::new(target(), run, "o'neill", None, body).to_json().unwrap();
    let say = |kind: &str, entry: &str| {
        let (name, entry) = (target(), entry.replace('\'', "''"));
        format!("SELECT gatekit.append_word(1, '{entry}', '{name}', '{run}', '{kind}', '{entry}')")
    };
    let waiver = Body::Waiver {
        stage: stage(),
        intent: Digest::of("intent"),
        until: serde_json::from_str("\"2030-02-03T04:05:06.789Z\"").unwrap(),
        reason: "\"quoted\", \\ and \n é".into(),
    };
    let (word, waiver) = (entry(approval()), entry(waiver));
    let other = claim().run.to_string();
    for (kind, from, to) in [
        ("approval", "\"kind\":\"approval\"", "\"kind\":\"closed\""),
        ("approval", "\"kind\":\"approval\"", "\"kind\":\"closed\",\"kind\":\"approval\""),
        ("approval", "\"kind\":\"approval\",", ""),
        ("approval", "\"stage\":\"approval\"", "\"stage\":\"a/../b\""),
        ("approval", "\"stage\":\"approval\"", "\"stage\":\"\""),
        ("approval", "\"stage\":\"approval\",", ""),
        ("approval", "\"word\":\"approve\"", "\"word\":\"maybe\""),
        ("approval", "\"comment\":\"\"", "\"comment\":null"),
        ("approval", "\"comment\":\"\"", "\"comment\":\"\",\"more\":\"\""),
        ("approval", "\"actor\":", "\"stranger\":"),
        ("approval", "\"fence\":null", "\"fence\":7"),
        ("approval", "\"v\":1", "\"v\":2"),
        ("approval", "\"v\":1", "\"v\":\"1\""),
        ("approval", "\"at\":\"2", "\"at\":\"x"),
        ("approval", "\"target\":\"production/api\"", "\"target\":null"),
        ("approval", "\"run\":\"", "\"run\":null,\"run\":\""),
        ("approval", &format!("\"run\":\"{run}\""), "\"run\":null"),
        ("approval", "\"actor\":\"o'neill\"", "\"actor\":null"),
        ("approval", "\"intent\":\"", "\"intent\":null,\"scope\":\""),
        ("waiver", "T04:05:06", "T24:00:00"),
        ("waiver", "T04:05:06", "T23:59:60"),
        ("waiver", "\"until\":\"2030-02-03T04:05:06.789Z\"", "\"until\":null"),
        ("approval", &run.to_string(), &other),
        ("waiver", "2030-02-03", "2030-02-31"),
        ("waiver", "\"intent\":\"", "\"intent\":\"x"),
        ("waiver", "\"reason\":\"", "\"reason\":\"\\u0000"),
        ("closed", "", ""),
    ] {
        let good = if kind == "waiver" { &waiver } else { &word };
        let bad = good.replacen(from, to, 1);
        assert!(bad != *good || from.is_empty(), "{from}");
        denied(&raw, "approver", &say(kind, &bad)).await;
    }
    denied(&raw, "approver", &say("approval", &word).replace("'production/api'", "'other'")).await;
    raw.batch_execute("SET ROLE gatekit_approver").await.unwrap();
    raw.batch_execute(&say("approval", &word)).await.unwrap();
    raw.batch_execute(&say("waiver", &waiver)).await.unwrap();
    let reader = database.ledger().await;
    let records = reader.read(&target(), 0, 10).await.unwrap();
    let kinds: Vec<_> = records.iter().map(|it| it.decode().unwrap().body.kind()).collect();
    assert_eq!(kinds, ["approval", "waiver"]);
}

/// Without a superuser, who may be out of reach.
#[tokio::test]
async fn an_owner_who_may_make_roles_gives_them_their_rights() {
    let database = Database::empty(Via::Server).await;
    let raw = database.raw().await;
    let owner = database.role("LOGIN CREATEROLE PASSWORD 'sesame'").await;
    let name = database.name();
    raw.batch_execute(&format!("GRANT CREATE ON DATABASE {name} TO {owner}")).await.unwrap();
    let url = database.url().replace("gatekit@", &format!("{owner}:sesame@"));
    PostgresLedger::builder(&url).unwrap().build().await.unwrap();
    // Of its own, because roles are those of the whole server.
    let own = |sql: &str| {
        ["reader", "approver", "runner"].iter().fold(sql.to_owned(), |sql, role| {
            sql.replace(&format!("gatekit_{role}"), &format!("{name}_{role}"))
        })
    };
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(&own(ROLES)).await.unwrap();
    let sql = "SELECT has_function_privilege($1, 'gatekit.leave(integer, text, text)', 'EXECUTE')";
    for (role, may) in [("runner", true), ("approver", false)] {
        let row = client.query_one(sql, &[&format!("{name}_{role}")]).await.unwrap();
        assert_eq!(row.get::<_, bool>(0), may, "{role}");
    }
    raw.batch_execute(&own("DROP OWNED BY gatekit_runner, gatekit_approver, gatekit_reader"))
        .await
        .unwrap();
    raw.batch_execute(&own("DROP ROLE gatekit_runner, gatekit_approver, gatekit_reader"))
        .await
        .unwrap();
}

async fn denied(raw: &Client, role: &str, sql: &str) {
    raw.batch_execute(&format!("SET ROLE gatekit_{role}")).await.unwrap();
    let error = raw.batch_execute(sql).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42501", "{role}: {sql}: {error:?}");
    raw.batch_execute("RESET ROLE").await.unwrap();
}

async fn member(database: &Database, role: &str) -> PostgresLedger {
    let user = database.role(&format!("LOGIN PASSWORD 'sesame' IN ROLE gatekit_{role}")).await;
    let url = database.url().replace("gatekit@", &format!("{user}:sesame@"));
    PostgresLedger::builder(&url).unwrap().build().await.unwrap()
}
