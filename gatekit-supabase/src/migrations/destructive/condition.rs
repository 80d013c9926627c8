//! Statements that need a condition.

use super::rules::Rule;
use super::scan::{Place, Scan};
use crate::migrations::files::lex::Kind;

impl Scan<'_, '_> {
    /// Whether what follows `UPDATE` is a table and `SET`.
    pub(super) fn sets_columns(&self) -> bool {
        let mut ahead = self.lexer;
        let mut has_name = false;
        for _ in 0..12 {
            let Some(token) = ahead.next_significant() else { return false };
            if token.is("SET") {
                // People write sentences with these words in them, too.
                let mut assignment = ahead.filter(|it| !it.is_blank()).take(6);
                let is_sql = self.place != Place::Text
                    || assignment.any(|it| it.is_symbol("=") || it.is_symbol("("));
                return has_name && is_sql;
            }
            if token.is_any(&["OF", "ON", "OR", "TO", "USING", "SKIP", "NOWAIT"]) {
                return false;
            }
            has_name |= token.is_name();
            if !token.is_name() && !matches!(token.text, "." | "*" | "(" | ")") {
                return false;
            }
        }
        false
    }

    pub(super) fn wants_condition(&mut self, rule: Rule, at: usize) {
        let depth = self.depth;
        if self.unconditional.last().is_some_and(|it| it.0 == depth) {
            self.give_up();
        }
        self.unconditional.push((depth, at, rule));
    }

    /// A `WHERE` has come.
    pub(super) fn condition(&mut self) {
        if self.unconditional.last().is_some_and(|it| it.0 == self.depth) && !self.is_always_true()
        {
            self.unconditional.pop();
        }
    }

    /// Whether the condition that follows lets everything through: `true`, `1 = 1`.
    pub(super) fn is_always_true(&self) -> bool {
        let mut ahead = self.lexer;
        let (mut words, mut open) = (Vec::with_capacity(4), 0_u8);
        for _ in 0..8 {
            match ahead.next_significant() {
                Some(token) if token.text == "(" => open += 1,
                Some(token) if token.text == ")" && open > 0 => open -= 1,
                // The statement that it is a condition of ends there.
                Some(token) if token.text == ")" => break,
                Some(token) if !token.is_symbol(";") && !token.is("RETURNING") => words.push(token),
                _ => break,
            }
        }
        match words.as_slice() {
            [only] => only.is("TRUE"),
            [a, equals, b] => {
                equals.is_symbol("=")
                    && a.text == b.text
                    && matches!(a.kind, Kind::Number | Kind::Text)
            }
            _ => false,
        }
    }

    pub(super) fn give_up(&mut self) {
        if let Some((_, at, rule)) = self.unconditional.pop() {
            self.hit(rule, at);
        }
    }

    pub(super) fn give_up_deeper_than(&mut self, depth: usize) {
        while self.unconditional.last().is_some_and(|it| it.0 > depth) {
            self.give_up();
        }
    }

    pub(super) fn give_up_all(&mut self) {
        while !self.unconditional.is_empty() {
            self.give_up();
        }
    }
}
