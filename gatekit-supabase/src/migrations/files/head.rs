//! The beginning of a statement, for people.

use super::lex::{Kind, lex};

/// The most characters that are shown.
const LENGTH: usize = 80;

/// The first words of a text in one line, without comments and without what strings say: that may be a
/// password, and errors are journalled.
pub(in crate::migrations) fn head(text: &str) -> String {
    let mut head = String::new();
    let mut is_apart = false;
    let mut length = 0;
    for token in lex(text) {
        if token.is_blank() {
            is_apart = true;
            continue;
        }
        if token.is_symbol(";") {
            break;
        }
        let shown = match token.kind {
            Kind::Text => "'…'",
            Kind::Dollar => "$…$",
            _ => token.text,
        };
        if is_apart && length > 0 {
            head.push(' ');
            length += 1;
        }
        is_apart = false;
        length += shown.chars().count();
        if length > LENGTH {
            head.push('…');
            break;
        }
        head.push_str(shown);
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_one_line_without_comments_and_secrets() {
        let cases = [
            ("-- a\ncreate  table\n a(i int)", "create table a(i int)"),
            ("alter role a password 'secret'", "alter role a password '…'"),
            ("alter role a password E'sec\\'ret'", "alter role a password '…'"),
            ("do $$ begin execute 'x'; end $$", "do $…$"),
            ("a; b", "a"),
            ("-- nothing", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(head(text), expected);
        }
        let long = head(&"word ".repeat(100));
        assert!(long.ends_with('…') && long.chars().count() <= 81, "{long}");
        assert_eq!(head(&"x".repeat(100)), "…");
    }
}
