//! What migrations are known to be awkward about.

use gatekit_peers::SupabaseVersion::{self, Go, V3};

use super::alone;
use super::case::{Case, Step};

/// Differences by name, of the current command line and of the Go one.
pub(crate) type Expected<'a> = &'a [(SupabaseVersion, &'static str)];

pub(crate) fn steps(name: &str, expected: Expected<'_>, steps: Vec<Step>) -> Case {
    Case { name: name.to_owned(), steps, expected: Some(expected.to_vec()) }
}

/// One push of these files.
pub(crate) fn folder(name: &str, expected: Expected<'_>, files: &[(&str, &str)]) -> Case {
    steps(name, expected, vec![Step::of(files)])
}

/// One push of one file.
pub(crate) fn file(name: &str, expected: Expected<'_>, sql: &str) -> Case {
    folder(name, expected, &[(A, sql)])
}

/// One push of so many files, by numbers.
pub(crate) fn files(name: &str, expected: Expected<'_>, texts: &[&str]) -> Case {
    let names: Vec<_> =
        (1..=texts.len()).map(|at| format!("{}_n.sql", 20_260_101_000_000 + at)).collect();
    let files: Vec<_> = names.iter().map(String::as_str).zip(texts.iter().copied()).collect();
    folder(name, expected, &files)
}

pub(crate) const A: &str = "20260101000001_a.sql";
const B: &str = "20260101000002_b.sql";
const C: &str = "20260101000003_c.sql";

pub(crate) const TABLE: &str = "create table a (i int);";

pub(crate) fn cases() -> Vec<Case> {
    [texts(), statements(), alone::cases(), names(), histories()].concat()
}

/// How files are split.
fn texts() -> Vec<Case> {
    vec![
        files(
            "what all take alike",
            &[],
            &[
                "-- one\ncreate table a (i int primary key, t text default 'x;y');\n\n\
                 insert into a values (1), (2);\nselect * from a;\ncomment on table a is 'it''s; a';\n",
                "/* a /* ; */ ; */ create table b (i int); /* b; */\n-- c; d\ncreate table c (); -- e;\n/* f",
                "create function f() returns text language plpgsql as $a$ begin execute $b$ select $$;$$ $b$; \
                 return '$a'; end; $a$;\ndo $$ begin raise notice 'x;'; end; $$;\ncreate table d ();",
                "create table \"a;\"\"b\" (\"c;\" int); create table fn_atomic (atomic int, \"begin atomic\" int);",
                "create function g() returns int language sql begin atomic select 1; select 2; end;\n\
                 create table e (i int);",
                "create table h (\r\n  i int\r\n);\r\n\r\n-- c\r\ncreate table i ();\r\n",
                "-- one;\n/* two; */",
                "create table j ();\u{a0}",
                &format!(
                    "create table k (t text);\ninsert into k values ('{}');",
                    "x;".repeat(300_000)
                ),
            ],
        ),
        file(
            "escapes",
            &[(Go, "escapes")],
            "create table a (t text);\ninsert into a values (E'it\\'s; ok');\ninsert into a values ('b;');",
        ),
        file(
            "escapes at the end",
            &[(Go, "escapes at the end")],
            "create table a (t text default E'it\\'s;');\n",
        ),
        folder(
            "what allows no transaction first",
            &[(V3, "mixed"), (Go, "mixed, as a whole")],
            &[(A, "vacuum; create table a ();"), (B, TABLE)],
        ),
        file(
            "a body in sql with a case",
            &[(Go, "end in a body")],
            "create function f(i int) returns int language sql begin atomic\n\
             select case when i = 1 then 2 else 3 end; select 4; end;\ncreate table a (i int);",
        ),
        file(
            "a comment in begin atomic",
            &[(V3, "body behind a comment"), (Go, "body behind a comment")],
            "create function f() returns int language sql begin /* c */ atomic select 1; select 2; end;",
        ),
        file(
            "parentheses",
            &[(V3, "parentheses"), (Go, "parentheses")],
            "create table a (i int); create table b (i int);\n\
             create rule r as on insert to a do (insert into b values (new.i); insert into b values (2));",
        ),
        file(
            "parentheses in parentheses",
            &[(V3, "parentheses"), (Go, "parentheses")],
            "create table a (i int); create table b (i int);\n\
             create rule r as on insert to a do (insert into b values (1); notify b);\ninsert into a values ((1));",
        ),
        file(
            "a string of a parameter",
            &[(V3, "three dollars"), (Go, "three dollars")],
            "create table a as select $$$1;$$::text t; create table b ();",
        ),
        file(
            "a comment that ends at a carriage return",
            &[(Go, "carriage return")],
            "create table a (i int); -- one\rcreate table b (i int);\ncreate table c (i int);",
        ),
        file(
            "a byte order mark",
            &[(Go, "byte order mark")],
            "\u{feff}create table a ();\ncreate table b ();\n",
        ),
        file(
            "a byte order mark before what is mixed",
            &[(V3, "mixed"), (Go, "mixed, as a whole")],
            "\u{feff}create table a (i int);\ncreate index concurrently i on a (i);\n",
        ),
        files("nothing", &[(Go, "no statements")], &["", " \n\t;;\r\n;"]),
        file("an odd space at the end", &[(Go, "next line")], "create table a ();\u{85}"),
        file("a quote that is open", &[], "create table a (); select 'b; create table c ();"),
        file("a parenthesis too many", &[], "create table a (); ) ; create table b ();"),
        file("a parenthesis too few", &[], "create table a (); select (1; create table b ();"),
    ]
}

/// What single statements do.
fn statements() -> Vec<Case> {
    vec![
        files(
            "what all do alike",
            &[],
            &[
                "create type t as enum ('a');",
                "alter type t add value 'b'; create table a ();",
                "create table b (t t default 'b');",
                "create schema s; set search_path = s; set my.thing = 'x'; create table c ();",
                "create table d as select current_setting('my.thing', true) t;",
                "create table e as select current_setting('transaction_isolation') i, \
                 current_setting('transaction_read_only') r;",
                "create table f (); set role pg_monitor; select 1; reset role;",
                "set local search_path = pg_catalog; create table public.g ();",
                "do $$ begin raise notice 'a'; raise warning 'b'; end $$; select 1; show search_path; \
                 create table h ();",
                "create temp table i (i int); prepare p as select 1;",
                "create table j as select * from i; execute p;",
            ],
        ),
        file(
            "a column that is not there",
            &[],
            "create table a (i int);\n\ninsert into a\nvalues (nope);\ncreate table b ();",
        ),
        folder(
            "the second file fails",
            &[],
            &[(A, TABLE), (B, "create table b ();\nselect 1/0;"), (C, "create table c ();")],
        ),
        file(
            "the commit fails",
            &[(V3, "after the statements"), (Go, "after the statements")],
            "create table a (i int unique deferrable initially deferred);\ninsert into a values (1), (1);",
        ),
        file(
            "an error of its own",
            &[],
            "do $$ begin raise exception 'no' using errcode = 'ZZ001'; end $$;",
        ),
        file("a variable of psql", &[], "select :x;"),
        folder(
            "a value of a type, used at once",
            &[],
            &[
                (A, "create type t as enum ('a');"),
                (B, "alter type t add value 'b'; create table b (t t default 'b');"),
            ],
        ),
        file(
            "limits",
            &[(V3, "limits"), (Go, "limits")],
            "create table a as select current_setting('lock_timeout') l, current_setting('statement_timeout') s;",
        ),
        file(
            "an isolation of its own",
            &[(V3, "isolation of its own"), (Go, "isolation of its own")],
            "set transaction isolation level serializable; create table a ();",
        ),
        file(
            "a role",
            &[(V3, "role"), (Go, "role")],
            "create table a (); set role pg_monitor; select 1;",
        ),
        file(
            "a lock",
            &[(V3, "transaction block"), (Go, "transaction block")],
            "create table a (); lock table a; create table b ();",
        ),
        file(
            "a savepoint",
            &[(V3, "transaction block"), (Go, "transaction block")],
            "create table a (); savepoint s; create table b (); rollback to s;",
        ),
        file(
            "a cursor",
            &[(V3, "transaction block"), (Go, "transaction block")],
            "declare c cursor for select 1; create table a ();",
        ),
        file(
            "a transaction of its own",
            &[(V3, "transaction control"), (Go, "transaction control")],
            "begin; create table a (); commit; select nope;",
        ),
        folder(
            "a commit in between",
            &[(V3, "transaction control"), (Go, "transaction control")],
            &[
                (A, "create type t as enum ('a'); commit; begin; create table a ();"),
                (B, "create table b ();"),
            ],
        ),
        folder(
            "an index within",
            &[(V3, "mixed"), (Go, "mixed, as a whole")],
            &[(
                A,
                "create table a (i int); create index concurrently i on a (i); create table b ();",
            )],
        ),
        file(
            "copied data",
            &[(V3, "copied data"), (Go, "copied data")],
            "create table a (i int);\ncopy a from stdin;\n1\n\\.\n",
        ),
        file(
            "data copied out",
            &[(V3, "copied to nobody"), (Go, "copied to nobody")],
            "create table a (i int);\ncopy a to stdout;",
        ),
        file(
            "a command of psql",
            &[(V3, "command of psql"), (Go, "command of psql")],
            "create table a ();\n\\i other.sql\n",
        ),
        file(
            "its own history",
            &[(V3, "after the statements"), (Go, "after the statements")],
            "create table a (); drop schema supabase_migrations cascade;",
        ),
    ]
}

/// What files are called, and folders.
fn names() -> Vec<Case> {
    vec![
        folder(
            "names",
            &[],
            &[
                ("20260101000001_.sql", TABLE),
                ("20260101000002_b c-d.é.sql", "create table b ();"),
                ("20260101000003_init.sql", "create table c ();"),
                ("down/", ""),
                ("down/20260101000001_.down.sql", "drop table a;"),
            ],
        ),
        folder(
            "other names",
            &[],
            &[
                ("-x.sql", "nonsense"),
                (A, TABLE),
                ("20260101000002_b.SQL", "nonsense"),
                ("20260101000003.sql", "nonsense"),
                ("20260101000004_d.sql/", ""),
                ("seed.sql", "nonsense"),
            ],
        ),
        folder("an old init", &[], &[("20200101000000_init.sql", "nonsense"), (B, TABLE)]),
        folder(
            "an old init that is not first",
            &[],
            &[("20190101000000_a.sql", TABLE), ("20200101000000_init.sql", "create table b ();")],
        ),
        folder(
            "short versions",
            &[(V3, "version"), (Go, "version")],
            &[
                ("1_a.sql", "create table a ();"),
                ("10_b.sql", "create table b ();"),
                ("2_c.sql", "create table c ();"),
            ],
        ),
        folder(
            "one version twice",
            &[(V3, "version twice"), (Go, "version twice")],
            &[(A, TABLE), ("20260101000001_b.sql", "create table b ();")],
        ),
        folder(
            "a way back among them",
            &[(V3, "way back"), (Go, "way back")],
            &[(A, TABLE), ("20260101000002_a.down.sql", "drop table a;")],
        ),
        folder("no folder", &[(V3, "no folder"), (Go, "no folder")], &[]),
        folder("an empty folder", &[], &[("down/", "")]),
    ]
}

/// What was applied before.
fn histories() -> Vec<Case> {
    let row = "insert into supabase_migrations.schema_migrations (version) values";
    let more = "alter table supabase_migrations.schema_migrations \
                add column created_by text, add column rollback text[]";
    let old = "create schema supabase_migrations; \
               create table supabase_migrations.schema_migrations (version text not null primary key)";
    let (b, c) = ((B, "create table b ();"), (C, "create table c ();"));
    let (d, e) = (("20260101000004_d.sql", "select 4;"), ("20260101000005_e.sql", "select 5;"));
    let ab = || Step::of(&[(A, TABLE), b]);
    vec![
        steps(
            "one push after the other",
            &[],
            vec![
                ab(),
                Step::default(),
                Step::of(&[c]),
                Step::of(&[(B, "\r\ncreate table b ()\n;\n")]),
                Step::default().without(A),
                Step::of(&[(A, TABLE), d]).after(&format!("{row} ('20260101000004')")),
                Step::of(&[e]).without(A).without(B),
                Step::of(&[(A, TABLE), b]).after(more),
                Step::default().after(&format!("{row} ('20260101000006')")),
            ],
        ),
        steps(
            "out of order",
            &[(V3, "edited"), (Go, "edited")],
            vec![
                Step::of(&[(A, TABLE), c]),
                Step::of(&[b]),
                Step { all: true, ..Step::of(&[d]) },
                Step { all: true, ..Step::of(&[("20260101000000_o.sql", "select 0;")]).without(A) },
                Step::of(&[(A, "create table a (j int);")]),
            ],
        ),
        steps("mended", &[], vec![Step::of(&[(A, TABLE), (B, "nope;")]), Step::of(&[b])]),
        steps(
            "an old history",
            &[],
            vec![ab().after(&format!("{old}; {row} ('20260101000001'); {TABLE}"))],
        ),
        steps(
            "not utf-8",
            &[(V3, "replaced bytes"), (Go, "bytes of no text")],
            vec![Step::with(A, b"create table a (); -- caf\xe9\n")],
        ),
        steps(
            "a nul byte",
            &[(V3, "nul byte"), (Go, "nul byte")],
            vec![Step::with(A, b"create table a (); select '\0';")],
        ),
    ]
}
