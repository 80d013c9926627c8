//! What is in the folder, against what the database says was applied.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::file::File;

/// A row of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The version.
    pub version: String,
    /// The name of the file, which old rows have not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The statements that were applied, which old rows have not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statements: Option<Vec<String>>,
}

/// What is applied and what is not.
///
/// Orphans stop a push; so do files out of order, unless they are asked for. The Supabase CLI sees both
/// in the same cases. Drift it does not see.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Merge<'a> {
    /// Not applied, and newer than all that is.
    pub pending: Vec<&'a File>,
    /// Applied, and in no file.
    pub orphans: Vec<&'a Applied>,
    /// Not applied, and older than something that is.
    pub out_of_order: Vec<&'a File>,
    /// Applied, and edited since: the history has another text.
    pub drifted: Vec<(&'a File, &'a Applied)>,
    /// Applied, by a row that has no statements: nobody can tell whether the file has been edited.
    pub untold: Vec<&'a File>,
}

impl<'a> Merge<'a> {
    /// All that is not applied, by version: what a push with files out of order applies.
    #[must_use]
    pub fn unapplied(&self) -> Vec<&'a File> {
        self.out_of_order.iter().chain(&self.pending).copied().collect()
    }
}

/// Sets `local` against the rows of the history, in whatever order both are.
///
/// Versions are compared as text. Rows without statements are as ones with none; and which of a file's
/// statements is how long makes no drift, only what they say (see [`is_same_text`]).
#[must_use]
pub fn merge<'a>(remote: &'a [Applied], local: &'a [File]) -> Merge<'a> {
    let mut rows: Vec<_> = remote.iter().collect();
    let mut files: Vec<_> = local.iter().collect();
    rows.sort_by(|a, b| a.version.cmp(&b.version));
    files.sort_by(|a, b| a.version.cmp(&b.version));
    let newest = rows.last().map(|row| row.version.as_str());
    let mut merge = Merge::default();
    let (mut rows, mut files) = (rows.into_iter().peekable(), files.into_iter().peekable());
    loop {
        let order = match (rows.peek(), files.peek()) {
            (None, None) => return merge,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(row), Some(file)) => row.version.cmp(&file.version),
        };
        let row = if order.is_le() { rows.next() } else { None };
        let file = if order.is_ge() { files.next() } else { None };
        match (row, file) {
            (Some(row), Some(file)) => merge.pair(row, file),
            (Some(row), None) => merge.orphans.push(row),
            (None, Some(file)) if Some(file.version.as_str()) < newest => {
                merge.out_of_order.push(file);
            }
            (None, Some(file)) => merge.pending.push(file),
            (None, None) => {}
        }
    }
}

impl<'a> Merge<'a> {
    fn pair(&mut self, row: &'a Applied, file: &'a File) {
        let statements = row.statements.as_deref().unwrap_or_default();
        if statements.is_empty() {
            if !file.statements.is_empty() {
                self.untold.push(file);
            }
        } else if !is_same_text(&file.sql, statements) {
            self.drifted.push((file, row));
        }
    }
}

/// Whether these statements are all that `sql` says, in that order.
///
/// White space and `;` around a statement do not count, nor does where the text was split: versions of
/// the CLI differ in that.
#[must_use]
pub fn is_same_text<S: AsRef<str>>(sql: &str, statements: &[S]) -> bool {
    let mut rest = sql;
    let mut is_apart = true;
    for statement in statements {
        let statement = statement.as_ref().trim_matches(is_between);
        if statement.is_empty() {
            continue;
        }
        let gap = rest.len() - rest.trim_start_matches(is_between).len();
        is_apart |= rest.get(..gap).is_some_and(|gap| gap.contains(';'));
        match rest.get(gap..).and_then(|rest| rest.strip_prefix(statement)) {
            Some(after) if is_apart => rest = after,
            _ => return false,
        }
        is_apart = false;
    }
    rest.trim_start_matches(is_between).is_empty()
}

