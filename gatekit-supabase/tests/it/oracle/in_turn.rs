//! The command lines and gatekit on one database.

use std::path::Path;
use std::time::Duration;

use gatekit_peers::SupabaseVersion;
use gatekit_supabase::Database;
use gatekit_supabase::migrations::{Detail, FolderReader, list};
use tempfile::TempDir;
use tokio::runtime::Builder;

use super::case::Step;
use super::server::Server;
use super::tool::{Said, Tool, Tools};

/// What each of them can apply.
const TEXTS: [&str; 6] = [
    "-- a;\ncreate table a (i int primary key, t text default 'x;');\n/* b; */ insert into a values (1);\n",
    "",
    "create function f() returns int language sql begin atomic; select 1; select 2; end;\r\n-- c\r\n",
    "do $a$ begin execute $$ create table b (i int); $$; end $a$;;\nselect ';'",
    "alter table a add column c text; comment on table a is 'it''s'; -- done",
    "-- nothing",
];

fn folder(project: &Path) -> std::path::PathBuf {
    project.join("supabase/migrations")
}

fn write(project: &Path, number: usize, text: &str) {
    let name = format!("{}_n.sql", 20_260_101_000_000 + number);
    Step::of(&[(&name, text)]).write(&folder(project));
}

#[test]
fn each_goes_on_where_the_other_has_stopped() {
    let (home, project) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (Some(tools), server) = (Tools::find(home.path()), Server::start()) else { return };
    let push = |tool, url: &str| tools.push(tool, project.path(), url, false);
    for version in SupabaseVersion::ALL {
        for both in [[Tool::Cli(version), Tool::Gatekit], [Tool::Gatekit, Tool::Cli(version)]] {
            let _ = std::fs::remove_dir_all(folder(project.path()));
            let database = server.database();
            for (number, texts) in TEXTS.chunks(2).enumerate() {
                for (at, text) in texts.iter().enumerate() {
                    write(project.path(), number * 2 + at, text);
                }
                let [one, other] = [both[number % 2], both[(number + 1) % 2]];
                let told = format!("{one:?} and {other:?} at {number}");
                assert_eq!(push(one, &database.url()), Said::Applied, "{told}");
                assert_eq!(push(other, &database.url()), Said::UpToDate, "{told}");
            }
            let alone = server.database();
            assert_eq!(push(Tool::Gatekit, &alone.url()), Said::Applied);
            assert_eq!(database.dump(), alone.dump(), "{both:?}");
            // The Go version writes no statements as NULL.
            let rows = database.history().unwrap().into_iter();
            let rows: Vec<_> = rows.map(|row| row.replace(" null]", " []]")).collect();
            assert_eq!(rows, alone.history().unwrap(), "{both:?}");
        }
    }
}

#[test]
fn a_list_has_the_rows_of_the_command_lines() {
    let (home, project) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (Some(tools), server) = (Tools::find(home.path()), Server::start()) else { return };
    let database = server.database();
    let folder = folder(project.path());
    write(project.path(), 0, TEXTS[0]);
    write(project.path(), 1, "");
    assert_eq!(tools.push(Tool::Gatekit, project.path(), &database.url(), false), Said::Applied);
    std::fs::remove_file(folder.join("20260101000001_n.sql")).unwrap();
    let row = "insert into supabase_migrations.schema_migrations (version) values";
    database.run(&format!("{row} ('19990228235959'), ('20270101000000'), ('7')"));
    let names = [
        "00991231235959",
        "01000101000000",
        "19000229000000",
        "20000229000000",
        "20230229000000",
        "20231301000000",
        "20230001000000",
        "20230100000000",
        "20230431000000",
        "20230101240000",
        "20230101236000",
        "20230101235960",
        "20260101000002",
    ];
    for name in names {
        Step::of(&[(&format!("{name}_n.sql"), "")]).write(&folder);
    }
    let url = database.url();
    let ours = || -> Vec<[String; 3]> {
        let (database, folder) = (Database::without_tls(&url).unwrap(), FolderReader::of(&folder));
        let listing = list(&database, &folder, Detail::Versions, Duration::from_secs(60));
        let listed = Builder::new_current_thread().enable_all().build().unwrap().block_on(listing);
        let rows = listed.unwrap().rows.into_iter();
        rows.map(|row| {
            let shown = |is_there| if is_there { row.version.clone() } else { String::new() };
            [shown(row.local), shown(row.remote), row.time.clone()]
        })
        .collect()
    };
    let sorted = |mut rows: Vec<[String; 3]>| {
        // Theirs is in the order of numbers.
        rows.sort();
        rows
    };
    let theirs = |version| sorted(tools.list(version, project.path(), &url));
    assert_eq!(sorted(ours()), theirs(SupabaseVersion::V3));
    // Only the Go version knows times before the year 100.
    std::fs::remove_file(folder.join("00991231235959_n.sql")).unwrap();
    assert_eq!(sorted(ours()), theirs(SupabaseVersion::Go));
}
