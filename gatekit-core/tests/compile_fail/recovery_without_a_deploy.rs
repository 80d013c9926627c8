#[path = "doubles/mod.rs"]
mod doubles;

use gatekit_core::{Pipeline, Replan, code, on};

fn main() {
    let repair = on(code::DEPLOY_FAILED).deploy(doubles::Service).rollback_with(doubles::Undo);
    let _ = Pipeline::to("production/api").recover(repair.then(Replan));
}
