//! Files that allow no transaction, or ask for none.

use gatekit_peers::SupabaseVersion::{Go, V3};

use super::by_hand::{A, Expected, TABLE, file, files, steps};
use super::case::{Case, Step};

pub(crate) fn cases() -> Vec<Case> {
    let directive = "-- pg-delta: transaction=false";
    let failing = |first: &str| format!("{directive}\r\n{first}\r\nselect nope;\r\n");
    let mended = |first: &str| format!("{directive}\r\n{first}\r\nselect 1;\r\n");
    let one = "create table a (i int);";
    let again = "create table if not exists a (i int); insert into a values (1);";
    let two = "create index concurrently i on a (i); create unique index concurrently u on a (i);";
    let halfway: Expected<'_> =
        &[(V3, "progress"), (V3, "gone on with"), (Go, "progress"), (Go, "directive")];
    vec![
        files(
            "what allows no transaction, alone",
            &[],
            &[
                TABLE,
                "create index concurrently i on a (i);",
                "-- all of it\nvacuum;",
                "reindex table concurrently a;",
                "drop index concurrently i;",
                &format!("{directive}\ncreate table b (); create table c ();"),
            ],
        ),
        files(
            "what allows no transaction, several",
            &[(Go, "pipeline")],
            &[
                TABLE,
                "create index concurrently i on a (i); create index concurrently j on a (i); -- done",
                "set maintenance_work_mem = '2MB'; vacuum a;",
                "create table c as select current_setting('maintenance_work_mem') t;",
                &format!(
                    "{directive}\ncreate table b (i int); create index concurrently k on b (i); \
                     insert into b values (1);"
                ),
            ],
        ),
        file(
            "vacuum as another role",
            &[(V3, "role"), (Go, "pipeline")],
            "set role pg_monitor; vacuum;",
        ),
        file(
            "a lock without a transaction",
            &[(V3, "transaction block"), (Go, "transaction block")],
            &format!("{directive}\ncreate table a (); lock table a;"),
        ),
        file("discard all", &[(V3, "discard all"), (Go, "discard all")], "discard all;"),
        steps(
            "what allows no transaction is refused",
            &[],
            vec![
                Step::of(&[(A, "create index concurrently i on nope (i);")]),
                Step::of(&[(A, TABLE)]),
            ],
        ),
        steps(
            "an index that cannot be",
            &[(V3, "progress"), (V3, "gone on with"), (Go, "progress"), (Go, "pipeline")],
            vec![
                Step::of(&[(A, two)])
                    .after("create table a (i int); insert into a values (1), (1)"),
                Step::default().after("delete from a where ctid = '(0,1)'"),
            ],
        ),
        steps(
            "an index that is not valid",
            &[(V3, "not valid"), (Go, "not valid")],
            vec![Step::of(&[(A, "create index concurrently if not exists i on a (i);")]).after(
                "create table a (i int); create index i on a (i); \
                     update pg_index set indisvalid = false where indexrelid = 'i'::regclass",
            )],
        ),
        steps(
            "without a transaction, and gone on with",
            halfway,
            vec![Step::of(&[(A, &failing(one))]), Step::of(&[(A, &mended(one))])],
        ),
        steps(
            "without a transaction, and done twice",
            halfway,
            vec![Step::of(&[(A, &failing(again))]), Step::of(&[(A, &mended(again))])],
        ),
        steps(
            "without a transaction, and another text",
            &[(V3, "progress"), (V3, "unfinished"), (Go, "progress"), (Go, "directive")],
            vec![Step::of(&[(A, &failing(one))]), Step::of(&[(A, "create table b ();")])],
        ),
    ]
}
