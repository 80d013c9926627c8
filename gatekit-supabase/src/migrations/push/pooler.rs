//! Whether a pooler is between that gives each transaction another process of the server.

use gatekit_core::{Effect, Error, Result};
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::code;
use crate::database::Database;
use crate::migrations::history::Answer;
use crate::session::Session;

/// How many other connections are looked at.
const OTHERS: usize = 3;

/// Refuses such a pooler: there is no session behind it that could hold a lock.
///
/// The process of the session is looked for behind other connections, each of which keeps the one that it was
/// given, so that the next gets another. A pooler that has many to give may hide it for once.
///
/// # Errors
/// `migration.pooled`; `database.*`.
pub(in crate::migrations) async fn refuse(
    database: &Database,
    session: &Session,
    deadline: Instant,
) -> Result<()> {
    let failed = |error| database.failed("see whether a pooler is between", error);
    let ours = process(&session.client).await.map_err(failed)?;
    let (mut others, mut is_pooled) = (Vec::new(), false);
    while !is_pooled && others.len() < OTHERS {
        let other = database.connect(deadline).await?;
        other.client.batch_execute("BEGIN").await.map_err(failed)?;
        is_pooled = process(&other.client).await.map_err(failed)? == ours
            || process(&session.client).await.map_err(failed)? != ours;
        others.push(other);
    }
    for other in &others {
        // A pooler closes the connection to the server of a client that leaves in a transaction.
        other.client.batch_execute("ROLLBACK").await.map_err(failed)?;
    }
    if !is_pooled {
        return Ok(());
    }
    let what = "a pooler gives each transaction another session, and a file needs one of its own";
    Err(Error::new(code::POOLED, what)
        .with_effect(Effect::None)
        .with_context("database", database.name()))
}

/// Which process of the server answers.
pub(in crate::migrations) async fn process(client: &Client) -> Answer<i32> {
    client.query_typed_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)
}
