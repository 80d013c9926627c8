//! Folders on disk.

use std::fs;
use std::path::Path;
use std::time::Duration;

use gatekit_core::testing::plan_context;
use gatekit_core::{Candidate, Deployer as _, Effect};
use gatekit_supabase::migrations::{
    Folder, FolderReader, LARGEST_FILE, Orphans, Proof, Push, Repair, Why,
};
use gatekit_supabase::{Database, code};
use tempfile::TempDir;
use tokio::time::Instant;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn migrations_are_read_by_version() {
    let dir = folder(&[
        ("20260102000000_b.sql", "select 2;"),
        ("20260101000000_a_long_name.sql", "select 1;\nselect 1;"),
        ("20260103000000_.sql", ""),
    ]);
    let folder = Folder::read(dir.path()).unwrap();
    let files: Vec<_> = folder
        .files
        .iter()
        .map(|it| (it.version.as_str(), it.name.as_str(), it.statements.len()))
        .collect();
    assert_eq!(
        files,
        [
            ("20260101000000", "a_long_name", 2),
            ("20260102000000", "b", 1),
            ("20260103000000", "", 0)
        ]
    );
    assert!(folder.skipped.is_empty());
}

#[test]
fn what_has_another_name_is_skipped_and_told() {
    let dir = folder(&[
        ("-x.sql", ""),
        ("20260101000000_a.SQL", ""),
        ("20260101000000.sql", ""),
        ("20260101000000_a.sql.bak", ""),
        ("a20260101000000_a.sql", ""),
        ("seed.sql", ""),
        ("20260101000000_folder.sql/20260101000000_a.sql", ""),
        ("20260101000000_line\nend.sql", ""),
    ]);
    let folder = Folder::read(dir.path()).unwrap();
    assert!(folder.files.is_empty());
    let mut skipped: Vec<_> = folder.skipped.iter().map(|it| file_name(&it.path)).collect();
    skipped.sort_unstable();
    assert_eq!(
        skipped,
        [
            "-x.sql",
            "20260101000000.sql",
            "20260101000000_a.SQL",
            "20260101000000_a.sql.bak",
            "20260101000000_line\nend.sql",
            "a20260101000000_a.sql",
            "seed.sql"
        ]
    );
    assert!(folder.skipped.iter().all(|it| it.why == Why::Name));
}

#[test]
fn an_old_init_is_skipped_only_where_it_is_first() {
    let of = |files: &[(&str, &str)]| {
        let dir = folder(files);
        let folder = Folder::read(dir.path()).unwrap();
        let skipped: Vec<_> = folder.skipped.iter().map(|it| it.why).collect();
        (folder.files.len(), skipped)
    };
    assert_eq!(of(&[("20200101000000_init.sql", "")]), (0, vec![Why::Init]));
    assert_eq!(of(&[("20211209000000_init.sql", "")]), (1, vec![]));
    assert_eq!(of(&[("20200101000000_a.sql", ""), ("20200102000000_init.sql", "")]), (2, vec![]));
    assert_eq!(
        of(&[("0/x", ""), ("20200102000000_init.sql", "")]),
        (1, vec![]),
        "a folder is first"
    );
    assert_eq!(of(&[("20200101000000_init.sql.bak", "")]), (0, vec![Why::Init]));
    assert_eq!(of(&[("20200101000000_not_init.sql", "")]), (1, vec![]));
}

#[test]
fn what_the_cli_would_stumble_over_is_refused() {
    let cases: &[(&[&str], &gatekit_core::Code, &str)] = &[
        (&["1_a.sql"], &code::VERSION, "version: 1"),
        (&["202601010000001_a.sql"], &code::VERSION, "version: 202601010000001"),
        (&["20260101000000_a.sql", "20260101000000_b.sql"], &code::DUPLICATE_VERSION, "_a.sql"),
        (&["20260101000000_a.sql", "20260101000000_a.down.sql"], &code::DOWN_FILE, "a.down.sql"),
        (&["20260101000000_.down.sql"], &code::DOWN_FILE, "_.down.sql"),
    ];
    for (files, code, said) in cases {
        let files: Vec<_> = files.iter().map(|it| (*it, "select 1;")).collect();
        let dir = folder(&files);
        let error = Folder::read(dir.path()).unwrap_err();
        assert_eq!(error.code(), *code, "{files:?}");
        assert_eq!(error.effect(), Effect::None);
        assert!(error.to_string().contains(said), "{error}");
        assert!(!error.to_failure().next.is_empty());
        assert!(FolderReader::of(dir.path()).list().is_err(), "seen by the names alone");
    }
}

