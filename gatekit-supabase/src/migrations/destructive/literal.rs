//! What a string says.

use std::borrow::Cow;

use crate::migrations::files::lex::{Kind, Token};

/// The text of a string constant, and where it begins. The place is that of the whole string when the text
/// is not written there letter by letter.
pub(super) struct Literal<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) at: usize,
    pub(super) is_exact: bool,
}

/// What `token` says, if it is a string.
pub(super) fn literal<'a>(token: &Token<'a>) -> Option<Literal<'a>> {
    if let Some((at, body)) = token.dollar_body() {
        return Some(Literal { text: Cow::Borrowed(body), at, is_exact: true });
    }
    if token.kind != Kind::Text {
        return None;
    }
    let (escapes, quoted) = match token.text.strip_prefix(['e', 'E']) {
        Some(quoted) => (true, quoted),
        None => (false, token.text),
    };
    let inner = quoted.strip_prefix('\'')?;
    let inner = inner.strip_suffix('\'').unwrap_or(inner);
    let at = token.at;
    if escapes {
        return Some(Literal { text: Cow::Owned(unescaped(inner)), at, is_exact: false });
    }
    if inner.contains("''") {
        return Some(Literal { text: Cow::Owned(inner.replace("''", "'")), at, is_exact: false });
    }
    Some(Literal { text: Cow::Borrowed(inner), at: at + 1, is_exact: true })
}

/// Without the backslashes. Characters by their number stay as they are written: they hide a word at most
/// from a look, not from PostgreSQL.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some('n' | 'r') => out.push('\n'),
                Some('t' | 'f' | 'b') => out.push(' '),
                Some(other) => out.push(other),
                None => {}
            },
            '\'' => {
                let _ = chars.next_if_eq(&'\'');
                out.push('\'');
            }
            other => out.push(other),
        }
    }
    out
}
