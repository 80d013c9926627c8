#[path = "doubles/mod.rs"]
mod doubles;

use gatekit_core::{Pipeline, enforced};

fn main() {
    let _ = Pipeline::to("production/api")
        .group("web", |web| web.deploy(doubles::Service).rollback_with(doubles::Undo))
        .gate(enforced(doubles::Green));
}
