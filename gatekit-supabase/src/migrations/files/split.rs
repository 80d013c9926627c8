//! A file is split into its statements, as the Supabase CLI splits it.
//!
//! What `schema_migrations.statements` holds is this split, so the text of every statement is byte for
//! byte what version 3 of the CLI writes for every file that it can apply: comments belong to the
//! statement that they precede, the `;` at the end is left away, and white space around it; what is empty
//! then is none. A comment at the end of a file is a statement, which PostgreSQL takes for an empty one.
//!
//! A `;` does not split within quotes of any kind, comments, parentheses, and the `BEGIN ATOMIC … END` of a
//! function's body.
//!
//! # What is not as in the CLI
//! In these the CLI, 3.1.0, tears a statement apart or puts two together, and PostgreSQL then refuses the file.
//! Here the words are told apart as PostgreSQL does it:
//!
//! | | CLI, version 3 | here |
//! |---|---|---|
//! | `DO (INSERT INTO t VALUES (1); NOTIFY t)` | the first `)` closes all that are open | parentheses are counted: rules with more than one action can be applied |
//! | `$$$1 … $$` | the first three `$` are a string | a string that begins with `$1` |
//! | `BEGIN /* c */ ATOMIC` | not seen | begins a body |
//!
//! Beyond these, the two differ only in texts that no PostgreSQL takes: a `$1$` that begins a string for the CLI,
//! a word `ATOMICS` after `BEGIN`, a body within a body, a backslash outside of quotes.
//!
//! The Go version (2.99 and older) knows no `E'…'`, ends a line comment at `\n` alone, and closes a body at
//! any `END`: what it has written for such files differs. Drift is therefore judged by
//! [`is_same_text`](crate::migrations::is_same_text), which does not mind where a text was split.
//!
//! # Time
//! Linear in the length of the text, whatever is in it: the words are found in one pass, lines are counted
//! from one statement to the next, and each text is copied once.

use super::lex::{Token, lex};

/// One statement of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statement {
    /// What is sent to the server, and what the history holds.
    pub text: String,
    /// Where its first byte is in the file, from 0; a byte order mark does not count.
    pub offset: usize,
    /// The line of its first byte, from 1.
    pub line: usize,
}

impl Statement {
    /// The line on which its first word is, after the comments before it.
    #[must_use]
    pub fn first_line(&self) -> usize {
        let first = lex(&self.text).find(|token| !token.is_blank());
        self.line + first.map_or(0, |token| lines(&self.text, 0, token.at))
    }
}

/// The statements of `sql`, in order.
///
/// Nothing but white space and `;` is between them, or lost. Never fails: what is not closed belongs to the
/// last statement, and PostgreSQL says what it thinks of it.
///
/// ```
/// use gatekit_supabase::migrations::split;
///
/// let texts: Vec<_> = split("-- one\nselect 1;\nselect ';' ;").into_iter().map(|it| it.text).collect();
/// assert_eq!(texts, ["-- one\nselect 1", "select ';'"]);
/// ```
#[must_use]
pub fn split(sql: &str) -> Vec<Statement> {
    let mut cutter = Cutter { sql, start: 0, counted: 0, line: 1, found: Vec::new() };
    let mut state = State::default();
    for token in lex(sql) {
        if state.ends_with(&token) {
            cutter.cut(token.end());
            state = State::default();
        }
    }
    cutter.cut(sql.len());
    cutter.found
}

/// How far a statement is open.
#[derive(Debug, Default)]
pub(in crate::migrations) struct State {
    /// How many parentheses are open.
    depth: usize,
    /// Within `BEGIN ATOMIC`: whether the next word is the first of a statement in it.
    body: Option<bool>,
    after_begin: bool,
}

