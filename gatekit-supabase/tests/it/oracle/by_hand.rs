//! What migrations are known to be awkward about.

use gatekit_peers::SupabaseVersion::{self, Go, V3};

use super::case::{Case, Step};

/// Differences by name, of the current command line and of the Go one.
type Expected<'a> = &'a [(SupabaseVersion, &'static str)];

fn steps(name: &str, expected: Expected<'_>, steps: Vec<Step>) -> Case {
    Case { name: name.to_owned(), steps, expected: Some(expected.to_vec()) }
}

/// One push of these files.
fn folder(name: &str, expected: Expected<'_>, files: &[(&str, &str)]) -> Case {
    steps(name, expected, vec![Step::of(files)])
}

/// One push of one file.
fn file(name: &str, expected: Expected<'_>, sql: &str) -> Case {
    folder(name, expected, &[(A, sql)])
}

const A: &str = "20260101000001_a.sql";
const B: &str = "20260101000002_b.sql";
const C: &str = "20260101000003_c.sql";

const TABLE: &str = "create table a (i int);";

pub(crate) fn cases() -> Vec<Case> {
    [texts(), statements(), files(), histories()].concat()
}

/// How files are split.
fn texts() -> Vec<Case> {
    vec![
        file(
            "plain",
            &[],
            "-- one\ncreate table a (i int primary key, t text default 'x;y');\n\n\
             insert into a values (1), (2);\nselect * from a;\ncomment on table a is 'it''s; a';\n",
        ),
        file(
            "comments that nest",
            &[],
            "/* a /* ; */ ; */ create table a (i int); /* b; */\n-- c; d\ncreate table b (); -- e;\n/* f",
        ),
        file(
            "dollars in dollars",
            &[],
            "create function f() returns text language plpgsql as $a$ begin execute $b$ select $$;$$ $b$; \
             return '$a'; end; $a$;\ndo $$ begin raise notice 'x;'; end; $$;\ncreate table a ();",
        ),
        file(
            "names in quotes",
            &[],
            "create table \"a;\"\"b\" (\"c;\" int); create table fn_atomic (atomic int, \"begin atomic\" int);",
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
            "a body in sql",
            &[],
            "create function f() returns int language sql begin atomic select 1; select 2; end;\n\
             create table a (i int);",
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
            "line ends of windows",
            &[],
            "create table a (\r\n  i int\r\n);\r\n\r\n-- c\r\ncreate table b ();\r\n",
        ),
        file(
            "a byte order mark",
            &[(Go, "byte order mark")],
            "\u{feff}create table a ();\ncreate table b ();\n",
        ),
        file("nothing", &[(Go, "no statements")], ""),
        file("white space", &[(Go, "no statements")], " \n\t;;\r\n;"),
        file("comments alone", &[], "-- one;\n/* two; */"),
        file("an odd space at the end", &[(Go, "next line")], "create table a ();\u{85}"),
        file("a no-break space at the end", &[], "create table a ();\u{a0}"),
        file("a quote that is open", &[], "create table a (); select 'b; create table c ();"),
        file("a parenthesis too many", &[], "create table a (); ) ; create table b ();"),
        file("a parenthesis too few", &[], "create table a (); select (1; create table b ();"),
        file(
            "a long file",
            &[],
            &format!(
                "create table a (t text);\ninsert into a values ('{}');",
                "x;".repeat(300_000)
            ),
        ),
    ]
}

/// What single statements do.
fn statements() -> Vec<Case> {
    vec![
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
            "a value of a type, then its use",
            &[],
            &[
                (A, "create type t as enum ('a');"),
                (B, "alter type t add value 'b'; create table b ();"),
                (C, "create table c (t t default 'b');"),
            ],
        ),
        folder(
            "a value of a type, used at once",
            &[],
            &[
                (A, "create type t as enum ('a');"),
                (B, "alter type t add value 'b'; create table b (t t default 'b');"),
            ],
        ),
        folder(
            "settings",
            &[],
            &[
                (A, "create schema s; set search_path = s; set my.thing = 'x'; create table a ();"),
                (B, "create table b as select current_setting('my.thing', true) t;"),
            ],
        ),
        file(
            "limits",
            &[(V3, "limits"), (Go, "limits")],
            "create table a as select current_setting('lock_timeout') l, current_setting('statement_timeout') s;",
        ),
        file(
            "isolation",
            &[],
            "create table a as select current_setting('transaction_isolation') i, current_setting('transaction_read_only') r;",
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
            "a role that is reset",
            &[],
            "create table a (); set role pg_monitor; select 1; reset role;",
        ),
        folder(
            "tables of the session",
            &[],
            &[
                (A, "create temp table t (i int); prepare p as select 1;"),
                (B, "create table b as select * from t; execute p;"),
            ],
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
        file("set local", &[], "set local search_path = pg_catalog; create table public.a ();"),
        file(
            "a transaction of its own",
            &[(V3, "transaction control"), (Go, "transaction control")],
            "begin; create table a (); commit;",
        ),
        file(
            "half of it",
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
            "an index beside",
            &[(V3, "no transaction"), (Go, "no transaction")],
            &[(A, TABLE), (B, "create index concurrently i on a (i);")],
        ),
        folder(
            "an index within",
            &[(V3, "mixed"), (Go, "mixed, as a whole")],
            &[(
                A,
                "create table a (i int); create index concurrently i on a (i); create table b ();",
            )],
        ),
        file("vacuum", &[(V3, "no transaction"), (Go, "no transaction")], "vacuum;"),
        file("discard all", &[(V3, "no transaction"), (Go, "no transaction")], "discard all;"),
        file(
            "asked for none",
            &[(V3, "no transaction"), (Go, "no transaction")],
            "-- pg-delta: transaction=false\ncreate table a (); create table b ();",
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
        file(
            "what it says",
            &[],
            "do $$ begin raise notice 'a'; raise warning 'b'; end $$; select 1; show search_path; create table a ();",
        ),
    ]
}

/// Names.
fn files() -> Vec<Case> {
    vec![
        folder(
            "names",
            &[],
            &[("20260101000001_.sql", TABLE), ("20260101000002_b c-d.é.sql", "create table b ();")],
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
        folder("a new init", &[], &[("20260101000000_init.sql", TABLE)]),
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
        folder(
            "a way back beside them",
            &[],
            &[(A, TABLE), ("down/", ""), ("down/20260101000001_a.down.sql", "drop table a;")],
        ),
        folder("no folder", &[(V3, "no folder"), (Go, "no folder")], &[]),
        folder("an empty folder", &[], &[("down/", "")]),
    ]
}

/// What was applied before.
fn histories() -> Vec<Case> {
    let without = |name: &str| Step { files: vec![(name.to_owned(), None)], ..Step::default() };
    let by_hand = |sql: &str| Step { sql: sql.to_owned(), ..Step::default() };
    let row = "insert into supabase_migrations.schema_migrations (version) values";
    let ab = || Step::of(&[(A, TABLE), (B, "create table b ();")]);
    vec![
        steps("twice", &[], vec![ab(), Step::default()]),
        steps("one more", &[], vec![ab(), Step::of(&[(C, "create table c ();")])]),
        steps("mended", &[], vec![Step::of(&[(A, TABLE), (B, "nope;")]), Step::of(&[(B, "create table b ();")])]),
        steps("a file that is gone", &[], vec![ab(), without(A)]),
        steps("files that are gone, and one more", &[], vec![ab(), Step { files: vec![(A.to_owned(), None), (B.to_owned(), None), (C.to_owned(), Some(b"select 1;".to_vec()))], ..Step::default() }]),
        steps("a file between", &[], vec![Step::of(&[(A, TABLE), (C, "create table c ();")]), Step::of(&[(B, "create table b ();")])]),
        steps(
            "a file between, and allowed",
            &[],
            vec![Step::of(&[(A, TABLE), (C, "create table c ();")]), Step { all: true, ..Step::of(&[(B, "create table b ();"), ("20260101000004_d.sql", "create table d ();")]) }],
        ),
        steps("gone and between", &[], vec![Step::of(&[(A, TABLE), (C, "create table c ();")]), Step { all: true, files: vec![(A.to_owned(), None), (B.to_owned(), Some(Vec::new()))], ..Step::default() }]),
        steps("edited", &[(V3, "edited"), (Go, "edited")], vec![ab(), Step::of(&[(B, "create table b (i int);")])]),
        steps("edited white space", &[], vec![ab(), Step::of(&[(B, "\r\ncreate table b ()\n;\n")])]),
        steps("a row by hand", &[], vec![ab(), by_hand(&format!("{row} ('20260101000003')"))]),
        steps(
            "a row by hand of a file",
            &[],
            vec![ab(), Step { sql: format!("{row} ('20260101000003')"), ..Step::of(&[(C, "create table c ();")]) }],
        ),
        steps(
            "an old history",
            &[],
            vec![Step {
                sql: format!("create schema supabase_migrations; create table supabase_migrations.schema_migrations (version text not null primary key); {row} ('20260101000001'); {TABLE}"),
                ..ab()
            }],
        ),
        steps(
            "a history with more",
            &[],
            vec![ab(), Step { sql: "alter table supabase_migrations.schema_migrations add column created_by text, add column rollback text[]".to_owned(), ..Step::of(&[(C, "create table c ();")]) }],
        ),
        steps("not utf-8", &[(V3, "replaced bytes"), (Go, "bytes of no text")], vec![Step { files: vec![(A.to_owned(), Some(b"create table a (); -- caf\xe9\n".to_vec()))], ..Step::default() }]),
        steps("a nul byte", &[(V3, "nul byte"), (Go, "nul byte")], vec![Step { files: vec![(A.to_owned(), Some(b"create table a (); select '\0';".to_vec()))], ..Step::default() }]),
    ]
}
