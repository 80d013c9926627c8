//! Any text as a migration: nothing of it is lost, and it is judged.

use gatekit_core::Effect;
use gatekit_supabase::migrations::{File, Statement, is_same_text, review, split};

/// Pieces that open, close or end something.
pub(crate) const PIECES: &[&str] = &[
    ";",
    ";;",
    " ",
    "\n",
    "\r\n",
    "\r",
    "'",
    "''",
    "E'",
    "\\'",
    "\\",
    "\"",
    "$$",
    "$a$",
    "$b$",
    "$1",
    "$",
    "--",
    "/*",
    "*/",
    "/*/",
    "(",
    ")",
    "begin",
    " atomic ",
    "begin atomic ",
    " end",
    "end;",
    "case ",
    "select 1",
    "a",
    "ü",
    "\u{feff}",
    "\u{a0}",
    "\u{85}",
    "\0",
    "create rule ",
    "drop table t ",
    "delete from t ",
    "update t set a = 1 ",
    "where ",
    "true ",
    "1 = 1 ",
    "do ",
    "create function f() ",
    "language ",
    "as ",
    "alter ",
    "rename ",
    "then ",
    "loop ",
    "execute ",
    "commit",
    "vacuum",
    "copy t from stdin",
    "supabase_migrations",
    "'drop table t'",
    "$$drop table t$$",
];

/// The first byte says whether the others are the file, or which pieces it is made of.
pub(crate) fn holds(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    if how % 2 == 0 {
        return of_bytes(rest);
    }
    let pieces = rest.iter().map(|byte| PIECES[usize::from(*byte) % PIECES.len()]);
    of_text(&pieces.collect::<String>());
}

fn of_bytes(bytes: &[u8]) {
    match File::from_bytes("m/1_a.sql", "1", "a", bytes) {
        Ok(_) => of_text(std::str::from_utf8(bytes).unwrap()),
        Err(error) => {
            assert!(bytes.contains(&0) || std::str::from_utf8(bytes).is_err(), "{error}");
            assert_eq!(error.effect(), Effect::None);
        }
    }
}

fn of_text(sql: &str) {
    nothing_is_lost(sql);
    has_not_drifted(sql);
    is_one_statement_each(sql);
    is_judged(sql);
}

/// Nothing but white space and semicolons is between the statements, and they are in their places.
pub(crate) fn nothing_is_lost(sql: &str) {
    let (mut end, mut line, mut gaps) = (0, 1, String::new());
    for statement in split(sql) {
        let Statement { text, offset, .. } = &statement;
        assert!(*offset >= end, "in order");
        assert!(sql[*offset..].starts_with(text), "in its place");
        assert!(!text.is_empty());
        line += sql[end..*offset].matches('\n').count();
        assert_eq!(statement.line, line);
        line += text.matches('\n').count();
        gaps.push_str(&sql[end..*offset]);
        end = offset + text.len();
    }
    gaps.push_str(&sql[end..]);
    let lost = gaps.trim_matches(|it: char| it.is_whitespace() || it == ';' || it == '\u{feff}');
    assert_eq!(lost, "");
}

pub(crate) fn has_not_drifted(sql: &str) {
    let texts: Vec<_> = split(sql).into_iter().map(|it| it.text).collect();
    assert!(is_same_text(sql, &texts), "{texts:?}");
}

pub(crate) fn is_one_statement_each(sql: &str) {
    // These are part of a word for PostgreSQL, and white space around a statement for the CLI.
    let sql =
        sql.replace(|it: char| !it.is_ascii() && (it.is_whitespace() || it == '\u{feff}'), "");
    for statement in split(&sql) {
        let again = split(&statement.text);
        // What is not closed may hold semicolons at its end.
        assert!(again.len() <= 1, "{again:?}");
    }
}

/// Of every file it is told how it can be applied, and what it may destroy.
pub(crate) fn is_judged(sql: &str) {
    let Ok(file) = File::from_bytes("m/1_a.sql", "1", "a", sql.as_bytes()) else {
        assert!(sql.contains('\0'), "text is refused for a NUL byte alone");
        return;
    };
    if let Err(error) = file.mode() {
        assert_eq!(error.effect(), Effect::None);
    }
    let (lines, mut before) = (1 + sql.matches('\n').count(), 1);
    for concern in review(&[&file]) {
        assert!((before..=lines).contains(&concern.line), "in order, and in the file");
        before = concern.line;
    }
}
