//! A build that looks: it asks the gates and plans, and tells what it saw. It never ships.

use std::error::Error;
use std::sync::Arc;

use gatekit::blocking::Engine;
use gatekit::ledger::MemoryLedger;

#[path = "src/release.rs"]
mod release;

fn main() {
    println!("cargo::rerun-if-changed=text.txt");
    println!("cargo::rerun-if-env-changed=SIGN");
    let saw = look().unwrap_or_else(|error| one_line(&format!("could not look: {error}")));
    println!("cargo::rustc-env=THE_BUILD_SAW={saw}");
}

fn look() -> Result<String, Box<dyn Error>> {
    // Whoever holds the target, or waits for it, is no business of a build.
    let engine = Engine::new(gatekit::Engine::new(Arc::new(MemoryLedger::new())))?;
    let preview = engine.preview(&release::pipeline()?, release::candidate()?, true)?;
    if let Some((outcome, failure)) = preview.stop {
        let stop = one_line(&format!("{}: {failure}", outcome.as_str()));
        println!("cargo::warning=a ship would be {stop}");
        return Ok(stop);
    }
    let plans: Vec<_> = preview.scopes.iter().map(|scope| scope.summary.as_str()).collect();
    Ok(one_line(&plans.join(", ")))
}

/// The text as one line: what a program printed is quoted, and a second line of it could be an
/// instruction to cargo.
pub(crate) fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}
