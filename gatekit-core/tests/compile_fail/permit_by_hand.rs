use gatekit_core::{Fence, Permit, RunId};

fn permit(run: RunId, fence: Fence) -> Permit {
    Permit { run, fence, chain: None, call: String::new() }
}

fn main() {
    let _ = permit;
}
