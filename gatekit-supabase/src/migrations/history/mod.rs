//! The history of a database: the table that the Supabase CLI keeps, the lock on it, and how far files are that
//! are half applied.

mod literal;
mod lock;
pub(super) mod progress;
mod table;

use tokio_postgres::Client;

pub(super) use self::lock::{
    AS_NEW, Turn, at_the_end, begin, begin_again, begin_on, commit_and_begin, has_lock,
    lock_session, regain, unlock_session,
};
use self::progress::{Progress, Way};
pub(super) use self::table::{
    Answer, READING, SHAPE, Shape, Sum, Texts, Unrecorded, adding, has, in_short, provision,
    recording, remove, rows, unread,
};
use super::files::merge::Applied;

/// What a database says of its migrations.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) rows: Vec<Applied>,
    pub(super) sum: Sum,
    /// The files that are half applied, or half taken back.
    pub(super) underway: Vec<Progress>,
}

/// All of it: one thing at a time, because outside of a transaction poolers take the connection to the server
/// back with the first answer. A second one would be lost, or be somebody else's.
pub(super) async fn read(client: &Client, shape: Shape, texts: Texts<'_>) -> Answer<History> {
    let (rows, sum) = rows(client, shape, texts).await?;
    let mut underway = progress::all(client, shape).await?;
    // A push records a file and forgets how far it was at once: who else has recorded it, has applied it.
    underway.retain(|it| it.way == Way::Down || !rows.iter().any(|row| row.version == it.version));
    Ok(History { rows, sum, underway })
}
