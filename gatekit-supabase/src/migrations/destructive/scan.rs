//! Looks through a text for what it would destroy, word by word.

use super::concern::Sort;
use super::rules::{self, Rule};
use crate::migrations::files::head::head;
use crate::migrations::files::lex::{Kind, Lexer, Token, lex};
use crate::migrations::files::split::State;

/// What is found.
#[derive(Debug)]
pub(super) struct Hit {
    pub(super) rule: Rule,
    pub(super) sort: Sort,
    /// Where it is in the file.
    pub(super) at: usize,
    pub(super) head: String,
}

/// Where a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a file.
    Statement,
    /// In the body of a function or a block.
    Body,
    /// In any other string.
    Text,
}

/// Adds what is found in `text`, which begins at `at` in the file.
pub(super) fn scan(text: &str, at: usize, place: Place, hits: &mut Vec<Hit>) {
    Scan::new(text, Origin { at, is_exact: true }, place, 0, hits).run();
}

/// Where a text comes from in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) at: usize,
    /// Whether it is written there letter by letter.
    pub(super) is_exact: bool,
}

impl Origin {
    pub(super) fn of(self, at: usize) -> usize {
        if self.is_exact { self.at + at } else { self.at }
    }
}

/// What a statement is that has bodies or texts in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// Nothing special.
    Plain,
    /// `CREATE FUNCTION` or `PROCEDURE`.
    Function,
    /// `DO`.
    Block,
    /// Its texts are for people: `COMMENT`, `RAISE`.
    Muted,
}

pub(super) struct Scan<'a, 'h> {
    pub(super) text: &'a str,
    pub(super) origin: Origin,
    pub(super) place: Place,
    pub(super) level: usize,
    pub(super) hits: &'h mut Vec<Hit>,

    pub(super) lexer: Lexer<'a>,
    pub(super) state: State,
    pub(super) depth: usize,
    /// The two words before.
    pub(super) before: [Option<Token<'a>>; 2],
    /// Whether the next word begins a statement.
    pub(super) is_first: bool,
    pub(super) in_alter: bool,
    pub(super) in_merge: bool,
    pub(super) holder: Holder,
    pub(super) language: Option<String>,
    pub(super) bodies: Vec<Token<'a>>,
    /// Statements that need a condition and have none so far: how deep, where, and which.
    pub(super) unconditional: Vec<(usize, usize, Rule)>,
}

impl<'a, 'h> Scan<'a, 'h> {
    pub(super) fn new(
        text: &'a str,
        origin: Origin,
        place: Place,
        level: usize,
        hits: &'h mut Vec<Hit>,
    ) -> Self {
        Self {
            text,
            origin,
            place,
            level,
            hits,
            lexer: lex(text),
            state: State::default(),
            depth: 0,
            before: [None, None],
            is_first: true,
            in_alter: false,
            in_merge: false,
            holder: Holder::Plain,
            language: None,
            bodies: Vec::new(),
            unconditional: Vec::new(),
        }
    }

    pub(super) fn run(mut self) {
        while let Some(token) = self.lexer.next_significant() {
            let ends = self.state.ends_with(&token);
            let is_first = std::mem::take(&mut self.is_first);
            match token.kind {
                Kind::Symbol => self.symbol(&token),
                Kind::Word => {
                    if is_first {
                        self.first_word(&token);
                    }
                    self.word(&token, is_first);
                }
                Kind::Text | Kind::Dollar => self.string(&token),
                Kind::Quoted if self.is_before(&["LANGUAGE"]) => self.language(token.text),
                _ => {}
            }
            self.before = [self.before[1], Some(token)];
            if ends {
                self.end_statement();
            }
        }
        self.end_statement();
    }

    pub(super) fn is_before(&self, words: &[&str]) -> bool {
        self.before[1].is_some_and(|it| it.is_any(words))
    }

    pub(super) fn is_before_that(&self, words: &[&str]) -> bool {
        self.before[0].is_some_and(|it| it.is_any(words))
    }

