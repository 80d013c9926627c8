//! Where in a file something is.

use std::fmt;
use std::ops::Range;

use super::file::File;
use super::lex::{Kind, lex};
use super::split::Statement;

/// The longest line that is shown, in characters.
const WIDEST: usize = 160;

/// A place in a file, with the line that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::migrations) struct Place {
    pub(in crate::migrations) line: usize,
    pub(in crate::migrations) column: usize,
    shown: String,
}

impl Place {
    /// The place of the character with that number, from 1, of a statement.
    pub(in crate::migrations) fn of(file: &File, statement: &Statement, character: usize) -> Self {
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
        let shown: Vec<char> = masked(sql, begins..begins + start.len() + rest.len());
        let (start, rest) = shown.split_at_checked(column - 1).unwrap_or((&shown, &[]));
        // A caret stands under the same tabs.
        let indent: String = start.iter().map(|it| if *it == '\t' { '\t' } else { ' ' }).collect();
        let shown = if column < WIDEST {
            format!("{}\n{indent}^", shown.iter().take(WIDEST).collect::<String>())
        } else {
            format!("{}\n^", rest.iter().take(WIDEST).collect::<String>())
        };
        Self { line, column, shown }
    }
}

/// The characters of that part of a text, with those of strings hidden: they may be a password.
fn masked(sql: &str, part: Range<usize>) -> Vec<char> {
    let mut shown = Vec::new();
    for token in lex(sql).skip_while(|it| it.end() <= part.start) {
        if token.at >= part.end {
            break;
        }
        let is_string = matches!(token.kind, Kind::Text | Kind::Dollar);
        let inside = token.at + 1..token.end().saturating_sub(1);
        for (at, char) in token.text.char_indices().map(|(at, char)| (token.at + at, char)) {
            if part.contains(&at) {
                let hides = is_string && inside.contains(&at) && !char.is_whitespace();
                shown.push(if hides { '*' } else { char });
            }
        }
    }
    shown
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
    fn what_strings_say_is_not_shown() {
        let shown = |sql: &str, at| place(sql, 0, at).2;
        assert_eq!(shown("do $x$secret\nsecret$x$ y", 23), "********$ y\n         ^");
    }

    #[test]
    fn a_wide_line_is_cut() {
        let sql = format!("select '{}', nope", "x".repeat(1000));
        let (line, column, shown) = place(&sql, 0, 1012);
        assert_eq!((line, column, shown.as_str()), (1, 1012, "nope\n^"));
    }
}
