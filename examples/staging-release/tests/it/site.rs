//! A program, and the world that it releases to: an emulated account behind an endpoint, and a web
//! server that answers the smoke checks.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use gatekit_emulators::{Account, Aws, Clock, Ecr, Listening, Scenario};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A secret that must be seen nowhere.
const CANARY: &str = "CANARY-secret-key";

/// The image that serves before anything is released.
pub(crate) const FIRST: &str = "registry.example.com/web@sha256:\
                                0000000000000000000000000000000000000000000000000000000000000000";

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
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!stdout.contains(CANARY) && !stderr.contains(CANARY), "{stdout}{stderr}");
        let lines = stdout.lines().map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        });
        Self { exit: output.status.code(), lines: lines.collect(), stderr }
    }

    /// The last line: what the call came to.
    pub(crate) fn report(&self) -> &Value {
        self.lines.last().unwrap_or_else(|| panic!("no output: {}", self.stderr))
    }

    /// It ended so, and says how to go on where it did not end well.
    #[track_caller]
    pub(crate) fn expect(self, exit: i32, outcome: &str, code: &str) -> Self {
        let report = self.report();
        let text = |name: &str| report[name].as_str().unwrap_or_default();
        let came = (self.exit, text("outcome"), text("code"));
        assert_eq!(came, (Some(exit), outcome, code), "{report:#}\n{}", self.stderr);
        let next = report["next"].as_array().map(Vec::len).unwrap_or_default();
        assert!(exit == 0 || next > 0, "what now? {report:#}");
        self
    }

    /// The message of the end, with what it says below.
    pub(crate) fn why(&self) -> String {
        let report = self.report();
        format!("{} {} {}", report["message"], report["causes"], report["next"])
    }
}

/// A web server that answers what it is told to.
#[derive(Debug, Clone)]
pub(crate) struct Web {
    address: SocketAddr,
    statuses: Arc<Mutex<BTreeMap<String, u16>>>,
}

impl Web {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let web = Self { address: listener.local_addr().unwrap(), statuses: Arc::default() };
        let serving = web.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that went away concerns nobody but itself.
                let _ = serving.answer(stream);
            }
        });
        web
    }

    /// Answers that path with that status from now on, and not with 200.
    pub(crate) fn set(&self, path: &str, status: u16) {
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        statuses.insert(path.to_owned(), status);
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let path = request.split(' ').nth(1).unwrap_or_default();
        let statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        let status = statuses.get(path).copied().unwrap_or(200);
        write!(stream, "HTTP/1.1 {status} \r\ncontent-length: 3\r\nconnection: close\r\n\r\nok\n")
    }
}

/// An account whose next deployment goes as the scenario says, faster than in truth.
pub(crate) fn account(scenario: Scenario) -> Aws {
    let speed = if scenario == Scenario::Slow { 30.0 } else { 2.0 };
    Aws::new(scenario, Clock::at_speed(speed))
}

#[derive(Debug)]
pub(crate) struct Site {
    program: &'static str,
    dir: TempDir,
    pub(crate) account: Aws,
    listening: Listening,
    pub(crate) web: Web,
}

impl Site {
    /// The program, before that account.
    pub(crate) fn of(program: &'static str, account: Aws) -> Self {
        let emulator = account.clone();
        let listening = done_outside(async move { emulator.listen(0).await.unwrap() });
        let dir = tempfile::tempdir().unwrap();
        Self { program, dir, account, listening, web: Web::start() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.web.address)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn ledger(&self) -> String {
        format!("sqlite:{}?durable=true", self.path("ledger.db").display())
    }

    /// A call of the program, by somebody called ann.
    pub(crate) fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(self.program);
        command.args(args).args(["--ledger", &self.ledger(), "--output", "json"]);
        let theirs = |name: &str| {
            ["AWS_", "GATEKIT_", "GITHUB_"].iter().any(|prefix| name.starts_with(prefix))
        };
        for (name, _) in std::env::vars().filter(|(name, _)| theirs(name)) {
            command.env_remove(name);
        }
        command
            .env("GATEKIT_ACTOR", "ann")
            .env("AWS_ENDPOINT_URL", self.listening.url())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", CANARY)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Done {
        Done::of(&self.command(args).output().unwrap())
    }

    pub(crate) fn spawn(mut command: Command) -> Child {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn ended(child: Child) -> Done {
        Done::of(&child.wait_with_output().unwrap())
    }

    /// What truly serves, when all is quiet; otherwise what is under way.
    pub(crate) fn serving(&self) -> Result<String, String> {
        self.account.with_account(Account::serving).map(|images| images.join(", "))
    }

    /// How often an operation was called.
    pub(crate) fn called(&self, operation: &str) -> usize {
        self.account.calls().iter().filter(|call| call.operation == operation).count()
    }

    /// Waits until the deployment is under way and was looked at: the middle of a rollout.
    pub(crate) fn wait_for_rollout(&self, child: &mut Child) {
        let patience = Instant::now() + Duration::from_secs(60);
        let is_watched = || {
            let calls = self.account.calls();
            let updated = calls.iter().position(|call| call.operation == "UpdateService");
            updated.is_some_and(|at| {
                calls[at..].iter().filter(|call| call.operation == "DescribeServices").count() > 1
            })
        };
        while !is_watched() {
            assert_eq!(child.try_wait().unwrap(), None, "it ended before its rollout");
            assert!(Instant::now() < patience, "no rollout in a minute");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

pub(crate) fn signal(name: &str, child: &Child) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Where the emulators run.
fn outside() -> &'static Runtime {
    static OUTSIDE: OnceLock<Runtime> = OnceLock::new();
    OUTSIDE.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    })
}

/// Waits for what is done there.
pub(crate) fn done_outside<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    outside().spawn(async move { sender.send(work.await) });
    receiver.recv().unwrap()
}

/// Pushes an image with that name inside, and gives its digest.
pub(crate) fn push(ecr: &Ecr, repository: &str, name: &str) -> String {
    let (ecr, repository) = (ecr.clone(), repository.to_owned());
    let config =
        json!({ "os": "linux", "architecture": "amd64", "config": { "Labels": { "name": name } } });
    done_outside(async move {
        let config = config.to_string();
        let digest = ecr.push_blob(&repository, config.as_bytes()).await.unwrap();
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": kind, "layers": [],
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json",
                        "digest": digest, "size": config.len() },
        });
        ecr.push_manifest(&repository, kind, &manifest.to_string()).await.unwrap()
    })
}
