//! What is pushed, and how much of it a database shows.

use std::collections::BTreeMap;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use super::servers::Servers;
use crate::site::{Site, version};

/// How many files a folder has.
pub(super) const FILES: u32 = 5;

/// The one that allows no transaction, where there is one.
const ALONE: u32 = 3;

/// Which kind of folder it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    /// Files that are transactions.
    Plain,
    /// The same, and files that take them back.
    Downs,
    /// One of them allows no transaction: it builds indexes, and does something in between.
    Alone,
}

/// What is there before: `late` makes each commit of what is counted take a while, and `slow` an index.
const BEFORE: &str = "
    CREATE SCHEMA stock;
    CREATE FUNCTION stock.late() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN PERFORM pg_sleep(0.03); RETURN NULL; END';
    CREATE FUNCTION stock.slow(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE
        AS 'BEGIN PERFORM pg_sleep(0.003); RETURN id; END';
    CREATE TABLE stock.large AS SELECT id FROM generate_series(1, 40) AS id";

impl Sort {
    /// Writes the files of a project, and makes what they find in its database.
    pub(super) fn lay_out(self, site: &Site, servers: &Servers, database: &str) {
        servers.run(database, BEFORE);
        for number in 1..=FILES {
            let sql = match number {
                1 => "create table counts (file int);
                      create constraint trigger late after insert on counts deferrable initially deferred
                          for each row execute function stock.late();
                      insert into counts values (1);"
                    .to_owned(),
                ALONE if self == Self::Alone => {
                    "-- pg-delta: transaction=false
                     create index concurrently one on stock.large (stock.slow(id));
                     insert into counts values (3);
                     select pg_sleep(0.05);
                     create unique index concurrently two on stock.large (stock.slow(id), id);"
                        .to_owned()
                }
                _ => format!(
                    "create table t{number} (); select pg_sleep(0.04);
                     insert into counts values ({number}); select pg_sleep(0.02);"
                ),
            };
            site.migration(number, &sql);
            if self == Self::Downs {
                let name = format!("migrations/down/{}_m{number}.down.sql", version(number));
                let sql = match number {
                    1 => "drop table counts;".to_owned(),
                    _ => format!(
                        "drop table t{number}; select pg_sleep(0.03); delete from counts where file = {number};"
                    ),
                };
                site.write(&name, &sql);
            }
        }
    }
}

/// What a database shows, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// How many files have their row, which are the first ones.
    pub(super) rows: u32,
    /// How far the next one is, as it was kept: how many statements, and whether one more was begun.
    pub(super) half: Option<(u32, bool)>,
}

/// The parts of that.
#[derive(Debug, Default)]
struct Parts {
    tables: Vec<String>,
    versions: Vec<String>,
    counts: BTreeMap<i32, i64>,
    /// Whether they are valid.
    indexes: BTreeMap<String, bool>,
    progress: Vec<(String, i32, bool)>,
}

impl Found {
    /// What a database shows: no file of it in part, and none twice.
    pub(super) fn of(sort: Sort, servers: &Servers, database: &str) -> Self {
        loop {
            match Parts::read(servers, database) {
                Ok(parts) => return parts.judged(sort),
                // One was removed since the look at which there are.
                Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    pub(super) fn is_all(&self) -> bool {
        *self == Self { rows: FILES, half: None }
    }
}

impl Parts {
    fn read(servers: &Servers, database: &str) -> Result<Self, Error> {
        servers.ask(database, async |client| {
            client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            let mut parts = Self::default();
            let sql = "SELECT tablename::text FROM pg_tables \
                       WHERE schemaname IN ('public', 'supabase_migrations') ORDER BY 1";
            let tables = client.query(sql, &[]).await?;
            let tables: Vec<String> = tables.iter().map(|row| row.get(0)).collect();
            let has = |name: &str| tables.iter().any(|it| it == name);
            if has("schema_migrations") {
                let sql = "SELECT version FROM supabase_migrations.schema_migrations ORDER BY 1";
                let rows = client.query(sql, &[]).await?;
                parts.versions = rows.iter().map(|row| row.get(0)).collect();
            }
            if has("gatekit_progress") {
                let sql = "SELECT version, done, begun IS NOT NULL FROM supabase_migrations.gatekit_progress";
                let rows = client.query(sql, &[]).await?;
                parts.progress =
                    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
            }
            if has("counts") {
                let rows = client.query("SELECT file, count(*) FROM counts GROUP BY 1", &[]).await?;
                parts.counts = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            }
            let sql = "SELECT indexrelid::regclass::text, indisvalid AND indisready FROM pg_index \
                       WHERE indrelid = 'stock.large'::regclass";
            let rows = client.query(sql, &[]).await?;
            parts.indexes = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            let own = |name: &String| !["schema_migrations", "gatekit_progress"].contains(&&**name);
            parts.tables = tables.into_iter().filter(own).collect();
            Ok(parts)
        })
    }

    #[track_caller]
    fn judged(self, sort: Sort) -> Found {
        let rows = u32::try_from(self.versions.len()).unwrap();
        let versions: Vec<_> = (1..=rows).map(version).collect();
        assert_eq!(self.versions, versions, "they are applied in turn: {self:?}");
        let is_alone = |number: u32| sort == Sort::Alone && number == ALONE;
        let table = |number| if number == 1 { "counts".to_owned() } else { format!("t{number}") };
        let tables: Vec<_> = (1..=rows).filter(|it| !is_alone(*it)).map(table).collect();
        assert_eq!(
            self.tables, tables,
            "a file is recorded and not applied, or the reverse: {self:?}"
        );
        let half = match self.progress.as_slice() {
            [] => None,
            [(of, done, begun)] if is_alone(rows + 1) && *of == version(rows + 1) => {
                Some((u32::try_from(*done).unwrap(), *begun))
            }
            _ => panic!("a file is half applied that is not the next: {self:?}"),
        };
        // The second of its statements counts.
        let has_counted = half.is_some_and(|(done, _)| done > 1);
        let counted = (1..=rows + u32::from(has_counted)).map(|it| (it.cast_signed(), 1));
        assert_eq!(
            self.counts,
            counted.collect(),
            "something is done twice, or not at all: {self:?}"
        );
        // By the numbers of their statements.
        for (statement, name) in [(0, "stock.one"), (3, "stock.two")] {
            let is_recorded = sort == Sort::Alone && rows >= ALONE;
            let is_done = is_recorded || half.is_some_and(|(done, _)| done > statement);
            let is_begun = half == Some((statement, true));
            match self.indexes.get(name) {
                Some(is_valid) => assert!(*is_valid && is_done || is_begun, "{name}: {self:?}"),
                None => assert!(!is_done, "{name}: {self:?}"),
            }
        }
        assert!(self.indexes.len() <= 2, "{self:?}");
        Found { rows, half }
    }
}
