//! Mistakes that would cost production do not compile.
//!
//! The `.stderr` files are those of the pinned toolchain. After a change of it, look at what rustc
//! says now and renew them with `TRYBUILD=overwrite`.

#[expect(clippy::unwrap_used, reason = "doubles for tests")]
#[path = "../compile_fail/doubles/mod.rs"]
mod doubles;

use gatekit_core::{Pipeline, Replan, SameChange, code, enforced, on};

use self::doubles::{Database, Green, Repair, Service, Undo};

/// With the same doubles, so that the programs below fail for their mistake alone.
#[test]
fn a_pipeline_without_mistakes_compiles() {
    let pipeline = Pipeline::to("production/api")
        .gate(enforced(Green))
        .deploy(Service)
        .rollback_with(Undo)
        .deploy(Database)
        .irreversible("a dropped column stays dropped")
        .recover(on(code::DEPLOY_FAILED).deploy(Repair).irreversible("rows are gone").then(Replan))
        .group("web", |web| {
            let again = on(code::DEPLOY_FAILED).deploy(Service).rollback_with(Undo);
            let web = web.group("blue", |blue| blue.deploy(Service).rollback_with(Undo));
            web.verify(enforced(Green)).recover(again.then(SameChange).at_most(2))
        })
        .build();
    assert!(pipeline.is_ok());
}

#[test]
fn compile_fail() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
