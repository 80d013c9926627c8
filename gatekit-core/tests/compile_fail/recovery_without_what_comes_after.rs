#[path = "doubles/mod.rs"]
mod doubles;

use gatekit_core::{Pipeline, code, on};

fn main() {
    let _ = Pipeline::to("production/api")
        .deploy(doubles::Service)
        .rollback_with(doubles::Undo)
        .recover(on(code::DEPLOY_FAILED).deploy(doubles::Service).rollback_with(doubles::Undo));
}
