//! What kind of statement one is, by its words.

use super::head::head;
use super::lex::{Kind as Is, Token, lex};
use super::split::{State, Statement};

/// The schema that the history is in.
const HISTORY: &str = "supabase_migrations";

/// How many words are looked at where a statement begins.
const LOOKED_AT: usize = 24;

/// What a statement needs around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Comments alone.
    Empty,
    /// It can run in a transaction. So can most, also `LOCK TABLE`, `SAVEPOINT` and
    /// `REFRESH MATERIALIZED VIEW CONCURRENTLY`; and `ALTER TYPE … ADD VALUE`, since PostgreSQL 12.
    Transactional,
    /// `SET`, `RESET` or `SHOW` of a setting: it can run anywhere, and again.
    Setting,
    /// PostgreSQL refuses it within a transaction.
    NonTransactional,
    /// It begins or ends a transaction. `ROLLBACK TO` a savepoint does not.
    TransactionControl,
    /// `COPY` from or to the client.
    CopyData,
    /// It has a command of psql in it, or goes on from one.
    MetaCommand,
    /// PostgreSQL would read more than one statement.
    Several,
}

impl Statement {
    /// What it needs around it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        kind(&self.text)
    }

    /// Whether it changes who the session acts as, or resets it: `SET ROLE`, `SET SESSION AUTHORIZATION`,
    /// `RESET`, `DISCARD`. A call of `set_config` that does so cannot be told from any other.
    #[must_use]
    pub fn changes_session(&self) -> bool {
        let head = first_words(&self.text);
        match head.as_slice() {
            [first, ..] if first.is_any(&["RESET", "DISCARD"]) => true,
            [first, rest @ ..] if first.is("SET") => {
                let rest = match rest {
                    // `SET SESSION AUTHORIZATION` is no setting of a session.
                    [scope, next, ..] if is_scope(scope, next) => rest.get(1..).unwrap_or_default(),
                    _ => rest,
                };
                match rest {
                    [role, ..] if names(role, "role") => true,
                    [session, authorization, ..] => {
                        session.is("SESSION") && authorization.is("AUTHORIZATION")
                    }
                    _ => false,
                }
            }
            _ => false,
        }
    }

    /// Whether it names the schema of the history: what it does there may be untrue afterwards. The texts of
    /// strings count, comments do not.
    #[must_use]
    pub fn touches_history(&self) -> bool {
        let mut tokens = lex(&self.text).filter(|it| !it.is_blank());
        tokens.any(|token| contains(token.text, HISTORY))
    }

    /// Whether it goes back to a savepoint, in a file that neither begins nor ends transactions.
    pub(in crate::migrations) fn goes_back(&self) -> bool {
        first_words(&self.text).first().is_some_and(|it| it.is("ROLLBACK"))
    }

    /// Whether it leaves something to its session that is no setting, as a temporary table: in another session what
    /// follows would do something else. What a function or a `DO` block leaves cannot be told.
    pub(in crate::migrations) fn prepares_session(&self) -> bool {
        let head = first_words(&self.text);
        let begins = match head.as_slice() {
            [first, next, ..] if first.is("PREPARE") => !next.is("TRANSACTION"),
            [first, ..] => first.is_any(&["LISTEN", "LOAD", "DECLARE"]),
            [] => false,
        };
        let is_temporary = head.windows(2).any(|it| {
            let is_of = it[0].is_any(&["CREATE", "REPLACE", "GLOBAL", "LOCAL", "INTO"]);
            is_of && it[1].is_any(&["TEMP", "TEMPORARY"])
        });
        begins || is_temporary || lex(&self.text).any(|it| names(&it, "set_config"))
    }

    /// Its first words in one line, for people: without comments, and without what strings say.
    #[must_use]
    pub fn head(&self) -> String {
        head(&self.text)
    }
}

fn is_scope(scope: &Token<'_>, next: &Token<'_>) -> bool {
    scope.is("LOCAL") || (scope.is("SESSION") && !next.is("AUTHORIZATION"))
}

/// Whether a token is that name, in quotes or not.
fn names(token: &Token<'_>, name: &str) -> bool {
    token.is_name() && token.text.trim_matches('"').eq_ignore_ascii_case(name)
}

/// Whether `text` has `part` in it, in whatever case.
fn contains(text: &str, part: &str) -> bool {
    let part = part.as_bytes();
    text.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

fn first_words(text: &str) -> Vec<Token<'_>> {
    lex(text).filter(|it| !it.is_blank()).take(LOOKED_AT).collect()
}

