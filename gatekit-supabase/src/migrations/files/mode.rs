//! How a file can be applied.

use gatekit_core::{Code, Error, NextAction, Result};

use super::file::{File, refused};
use super::kind::Kind;
use super::split::Statement;
use crate::code;

/// What a first line says that asks for no transaction. The Supabase CLI honours it, too.
const DIRECTIVE: &str = "-- pg-delta: transaction=false";

/// How a file can be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// All of it in one transaction.
    Transactional,
    /// Each statement by itself: none of them allows a transaction, or the first line is
    /// `-- pg-delta: transaction=false`. Settings may be among them.
    NonTransactional,
}

impl File {
    /// How it can be applied.
    ///
    /// # Errors
    /// What would leave half of the file applied, or cannot be sent to a server, is refused, with its line:
    /// `migration.transaction_control`, `migration.copy_data`, `migration.meta_command`,
    /// `migration.several`, and `migration.mixed` when some statements allow no transaction and others
    /// should be in one.
    pub fn mode(&self) -> Result<Mode> {
        let (mut transactional, mut non_transactional) = (None, None);
        for statement in &self.statements {
            match statement.kind() {
                Kind::Empty | Kind::Setting => {}
                Kind::Transactional => transactional = transactional.or(Some(statement)),
                Kind::NonTransactional => non_transactional = non_transactional.or(Some(statement)),
                Kind::TransactionControl => {
                    return Err(self.no_mode(
                        code::TRANSACTION_CONTROL,
                        "a migration begins or ends a transaction by itself",
                        statement,
                        "remove `BEGIN` and `COMMIT`: each file is one transaction; split the file where \
                         it is to commit",
                    ));
                }
                Kind::CopyData => {
                    return Err(self.no_mode(
                        code::COPY_DATA,
                        "a migration copies data from or to the client",
                        statement,
                        "write the rows as `INSERT`, or load them outside of migrations",
                    ));
                }
                Kind::MetaCommand => {
                    return Err(self.no_mode(
                        code::META_COMMAND,
                        "a migration has a command of psql",
                        statement,
                        "remove the line that has the backslash, or write it in SQL",
                    ));
                }
                Kind::Several => {
                    return Err(self.no_mode(
                        code::SEVERAL,
                        "PostgreSQL would read more than one statement here",
                        statement,
                        "see the quotes and parentheses before this line",
                    ));
                }
            }
        }
        match (transactional, non_transactional) {
            _ if self.has_directive() => Ok(Mode::NonTransactional),
            (Some(_), Some(alone)) => Err(self.no_mode(
                code::MIXED,
                "a migration has statements that need a transaction, and one that allows none",
                alone,
                &format!(
                    "move this statement to a file of its own with a version after `{}`, and what comes \
                     after it to another one",
                    self.version
                ),
            )),
            (None, Some(_)) => Ok(Mode::NonTransactional),
            (_, None) => Ok(Mode::Transactional),
        }
    }

    fn has_directive(&self) -> bool {
        let line = self.sql.split('\n').next().unwrap_or_default();
        line.strip_suffix('\r').unwrap_or(line) == DIRECTIVE
    }

    fn no_mode(&self, code: Code, what: &str, statement: &Statement, next: &str) -> Error {
        refused(code, what, &self.path)
            .with_context("line", statement.first_line())
            .with_context("statement", statement.head())
            .with_next(NextAction::outside(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(sql: &str) -> Result<Mode> {
        File::from_bytes("m/20260101000000_a.sql", "20260101000000", "a", sql.as_bytes())?.mode()
    }

    #[test]
    fn a_file_is_one_transaction_or_none() {
        let cases = [
            ("", Mode::Transactional),
            ("-- nothing", Mode::Transactional),
            ("set x = 1;", Mode::Transactional),
            (
                "create table a (i int); lock table a; savepoint s; rollback to s;",
                Mode::Transactional,
            ),
            ("create index concurrently i on a (i);", Mode::NonTransactional),
            ("set lock_timeout = 1; vacuum; -- done", Mode::NonTransactional),
            ("-- pg-delta: transaction=false\ncreate table a (i int);", Mode::NonTransactional),
            (
                "\u{feff}-- pg-delta: transaction=false\r\ncreate table a ();",
                Mode::NonTransactional,
            ),
            ("-- pg-delta: transaction=false\ncreate table a (); vacuum", Mode::NonTransactional),
            ("-- pg-delta: transaction=false", Mode::NonTransactional),
            ("-- pg-delta: transaction=false \nselect 1;", Mode::Transactional),
            ("\n-- pg-delta: transaction=false\nselect 1;", Mode::Transactional),
        ];
        for (sql, expected) in cases {
            assert_eq!(mode(sql).unwrap(), expected, "{sql:?}");
        }
    }

    #[test]
    fn what_would_be_left_half_done_is_refused_with_its_place() {
        let cases = [
            ("begin;\nselect 1;\ncommit;", &code::TRANSACTION_CONTROL, "line: 1, statement: begin"),
            (
                "select 1;\n\n-- a\ncommit;",
                &code::TRANSACTION_CONTROL,
                "line: 4, statement: commit",
            ),
            (
                "-- pg-delta: transaction=false\nbegin;",
                &code::TRANSACTION_CONTROL,
                "line: 2, statement: begin",
            ),
            ("create table a ();\nvacuum;", &code::MIXED, "line: 2, statement: vacuum"),
            (
                "copy a from stdin;\n1\tx\n\\.\n",
                &code::COPY_DATA,
                "line: 1, statement: copy a from stdin",
            ),
            (
                "select 1;\n\\i other.sql\n",
                &code::META_COMMAND,
                "line: 2, statement: \\i other.sql",
            ),
        ];
        for (sql, code, place) in cases {
            let error = mode(sql).unwrap_err();
            assert_eq!(error.code(), code, "{sql:?}");
            assert!(error.to_string().contains(place), "{error}");
            assert!(error.to_string().contains("file: m/20260101000000_a.sql"), "{error}");
            assert!(!error.to_failure().next.is_empty());
        }
    }

    /// As a splitter that differs from the server's would leave it.
    #[test]
    fn what_the_server_would_read_as_two_statements_is_refused() {
        let mut file = File::from_bytes("a.sql", "1", "a", b"select 1; commit").unwrap();
        let text = "select 1; commit".to_owned();
        file.statements = vec![Statement { text, offset: 0, line: 1 }];
        assert_eq!(file.mode().unwrap_err().code(), &code::SEVERAL);
    }
}
