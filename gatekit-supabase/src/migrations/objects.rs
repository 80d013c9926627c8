//! What a statement creates, as far as its words tell.

use super::files::kind::{Kind as Sort, kind};
use super::files::lex::{Kind, Token, lex};

/// How long a name is for PostgreSQL, in bytes. What is longer it cuts.
const LONGEST: usize = 63;

/// A sort of objects that can be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    Table,
    View,
    MaterializedView,
    Sequence,
    Index,
    Function,
    Type,
    Schema,
    Extension,
    Policy,
    Trigger,
}

impl Object {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::Sequence => "sequence",
            Self::Index => "index",
            Self::Function => "function",
            Self::Type => "type",
            Self::Schema => "schema",
            Self::Extension => "extension",
            Self::Policy => "policy",
            Self::Trigger => "trigger",
        }
    }
}

/// The object that a statement creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Created {
    pub(super) object: Object,
    /// Where it is, or the table that it belongs to; `None` when the statement leaves that to the search path.
    pub(super) schema: Option<String>,
    pub(super) name: String,
    /// The table that it belongs to.
    pub(super) table: Option<String>,
    /// Whether the statement takes the place of one that there is: then that there is one proves nothing.
    pub(super) replaces: bool,
}

/// What a statement leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Leaves {
    /// Nothing: it is a comment.
    Nothing,
    /// One object, and nothing else that matters.
    One(Created),
    /// What cannot be looked up.
    Other,
}

/// What that statement leaves behind.
pub(super) fn leaves(text: &str) -> Leaves {
    match kind(text) {
        Sort::Empty => Leaves::Nothing,
        Sort::Transactional | Sort::NonTransactional => {
            let tokens: Vec<_> = lex(text).filter(|it| !it.is_blank()).collect();
            Reader { tokens: &tokens }.created().map_or(Leaves::Other, Leaves::One)
        }
        _ => Leaves::Other,
    }
}

#[derive(Debug, Clone, Copy)]
struct Reader<'a> {
    tokens: &'a [Token<'a>],
}

impl<'a> Reader<'a> {
    fn created(mut self) -> Option<Created> {
        if !self.takes("CREATE") {
            return None;
        }
        let replaces = self.takes_all(&["OR", "REPLACE"])?;
        let _ = self.takes("UNLOGGED") || self.takes("UNIQUE") || self.takes("RECURSIVE");
        let object = self.object()?;
        let _ = self.takes("CONCURRENTLY");
        self.takes_all(&["IF", "NOT", "EXISTS"])?;
        // `CREATE INDEX ON t` and `CREATE SCHEMA AUTHORIZATION r` leave the name to the server.
        if self.tokens.first()?.is_any(&["ON", "AUTHORIZATION"]) {
            return None;
        }
        let (mut schema, name) = self.name()?;
        let table = match object {
            Object::Index | Object::Policy | Object::Trigger => {
                let on = match object {
                    // A name in between would be in quotes.
                    Object::Trigger => self.tokens.iter().position(|it| it.is("ON"))?,
                    _ => 0,
                };
                self.tokens = self.tokens.get(on..)?;
                if schema.is_some() || !self.takes("ON") {
                    return None;
                }
                let _ = self.takes("ONLY");
                let (of, table) = self.name()?;
                schema = of;
                Some(table)
            }
            Object::Schema => {
                if self.takes("AUTHORIZATION") {
                    self.name()?;
                }
                // What else it makes could be anything.
                if schema.is_some() || !self.tokens.is_empty() {
                    return None;
                }
                None
            }
            _ => None,
        };
        Some(Created { object, schema, name, table, replaces })
    }

