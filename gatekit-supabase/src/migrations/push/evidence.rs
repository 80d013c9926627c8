//! What a database shows of a statement that allows no transaction.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::migrations::files::lex::{Kind as Is, Token, lex};
use crate::migrations::files::split::Statement;
use crate::migrations::history::Answer;

/// What can be seen of a statement afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::migrations) enum Trace {
    /// An index of that name on that table, as the statement writes the table.
    Index { name: String, table: String },
    /// That there is no such index, as the statement writes it.
    NoIndex(String),
    /// Nothing, and it may be run again.
    Repeatable,
    /// The same, of one that takes several steps: where it fails, some are done.
    RepeatableInSteps,
    /// Nothing.
    None,
    /// Nothing, of one that takes several steps.
    InSteps,
}

/// What the database shows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::migrations) enum Evidence {
    Done,
    NotDone,
    /// An index that was not finished, by the name that drops it.
    Unfinished(String),
    /// An index that is to go, and is of no use any more: to drop it again ends that.
    HalfGone,
    CannotTell,
}

impl Trace {
    pub(in crate::migrations) fn of(statement: &Statement) -> Self {
        let words: Vec<_> = lex(&statement.text).filter(|it| !it.is_blank()).collect();
        let Some((first, rest)) = words.split_first() else { return Self::Repeatable };
        let of_index = match () {
            () if first.is("CREATE") => created_index(rest),
            () if first.is("DROP") => dropped_index(rest),
            () => None,
        };
        if let Some(trace) = of_index {
            return trace;
        }
        let is_system = rest.first().is_some_and(|it| it.is("SYSTEM"));
        let is_repeatable = first.is_any(&["REINDEX", "VACUUM", "CLUSTER", "SET", "RESET", "SHOW"])
            || (first.is("ALTER") && is_system);
        match (is_repeatable, rest.iter().any(|it| it.is("CONCURRENTLY"))) {
            (true, false) => Self::Repeatable,
            (true, true) => Self::RepeatableInSteps,
            (false, false) => Self::None,
            (false, true) => Self::InSteps,
        }
    }

    /// Whether something that cannot be seen may be left where it fails.
    pub(in crate::migrations) fn may_leave_something(&self) -> bool {
        matches!(self, Self::RepeatableInSteps | Self::InSteps)
    }

    /// Looks, by a session that has the settings of the file.
    pub(in crate::migrations) async fn look(&self, client: &Client) -> Answer<Evidence> {
        match self {
            Self::Index { name, table } => {
                let sql = "
                    SELECT index.oid::regclass::text, it.indisvalid AND it.indisready
                    FROM pg_catalog.pg_index it
                    JOIN pg_catalog.pg_class index ON index.oid = it.indexrelid
                    WHERE it.indrelid = to_regclass($1) AND index.relname = $2::text";
                let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
                    [(table, Type::TEXT), (name, Type::TEXT)];
                let Some(row) = client.query_typed_opt(sql, &values).await? else {
                    return Ok(Evidence::NotDone);
                };
                let is_finished: bool = row.try_get(1)?;
                Ok(if is_finished { Evidence::Done } else { Evidence::Unfinished(row.try_get(0)?) })
            }
            Self::NoIndex(name) => {
                let sql = "SELECT to_regclass($1) IS NULL, EXISTS (SELECT FROM pg_catalog.pg_index
                    WHERE indexrelid = to_regclass($1) AND NOT indisvalid)";
                let row = client.query_typed_one(sql, &[(name, Type::TEXT)]).await?;
                Ok(match (row.try_get(0)?, row.try_get(1)?) {
                    (true, _) => Evidence::Done,
                    (false, true) => Evidence::HalfGone,
                    (false, false) => Evidence::NotDone,
                })
            }
            Self::Repeatable | Self::RepeatableInSteps => Ok(Evidence::NotDone),
            Self::None | Self::InSteps => Ok(Evidence::CannotTell),
        }
    }
}

