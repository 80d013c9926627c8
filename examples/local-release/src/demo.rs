//! The demonstration: four versions of a small web service, two of them bad, in a temporary root.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gatekit_core::{Code, Error, Outcome, Result, RunReport};
use local_release::{DEMO_SERVICE, app};

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
pub(crate) fn run() -> u8 {
    let stage = match Stage::set() {
        Ok(stage) => stage,
        Err(error) => return failed(&error),
    };
    println!("gatekit, shown on this machine: root {}", stage.root.path().display());
    let played = play(&stage);
    println!("\nThe service is stopped.");
    if stage.call(&["stop".into()]).0 != 0 {
        let exit = failed(&deviation("the service could not be stopped"));
        println!("The root is kept: {}", stage.root.keep().display());
        return exit;
    }
    match played {
        Ok(()) => {
            println!("All four ended as told.");
            0
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &Error) -> u8 {
    println!("error: {error} [{}]", error.code());
    Outcome::Failed.exit_code()
}

/// The temporary root, and a port that was free a moment ago.
struct Stage {
    root: tempfile::TempDir,
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
        let program = program.to_string_lossy().replace('\'', r"'\''");
        for act in &ACTS {
            let app = root.path().join("apps").join(act.directory);
            fs::create_dir_all(&app).map_err(setup)?;
            fs::write(app.join("version"), act.answers).map_err(setup)?;
            fs::write(app.join("ready"), act.ready).map_err(setup)?;
            fs::write(app.join("name"), act.directory).map_err(setup)?;
        }
        let start = format!("exec '{program}' {DEMO_SERVICE} --port {port}");
        Ok(Self { port, start, root })
    }

    fn ship(&self, act: &Act) -> Vec<OsString> {
        let url = |path: &str| format!("http://127.0.0.1:{}{path}", self.port).into();
        let app = self.root.path().join("apps").join(act.directory);
        vec![
            "ship".into(),
            "--app".into(),
            app.into(),
            "--start".into(),
            self.start.clone().into(),
            "--check".into(),
            url("/ready"),
            "--check".into(),
            url("/version"),
            "--expect-version".into(),
            act.directory.into(),
            "--check-retries=4".into(),
            "--check-delay=250ms".into(),
            "--grace=5s".into(),
            "--deadline=30s".into(),
        ]
    }

    /// Calls the program as anybody would; gives the exit code, and the report of a run.
    fn call(&self, words: &[OsString]) -> (u8, Option<RunReport>) {
        let report = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&report);
        let app = app().finish(move |report| {
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(report.clone());
            Ok(())
        });
        let program =
            ["local-release".into(), "--root".into(), self.root.path().join("root").into()];
        // The demonstration is about its own root alone.
        let ledger = format!("sqlite:{}", self.root.path().join("root/ledger.db").display());
        let ledger = ["--ledger".into(), ledger.into()];
        let exit = app.run_from(program.into_iter().chain(ledger).chain(words.to_vec()).collect());
        let report = report.lock().unwrap_or_else(PoisonError::into_inner).take();
        (exit, report)
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

fn play(stage: &Stage) -> Result<()> {
    for act in &ACTS {
        println!("\nShip {}. It must end {}.", act.told, words(act.expected));
        let (_, report) = stage.call(&stage.ship(act));
        let report = report.ok_or_else(|| deviation("the ship came to no run"))?;
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
        println!("The service itself answers: {answered}");
    }
    println!("\nThe journal:");
    for words in [&["log".into()][..], &["log".into(), "--verify".into()]] {
        if stage.call(words).0 != 0 {
            return Err(deviation("the journal cannot be read"));
        }
    }
    Ok(())
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
