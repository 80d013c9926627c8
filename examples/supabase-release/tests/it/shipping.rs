//! Migrations that are shipped.

use std::fs;

use crate::site::{Site, has_text, version};

#[test]
fn what_is_pending_is_listed_planned_and_shipped_once() {
    let site = Site::new();
    site.migration(1, "create table a ();");
    site.migration(2, "create table b ();");
    let listed = site.json(&["list"]);
    assert_eq!(listed.exit, Some(0), "{}", listed.stderr);
    let rows = listed.line()["rows"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["local"], &rows[0]["remote"]), (&true.into(), &false.into()));
    assert!(!site.ledger().exists(), "to look needs no ledger");
    let planned = site.json(&["plan"]).expect(0, "planned", None);
    let summary = planned["scopes"][0]["summary"].as_str().unwrap();
    assert!(summary.contains("_m1.sql") && summary.contains("_m2.sql"), "{summary}");
    site.json(&["ship"]).expect(0, "released", None);
    assert_eq!(site.tables(), ["a", "b"]);
    let told = site.people(&["log"]).stdout;
    assert!(told.contains(&format!("candidate {}_m2", version(2))), "{told}");
    site.json(&["ship"]).expect(0, "unchanged", None);
    let people = site.people(&["list", "--texts", "--allow-plaintext"]);
    let lines: Vec<_> = people.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", people.stdout);
    assert!(lines[0].starts_with("Local") && lines[2].matches(&version(2)).count() == 2);
    assert!(!has_text(site.dir.path(), "CANARY"), "the password is in no file");
}

#[test]
fn a_connection_that_others_can_listen_to_has_to_be_asked_for() {
    let site = Site::new();
    site.migration(1, "create table a ();");
    for verb in ["ship", "list"] {
        let mut command = site.program();
        command.args([verb, "--output", "json"]);
        let refused = command.output().unwrap();
        assert!(!refused.status.success());
        let said = String::from_utf8(refused.stdout).unwrap();
        assert!(said.contains("database.tls") || said.contains("database.plaintext"), "{said}");
        assert!(!said.contains("CANARY"), "{said}");
    }
    assert_eq!(site.tables(), Vec::<String>::new());
}

#[test]
fn what_destroys_is_refused_until_somebody_answers_for_it() {
    let site = Site::new();
    site.migration(1, "create table a ();");
    site.json(&["ship"]).expect(0, "released", None);
    site.migration(2, "drop table a;");
    let refused = site.json(&["ship"]).expect(1, "refused", Some("gate.failed"));
    assert!(refused.to_string().contains("migration.destructive"), "{refused:#}");
    assert_eq!(site.tables(), ["a"]);
}

#[test]
fn a_target_is_one_database() {
    let (site, other) = (Site::new(), Site::new());
    site.migration(1, "create table a ();");
    site.json(&["ship"]).expect(0, "released", None);
    let words = ["ship", "--db-url", &other.url];
    site.json(&words).expect(2, "usage", Some("usage.database"));
    assert_eq!(other.tables(), Vec::<String>::new());
    site.json(&["ship", "--dir", "/nowhere"]).expect(2, "usage", Some("usage.project"));
}

#[test]
fn a_file_that_fails_leaves_the_target_free_and_tells_the_place() {
    let site = Site::new();
    site.migration(1, "create table a ();\nselect nope;");
    let failed = site.json(&["ship"]).expect(3, "rolled_back", Some("migration.failed"));
    assert!(failed["message"].as_str().unwrap().contains("line: 2"), "{failed:#}");
    assert_eq!(site.tables(), Vec::<String>::new());
    site.migration(1, "create table a ();");
    site.json(&["ship"]).expect(0, "released", None);
}

/// The program has less memory than the file has bytes.
#[test]
fn a_file_that_is_too_large_is_refused_without_being_read() {
    let site = Site::new();
    site.migration(1, "create table a ();");
    let path = site.dir.path().join(format!("supabase/migrations/{}_m1.sql", version(1)));
    // It takes no room.
    fs::File::options().write(true).open(path).unwrap().set_len(1 << 30).unwrap();
    for words in [&["list", "--texts"][..], &["plan"], &["ship"]] {
        let mut command = site.limited(900_000);
        command.args(words).args(["--output", "json", "--allow-plaintext"]);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success());
        assert!(said.contains("migration.too_large"), "{words:?}: {said} {:?}", output.stderr);
    }
    assert_eq!(site.tables(), Vec::<String>::new());
}
