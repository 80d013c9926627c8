//! Where in a file something is.

use std::fmt;

use super::file::File;
use super::split::Statement;

/// The longest line that is shown, in characters.
const WIDEST: usize = 160;

/// A place in a file, with the line that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
    shown: String,
}

impl Place {
    /// The place of the character with that number, from 1, of a statement.
    pub(super) fn of(file: &File, statement: &Statement, character: usize) -> Self {
        let text = &statement.text;
        let before = text.char_indices().nth(character.saturating_sub(1));
        let at = statement.offset + before.map_or(text.len(), |(at, _)| at);
        let sql = &*file.sql;
        let (before, after) = sql.split_at_checked(at).unwrap_or((sql, ""));
        let begins = before.rfind('\n').map_or(0, |newline| newline + 1);
        let start = before.get(begins..).unwrap_or_default();
        let rest = after.split(['\r', '\n']).next().unwrap_or_default();
        let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
        let column = 1 + start.chars().count();
        // A caret stands under the same tabs.
        let indent: String = start.chars().map(|it| if it == '\t' { it } else { ' ' }).collect();
        let shown = if column < WIDEST {
            let shown: String = start.chars().chain(rest.chars()).take(WIDEST).collect();
            format!("{shown}\n{indent}^")
        } else {
            format!("{}\n^", rest.chars().take(WIDEST).collect::<String>())
        };
        Self { line, column, shown }
    }
}

impl fmt::Display for Place {
    /// The line, and below it a caret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(sql: &str, statement: usize, character: usize) -> (usize, usize, String) {
        let file = File::from_bytes("a.sql", "1", "a", sql.as_bytes()).unwrap();
        let place = Place::of(&file, &file.statements[statement], character);
        (place.line, place.column, place.to_string())
    }

    #[test]
    fn a_caret_is_under_the_character() {
        let sql = "select 1; select\tnope,\r\n  ü.x from a;";
        assert_eq!(
            place(sql, 1, 8),
            (1, 18, "select 1; select\tnope,\n                \t^".to_owned())
        );
        assert_eq!(place(sql, 1, 17), (2, 3, "  ü.x from a;\n  ^".to_owned()));
        assert_eq!(place("\u{feff}bad", 0, 1), (1, 1, "bad\n^".to_owned()));
        assert_eq!(place("bad", 0, 99), (1, 4, "bad\n   ^".to_owned()), "at its end");
    }

    #[test]
    fn a_wide_line_is_cut() {
        let sql = format!("select '{}', nope", "x".repeat(1000));
        let (line, column, shown) = place(&sql, 0, 1012);
        assert_eq!((line, column, shown.as_str()), (1, 1012, "nope\n^"));
    }
}
