//! What holds of a text of any shape.

use gatekit_supabase::migrations::{is_same_text, split};
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
        for statement in split(&sql) {
            let again = split(&statement.text);
            // What is not closed may hold semicolons at its end.
            prop_assert!(again.len() <= 1, "{:?}", again);
        }
    }
}