    /// The next word, which is not taken.
    pub(super) fn next(&self) -> Option<Token<'a>> {
        let mut ahead = self.lexer;
        ahead.next_significant()
    }

    pub(super) fn is_next(&self, words: &[&str]) -> bool {
        self.next().is_some_and(|it| it.is_any(words))
    }

    pub(super) fn hit(&mut self, rule: Rule, at: usize) {
        self.push(rule, Sort::Destructive, at);
    }

    pub(super) fn unclear(&mut self, rule: Rule, at: usize) {
        self.push(rule, Sort::Unanalysable, at);
    }

    fn push(&mut self, rule: Rule, sort: Sort, at: usize) {
        let head = head(self.text.get(at..).unwrap_or_default());
        self.hits.push(Hit { rule, sort, at: self.origin.of(at), head });
    }

    fn symbol(&mut self, token: &Token<'a>) {
        match token.text {
            "(" => self.depth += 1,
            ")" => {
                self.depth = self.depth.saturating_sub(1);
                self.give_up_deeper_than(self.depth);
            }
            ";" => {
                self.give_up_all();
                self.is_first = true;
                (self.in_alter, self.in_merge) = (false, false);
                if self.holder == Holder::Muted {
                    self.holder = Holder::Plain;
                }
            }
            // After a label of a block.
            ">" if self.before[1].is_some_and(|it| it.is_symbol(">")) => self.is_first = true,
            _ => {}
        }
    }

    fn word(&mut self, token: &Token<'a>, is_first: bool) {
        let at = token.at;
        if self.in_alter {
            self.word_of_alter(token);
        }
        if token.is("DELETE") {
            if self.is_next(&["FROM"]) {
                self.wants_condition(rules::DELETE_ALL, at);
            } else if self.in_merge && self.is_before(&["THEN"]) {
                self.hit(rules::MERGE_DELETE, at);
            }
        } else if token.is("UPDATE") {
            if !self.is_before(&["FOR", "ON", "KEY"]) && self.sets_columns() {
                self.wants_condition(rules::UPDATE_ALL, at);
            }
        } else if token.is("WHERE") {
            self.condition();
        } else if token.is("EXECUTE") {
            let is_other = self.is_next(&["FUNCTION", "PROCEDURE", "ON"]);
            let may_run = is_first && self.place == Place::Statement;
            if !is_other && (may_run || self.place == Place::Body) {
                self.unclear(rules::DYNAMIC, at);
            }
        } else if token.is("SESSION_REPLICATION_ROLE") {
            if self.is_before(&["SET", "SESSION", "LOCAL"]) {
                self.hit(rules::DISABLE_TRIGGER, self.before[1].map_or(at, |it| it.at));
            }
        } else if token.is("LOOP") && self.place == Place::Body {
            // The rows of a statement are looped over: it ends here.
            self.give_up_all();
            self.is_first = true;
        } else if token.is_any(&["BEGIN", "ATOMIC"])
            || (self.place == Place::Body && token.is_any(&["THEN", "ELSE"]))
        {
            self.is_first = true;
        } else if self.is_before(&["LANGUAGE"]) {
            self.language(token.text);
        }
    }

    pub(super) fn language(&mut self, name: &str) {
        self.language = Some(name.trim_matches('"').to_ascii_lowercase());
    }

    fn end_statement(&mut self) {
        self.give_up_all();
        let bodies = std::mem::take(&mut self.bodies);
        let language = self.language.take().unwrap_or_else(|| "plpgsql".to_owned());
        let is_known = matches!(language.as_str(), "plpgsql" | "sql");
        for body in bodies {
            if is_known {
                let mut found = Vec::new();
                self.look_into(&body, Place::Body, &mut found);
                self.hits.append(&mut found);
            } else {
                self.unclear(rules::LANGUAGE, body.at);
            }
        }
        self.state = State::default();
        self.depth = 0;
        self.holder = Holder::Plain;
        (self.is_first, self.in_alter, self.in_merge) = (true, false, false);
    }
}
