//! Mistakes that would cost production do not compile.
//!
//! The `.stderr` files are those of the pinned toolchain. After a change of it, look at what rustc
//! says now and renew them with `TRYBUILD=overwrite`.

#[expect(clippy::unwrap_used, reason = "doubles for tests")]
#[path = "../compile_fail/doubles/mod.rs"]
mod doubles;

use gatekit_core::{Pipeline, enforced};

use self::doubles::{Database, Green, Service, Undo};

/// With the same doubles, so that the programs below fail for their mistake alone.
#[test]
fn a_pipeline_without_mistakes_compiles() {
    let pipeline = Pipeline::to("production/api")
        .gate(enforced(Green))
        .deploy(Service)
        .rollback_with(Undo)
        .deploy(Database)
        .irreversible("a dropped column stays dropped")
        .build();
    assert!(pipeline.is_ok());
}

#[test]
fn compile_fail() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