    fn object(&mut self) -> Option<Object> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(match () {
            () if first.is("TABLE") => Object::Table,
            () if first.is("VIEW") => Object::View,
            () if first.is("MATERIALIZED") && self.takes("VIEW") => Object::MaterializedView,
            () if first.is("FOREIGN") && self.takes("TABLE") => Object::Table,
            () if first.is("SEQUENCE") => Object::Sequence,
            () if first.is("INDEX") => Object::Index,
            () if first.is_any(&["FUNCTION", "PROCEDURE"]) => Object::Function,
            () if first.is_any(&["TYPE", "DOMAIN"]) => Object::Type,
            () if first.is("SCHEMA") => Object::Schema,
            () if first.is("EXTENSION") => Object::Extension,
            () if first.is("POLICY") => Object::Policy,
            () if first.is("TRIGGER") => Object::Trigger,
            () if first.is("CONSTRAINT") && self.takes("TRIGGER") => Object::Trigger,
            () => return None,
        })
    }

    /// Takes the next word, if it is that one.
    fn takes(&mut self, word: &str) -> bool {
        match self.tokens.split_first() {
            Some((first, rest)) if first.is(word) => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }

    /// Takes these words, if the first is there. `None` when it is and the others are not.
    fn takes_all(&mut self, words: &[&str]) -> Option<bool> {
        let (first, rest) = words.split_first()?;
        if !self.takes(first) {
            return Some(false);
        }
        rest.iter().all(|word| self.takes(word)).then_some(true)
    }

    /// A name, and the one before the dot.
    fn name(&mut self) -> Option<(Option<String>, String)> {
        let first = self.part()?;
        let is_dot = |reader: &Self| reader.tokens.first().is_some_and(|it| it.is_symbol("."));
        let name = if is_dot(self) {
            self.tokens = self.tokens.get(1..)?;
            (Some(first), self.part()?)
        } else {
            (None, first)
        };
        // A third part, or `U&"…"`.
        let goes_on = |it: &Token<'_>| it.is_symbol(".") || it.is_symbol("&");
        if self.tokens.first().is_some_and(goes_on) { None } else { Some(name) }
    }

    /// One name, as the server keeps it.
    fn part(&mut self) -> Option<String> {
        let (first, rest) = self.tokens.split_first()?;
        let name = match first.kind {
            Kind::Word => first.text.to_ascii_lowercase(),
            Kind::Quoted => {
                let inner = first.text.strip_prefix('"')?.strip_suffix('"')?;
                inner.replace("\"\"", "\"")
            }
            _ => return None,
        };
        self.tokens = rest;
        (!name.is_empty() && name.len() <= LONGEST).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sql: &str) -> String {
        match leaves(sql) {
            Leaves::Nothing => "nothing".to_owned(),
            Leaves::Other => "other".to_owned(),
            Leaves::One(Created { object, schema, name, table, replaces }) => format!(
                "{} {}.{name} on {} {replaces}",
                object.as_str(),
                schema.unwrap_or_default(),
                table.unwrap_or_default()
            ),
        }
    }

    #[test]
    fn what_a_statement_creates_is_read_from_its_words() {
        let cases = [
            ("-- c\nCREATE TABLE A (i int)", "table .a on  false"),
            ("create table if not exists s.\"A\"\"b\" (i int)", "table s.A\"b on  false"),
            ("create unlogged table a as select 1", "table .a on  false"),
            ("create foreign table f () server x", "table .f on  false"),
            ("create table größe ()", "table .größe on  false"),
            ("create view v as select 1", "view .v on  false"),
            ("create or replace recursive view v (a) as select 1", "view .v on  true"),
            ("create materialized view s.m as select 1", "materialized view s.m on  false"),
            ("create sequence q", "sequence .q on  false"),
            (
                "create unique index concurrently if not exists i on only s.t (a)",
                "index s.i on t false",
            ),
            ("create index i on t (a)", "index .i on t false"),
            (
                "create or replace function s.f(a int) returns int language sql as $$ select 1 $$",
                "function s.f on  true",
            ),
            ("create procedure p() language sql as ''", "function .p on  false"),
            ("create type t as enum ('a')", "type .t on  false"),
            ("create domain d as text", "type .d on  false"),
            ("create schema s", "schema .s on  false"),
            ("create schema if not exists s authorization r", "schema .s on  false"),
            (
                "create extension if not exists \"uuid-ossp\" with schema extensions",
                "extension .uuid-ossp on  false",
            ),
            (
                "create policy \"may read\" on s.t for select using (true)",
                "policy s.may read on t false",
            ),
            (
                "create trigger g before insert or update of a on t execute function f()",
                "trigger .g on t false",
            ),
            (
                "create constraint trigger g after insert on s.t for each row execute function f()",
                "trigger s.g on t false",
            ),
            ("-- only words", "nothing"),
        ];
        for (sql, expected) in cases {
            assert_eq!(told(sql), expected, "{sql}");
        }
    }

    #[test]
    fn what_cannot_be_looked_up_is_not_guessed() {
        let long = format!("create table {} ()", "x".repeat(64));
        for sql in [
            "insert into t values (1)",
            "alter table t add a int",
            "create temp table a ()",
            "create temporary view v as select 1",
            "create index on t (a)",
            "create index if not exists on t (a)",
            "create schema authorization r",
            "create schema s create table t ()",
            "create schema s authorization r create table t ()",
            "create table U&\"a\" ()",
            "create table a.b.c ()",
            "create table",
            "create table \"open",
            "create table \"\" ()",
            "create event trigger e on ddl_command_end execute function f()",
            "create role r",
            "create cast (a as b) without function",
            "create or table t ()",
            "create policy p for select",
            "create table a (); drop table a",
            "do $$ begin create table a (); end $$",
            "drop table a",
            &long,
        ] {
            assert_eq!(told(sql), "other", "{sql}");
        }
    }
}
