//! The demonstration: four versions of a small web service, two of them bad, in a temporary root.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use gatekit_core::{Code, Error, Outcome, Result, RunReport, TargetName};

use crate::output::{self, say};
use crate::pipeline::ShipArguments;
use crate::verbs;
use local_release::args::{Common, Log, Output};

/// The demonstration could not be set up.
const DEMO_SETUP: Code = Code::new("demo.setup");
/// A ship did not end as told.
const DEMO_DEVIATION: Code = Code::new("demo.deviation");

/// One act: what is shipped, what is wrong with it, and how it has to end.
struct Act {
    directory: &'static str,
    told: &'static str,
    /// What the service answers as its version.
    answers: &'static str,
    ready: &'static str,
    expected: Outcome,
    /// The version that is live afterwards.
    live: &'static str,
}

const ACTS: [Act; 4] = [
    Act {
        directory: "v1",
        told: "v1, the first release",
        answers: "v1",
        ready: "200 OK",
        expected: Outcome::Released,
        live: "v1",
    },
    Act {
        directory: "v2",
        told: "v2, which is fine",
        answers: "v2",
        ready: "200 OK",
        expected: Outcome::Released,
        live: "v2",
    },
    Act {
        directory: "v3",
        told: "v3, whose /ready answers 500",
        answers: "v3",
        ready: "500 Internal Server Error",
        expected: Outcome::RolledBack,
        live: "v2",
    },
    Act {
        directory: "v4",
        told: "v4, which is healthy but answers with v2's version",
        answers: "v2",
        ready: "200 OK",
        expected: Outcome::RolledBack,
        live: "v2",
    },
];

/// Runs it; gives 0 only if everything ended as told.
pub(crate) async fn run() -> u8 {
    let stage = match Stage::set() {
        Ok(stage) => stage,
        Err(error) => {
            say(&format!("error: {error} [{}]", error.code()));
            return Outcome::Failed.exit_code();
        }
    };
    say(&format!("gatekit, shown on this machine: root {}", stage.common.root.display()));
    let played = play(&stage).await;
    say("\nThe service is stopped.");
    let stopped = match verbs::stop(&stage.common).await {
        Ok(report) if report.outcome.exit_code() == 0 => Ok(()),
        Ok(report) => {
            output::report(&report, &stage.common);
            Err(deviation("the service could not be stopped"))
        }
        Err(error) => Err(error),
    };
    if let Err(error) = stopped {
        let kept = stage.root.keep();
        say(&format!("The root is kept: {}", kept.display()));
        return output::error(&error, &stage.common);
    }
    match played {
        Ok(()) => {
            say("All four ended as told.");
            0
        }
        Err(error) => output::error(&error, &stage.common),
    }
}

/// The temporary root, and a port that was free a moment ago.
struct Stage {
    root: tempfile::TempDir,
    common: Common,
    port: u16,
    start: String,
}

impl Stage {
    fn set() -> Result<Self> {
        let setup = |source: io::Error| {
            Error::new(DEMO_SETUP, "the demonstration could not be set up").with_source(source)
        };
        let root = tempfile::Builder::new().prefix("local-release-").tempdir().map_err(setup)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(setup)?
            .port();
        let program = std::env::current_exe().map_err(setup)?;
        let program = output::quoted(&program.to_string_lossy());
        for act in &ACTS {
            let app = root.path().join("apps").join(act.directory);
            fs::create_dir_all(&app).map_err(setup)?;
            fs::write(app.join("version"), act.answers).map_err(setup)?;
            fs::write(app.join("ready"), act.ready).map_err(setup)?;
            fs::write(app.join("name"), act.directory).map_err(setup)?;
        }
        Ok(Self {
            common: common(&root.path().join("root"))?,
            port,
            start: format!("exec {program} demo-service --port {port}"),
            root,
        })
    }

    fn arguments(&self, act: &Act) -> ShipArguments {
        let url = |path: &str| format!("http://127.0.0.1:{}{path}", self.port);
        ShipArguments {
            app: self.root.path().join("apps").join(act.directory),
            start: self.start.clone(),
            checks: vec![url("/ready"), url("/version")],
            expect_version: Some(act.directory.to_owned()),
            version_from: "body".to_owned(),
            behind_proxy: false,
            check_retries: 4,
            check_delay: Duration::from_millis(250),
            grace: Duration::from_secs(5),
        }
    }

    /// What the service itself answers.
    fn answer(&self) -> io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream
            .write_all(b"GET /version HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.rsplit("\r\n\r\n").next().unwrap_or_default().trim().to_owned())
    }
}

fn common(root: &Path) -> Result<Common> {
    Ok(Common {
        root: root.to_owned(),
        target: TargetName::new("local/app")?,
        queue_timeout: Duration::from_secs(60),
        lease: Duration::from_secs(60),
        deadline: Duration::from_secs(30),
        actor: None,
        output: Output::Human,
        ledger: None,
    })
}

async fn play(stage: &Stage) -> Result<()> {
    for act in &ACTS {
        say(&format!("\nShip {}. It must end {}.", act.told, words(act.expected)));
        let report = verbs::ship_arguments(stage.arguments(act), &stage.common).await?;
        output::report(&report, &stage.common);
        ended_as_told(act, &report)?;
        let answered = stage.answer().map_err(|source| {
            deviation(&format!("{} does not answer", act.live)).with_source(source)
        })?;
        if answered != act.live {
            return Err(deviation(&format!(
                "the service answers `{answered}`, not `{}`",
                act.live
            )));
        }
        say(&format!("The service itself answers: {answered}"));
    }
    say("\nThe journal:");
    let all = Log { verify: false, head: false, against: None };
    verbs::log(&all, &stage.common).await?;
    verbs::log(&Log { verify: true, ..all }, &stage.common).await
}

fn words(outcome: Outcome) -> String {
    outcome.as_str().replace('_', " ")
}

fn ended_as_told(act: &Act, report: &RunReport) -> Result<()> {
    let live = report.live.as_ref().and_then(|live| live.version.as_deref());
    if report.outcome != act.expected || live != Some(act.live) {
        return Err(deviation(&format!(
            "{} ended {} with {} live, not {} with {} live",
            act.directory,
            words(report.outcome),
            live.unwrap_or("nothing"),
            words(act.expected),
            act.live,
        )));
    }
    Ok(())
}

fn deviation(what: &str) -> Error {
    Error::new(DEMO_DEVIATION, what)
}
