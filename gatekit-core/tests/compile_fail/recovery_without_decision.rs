#[path = "doubles/mod.rs"]
mod doubles;

use gatekit_core::{Replan, code, on};

fn main() {
    let _ = on(code::DEPLOY_FAILED).deploy(doubles::Service).then(Replan);
}
