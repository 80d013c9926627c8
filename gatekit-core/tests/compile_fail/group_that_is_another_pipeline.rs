#[path = "doubles/mod.rs"]
mod doubles;

use gatekit_core::Pipeline;

fn main() {
    let _ = Pipeline::to("production/api").group("web", |_| {
        Pipeline::to("production/web").deploy(doubles::Service).rollback_with(doubles::Undo)
    });
}
