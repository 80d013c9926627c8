#[path = "doubles/mod.rs"]
mod doubles;

use gatekit_core::{Pipeline, enforced};

fn main() {
    let _ = Pipeline::to("production/api")
        .deploy(doubles::Service)
        .rollback_with(doubles::Undo)
        .group("web", |web| web.gate(enforced(doubles::Green)));
}
