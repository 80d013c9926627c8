use gatekit_core::{Proof, Verdict};

fn main() {
    let _ = Verdict::Pass(Proof(Vec::new()));
}
