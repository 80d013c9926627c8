#[path = "doubles/mod.rs"]
mod doubles;

use gatekit_core::Pipeline;

fn main() {
    let _ = Pipeline::to("production/api").deploy(doubles::Database).rollback_with(doubles::Undo);
}
