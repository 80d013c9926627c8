#[path = "doubles/mod.rs"]
mod doubles;

use gatekit_core::Pipeline;

fn main() {
    let _ = Pipeline::to("production/api").group("web", |web| web.deploy(doubles::Service));
}
