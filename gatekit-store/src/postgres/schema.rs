//! The tables and functions, and how they come into being.

use super::error::{self, Fault};
use super::server::{Call, Server};

/// The version of the tables that this build reads and writes.
pub(super) const VERSION: i32 = 1;

const TABLES: &str = include_str!("schema/tables.sql");
const FUNCTIONS: &str = include_str!("schema/functions.sql");

/// What makes each version of the one before. One that has been released is never changed.
const MIGRATIONS: [&[&str]; VERSION as usize] = [&[TABLES, FUNCTIONS]];

/// What a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It has no schema of the name.
    Empty,
    /// A ledger of that version.
    Ledger(i32),
    /// One without its version, which is a comment: a backup that was restored without comments.
    Nameless,
    /// Its schema of the name is something else.
    Foreign,
}

/// Tells what the database is.
pub(super) async fn kind(server: &Server) -> Result<Kind, Fault> {
    // One statement, because a transaction pooler may send the next one to another connection; and it
    // must not name what may not be there.
    let sql = "SELECT to_regnamespace('gatekit') IS NOT NULL, \
               to_regclass('gatekit.target') IS NOT NULL, \
               obj_description(to_regnamespace('gatekit'), 'pg_namespace'), \
               current_setting('server_encoding'), current_setting('server_version_num')::integer";
    let row = server.one(Call::new("be looked at", sql).hasty()).await?;
    let (schema, tables, note): (bool, bool, Option<String>) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let (encoding, release): (&str, i32) = (row.try_get(3)?, row.try_get(4)?);
    // What is hashed is UTF-8, and what hashes it came with 11, the ids of `meta` with 13.
    if encoding != "UTF8" || release < 130_000 {
        let why = format!("it is PostgreSQL {}, in {encoding}", release / 10_000);
        return Err(error::unfit(&server.place, &why).into());
    }
    if !schema {
        return Ok(Kind::Empty);
    }
    let version = note
        .as_deref()
        .and_then(|note| note.strip_prefix(NOTE))
        .and_then(|version| version.parse().ok());
    Ok(match (version, tables) {
        (Some(version), true) => Kind::Ledger(version),
        (None, true) => Kind::Nameless,
        _ => Kind::Foreign,
    })
}

/// What the comment on the schema says, before the number of the version: to read it, no table has to
/// be there.
const NOTE: &str = "gatekit ledger, version ";

/// Brings the schema to [`VERSION`]; does nothing where another process was faster.
pub(super) async fn migrate(server: &Server) -> Result<(), Fault> {
    server.batch("be created", &migration()).await
}

/// One statement, and a lock that ends with it: twenty processes may start at once.
fn migration() -> String {
    let versions: String =
        (0..).zip(MIGRATIONS).map(|(before, steps)| version(before, steps)).collect();
    // Asked of the table itself: what `to_regnamespace` has said once, it may say again.
    format!(
        "DO $migrate$ DECLARE version integer; BEGIN \
         PERFORM pg_advisory_xact_lock({LOCK}); \
         SELECT substr(obj_description(oid, 'pg_namespace'), {})::integer INTO version \
         FROM pg_namespace WHERE nspname = 'gatekit'; \
         version := coalesce(version, 0); {versions} END $migrate$",
        NOTE.len() + 1
    )
}

/// What makes the version after `before`.
fn version(before: usize, steps: &[&str]) -> String {
    let after = before + 1;
    let steps: String = steps.iter().map(|step| format!("EXECUTE $step${step}$step$; ")).collect();
    format!(
        "IF version = {before} THEN {steps} COMMENT ON SCHEMA gatekit IS '{NOTE}{after}'; \
         version := {after}; END IF; "
    )
}

/// "gatekit", of which an advisory lock has room for eight letters.
const LOCK: i64 = 0x0067_6174_656b_6974;

#[cfg(test)]
mod tests {
    use gatekit_core::ledger::{GENESIS, WAITER_TTL};

    use super::*;

    #[test]
    fn the_tables_say_what_the_core_says() {
        let ttl = format!("interval ''{} s''", WAITER_TTL.as_secs());
        assert!(FUNCTIONS.contains(&ttl));
        assert_eq!(GENESIS.as_str(), "0".repeat(64));
        assert!(FUNCTIONS.contains("repeat('0', 64)"));
        assert!(FUNCTIONS.contains(&format!("theirs <> {VERSION} ")));
    }
}
