//! Versions that no file has, and repairs.

use crate::site::{Site, version};

/// A project of which the second version is applied, and has no file any more.
fn orphaned(second: &str) -> Site {
    let site = Site::new();
    site.migration(1, "create table a ();");
    site.migration(2, second);
    site.json(&["ship"]).expect(0, "released", None);
    site.without_migration(2);
    site
}

#[test]
fn a_version_of_which_nothing_is_there_is_removed_without_a_person_only_where_that_is_allowed() {
    let site = orphaned("create table b ();");
    site.sql("drop table b");
    site.migration(3, "create table c ();");
    let refused = site.json(&["ship"]).expect(1, "refused", Some("gate.failed"));
    assert!(refused.to_string().contains(&version(2)), "{refused:#}");
    assert_eq!(site.applied(), [version(1), version(2)]);
    site.json(&["ship", "--unattended", "reverted"]).expect(0, "released", None);
    assert_eq!(site.applied(), [version(1), version(3)]);
    assert_eq!(site.tables(), ["a", "c"]);
}

#[test]
fn a_version_that_is_there_is_never_removed() {
    let site = orphaned("create table b ();");
    let words = ["ship", "--unattended", "reverted"];
    site.json(&words).expect(1, "refused", Some("gate.failed"));
    assert_eq!(site.applied(), [version(1), version(2)]);
    assert_eq!(site.tables(), ["a", "b"]);
}

#[test]
fn a_repair_names_its_versions_and_can_be_taken_back() {
    let site = orphaned("create table b ();");
    let before = site.sql("SELECT t::text FROM supabase_migrations.schema_migrations t ORDER BY 1");
    site.json(&["repair", "--status", "reverted"]).expect(2, "usage", Some("usage.command_line"));
    let unknown = version(9);
    let refused = site.json(&["repair", "--status", "reverted", &version(2), &unknown]);
    refused.expect(5, "failed", Some("migration.unknown_version"));
    assert_eq!(site.applied(), [version(1), version(2)]);
    site.json(&["repair", "--status", "reverted", &version(2)]).expect(0, "released", None);
    assert_eq!(site.applied(), [version(1)]);
    site.json(&["rollback", "--reason", "it was applied"]).expect(0, "released", None);
    let after = site.sql("SELECT t::text FROM supabase_migrations.schema_migrations t ORDER BY 1");
    assert_eq!(after, before);
}

/// What was there before gatekit may need one before anything is shipped.
#[test]
fn a_repair_may_come_first_and_needs_proof() {
    let site = Site::new();
    site.migration(1, "create table a ();");
    let words = ["repair", "--status", "applied", &version(1)];
    site.json(&words).expect(5, "failed", Some("migration.unproven"));
    site.sql("create table a ()");
    site.json(&words).expect(0, "released", None);
    assert_eq!(site.applied(), [version(1)]);
    site.json(&["ship"]).expect(0, "unchanged", None);
}
