#[path = "doubles/mod.rs"]
mod doubles;

use gatekit_core::{Replan, code, on};

fn main() {
    let repair = on(code::DEPLOY_FAILED).deploy(doubles::Database);
    let _ = repair.rollback_with(doubles::Undo).then(Replan);
}