pub(in crate::migrations) fn kind(text: &str) -> Kind {
    let head = first_words(text);
    let Some(first) = head.first() else { return Kind::Empty };
    let (mut state, mut has_ended, mut before) = (State::default(), false, None::<Token<'_>>);
    let (mut is_several, mut is_copy) = (false, false);
    for token in lex(text).filter(|it| !it.is_blank()) {
        if token.kind == Is::Backslash {
            return Kind::MetaCommand;
        }
        let ends = state.ends_with(&token);
        is_several |= has_ended && !ends;
        has_ended |= ends && before.is_some();
        let is_way = before.is_some_and(|it| it.is_any(&["FROM", "TO"]));
        is_copy |= is_way && token.is_any(&["STDIN", "STDOUT"]) && first.is("COPY");
        before = Some(token);
    }
    match () {
        () if is_several => Kind::Several,
        () if is_copy => Kind::CopyData,
        () if is_transaction_control(&head) => Kind::TransactionControl,
        () if is_non_transactional(&head) => Kind::NonTransactional,
        () if is_setting(&head) => Kind::Setting,
        () => Kind::Transactional,
    }
}

fn is_transaction_control(head: &[Token<'_>]) -> bool {
    let [first, rest @ ..] = head else { return false };
    if first.is("ROLLBACK") {
        let rest = match rest {
            [noise, rest @ ..] if noise.is_any(&["WORK", "TRANSACTION"]) => rest,
            _ => rest,
        };
        return !rest.first().is_some_and(|it| it.is("TO"));
    }
    let is_next = |word| rest.first().is_some_and(|it| it.is(word));
    first.is_any(&["BEGIN", "COMMIT", "END", "ABORT"])
        || (first.is_any(&["START", "PREPARE"]) && is_next("TRANSACTION"))
}

fn is_setting(head: &[Token<'_>]) -> bool {
    match head {
        [first, ..] if first.is_any(&["RESET", "SHOW"]) => true,
        [first, second, ..] if first.is("SET") => !second.is_any(&["CONSTRAINTS", "TRANSACTION"]),
        _ => false,
    }
}

fn is_non_transactional(head: &[Token<'_>]) -> bool {
    let is = |at: usize, words: &[&str]| head.get(at).is_some_and(|it| it.is_any(words));
    let has = |word| head.iter().any(|it| it.is(word));
    let Some(first) = head.first() else { return false };
    if first.is("CREATE") {
        let index = if is(1, &["UNIQUE"]) { 2 } else { 1 };
        return (is(index, &["INDEX"]) && is(index + 1, &["CONCURRENTLY"]))
            || is(1, &["DATABASE", "TABLESPACE", "SUBSCRIPTION"]);
    }
    if first.is("DROP") {
        return (is(1, &["INDEX"]) && is(2, &["CONCURRENTLY"]))
            || is(1, &["DATABASE", "TABLESPACE", "SUBSCRIPTION"]);
    }
    if first.is("ALTER") {
        return is(1, &["SYSTEM"])
            || (is(1, &["DATABASE"]) && is(3, &["SET"]) && is(4, &["TABLESPACE"]))
            || (is(1, &["SUBSCRIPTION"]) && (is(3, &["REFRESH"]) || is(4, &["PUBLICATION"])))
            || (is(1, &["TABLE"]) && detaches_concurrently(head));
    }
    if first.is("REINDEX") {
        let object = after_options(head);
        let whole = object.first().is_some_and(|it| it.is_any(&["DATABASE", "SYSTEM", "SCHEMA"]));
        return whole || has("CONCURRENTLY");
    }
    if first.is("CLUSTER") {
        // Of one table it is transactional.
        let rest = after_options(head);
        let rest = if rest.first().is_some_and(|it| it.is("VERBOSE")) {
            rest.get(1..)
        } else {
            Some(rest)
        };
        return !rest.and_then(<[_]>::first).is_some_and(Token::is_name);
    }
    first.is("VACUUM") || (first.is("DISCARD") && is(1, &["ALL"]))
}

/// What comes after the first word, and the parentheses that may follow it.
fn after_options<'a, 't>(head: &'a [Token<'t>]) -> &'a [Token<'t>] {
    let rest = head.get(1..).unwrap_or_default();
    if !rest.first().is_some_and(|it| it.is_symbol("(")) {
        return rest;
    }
    let end = rest.iter().position(|it| it.is_symbol(")")).unwrap_or(rest.len());
    rest.get(end + 1..).unwrap_or_default()
}

/// `ALTER TABLE … DETACH PARTITION … CONCURRENTLY`.
fn detaches_concurrently(head: &[Token<'_>]) -> bool {
    let mut pairs = head.iter().zip(head.iter().skip(1));
    pairs.any(|(a, b)| a.is("DETACH") && b.is("PARTITION"))
        && head.iter().any(|it| it.is("CONCURRENTLY"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::files::split::split;

    fn check(expected: Kind, texts: &[&str]) {
        for text in texts {
            assert_eq!(kind(text), expected, "{text}");
            let commented = format!("-- begin;\n/* ; */ {text}");
            assert_eq!(kind(&commented), expected, "{commented}");
        }
    }

    #[test]
    fn statements_that_allow_no_transaction() {
        check(
            Kind::NonTransactional,
            &[
                "create index concurrently i on t (a)",
                "CREATE UNIQUE INDEX/**/CONCURRENTLY IF NOT EXISTS i ON t (a)",
                "drop index concurrently i",
                "reindex index concurrently i",
                "reindex (verbose) table concurrently t",
                "reindex (concurrently) table t",
                "reindex database d",
                "reindex (verbose, tablespace x) system s",
                "reindex schema s",
                "vacuum",
                "vacuum(full) t",
                "vacuum full t",
                "alter system set work_mem = '1MB'",
                "cluster",
                "cluster verbose",
                "cluster (verbose)",
                "create database d",
                "drop database if exists d",
                "create tablespace t location '/x'",
                "drop tablespace t",
                "create subscription s connection 'x' publication p",
                "drop subscription s",
                "alter subscription s refresh publication",
                "alter subscription s set publication p",
                "alter database d set tablespace t",
                "alter table t detach partition p concurrently",
                "alter table if exists only \"a\".\"t\" detach partition \"a\".p concurrently",
                "discard all",
            ],
        );
    }

    #[test]
    fn statements_that_run_in_a_transaction() {
        check(
            Kind::Transactional,
            &[
                "create index i on t (a)",
                "create index concurrently_i on t (a)",
                "create index \"concurrently\" on t (a)",
                "refresh materialized view concurrently v",
                "alter type t add value 'x'",
                "alter table t detach partition p",
                "alter table t detach partition p finalize",
                "alter subscription s enable",
                "reindex table t",
                "cluster t",
                "cluster verbose t using i",
                "lock table t",
                "savepoint s",
                "release savepoint s",
                "rollback to s",
                "rollback work to savepoint s",
                "prepare p as select 1",
                "select 'begin'",
                "set constraints all deferred",
                "discard temp",
                "comment on table t is 'vacuum; commit'",
                "create function f() returns int begin atomic select 1; select 2; end",
                "create rule r as on insert to t do (insert into u values (1); notify u)",
                "copy t from '/tmp/x'",
                "copy t to '/tmp/stdin'",
                "select $$ \\copy $$",
                "begin_work()",
            ],
        );
    }

    #[test]
    fn transaction_control() {
        check(
            Kind::TransactionControl,
            &[
                "begin",
                "BEGIN ISOLATION LEVEL SERIALIZABLE",
                "start transaction",
                "commit",
                "commit and chain",
                "commit prepared 'x'",
                "end",
                "abort",
                "rollback",
                "rollback work",
                "rollback and chain",
                "rollback prepared 'to'",
                "prepare transaction 'x'",
            ],
        );
    }

    #[test]
    fn what_no_server_can_run() {
        check(
            Kind::CopyData,
            &[
                "copy t from stdin",
                "COPY t (a, b) FROM STDIN WITH (FORMAT csv)",
                "copy (select 1) to stdout",
            ],
        );
        check(
            Kind::MetaCommand,
            &["\\connect db", "\\set x 1\nselect 1", "select 1 \\gset", "1\tx\n\\.\n"],
        );
        check(Kind::Several, &["a; b", "a;; b"]);
        check(
            Kind::Setting,
            &["set lock_timeout = '1s'", "set local x to 1", "reset all", "show x"],
        );
        check(Kind::Setting, &["set role x"]);
        assert_eq!(kind("-- vacuum"), Kind::Empty);
        assert_eq!(kind(""), Kind::Empty);
    }

    #[test]
    fn who_a_session_acts_as() {
        let changes = |text: &str| split(text).iter().all(Statement::changes_session);
        for text in [
            "set role anon",
            "SET LOCAL ROLE anon",
            "set session role to none",
            "set \"role\" = 'anon'",
            "set session authorization a",
            "set local session authorization a",
            "set session session authorization a",
            "reset role",
            "reset all",
            "reset session authorization",
            "discard all",
            "discard plans",
        ] {
            assert!(changes(text), "{text}");
        }
        for text in [
            "set search_path = role",
            "set session characteristics as transaction read only",
            "alter role a set search_path = b",
            "create role a",
            "set local lock_timeout = 1",
            "set",
            "set local",
        ] {
            assert!(!changes(text), "{text}");
        }
    }

    #[test]
    fn what_is_left_to_a_session_is_known_by_its_words() {
        let prepares = |text: &str| split(text).iter().any(Statement::prepares_session);
        for text in [
            "create temp table t (a int)",
            "create or replace temporary view v as select 1",
            "create local temp table t ()",
            "select * into temp t from u",
            "prepare p as select 1",
            "listen l",
            "load 'auto_explain'",
            "declare c cursor with hold for select 1",
            "select pg_catalog.set_config('search_path', 'app', false)",
        ] {
            assert!(prepares(text), "{text}");
        }
        for text in ["create table temp ()", "set search_path = app", "prepare transaction 'a'"] {
            assert!(!prepares(text), "{text}");
        }
    }

    #[test]
    fn the_history_is_known_by_the_name_of_its_schema() {
        let touches = |text: &str| split(text).iter().any(Statement::touches_history);
        assert!(touches("drop schema SUPABASE_migrations cascade"));
        assert!(touches("delete from \"supabase_migrations\".schema_migrations"));
        assert!(touches("do $$ begin execute 'drop schema supabase_migrations'; end $$"));
        assert!(!touches("-- supabase_migrations\nselect 1"));
        assert!(!touches("drop table public.schema_migrations"), "of another tool");
    }
}
