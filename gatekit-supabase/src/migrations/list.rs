//! What is in the folder and what is applied, side by side.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use gatekit_core::Result;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Client;

use super::files::folder::{Folder, FolderReader, Listing, misnamed};
use super::files::merge::merge;
use super::history::{self, READING, SHAPE, Shape, Texts};
use crate::database::Database;

/// How far [`list`] looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detail {
    /// Versions and names: no file is opened, and no statement of the history is read.
    Versions,
    /// Also what files and history say, so that edited files are seen.
    Texts,
}

/// How the file of a migration and its row in the history agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Agreement {
    /// The file says what was applied.
    Same,
    /// The file was edited after it was applied.
    Edited,
    /// The row has no statements: nobody can tell.
    Untold,
}

/// The migrations of a folder and of a database: what [`list`] finds.
///
/// Its `Display` is a plain table, a line each, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MigrationList {
    /// By version, compared as text.
    pub rows: Vec<MigrationRow>,
    /// Files of SQL in the folder that are no migrations by their names: they are never applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misnamed: Vec<String>,
}

/// A migration that is in the folder, or applied, or both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MigrationRow {
    /// Its version.
    pub version: String,
    /// Its name: that of the file, and of the row in the history where there is no file. Old rows have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it is in the folder.
    pub local: bool,
    /// Whether it is applied.
    pub remote: bool,
    /// Whether file and history agree, of one that is in both: known with [`Detail::Texts`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Agreement>,
    /// The version as a time, `YYYY-MM-DD hh:mm:ss`, in UTC; the version itself where it is none.
    pub time: String,
}

/// Lists what is in the folder beside what is applied, and changes neither.
///
/// The rows are those that `supabase migration list` shows, with its times as version 3 writes them. Beyond
/// them are versions that are no number for it, names, and with [`Detail::Texts`] whether files were edited
/// after they had been applied. A database without a history has applied nothing.
///
/// # Parameters
/// `patience` is how long it may take in all.
///
/// # Errors
/// What stops [`FolderReader::list`], and with [`Detail::Texts`] what stops [`FolderReader::read`];
/// `migration.history` when the table of the history is none of the CLI's; `database.*`.
///
/// # Cancel safety
/// It can be dropped at any time, and called again: it only reads.
///
/// # Example
/// ```no_run
/// # async fn example() -> gatekit_core::Result<()> {
/// use std::time::Duration;
///
/// use gatekit_supabase::Database;
/// use gatekit_supabase::migrations::{Detail, FolderReader, list};
///
/// let database = Database::at("postgres://postgres@db.example.org/postgres")?;
/// let folder = FolderReader::of("supabase/migrations");
/// println!("{}", list(&database, &folder, Detail::Versions, Duration::from_secs(30)).await?);
/// # Ok(())
/// # }
/// ```
pub async fn list(
    database: &Database,
    folder: &FolderReader,
    detail: Detail,
    patience: Duration,
) -> Result<MigrationList> {
    let deadline = Instant::now() + patience;
    let unread = |error| history::unread(database, error);
    let read = async {
        let (session, said) = database.session(SHAPE, READING, deadline).await?;
        let (client, shape) = (&session.client, Shape::of(&said).map_err(unread)?);
        let list = match detail {
            Detail::Versions => {
                let Listing { entries, skipped } = folder.list()?;
                let local = entries.into_iter().map(|it| (it.version, it.name));
                let remote = names(client, shape).await.map_err(unread)?;
                MigrationList::of(local, remote, misnamed(&skipped))
            }
            Detail::Texts => {
                let Folder { files, skipped, .. } = folder.read()?;
                let (rows, _) = history::rows(client, shape, Texts::All).await.map_err(unread)?;
                let local = files.iter().map(|it| (it.version.clone(), it.name.clone()));
                let remote = rows.iter().map(|it| (it.version.clone(), it.name.clone()));
                let mut list = MigrationList::of(local, remote, misnamed(&skipped));
                let merged = merge(&rows, &files);
                let edited = merged.drifted.iter().map(|(file, _)| (*file, Agreement::Edited));
                let untold = merged.untold.iter().map(|file| (*file, Agreement::Untold));
                let others: BTreeMap<&str, Agreement> =
                    edited.chain(untold).map(|(file, it)| (file.version.as_str(), it)).collect();
                for row in list.rows.iter_mut().filter(|row| row.local && row.remote) {
                    let other = others.get(row.version.as_str()).copied();
                    row.agreement = Some(other.unwrap_or(Agreement::Same));
                }
                list
            }
        };
        database.keep(session);
        Ok(list)
    };
    timeout_at(deadline, read).await.unwrap_or_else(|_| Err(database.silent("list the migrations")))
}