#[test]
fn a_folder_that_is_not_there_is_not_one_without_migrations() {
    let dir = tempfile::tempdir().unwrap();
    let error = Folder::read(&dir.path().join("migrations")).unwrap_err();
    assert_eq!(error.code(), &code::NO_FOLDER);
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let dir = folder(&[("20260101000000_a.sql", "select 1;")]);
    let read = |largest| FolderReader::of(dir.path()).largest_file(largest).read();
    assert_eq!(read(9).unwrap().files.len(), 1);
    let error = read(8).unwrap_err();
    assert_eq!(error.code(), &code::TOO_LARGE);
    assert!(error.to_string().contains("bytes: 9, limit: 8"), "{error}");

    // Bytes that take no room. What is read is refused for them.
    let large = fs::File::create(dir.path().join("20260102000000_b.sql")).unwrap();
    for (size, code) in [
        (LARGEST_FILE, &code::NUL),
        (LARGEST_FILE + 1, &code::TOO_LARGE),
        (1 << 30, &code::TOO_LARGE),
    ] {
        large.set_len(size).unwrap();
        assert_eq!(Folder::read(dir.path()).unwrap_err().code(), code, "{size}");
    }
}

/// Whoever reads the folder reads it so.
#[tokio::test]
async fn the_limit_is_that_of_the_folder_that_is_given() {
    let dir = folder(&[("20260101000000_a.sql", "select 1;")]);
    let database = Database::without_tls("postgres://nobody@127.0.0.1:1/none").unwrap();
    for (largest, is_large) in [(8, true), (9, false)] {
        let reader = FolderReader::of(dir.path()).largest_file(largest);
        let push = Push::new(database.clone(), reader.clone()).unwrap();
        let orphans = Orphans::of(&push).unwrap();
        let versions = ["20260101000000"];
        let repair = Repair::applied(database.clone(), reader, versions, Proof::objects()).unwrap();
        // It is read before the database, which is not there.
        let now = Instant::now();
        let diagnosed = orphans.diagnose(now).await.unwrap_err();
        let target = "test/db".parse().unwrap();
        let cx = plan_context(&target, Candidate::new(), &repair.id(), Duration::ZERO);
        let pushed = push.plan(&cx).await.unwrap_err();
        let repaired = repair.plan(&cx).await.unwrap_err();
        for error in [diagnosed, pushed, repaired] {
            assert_eq!(*error.code() == code::TOO_LARGE, is_large, "{largest}: {error}");
            assert_eq!(*error.code() == code::DATABASE_UNREACHABLE, !is_large, "{error}");
        }
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused() {
    let dir = folder(&[("elsewhere/x", "")]);
    std::os::unix::fs::symlink("elsewhere", dir.path().join("20260101000000_a.sql")).unwrap();
    assert_eq!(Folder::read(dir.path()).unwrap_err().code(), &code::UNREADABLE);
    let dangling = folder(&[]);
    std::os::unix::fs::symlink("gone", dangling.path().join("20260101000000_a.sql")).unwrap();
    assert_eq!(Folder::read(dangling.path()).unwrap_err().code(), &code::UNREADABLE);
}

#[test]
fn down_files_are_found_in_a_folder_of_their_own() {
    let dir = folder(&[
        ("20260101000000_a.sql", "create table a (i int);"),
        ("20260102000000_b.sql", "create table b (i int);"),
        ("down/20260101000000_a.down.sql", "drop table a;"),
        ("down/20260102000000_renamed.down.sql", "drop table b;"),
        ("down/20260102000000_b.sql", "drop table b;"),
    ]);
    let folder = Folder::read(dir.path()).unwrap();
    let [a, b] = folder.files.as_slice() else { panic!("{folder:?}") };
    assert_eq!(a.down.as_ref().unwrap().statements[0].text, "drop table a");
    assert!(b.down.is_none());
    let skipped: Vec<_> = folder.skipped.iter().map(|it| (file_name(&it.path), it.why)).collect();
    assert_eq!(
        skipped,
        [
            ("20260102000000_b.sql", Why::Name),
            ("20260102000000_renamed.down.sql", Why::NothingToTakeBack)
        ]
    );
    let elsewhere = FolderReader::of(dir.path()).down_files_in(dir.path().join("none"));
    assert!(elsewhere.read().unwrap().files.iter().all(|it| it.down.is_none()));
}
