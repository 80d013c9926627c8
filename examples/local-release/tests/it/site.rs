//! A place to release to: a root, a free port, applications, and whatever process serves there.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_local-release");

/// What a call came to.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) exit: Option<i32>,
    /// The lines of standard output, each an object.
    pub(crate) lines: Vec<Value>,
    pub(crate) stderr: String,
}

impl Done {
    pub(crate) fn of(output: &Output) -> Self {
        let stdout = String::from_utf8(output.stdout.clone()).unwrap();
        let lines = stdout.lines().map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        });
        Self {
            exit: output.status.code(),
            lines: lines.collect(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The last line: what the call came to.
    pub(crate) fn report(&self) -> &Value {
        self.lines.last().unwrap_or_else(|| panic!("no output: {}", self.stderr))
    }

    pub(crate) fn outcome(&self) -> &str {
        self.report()["outcome"].as_str().unwrap_or_default()
    }

    pub(crate) fn code(&self) -> &str {
        self.report()["code"].as_str().unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn expect(self, exit: i32, outcome: &str, code: &str) -> Self {
        let came = (self.exit, self.outcome(), self.code());
        assert_eq!(came, (Some(exit), outcome, code), "{:#}\n{}", self.report(), self.stderr);
        assert_eq!(self.report()["exit"], exit, "the line and the process agree");
        if exit != 0 {
            let next = self.report()["next"].as_array().unwrap();
            assert!(!next.is_empty(), "what now? {:#}", self.report());
        }
        self
    }
}

pub(crate) fn signal(name: &str, child: &Child) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

pub(crate) struct Site {
    dir: tempfile::TempDir,
    root: PathBuf,
    /// Where its ledger is, unless it is under the root.
    ledger: Option<String>,
    kept: bool,
    pub(crate) port: u16,
}

impl Site {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        Self::within(dir, root)
    }

    /// With its root elsewhere, as on another disk.
    pub(crate) fn rooted(root: PathBuf) -> Self {
        Self::within(tempfile::tempdir().unwrap(), root)
    }

    fn within(dir: tempfile::TempDir, root: PathBuf) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { dir, root, ledger: None, kept: false, port }
    }

    /// With its ledger at that URL.
    pub(crate) fn with_ledger(mut self, url: String) -> Self {
        self.ledger = Some(url);
        self
    }

    pub(crate) fn ledger(&self) -> Option<&str> {
        self.ledger.as_deref()
    }

    /// The arguments that say where it is.
    pub(crate) fn place(&self) -> Vec<OsString> {
        let mut args = vec!["--root".into(), self.root().into_os_string()];
        if let Some(url) = self.ledger() {
            args.extend(["--ledger".into(), url.into()]);
        }
        args
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.root.clone()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Leaves everything on the disk as it is, for a person to look at.
    pub(crate) fn keep(&mut self) -> &Path {
        self.dir.disable_cleanup(true);
        self.kept = true;
        self.dir.path()
    }

    /// An application that answers with that version.
    pub(crate) fn app(&self, version: &str) -> PathBuf {
        let app = self.path(&format!("app-{version}"));
        fs::create_dir_all(&app).unwrap();
        fs::write(app.join("version"), version).unwrap();
        fs::write(app.join("ready"), "200 OK").unwrap();
        app
    }

    /// The program's own demo service on this site's port.
    pub(crate) fn start(&self) -> String {
        format!("exec '{PROGRAM}' demo-service --port {}", self.port)
    }

    pub(crate) fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(args).args(self.place()).args(["--output", "json"]);
        for unset in ["GATEKIT_LEDGER", "GATEKIT_ACTOR", "GITHUB_ACTIONS"] {
            command.env_remove(unset);
        }
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Done {
        Done::of(&self.command(args).output().unwrap())
    }

    /// A ship of that version, quick to despair.
    pub(crate) fn ship_command(&self, version: &str) -> Command {
        self.ship_app(&self.app(version), version)
    }

    pub(crate) fn ship_app(&self, app: &Path, version: &str) -> Command {
        let mut command = self.command([
            "ship",
            "--start",
            &self.start(),
            "--check",
            &self.url("/ready"),
            "--check",
            &self.url("/version"),
            "--expect-version",
            version,
            "--check-retries",
            "8",
            "--check-delay",
            "200ms",
        ]);
        command.arg("--app").arg(app);
        command
    }

    pub(crate) fn ship(&self, version: &str) -> Done {
        Done::of(&self.ship_command(version).output().unwrap())
    }

    pub(crate) fn status(&self) -> Value {
        let done = self.run(["status"]);
        assert_eq!(done.exit, Some(0), "{done:?}");
        done.report().clone()
    }

    #[track_caller]
    pub(crate) fn assert_verifies(&self) {
        let done = self.run(["log", "--verify"]);
        assert_eq!(done.exit, Some(0), "{done:?}");
    }

    /// Outcome and truth agree: the release that is said to be live is the one that serves, alone.
    #[track_caller]
    pub(crate) fn assert_true(&self, at: &str) {
        let status = self.status();
        assert_eq!(status["state"], "free", "{at}: {status:#}");
        let live = status["live"]["version"].as_str();
        assert_eq!(self.answers().as_deref(), live, "{at}: {status:#}");
        assert_eq!(self.services().len(), usize::from(live.is_some()), "{at}");
        self.assert_verifies();
    }

    /// What the service answers; `None` when nobody does.
    pub(crate) fn answers(&self) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let request = "GET /version HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer.rsplit("\r\n\r\n").next()?.trim().to_owned())
    }

    /// The processes that serve on this site's port, by their command lines.
    pub(crate) fn services(&self) -> Vec<u32> {
        let port = self.port.to_string();
        let mut services = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // Gone meanwhile, or a zombie, which has no command line.
            let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
            let words: Vec<_> = line.split(|byte| *byte == 0).collect();
            if words.contains(&b"demo-service".as_slice()) && words.contains(&port.as_bytes()) {
                services.push(pid);
            }
        }
        services
    }

    /// Waits until the run under way has an entry of that kind, or the child has ended: tells whether any run has one.
    pub(crate) fn wait_for(&self, kind: &str, child: &mut Child) -> bool {
        let patience = Instant::now() + Duration::from_secs(20);
        while Instant::now() < patience {
            let (run, log) = (self.status()["run"].clone(), self.run(["log"]));
            let entries = log.lines.iter().map(|line| -> Value {
                serde_json::from_str(line["entry"].as_str().unwrap_or("null")).unwrap()
            });
            let of_kind: Vec<_> = entries.filter(|it| it["body"]["kind"] == kind).collect();
            if !run.is_null() && of_kind.iter().any(|it| it["run"] == run) {
                return true;
            }
            if child.try_wait().unwrap().is_some() {
                return !of_kind.is_empty();
            }
        }
        panic!("no entry `{kind}` in 20 s");
    }
}

impl Drop for Site {
    /// No service outlives its test, whatever went wrong in it.
    fn drop(&mut self) {
        if !self.kept {
            let _ = self.command(["stop"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
        for pid in self.services() {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
    }
}