impl State {
    /// Whether the statement ends with that token.
    pub(in crate::migrations) fn ends_with(&mut self, token: &Token<'_>) -> bool {
        if token.is_blank() {
            return false;
        }
        let after_begin = std::mem::replace(&mut self.after_begin, token.is("BEGIN"));
        let is_first = self.body.map(|_| false);
        match self.body {
            _ if token.is_symbol("(") => self.depth += 1,
            _ if token.is_symbol(")") => self.depth = self.depth.saturating_sub(1),
            None if token.is_symbol(";") => return self.depth == 0,
            None if after_begin && self.depth == 0 && token.is("ATOMIC") => {
                self.body = Some(true);
                return false;
            }
            Some(true) if token.is("END") => {
                self.body = None;
                return false;
            }
            Some(_) if token.is_symbol(";") && self.depth == 0 => {
                self.body = Some(true);
                return false;
            }
            _ => {}
        }
        self.body = is_first;
        false
    }
}

struct Cutter<'a> {
    sql: &'a str,
    /// Where the statement begins that is not yet cut.
    start: usize,
    /// The line of the byte at `counted`.
    counted: usize,
    line: usize,
    found: Vec<Statement>,
}

impl Cutter<'_> {
    fn cut(&mut self, end: usize) {
        let raw = self.sql.get(self.start..end).unwrap_or_default();
        let closed = raw.trim_end_matches(';').trim_end_matches(is_trimmed);
        let text = closed.trim_start_matches(is_trimmed);
        let offset = self.start + closed.len() - text.len();
        self.start = end;
        if text.is_empty() {
            return;
        }
        self.line += lines(self.sql, self.counted, offset);
        self.counted = offset;
        self.found.push(Statement { text: text.to_owned(), offset, line: self.line });
    }
}

/// How many lines end between two offsets.
pub(in crate::migrations) fn lines(text: &str, from: usize, to: usize) -> usize {
    let between = text.as_bytes().get(from..to).unwrap_or_default();
    between.iter().filter(|byte| **byte == b'\n').count()
}