/// Version and name of each row of the history.
async fn names(
    client: &Client,
    shape: Shape,
) -> std::result::Result<Vec<(String, Option<String>)>, tokio_postgres::Error> {
    if !shape.has_version {
        return Ok(Vec::new());
    }
    let name = if shape.has_name { "name" } else { "NULL::text" };
    let sql = format!("SELECT version, {name} FROM supabase_migrations.schema_migrations");
    let rows = client.query_typed(&sql, &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

impl MigrationList {
    fn of(
        local: impl IntoIterator<Item = (String, String)>,
        remote: impl IntoIterator<Item = (String, Option<String>)>,
        misnamed: Vec<String>,
    ) -> Self {
        let mut rows = BTreeMap::new();
        for (version, name) in local {
            let row = MigrationRow::new(&version, Some(name));
            rows.insert(version, MigrationRow { local: true, ..row });
        }
        for (version, name) in remote {
            let row = rows.entry(version);
            let row = row.or_insert_with_key(|version| MigrationRow::new(version, name));
            row.remote = true;
        }
        Self { rows: rows.into_values().collect(), misnamed }
    }
}

impl MigrationRow {
    fn new(version: &str, name: Option<String>) -> Self {
        Self {
            version: version.to_owned(),
            name,
            local: false,
            remote: false,
            agreement: None,
            time: time(version).unwrap_or_else(|| version.to_owned()),
        }
    }
}

/// The time that a version is, if it is one. Version 3 of the CLI knows none before the year 100.
fn time(version: &str) -> Option<String> {
    if version.len() != 14 || !version.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| version.get(from..to);
    let number = |from, to| part(from, to)?.parse::<u32>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let is_time = number(8, 10)? < 24 && number(10, 12)? < 60 && number(12, 14)? < 60;
    if year < 100 || !(1..=days).contains(&day) || !is_time {
        return None;
    }
    let (date, clock) = ([(0, 4), (4, 6), (6, 8)], [(8, 10), (10, 12), (12, 14)]);
    let joined = |parts: [(usize, usize); 3], between| {
        let parts: Option<Vec<_>> = parts.into_iter().map(|(from, to)| part(from, to)).collect();
        Some(parts?.join(between))
    };
    Some(format!("{} {}", joined(date, "-")?, joined(clock, ":")?))
}

impl fmt::Display for MigrationList {
    /// A heading, and a line for each; the last without a line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = self.rows.iter().map(|row| row.version.chars().count()).max();
        let width = widest.unwrap_or_default().max("Remote".len());
        let time = self.rows.iter().map(|row| row.time.chars().count()).max();
        let time = time.unwrap_or_default().max("Time (UTC)".len());
        write!(f, "{:width$}  {:width$}  {:time$}  Name", "Local", "Remote", "Time (UTC)")?;
        for row in &self.rows {
            let shown = |is_there| if is_there { plain(&row.version) } else { String::new() };
            let (local, remote) = (shown(row.local), shown(row.remote));
            let name = plain(row.name.as_deref().unwrap_or_default());
            let note = match row.agreement {
                Some(Agreement::Edited) => "  (edited since)",
                Some(Agreement::Untold) => "  (cannot be compared)",
                Some(Agreement::Same) | None => "",
            };
            let at = plain(&row.time);
            let line = format!("{local:width$}  {remote:width$}  {at:time$}  {name}{note}");
            write!(f, "\n{}", line.trim_end())?;
        }
        for name in &self.misnamed {
            write!(
                f,
                "\n{}: no migration by its name, which is not `<version>_<name>.sql`",
                plain(name)
            )?;
        }
        Ok(())
    }
}

/// What a database says is shown on a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_time_where_it_can_be_one() {
        let cases = [
            ("20260131235959", Some("2026-01-31 23:59:59")),
            ("20240229000000", Some("2024-02-29 00:00:00")),
            ("20000229000000", Some("2000-02-29 00:00:00")),
            ("01000101000000", Some("0100-01-01 00:00:00")),
            ("00991231235959", None),
            ("21000229000000", None),
            ("20230229000000", None),
            ("20260431000000", None),
            ("20260100000000", None),
            ("20261301000000", None),
            ("20260001000000", None),
            ("20260101240000", None),
            ("20260101006000", None),
            ("20260101000060", None),
            ("2026010100000", None),
            ("202601010000000", None),
            ("2026010100000x", None),
            ("２０２６０１０１００００００", None),
        ];
        for (version, expected) in cases {
            assert_eq!(time(version).as_deref(), expected, "{version}");
        }
    }

    #[test]
    fn a_table_is_plain_whatever_the_history_says() {
        let local = [("20260101000000", "a"), ("20260103000000", "")];
        let local = local.map(|(version, name)| (version.to_owned(), name.to_owned()));
        let remote = [
            ("20260101000000", Some("other")),
            ("20260102000000", None),
            ("7", Some("\u{1b}[31mred\n")),
        ];
        let remote = remote.map(|(version, name)| (version.to_owned(), name.map(str::to_owned)));
        let mut list = MigrationList::of(local, remote, vec!["20260101-a.sql".to_owned()]);
        list.rows[0].agreement = Some(Agreement::Edited);
        assert_eq!(
            list.to_string(),
            "Local           Remote          Time (UTC)           Name\n\
             20260101000000  20260101000000  2026-01-01 00:00:00  a  (edited since)\n\
             \u{20}               20260102000000  2026-01-02 00:00:00\n\
             20260103000000                  2026-01-03 00:00:00\n\
             \u{20}               7               7                    \u{fffd}[31mred\u{fffd}\n\
             20260101-a.sql: no migration by its name, which is not `<version>_<name>.sql`"
        );
        let text = serde_json::to_string(&list).unwrap();
        assert_eq!(serde_json::from_str::<MigrationList>(&text).unwrap(), list);
        let empty = MigrationList { rows: Vec::new(), misnamed: Vec::new() };
        assert_eq!(empty.to_string(), "Local   Remote  Time (UTC)  Name");
    }
}
