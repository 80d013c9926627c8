#[path = "doubles/mod.rs"]
mod doubles;

use gatekit_core::{Pipeline, enforced};

fn main() {
    let deployed =
        Pipeline::to("production/api").deploy(doubles::Service).rollback_with(doubles::Undo);
    let _ = deployed.gate(enforced(doubles::Green));
}