/// What the CLI takes for white space around a statement: as JavaScript, which leaves U+0085 alone and
/// takes a byte order mark away.
pub(in crate::migrations) fn is_trimmed(char: char) -> bool {
    (char.is_whitespace() && char != '\u{85}') || char == '\u{feff}'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<String> {
        split(sql).into_iter().map(|it| it.text).collect()
    }

    #[test]
    fn splits_as_the_cli_does() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("nothing", "", &[]),
            ("white space and semicolons alone", " ;\n;; \t", &[]),
            ("no semicolon at the end", "select 1; select 2", &["select 1", "select 2"]),
            ("a comment belongs to what follows", "-- a;\nb;c", &["-- a;\nb", "c"]),
            ("comments alone", "-- a;\n/* b; */", &["-- a;\n/* b; */"]),
            ("a comment at the end", "a;\n-- done;", &["a", "-- done"]),
            ("a comment ends at a carriage return", "--a\rb;c", &["--a\rb", "c"]),
            ("CRLF stays within a statement", "a\r\nb;\r\nc;\r\n", &["a\r\nb", "c"]),
            ("a byte order mark is trimmed", "\u{feff}a;b", &["a", "b"]),
            ("a no-break space is trimmed, U+0085 is not", "\u{a0}a;\u{85}b", &["a", "\u{85}b"]),
            ("quotes", "select ';', \";\", ''';';b", &["select ';', \";\", ''';'", "b"]),
            ("a backslash in plain quotes", r"select 'a\';b", &[r"select 'a\'", "b"]),
            (
                "a backslash in escape quotes",
                r"select E'it\'s; ok';b",
                &[r"select E'it\'s; ok'", "b"],
            ),
            ("a type that ends in e", r"select date'\';b", &[r"select date'\'", "b"]),
            ("a name with dollars", "select a$$;b$$;c", &["select a$$", "b$$", "c"]),
            ("a parameter", "prepare p as select $1;b", &["prepare p as select $1", "b"]),
            (
                "dollar quotes in dollar quotes",
                "do $a$ x; $b$ y; $$ z; $$ $b$; $a$;b",
                &["do $a$ x; $b$ y; $$ z; $$ $b$; $a$", "b"],
            ),
            ("a block comment that begins with a slash", "/*/ a; */ b;c", &["/*/ a; */ b", "c"]),
            ("block comments that nest", "a /* ; /* ; */ ; */;b", &["a /* ; /* ; */ ; */", "b"]),
            ("parentheses", "create rule r do (a; b);c", &["create rule r do (a; b)", "c"]),
            ("a closing parenthesis too many", "a);b", &["a)", "b"]),
            ("a quote that is not closed", "a;b 'c;d;", &["a", "b 'c;d"]),
            (r"a backslash and a semicolon", r"\;a;b", &[r"\;a", "b"]),
        ];
        for (case, sql, expected) in cases {
            assert_eq!(texts(sql), *expected, "{case}: {sql:?}");
        }
    }

    #[test]
    fn a_body_in_sql_is_one_statement() {
        let bodies = [
            "create function f() returns int begin atomic select 1; select 2; end",
            "create function f() BEGIN\n\tATOMIC\nselect case when a then 1 else 2 end; END",
            "create function f() begin atomic; select 'end;'; /* end; */ select \"end\"; end",
            "create function f() begin atomic select endpoint from t; ending; end",
            "create function f() begin atomic select (case a when 1 then 2 end); end",
            "create function f() begin atomic -- end;\n end",
        ];
        for body in bodies {
            assert_eq!(texts(&format!("{body};\nselect 1;")), [body, "select 1"]);
        }
    }

    #[test]
    fn atomic_in_a_name_begins_nothing() {
        for name in ["fn_atomic", "atomic_fn", "my_atomic_thing", "xatomicx", "\"begin atomic\""] {
            let first = format!("create table {name} (a int)");
            assert_eq!(texts(&format!("{first}; select 1")), [first.as_str(), "select 1"]);
        }
        assert_eq!(texts("begin; select atomic; end"), ["begin", "select atomic", "end"]);
        assert_eq!(texts("select begin_atomic; a"), ["select begin_atomic", "a"]);
    }

    #[test]
    fn where_the_cli_tears_a_statement_apart_it_stays_whole() {
        let whole = [
            "create rule r as on insert to t do (insert into u values (new.a); notify u)",
            "select $$$1 ; $2$$",
            "create function f() begin /* c */ atomic select 1; end",
        ];
        for text in whole {
            assert_eq!(texts(&format!("{text}; b")), [text, "b"]);
        }
    }

    #[test]
    fn a_statement_knows_its_place() {
        let sql = "\n-- a\nselect 1;\n\n  select\n2; ä;b";
        let places: Vec<_> =
            split(sql).into_iter().map(|it| (it.text, it.offset, it.line)).collect();
        let at = |text: &str| sql.find(text).unwrap();
        assert_eq!(
            places,
            [
                ("-- a\nselect 1".to_owned(), 1, 2),
                ("select\n2".to_owned(), at("select\n2"), 5),
                ("ä".to_owned(), at("ä"), 6),
                ("b".to_owned(), sql.len() - 1, 6),
            ]
        );
    }

    #[test]
    fn a_text_of_any_shape_takes_linear_time() {
        let shapes = [
            "(",
            ")",
            "'",
            "\"",
            "$",
            "$a",
            "/*",
            "*/",
            "-- ",
            "E'a'\n",
            "begin atomic ",
            "end ",
            ";",
            "a;",
            "\\",
            "$a$$",
            "E'\\",
        ];
        for shape in shapes {
            // With quadratic time in any of them, this would not end within minutes.
            let sql = shape.repeat(1_000_000 / shape.len());
            let end = split(&sql).last().map_or(0, |it| it.offset + it.text.len());
            assert!(end <= sql.len(), "{shape:?}");
        }
        let long_tag = format!("${}$", "a".repeat(500_000));
        let inner = "$aaaa".repeat(100_000);
        assert_eq!(split(&format!("{long_tag}{inner}{long_tag};b")).len(), 2);
    }
}