/// What any version of the CLI leaves away between statements.
fn is_between(char: char) -> bool {
    char.is_whitespace() || char == ';' || char == '\u{feff}'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: &str, sql: &str) -> File {
        File::from_bytes(format!("{version}_a.sql"), version, "a", sql.as_bytes()).unwrap()
    }

    fn row(version: &str, statements: Option<&[&str]>) -> Applied {
        let statements = statements.map(|them| them.iter().map(|it| (*it).to_owned()).collect());
        Applied { version: version.to_owned(), name: None, statements }
    }

    fn versions(files: &[&File]) -> Vec<String> {
        files.iter().map(|it| it.version.clone()).collect()
    }

    #[test]
    fn files_and_history_are_merged_as_the_cli_does() {
        // remote, local; then pending, orphans, out of order
        let cases: &[[&[&str]; 5]] = &[
            [&[], &[], &[], &[], &[]],
            [&[], &["1", "2"], &["1", "2"], &[], &[]],
            [&["1", "2"], &["1", "2"], &[], &[], &[]],
            [&["1"], &["1", "2", "3"], &["2", "3"], &[], &[]],
            [&["1", "3"], &["1", "2", "3", "4"], &["4"], &[], &["2"]],
            [&["1", "2", "3"], &["1", "3"], &[], &["2"], &[]],
            [&["1", "2", "3"], &["1"], &[], &["2", "3"], &[]],
            [&["2"], &["1", "3"], &["3"], &["2"], &["1"]],
            [&["1"], &[], &[], &["1"], &[]],
            // As text: "10" is before "2".
            [&["2", "10"], &["10", "2", "1"], &[], &[], &["1"]],
        ];
        for [remote, local, pending, orphans, out_of_order] in cases {
            let rows: Vec<_> = remote.iter().map(|it| row(it, None)).collect();
            let files: Vec<_> = local.iter().map(|it| file(it, "")).collect();
            let merge = merge(&rows, &files);
            assert_eq!(versions(&merge.pending), *pending, "{remote:?} {local:?}");
            let found: Vec<_> = merge.orphans.iter().map(|it| it.version.as_str()).collect();
            assert_eq!(found, *orphans, "{remote:?} {local:?}");
            assert_eq!(versions(&merge.out_of_order), *out_of_order, "{remote:?} {local:?}");
            assert_eq!(merge.unapplied().len(), pending.len() + out_of_order.len());
        }
    }

    #[test]
    fn an_edited_file_has_drifted_and_one_of_an_old_row_nobody_can_tell() {
        let of = |statements: Option<&[&str]>, sql: &str| {
            let (rows, files) = ([row("1", statements)], [file("1", sql)]);
            let merge = merge(&rows, &files);
            (merge.drifted.len(), merge.untold.len())
        };
        assert_eq!(of(Some(&["select 1", "select 2"]), "select 1;\nselect 2;\n"), (0, 0));
        assert_eq!(of(Some(&["select 1"]), "select 2;"), (1, 0));
        assert_eq!(of(Some(&["select 1"]), "select 1; select 2"), (1, 0));
        assert_eq!(of(Some(&["select 1", "select 2"]), "select 1"), (1, 0));
        assert_eq!(of(Some(&["select 1"]), ""), (1, 0));
        assert_eq!(of(Some(&[]), ""), (0, 0), "`{{}}` of version 3");
        assert_eq!(of(None, ""), (0, 0), "NULL of the Go version");
        assert_eq!(of(None, "select 1"), (0, 1));
        assert_eq!(of(Some(&[]), "select 1"), (0, 1));
    }

    #[test]
    fn where_a_text_was_split_makes_no_drift() {
        let same: &[(&str, &[&str])] = &[
            ("a; b;", &["a", "b"]),
            ("a; b;", &["a; b"]),
            ("a;;\r\n b", &["a;", "b"]),
            ("\u{feff}a", &["a"]),
            ("-- c\na; -- d;", &["-- c\na", "-- d"]),
            ("a", &["", "a"]),
        ];
        for (sql, statements) in same {
            assert!(is_same_text(sql, statements), "{sql:?} {statements:?}");
        }
        let others: &[(&str, &[&str])] = &[
            ("a b", &["a", "b"]),
            ("a; b", &["a"]),
            ("a", &["a", "b"]),
            ("b; a", &["a", "b"]),
            ("select 'a  b'", &["select 'a b'"]),
            ("ab; c", &["a", "b", "c"]),
        ];
        for (sql, statements) in others {
            assert!(!is_same_text(sql, statements), "{sql:?} {statements:?}");
        }
    }

    #[test]
    fn a_row_survives_json() {
        let rows = [row("1", None), row("2", Some(&["a"]))];
        let text = serde_json::to_string(&rows).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Applied>>(&text).unwrap(), rows);
    }
}
