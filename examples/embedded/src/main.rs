//! gatekit inside an in-house tool: `embedded release VERSION`, for a text on a sign.

use std::env;
use std::process::ExitCode;
use std::sync::Arc;

use gatekit::ledger::Ledger;
use gatekit::local::{Command, CommandDeploy, Program};
use gatekit::store::{PostgresLedger, SqliteLedger};
use gatekit::{Candidate, Engine, Event, EventBody, Pipeline, Reporter, Result, enforced};

/// What this tool releases to.
fn pipeline() -> Result<Pipeline> {
    let script = env::var("SIGN_SCRIPT").unwrap_or_else(|_| "./sign.sh".to_owned());
    let sign = env::var("SIGN").unwrap_or_else(|_| "sign.json".to_owned());
    let deploy = CommandDeploy::new("sign", Program::new(script).env("SIGN", &sign))?;
    let undo = deploy.undo();
    let readable = Command::new("readable", Program::new("test").args(["-r", &sign]))?;
    Pipeline::to("office/sign")
        .deploy(deploy)
        .rollback_with(undo)
        .verify(enforced(readable))
        .build()
}

async fn run(words: &[String]) -> Result<u8> {
    let pipeline = pipeline()?;
    // Where all meet who release: a file on one machine, a server for several.
    let ledger: Arc<dyn Ledger> = match env::var("GATEKIT_LEDGER") {
        Ok(url) => Arc::new(PostgresLedger::builder(&url)?.build().await?),
        Err(_) => Arc::new(SqliteLedger::open("ledger.db")?),
    };
    let engine = Engine::new(ledger).reporter(Lines);
    let running = match words {
        [verb, version] if verb == "release" && !version.starts_with('-') => {
            engine.ship(&pipeline, Candidate::new().with_version(version))
        }
        [verb] if verb == "resume" => match engine.pending(pipeline.target()).await? {
            Some(pending) => engine.resume(&pipeline, pending.run),
            None => {
                println!("there is nothing to resume");
                return Ok(0);
            }
        },
        _ => {
            eprintln!("usage: embedded release VERSION, or embedded resume");
            return Ok(2);
        }
    };
    // The first Ctrl-C brings the old release back, the second lets go at once.
    let interrupter = running.interrupter();
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            interrupter.interrupt();
        }
    });
    let report = running.await;
    println!("{report}");
    Ok(report.outcome.exit_code())
}

#[derive(Debug)]
struct Lines;

impl Reporter for Lines {
    fn event(&mut self, event: &Event) {
        let EventBody::Step { entry, .. } = &event.event else { return };
        entry.line().into_iter().for_each(|line| eprintln!("{line}"));
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<_> = env::args().skip(1).collect();
    let exit = run(&words).await.unwrap_or_else(|error| {
        eprintln!("{error} [{}]", error.code());
        2
    });
    exit.into()
}
