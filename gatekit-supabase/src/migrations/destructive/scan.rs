//! Looks through a text for what it would destroy, word by word.

use super::concern::Sort;
use super::literal::literal;
use super::rules::{self, Rule};
use crate::migrations::head::head;
use crate::migrations::lex::{Kind, Lexer, Token, lex};
use crate::migrations::split::State;

/// How deep strings in strings are looked into. Each level reads its text once more.
const DEEPEST: usize = 6;

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
struct Origin {
    at: usize,
    /// Whether it is written there letter by letter.
    is_exact: bool,
}

impl Origin {
    fn of(self, at: usize) -> usize {
        if self.is_exact { self.at + at } else { self.at }
    }
}

/// What a statement is that has bodies or texts in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// Nothing special.
    Plain,
    /// `CREATE FUNCTION` or `PROCEDURE`.
    Function,
    /// `DO`.
    Block,
    /// Its texts are for people: `COMMENT`, `RAISE`.
    Muted,
}

struct Scan<'a, 'h> {
    text: &'a str,
    origin: Origin,
    place: Place,
    level: usize,
    hits: &'h mut Vec<Hit>,

    lexer: Lexer<'a>,
    state: State,
    depth: usize,
    /// The two words before.
    before: [Option<Token<'a>>; 2],
    /// Whether the next word begins a statement.
    is_first: bool,
    in_alter: bool,
    in_merge: bool,
    holder: Holder,
    language: Option<String>,
    bodies: Vec<Token<'a>>,
    /// Statements that need a condition and have none so far: how deep, where, and which.
    unconditional: Vec<(usize, usize, Rule)>,
}

impl<'a, 'h> Scan<'a, 'h> {
    fn new(
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

    fn run(mut self) {
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

    fn is_before(&self, words: &[&str]) -> bool {
        self.before[1].is_some_and(|it| it.is_any(words))
    }

    fn is_before_that(&self, words: &[&str]) -> bool {
        self.before[0].is_some_and(|it| it.is_any(words))
    }

    /// The next word, which is not taken.
    fn next(&self) -> Option<Token<'a>> {
        let mut ahead = self.lexer;
        ahead.next_significant()
    }

    fn is_next(&self, words: &[&str]) -> bool {
        self.next().is_some_and(|it| it.is_any(words))
    }

    fn hit(&mut self, rule: Rule, at: usize) {
        self.push(rule, Sort::Destructive, at);
    }

    fn unclear(&mut self, rule: Rule, at: usize) {
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

    fn first_word(&mut self, token: &Token<'a>) {
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
    fn has_soon(&self, word: &str) -> bool {
        let mut ahead = self.lexer.filter(|it| !it.is_blank()).take(12);
        ahead.any(|it| it.is(word) || it.is_symbol(word))
    }

    fn is_routine(&self) -> bool {
        let mut ahead = self.lexer;
        let mut next = ahead.next_significant();
        if next.is_some_and(|it| it.is("OR")) {
            next = ahead.nth_significant(1);
        }
        next.is_some_and(|it| it.is_any(&["FUNCTION", "PROCEDURE"]))
    }

    fn drop(&mut self, at: usize) {
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

    fn language(&mut self, name: &str) {
        self.language = Some(name.trim_matches('"').to_ascii_lowercase());
    }

    fn word_of_alter(&mut self, token: &Token<'a>) {
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
            } else if !self.is_next(&["NOT", "DEFAULT", "IDENTITY", "EXPRESSION"]) {
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

    /// Whether what follows `UPDATE` is a table and `SET`.
    fn sets_columns(&self) -> bool {
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

    fn wants_condition(&mut self, rule: Rule, at: usize) {
        let depth = self.depth;
        if self.unconditional.last().is_some_and(|it| it.0 == depth) {
            self.give_up();
        }
        self.unconditional.push((depth, at, rule));
    }

    /// A `WHERE` has come.
    fn condition(&mut self) {
        if self.unconditional.last().is_some_and(|it| it.0 == self.depth) && !self.is_always_true()
        {
            self.unconditional.pop();
        }
    }

    /// Whether the condition that follows lets everything through: `true`, `1 = 1`.
    fn is_always_true(&self) -> bool {
        let mut ahead = self.lexer;
        let mut words = Vec::with_capacity(4);
        for _ in 0..8 {
            match ahead.next_significant() {
                Some(token) if matches!(token.text, "(" | ")") => {}
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

    fn give_up(&mut self) {
        if let Some((_, at, rule)) = self.unconditional.pop() {
            self.hit(rule, at);
        }
    }

    fn give_up_deeper_than(&mut self, depth: usize) {
        while self.unconditional.last().is_some_and(|it| it.0 > depth) {
            self.give_up();
        }
    }

    fn give_up_all(&mut self) {
        while !self.unconditional.is_empty() {
            self.give_up();
        }
    }

    fn string(&mut self, token: &Token<'a>) {
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
    fn look_into_text(&mut self, token: &Token<'a>) {
        let mut found = Vec::new();
        self.look_into(token, Place::Text, &mut found);
        if !found.is_empty() {
            self.unclear(rules::SQL_IN_TEXT, token.at);
        }
    }

    fn look_into(&mut self, token: &Token<'a>, place: Place, hits: &mut Vec<Hit>) {
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