/// `CREATE [UNIQUE] INDEX CONCURRENTLY [IF NOT EXISTS] NAME ON [ONLY] TABLE`, without the first word.
fn created_index(words: &[Token<'_>]) -> Option<Trace> {
    let words = strip(after(words, &["UNIQUE"]), &["INDEX", "CONCURRENTLY"])?;
    let words = after(words, &["IF", "NOT", "EXISTS"]);
    let (name, rest) = words.split_first()?;
    // Without a name the server makes one.
    if !name.is_name() || name.is("ON") {
        return None;
    }
    let rest = after(strip(rest, &["ON"])?, &["ONLY"]);
    Some(Trace::Index { name: folded(name), table: qualified(rest)? })
}

/// `DROP INDEX CONCURRENTLY [IF EXISTS] NAME`, without the first word.
fn dropped_index(words: &[Token<'_>]) -> Option<Trace> {
    let words = after(strip(words, &["INDEX", "CONCURRENTLY"])?, &["IF", "EXISTS"]);
    Some(Trace::NoIndex(qualified(words)?))
}

/// Words without the first ones, if these are they.
fn strip<'w, 't>(words: &'w [Token<'t>], prefix: &[&str]) -> Option<&'w [Token<'t>]> {
    let (first, rest) = words.split_at_checked(prefix.len())?;
    first.iter().zip(prefix).all(|(token, word)| token.is(word)).then_some(rest)
}

/// Words without what may stand before them.
fn after<'w, 't>(words: &'w [Token<'t>], noise: &[&str]) -> &'w [Token<'t>] {
    strip(words, noise).unwrap_or(words)
}

/// A name that may have dots in it, as it is written.
fn qualified(words: &[Token<'_>]) -> Option<String> {
    let mut name = String::new();
    let mut wants_name = true;
    for word in words {
        match wants_name {
            true if word.is_name() => name.push_str(word.text),
            false if word.is_symbol(".") => name.push('.'),
            _ => break,
        }
        wants_name = !wants_name;
    }
    (!wants_name).then_some(name)
}

/// A name as the catalogs have it.
fn folded(name: &Token<'_>) -> String {
    match name.kind {
        Is::Quoted => {
            let inner = name.text.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
            inner.unwrap_or(name.text).replace("\"\"", "\"")
        }
        _ => name.text.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::files::split::split;

    fn trace(sql: &str) -> Trace {
        Trace::of(&split(sql)[0])
    }

    #[test]
    fn what_a_statement_leaves_is_told_by_its_words() {
        let index =
            |name: &str, table: &str| Trace::Index { name: name.into(), table: table.into() };
        let gone = |name: &str| Trace::NoIndex(name.to_owned());
        for (sql, expected) in [
            ("create index concurrently I on T (a)", index("i", "T")),
            (
                "CREATE UNIQUE INDEX/**/CONCURRENTLY IF NOT EXISTS \"I\"\"x\" ON ONLY s.\"T\" USING btree (a)",
                index("I\"x", "s.\"T\""),
            ),
            ("create index concurrently on t (a)", Trace::InSteps),
            ("create index concurrently i", Trace::InSteps),
            ("drop index concurrently if exists s.i cascade", gone("s.i")),
            ("drop index concurrently i", gone("i")),
            ("drop index concurrently", Trace::InSteps),
            ("create database d", Trace::None),
            ("drop database d", Trace::None),
            ("alter table p detach partition q concurrently", Trace::InSteps),
            ("alter system set work_mem = '1MB'", Trace::Repeatable),
            ("reindex table concurrently t", Trace::RepeatableInSteps),
            ("reindex table t", Trace::Repeatable),
            ("vacuum", Trace::Repeatable),
            ("cluster", Trace::Repeatable),
        ] {
            assert_eq!(trace(sql), expected, "{sql}");
        }
    }
}
