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
    let saw = look().unwrap_or_else(|error| format!("could not look: {error}"));
    println!("cargo::rustc-env=THE_BUILD_SAW={}", saw.replace('\n', " "));
}

fn look() -> Result<String, Box<dyn Error>> {
    // Whoever holds the target, or waits for it, is no business of a build.
    let engine = Engine::new(gatekit::Engine::new(Arc::new(MemoryLedger::new())))?;
    let preview = engine.preview(&release::pipeline()?, release::candidate()?, true)?;
    if let Some((outcome, failure)) = preview.stop {
        println!("cargo::warning=a ship would be {}: {failure}", outcome.as_str());
        return Ok(format!("{}: {failure}", outcome.as_str()));
    }
    let plans: Vec<_> = preview.scopes.iter().map(|scope| scope.summary.as_str()).collect();
    Ok(plans.join(", "))
}
