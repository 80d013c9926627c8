//! The task beside the build: `build-script plan`, `ship` or `resume`.

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use gatekit::blocking::Engine;
use gatekit::ledger::{Ledger, MemoryLedger};
use gatekit::store::SqliteLedger;

mod release;

/// Put there by the build script.
const THE_BUILD_SAW: &str = env!("THE_BUILD_SAW");

const USAGE: &str = "usage: build-script plan, ship or resume";

fn main() -> ExitCode {
    match run(env::args().nth(1).as_deref()) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run(verb: Option<&str>) -> Result<u8, Box<dyn Error>> {
    let (pipeline, candidate) = (release::pipeline()?, release::candidate()?);
    // Beside the sign: whoever ships to it has to wait in the same queue.
    let place = release::sign().with_file_name("ledger.db");
    let ledger: Arc<dyn Ledger> = match verb {
        // A plan leaves no trace.
        Some("plan") if !place.exists() => Arc::new(MemoryLedger::new()),
        Some("plan" | "ship" | "resume") => Arc::new(SqliteLedger::open(place)?),
        _ => return Err(USAGE.into()),
    };
    let engine = Engine::new(gatekit::Engine::new(ledger))?;
    let report = match verb {
        Some("plan") => {
            println!("the build saw: {THE_BUILD_SAW}");
            let preview = engine.preview(&pipeline, candidate, true)?;
            for scope in &preview.scopes {
                println!("{}: {}", scope.stage, scope.summary);
            }
            let Some((outcome, failure)) = preview.stop else { return Ok(0) };
            println!("{}: {failure}", outcome.as_str());
            return Ok(outcome.exit_code());
        }
        Some("ship") => engine.ship(&pipeline, candidate)?,
        Some("resume") => match engine.pending(pipeline.target())? {
            Some(pending) => engine.resume(&pipeline, pending.run)?,
            None => {
                println!("there is nothing to resume");
                return Ok(0);
            }
        },
        _ => return Err(USAGE.into()),
    };
    println!("{report}");
    Ok(report.outcome.exit_code())
}
