//! Texts within a text: bodies, and other strings.

use super::literal::literal;
use super::rules;
use super::scan::{Hit, Holder, Origin, Place, Scan};
use crate::migrations::files::lex::Token;

/// How deep strings in strings are looked into. Each level reads its text once more.
const DEEPEST: usize = 6;

impl<'a> Scan<'a, '_> {
    pub(super) fn string(&mut self, token: &Token<'a>) {
        if self.is_before(&["LANGUAGE"]) {
            if let Some(name) = literal(token) {
                self.language(&name.text);
            }
            return;
        }
        match self.holder {
            Holder::Muted => {}
            Holder::Block => self.bodies.push(*token),
            Holder::Function if self.is_before(&["AS"]) => self.bodies.push(*token),
            Holder::Function | Holder::Plain => self.look_into_text(token),
        }
    }

    /// Whether a string, which nobody is known to run, holds what would destroy something.
    pub(super) fn look_into_text(&mut self, token: &Token<'a>) {
        let mut found = Vec::new();
        self.look_into(token, Place::Text, &mut found);
        if !found.is_empty() {
            self.unclear(rules::SQL_IN_TEXT, token.at);
        }
    }

    pub(super) fn look_into(&mut self, token: &Token<'a>, place: Place, hits: &mut Vec<Hit>) {
        let Some(literal) = literal(token) else { return };
        if !may_matter(&literal.text) {
            return;
        }
        if self.level == DEEPEST {
            return self.unclear(rules::TOO_DEEP, token.at);
        }
        let is_exact = self.origin.is_exact && literal.is_exact;
        let origin = Origin { at: self.origin.of(literal.at), is_exact };
        Scan::new(&literal.text, origin, place, self.level + 1, hits).run();
    }
}

/// Whether a text has any word that could be found in it.
fn may_matter(text: &str) -> bool {
    const WORDS: [&str; 10] = [
        "TRUNCATE",
        "DELETE",
        "UPDATE",
        "DROP",
        "ALTER",
        "REVOKE",
        "EXECUTE",
        "CALL",
        "DO",
        "SESSION_REPLICATION_ROLE",
    ];
    let mut words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    words.any(|word| WORDS.iter().any(|it| word.eq_ignore_ascii_case(it)))
}
