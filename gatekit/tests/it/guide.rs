//! What the guide repeats of the code.

/// Whoever follows the guide gives the roles exactly the rights that the tests try.
#[test]
fn the_guide_gives_the_roles_as_they_are_tested() {
    let guide = include_str!("../../src/guide/postgres.md");
    let roles = include_str!("../../../gatekit-store/src/postgres/schema/roles.sql");
    let given = guide.split("```sql\n").filter_map(|from| from.split_once("```"));
    assert!(given.map(|(sql, _)| sql).any(|sql| sql == roles));
}
