//! Statements that change what there is.

use super::rules;
use super::scan::{Holder, Place, Scan};
use crate::migrations::files::lex::Token;

impl<'a> Scan<'a, '_> {
    pub(super) fn first_word(&mut self, token: &Token<'a>) {
        let at = token.at;
        let has_name = self.next().is_some_and(|it| it.is_name());
        // In a string, these may begin a sentence.
        let is_text = self.place == Place::Text;
        let word = token.text.to_ascii_uppercase();
        match word.as_str() {
            "DROP" => self.drop(at),
            "REVOKE" if has_name && (!is_text || self.has_soon("ON")) => {
                self.hit(rules::REVOKE, at);
            }
            "TRUNCATE" if has_name => self.hit(rules::TRUNCATE, at),
            "ALTER" => self.in_alter = true,
            "MERGE" => self.in_merge = true,
            "CALL" if has_name && self.has_soon("(") => self.unclear(rules::CALL, at),
            // `DO NOTHING` is an action of MERGE.
            "DO" if !is_text && !self.is_next(&["NOTHING"]) => {
                self.holder = Holder::Block;
                self.unclear(rules::DO_BLOCK, at);
            }
            "CREATE" if self.is_routine() => self.holder = Holder::Function,
            "COMMENT" | "RAISE" => self.holder = Holder::Muted,
            _ => {}
        }
    }

    /// Whether that comes within the next few words.
    pub(super) fn has_soon(&self, word: &str) -> bool {
        let mut ahead = self.lexer.filter(|it| !it.is_blank()).take(12);
        ahead.any(|it| it.is(word) || it.is_symbol(word))
    }

    pub(super) fn is_routine(&self) -> bool {
        let mut ahead = self.lexer;
        let mut next = ahead.next_significant();
        if next.is_some_and(|it| it.is("OR")) {
            next = ahead.nth_significant(1);
        }
        next.is_some_and(|it| it.is_any(&["FUNCTION", "PROCEDURE"]))
    }

    pub(super) fn drop(&mut self, at: usize) {
        let mut ahead = self.lexer;
        let Some(object) = ahead.next_significant().filter(Token::is_name) else { return };
        let word = object.text.to_ascii_uppercase();
        let rule = match word.as_str() {
            "TABLE" => rules::DROP_TABLE,
            "FOREIGN" if ahead.next_significant().is_some_and(|it| it.is("TABLE")) => {
                rules::DROP_TABLE
            }
            "SCHEMA" => rules::DROP_SCHEMA,
            "TYPE" | "DOMAIN" => rules::DROP_TYPE,
            "VIEW" | "MATERIALIZED" => rules::DROP_VIEW,
            "FUNCTION" | "PROCEDURE" | "ROUTINE" | "AGGREGATE" => rules::DROP_FUNCTION,
            "POLICY" => rules::DROP_POLICY,
            "TRIGGER" | "RULE" | "EVENT" => rules::DROP_TRIGGER,
            "INDEX" => rules::DROP_INDEX,
            "EXTENSION" => rules::DROP_EXTENSION,
            "ROLE" | "USER" | "GROUP" | "OWNED" => rules::DROP_ROLE,
            "DATABASE" | "SEQUENCE" | "PUBLICATION" | "SUBSCRIPTION" | "SERVER" | "CAST"
            | "OPERATOR" | "COLLATION" | "TABLESPACE" => rules::DROP_OTHER,
            // In a string it is hardly SQL.
            _ if self.place == Place::Text => return,
            _ => rules::DROP_OTHER,
        };
        self.hit(rule, at);
    }

    pub(super) fn word_of_alter(&mut self, token: &Token<'a>) {
        let at = token.at;
        let names_column = self.is_before_that(&["ALTER", "COLUMN", "ATTRIBUTE"])
            && self.before[1].is_some_and(|it| it.is_name())
            && !self.is_before(&["TABLE", "COLUMN", "ATTRIBUTE", "TYPE"]);
        if self.depth > 0 {
        } else if token.is("DROP") {
            if self.is_next(&["CONSTRAINT"]) {
                self.hit(rules::DROP_CONSTRAINT, at);
            } else if self.is_next(&["TABLE", "TABLES"]) {
                self.hit(rules::DROP_OTHER, at);
            } else if !(self.is_next(&["NOT", "DEFAULT"])
                || names_column && self.is_next(&["IDENTITY", "EXPRESSION"]))
            {
                self.hit(rules::DROP_COLUMN, at);
            }
        } else if token.is("RENAME") {
            self.hit(rules::RENAME, at);
        } else if token.is("SCHEMA") && self.is_before(&["SET"]) {
            self.hit(rules::SET_SCHEMA, at);
        } else if token.is("TYPE") && (self.is_before(&["DATA"]) || names_column) {
            self.hit(rules::ALTER_TYPE, at);
        } else if token.is("DISABLE") && self.is_next(&["ROW"])
            || token.is("FORCE") && self.is_before(&["NO"])
        {
            self.hit(rules::DISABLE_RLS, at);
        } else if token.is("DISABLE") && self.is_next(&["TRIGGER", "RULE"]) {
            self.hit(rules::DISABLE_TRIGGER, at);
        } else if token.is("DETACH") && self.is_next(&["PARTITION"]) {
            self.hit(rules::DETACH, at);
        } else if token.is("REVOKE") {
            self.hit(rules::REVOKE, at);
        }
    }
}
