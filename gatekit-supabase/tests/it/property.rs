//! What holds of a text of any shape.

use gatekit_core::Effect;
use gatekit_supabase::migrations::{File, is_same_text, review, split};
use proptest::prelude::*;

/// Pieces that open, close or end something.
fn sql() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
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
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(PIECES), 0..40).prop_map(|it| it.concat()),
        1 => any::<String>(),
    ]
}

proptest! {
    #[test]
    fn nothing_but_white_space_and_semicolons_is_lost(sql in sql()) {
        let mut end = 0;
        let mut gaps = String::new();
        for statement in split(&sql) {
            prop_assert!(statement.offset >= end, "in order");
            prop_assert!(sql[statement.offset..].starts_with(&statement.text), "in its place");
            prop_assert!(!statement.text.is_empty());
            let line = 1 + sql[..statement.offset].matches('\n').count();
            prop_assert_eq!(statement.line, line);
            gaps.push_str(&sql[end..statement.offset]);
            end = statement.offset + statement.text.len();
        }
        gaps.push_str(&sql[end..]);
        let lost = gaps.trim_matches(|it: char| it.is_whitespace() || it == ';' || it == '\u{feff}');
        prop_assert_eq!(lost, "");
    }

    #[test]
    fn a_split_text_has_not_drifted(sql in sql()) {
        let texts: Vec<_> = split(&sql).into_iter().map(|it| it.text).collect();
        prop_assert!(is_same_text(&sql, &texts), "{:?}", texts);
    }

    #[test]
    fn a_statement_of_a_text_is_one_statement_by_itself(sql in sql()) {
        // These are part of a word for PostgreSQL, and white space around a statement for the CLI.
        let sql = sql.replace(|it: char| !it.is_ascii() && (it.is_whitespace() || it == '\u{feff}'), "");
        for statement in split(&sql) {
            let again = split(&statement.text);
            // What is not closed may hold semicolons at its end.
            prop_assert!(again.len() <= 1, "{:?}", again);
        }
    }

    #[test]
    fn a_file_of_any_text_is_judged(sql in sql()) {
        let Ok(file) = File::from_bytes("m/1_a.sql", "1", "a", sql.as_bytes()) else {
            prop_assert!(sql.contains('\0'), "text is refused for a NUL byte alone");
            return Ok(());
        };
        if let Err(error) = file.mode() {
            prop_assert_eq!(error.effect(), Effect::None);
        }
        let (lines, mut before) = (1 + sql.matches('\n').count(), 1);
        for concern in review(&[&file]) {
            prop_assert!((before..=lines).contains(&concern.line), "in order, and in the file");
            before = concern.line;
        }
    }

    #[test]
    fn what_destroys_something_is_found_wherever_it_stands(before in sql(), after in sql()) {
        // Behind a statement that is closed, whatever comes after it.
        let [before, after] = [before, after].map(|it| it.replace(['\0', '\u{feff}'], ""));
        let closed = split(&format!("{before}\n;drop_here;")).last().is_some_and(|it| it.text == "drop_here");
        if !closed {
            return Ok(());
        }
        let sql = format!("{before}\n;drop table t;\n;{after}");
        let file = File::from_bytes("m/1_a.sql", "1", "a", sql.as_bytes()).unwrap();
        let line = 2 + before.matches('\n').count();
        let found = review(&[&file]);
        prop_assert!(found.iter().any(|it| it.line == line && it.rule == "drop-table"), "{:?}", found);
    }
}
