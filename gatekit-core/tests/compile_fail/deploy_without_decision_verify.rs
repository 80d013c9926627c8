#[path = "doubles/mod.rs"]
mod doubles;

use gatekit_core::{Pipeline, enforced};

fn main() {
    let _ =
        Pipeline::to("production/api").deploy(doubles::Service).verify(enforced(doubles::Green));
}
