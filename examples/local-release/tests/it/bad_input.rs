//! Bad input: a clear error with a code and a next action, the documented exit, nothing lost,
//! nothing half-written.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Seek as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gatekit_store::SqliteLedger;
use serde_json::Value;

use crate::site::{Done, PROGRAM, Site};

fn ran(mut command: Command) -> Done {
    Done::of(&command.output().unwrap())
}

/// A ship with that start command and those checks, whatever they are worth.
fn ship(site: &Site, app: &Path, start: &str, check: &str, version: &str) -> Command {
    let mut command = site.command(["ship", "--start", start, "--check", check]);
    command.args(["--expect-version", version, "--check-retries", "3", "--check-delay", "100ms"]);
    command.arg("--app").arg(app);
    command
}

/// The target is at rest, the journal is whole, and what is said to be live serves, alone.
#[track_caller]
fn assert_at_rest(site: &Site, live: Option<&str>) {
    let status = site.status();
    assert_eq!(status["state"], "free", "{status:#}");
    assert_eq!(status["live"]["version"].as_str(), live, "{status:#}");
    assert_eq!(site.answers().as_deref(), live);
    assert_eq!(site.services().len(), usize::from(live.is_some()));
    let staged = fs::read_dir(site.root().join("staging")).map_or(0, Iterator::count);
    assert_eq!(staged, 0, "something half-written is left");
    site.assert_verifies();
}

#[test]
fn what_the_command_line_cannot_mean_is_a_usage_error_and_leaves_no_trace() {
    let site = Site::new();
    let calls: &[&[&str]] = &[
        &["status", "--bogus"],
        &["launch"],
        &["--lease", "5s"],
        &["status", "--lease", "soon"],
        &["status", "--lease=-5s"],
        &["status", "--deadline", "5"],
        &["status", "--queue-timeout", ""],
        &["status", "--target", "A b"],
        &["status", "--target", "a//b"],
        &["status", "--target", ""],
        &["rollback"],
        &["rollback", "--reason", " "],
        &["reconcile", "--adopt"],
        &["reconcile", "--adopt", "--override", "--reason", "both"],
        &["ship", "--app", "."],
    ];
    for call in calls {
        let done = site.run(*call).expect(2, "usage", "usage.command_line");
        assert!(!done.report()["message"].as_str().unwrap().is_empty(), "{call:?}");
    }
    let app = site.app("v1");
    let url = site.url("/version");
    for (flag, value, code) in [
        ("--ledger", "mysql://localhost/gatekit", "usage.ledger"),
        ("--ledger", "postgres://me@localhost/db?sslmode=prefer", "ledger.url"),
        ("--ledger", "", "usage.ledger"),
        ("--ledger", "sqlite:", "usage.ledger"),
        ("--ledger", "sqlite:?durable=true", "usage.ledger"),
        ("--lease", "0s", "config.duration"),
        ("--version-from", "cookie:v", "usage.command_line"),
        ("--check", "ftp://localhost/", "smoke.url"),
        ("--check", "not a url", "smoke.url"),
    ] {
        let mut command = ship(&site, &app, &site.start(), &url, "v1");
        command.args([flag, value]);
        ran(command).expect(2, "usage", code);
    }
    assert!(!site.root().exists(), "an error of usage made something");
}

#[test]
fn a_word_that_is_not_utf8_is_an_error_of_usage_like_any_other() {
    let site = Site::new();
    let word = OsStr::from_bytes(b"\xff");
    for call in [[OsStr::new("status"), word], [OsStr::new("--bogus"), word]] {
        let done = site.run(call).expect(2, "usage", "usage.command_line");
        assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    }
    assert!(!site.root().exists());
}

#[test]
fn times_may_be_as_long_as_anybody_likes() {
    let site = Site::new();
    let mut command = site.ship_command("v1");
    let forever = "9223372036854775807s";
    command.args(["--deadline", forever, "--queue-timeout", forever, "--grace", forever]);
    ran(command).expect(0, "released", "");
    let mut command = site.ship_command("v2");
    command.args(["--deadline", forever, "--queue-timeout", forever, "--grace", forever]);
    ran(command).expect(0, "released", "");
    assert_at_rest(&site, Some("v2"));
}

#[test]
fn a_directory_that_cannot_be_shipped_is_refused_and_the_old_release_serves() {
    let site = Site::new();
    site.ship("v1").expect(0, "released", "");
    let before = site.run(["log", "--head"]).report().clone();
    let (empty, out, file) = (site.path("empty"), site.app("out"), site.path("file"));
    fs::create_dir(&empty).unwrap();
    fs::write(&file, "not a directory").unwrap();
    symlink(site.app("v1").join("version"), out.join("link")).unwrap();
    for (app, code) in [
        (site.path("missing"), "usage.path"),
        (empty, "release_dir.source_empty"),
        (file, "release_dir.source_missing"),
        (out, "release_dir.symlink"),
    ] {
        let done = ran(site.ship_app(&app, "v2"));
        done.expect(2, "usage", code);
    }
    assert_eq!(site.run(["log", "--head"]).report(), &before, "nothing was opened");
    ran(site.ship_app(&site.root(), "v2")).expect(5, "failed", "release_dir.nested");
    assert_at_rest(&site, Some("v1"));
}

#[test]
fn a_start_command_that_does_not_stay_is_rolled_back() {
    let site = Site::new();
    let url = site.url("/version");
    ran(ship(&site, &site.app("v0"), "/does/not/exist", &url, "v0")).expect(
        3,
        "rolled_back",
        "deploy.failed",
    );
    assert_at_rest(&site, None);
    site.ship("v1").expect(0, "released", "");
    for start in ["/does/not/exist --port 1", "true", "exit 7", "kill -9 $$", "'"] {
        let done = ran(ship(&site, &site.app("v2"), start, &url, "v2"));
        let done = done.expect(3, "rolled_back", "deploy.failed");
        assert_eq!(done.report()["live"]["version"], "v1", "{start}");
        assert_at_rest(&site, Some("v1"));
    }
}

/// Whoever listens on a port of this machine without being the service that was released.
struct Stranger {
    port: u16,
}

impl Stranger {
    fn new(answer: impl Fn(TcpStream) -> std::io::Result<()> + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = answer.clone();
                thread::spawn(move || {
                    // A client that has had enough goes away.
                    let _ = answer(stream);
                });
            }
        });
        Self { port }
    }

    fn saying(head: &'static str, body: &'static str) -> Self {
        Self::new(move |mut stream| {
            request(&mut stream)?;
            let length = body.len();
            write!(stream, "{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
        })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/version", self.port)
    }
}

fn request(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut request = [0; 4096];
    stream.read(&mut request).map(drop)
}

#[test]
fn a_stranger_on_the_port_is_never_taken_for_the_release() {
    let site = Site::new();
    site.ship("v1").expect(0, "released", "");
    let stranger = Stranger::saying("HTTP/1.1 200 OK\r\n", "v2");
    let binds = format!("exec '{PROGRAM}' demo-service --port {}", stranger.port);
    for (start, code) in [(binds.as_str(), "deploy.failed"), ("exec sleep 100", "verify.failed")] {
        let done = ran(ship(&site, &site.app("v2"), start, &stranger.url(), "v2"));
        let done = done.expect(3, "rolled_back", code);
        assert_eq!(done.report()["live"]["version"], "v1", "{start}");
        assert_at_rest(&site, Some("v1"));
    }
}

#[test]
fn answers_without_end_are_bounded_and_what_was_shipped_is_rolled_back() {
    let site = Site::new();
    site.ship("v1").expect(0, "released", "");
    let silent = Stranger::new(|mut stream| {
        request(&mut stream)?;
        thread::sleep(Duration::from_secs(60));
        Ok(())
    });
    let endless = Stranger::new(|mut stream| {
        request(&mut stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n")?;
        // One past the gigabyte is not needed: the client is to leave long before.
        (0..16_384).try_for_each(|_| stream.write_all(&[b'x'; 65_536]))
    });
    let chunked = Stranger::new(|mut stream| {
        request(&mut stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        (0..16_384).try_for_each(|_| {
            stream.write_all(b"10000\r\n")?;
            stream.write_all(&[b'x'; 65_536])?;
            stream.write_all(b"\r\n")
        })
    });
    let circle = Stranger::saying("HTTP/1.1 302 Found\r\nlocation: /version\r\n", "v2");
    let away = Stranger::saying("HTTP/1.1 302 Found\r\nlocation: http://example.com/\r\n", "v2");
    let junk = Stranger::saying("garbage\r\n", "v2");
    for (server, told) in [
        (silent, ""),
        (endless, "smoke.body_too_large"),
        (chunked, "smoke.body_too_large"),
        (circle, "smoke.redirect_loop"),
        (away, "smoke.redirect_elsewhere"),
        (junk, ""),
    ] {
        let start = "exec sleep 100";
        let mut command = ship(&site, &site.app("v2"), start, &server.url(), "v2");
        command.args(["--behind-proxy", "--deadline", "6s"]);
        let begun = Instant::now();
        let done = ran(command);
        assert!(begun.elapsed() < Duration::from_secs(30), "{told}: {:?}", begun.elapsed());
        let came = (done.exit, done.outcome().to_owned());
        assert_eq!(came, (Some(3), "rolled_back".to_owned()), "{told}: {done:?}");
        assert!(!done.report()["next"].as_array().unwrap().is_empty(), "{done:?}");
        let log: String = site.run(["log"]).lines.iter().map(Value::to_string).collect();
        assert!(log.contains(told), "{told}: {:#}", done.report());
        assert_at_rest(&site, Some("v1"));
    }
}

fn ledger_bytes(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

/// Runs every command that needs the ledger at `path`, and asserts that the file stays as it was.
#[track_caller]
fn assert_refused(site: &Site, path: &Path, calls: &[&str], exit: i32, outcome: &str, code: &str) {
    let before = ledger_bytes(path);
    let url = format!("sqlite:{}", path.display());
    for call in calls {
        let mut command = match *call {
            "ship" => site.ship_command("v2"),
            call => site.command(call.split('_')),
        };
        command.args(["--ledger", &url]);
        ran(command).expect(exit, outcome, code);
    }
    assert!(ledger_bytes(path) == before, "the file was written to");
}

const WRITERS: &[&str] = &["ship", "stop", "rollback_--reason_why"];
const READERS: &[&str] = &["status", "log", "log_--verify", "resume", "reconcile"];

#[test]
fn a_ledger_that_is_none_is_refused_and_left_as_it_is() {
    let site = Site::new();
    site.ship("v1").expect(0, "released", "");
    let (garbage, torn, foreign) = (site.path("garbage"), site.path("torn"), site.path("foreign"));
    fs::write(&garbage, "this is no database. ".repeat(1000)).unwrap();
    let whole = ledger_bytes(&site.root().join("ledger.db"));
    fs::write(&torn, whole.get(..whole.len() / 2).unwrap()).unwrap();
    let other = rusqlite::Connection::open(&foreign).unwrap();
    other.execute_batch("CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine')").unwrap();
    other.close().unwrap();
    for calls in [WRITERS, READERS] {
        assert_refused(&site, &garbage, calls, 4, "stuck", "ledger.corrupt");
        assert_refused(&site, &foreign, calls, 2, "usage", "ledger.foreign");
    }
    assert_refused(&site, &torn, WRITERS, 4, "stuck", "ledger.corrupt");
    assert_at_rest(&site, Some("v1"));
}

#[test]
fn a_newer_ledger_is_read_and_never_written() {
    let site = Site::new();
    site.ship("v1").expect(0, "released", "");
    let path = site.root().join("ledger.db");
    let ledger = rusqlite::Connection::open(&path).unwrap();
    let version: i64 = ledger.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    ledger.pragma_update(None, "user_version", version + 1).unwrap();
    ledger.close().unwrap();
    assert_refused(&site, &path, &["ship", "stop"], 2, "usage", "ledger.newer");
    site.run(["resume"]).expect(0, "unchanged", "resume.nothing");
    assert!(!site.run(["log"]).lines.is_empty());
    assert_at_rest(&site, Some("v1"));
    let ledger = rusqlite::Connection::open(&path).unwrap();
    ledger.pragma_update(None, "user_version", version).unwrap();
    ledger.close().unwrap();
    site.ship("v2").expect(0, "released", "");
}

#[test]
fn a_read_only_ledger_is_read_and_never_written() {
    let site = Site::new();
    site.ship("v1").expect(0, "released", "");
    let path = site.root().join("ledger.db");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    assert_refused(&site, &path, WRITERS, 5, "failed", "ledger.read_only");
    site.run(["resume"]).expect(0, "unchanged", "resume.nothing");
    assert_at_rest(&site, Some("v1"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    site.ship("v2").expect(0, "released", "");
}

#[test]
fn before_the_first_ship_there_is_nothing_to_do_and_nothing_is_made() {
    let site = Site::new();
    let status = site.status();
    assert_eq!(status["code"], "status.never_shipped");
    assert_eq!(status["live"], Value::Null);
    assert!(!status["next"].as_array().unwrap().is_empty());
    assert_eq!(site.run(["log"]).exit, Some(0));
    site.run(["log", "--verify"]).expect(2, "usage", "usage.ledger");
    site.run(["resume"]).expect(0, "unchanged", "resume.nothing");
    site.run(["reconcile"]).expect(0, "unchanged", "reconcile.nothing");
    site.run(["stop"]).expect(0, "unchanged", "usage.never_shipped");
    site.run(["rollback", "--reason", "why"]).expect(1, "refused", "rollback.nothing");
    assert!(!site.root().exists(), "a question made something on disk");
}

#[test]
fn a_password_in_a_url_is_refused_and_appears_nowhere() {
    let site = Site::new();
    site.ship("v1").expect(0, "released", "");
    for format in ["json", "human"] {
        for url in ["http://me:hunter2@127.0.0.1:1/", "http://hunter2@127.0.0.1:1/"] {
            let mut command = Command::new(PROGRAM);
            command.args(["ship", "--start", "true", "--check", url, "--output", format]);
            command.env_remove("GATEKIT_LEDGER").env_remove("GITHUB_ACTIONS");
            command.arg("--app").arg(site.app("v2")).arg("--root").arg(site.root());
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(2));
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8(said).unwrap();
            assert!(said.contains("smoke.secret_in_url") && !said.contains("hunter2"), "{said}");
        }
    }
    for args in [["status", "--root", "r"], ["status", "--target", "a"], ["status", "--help", "-h"]]
    {
        let mut command = Command::new(PROGRAM);
        command.args(args).env("GATEKIT_LEDGER", "postgres://me:hunter2@localhost/db");
        let output = command.current_dir(site.path("")).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!said.contains("hunter2"), "{said}");
    }
    let found = Command::new("grep").args(["-rqa", "hunter2"]).arg(site.root()).status().unwrap();
    assert_eq!(found.code(), Some(1), "the password is on disk");
    assert_at_rest(&site, Some("v1"));
}

#[test]
fn a_ledger_that_would_be_lost_with_its_runner_is_refused() {
    let site = Site::new();
    let mut command = site.ship_command("v1");
    command.env("GITHUB_ACTIONS", "true");
    ran(command).expect(2, "usage", "ledger.ephemeral");
    assert_eq!(site.status()["code"], "status.never_shipped");
    assert!(!site.root().exists());
    // Whoever calls it knows a machine that keeps the file.
    let mut command = site.ship_command("v1");
    let url = format!("sqlite:{}?durable=true", site.path("kept.db").display());
    command.env("GITHUB_ACTIONS", "true").env("GATEKIT_LEDGER", url);
    ran(command).expect(0, "released", "");
    assert!(site.path("kept.db").is_file());
}

#[test]
fn names_that_are_not_utf8_are_released_as_they_are() {
    let site = Site::new();
    let app = site.app("v1");
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9 \xff\n\\x");
    fs::write(app.join(name), "odd").unwrap();
    ran(site.ship_app(&app, "v1")).expect(0, "released", "");
    assert_eq!(fs::read(site.root().join("current").join(name)).unwrap(), b"odd");
    ran(site.ship_app(&app, "v1")).expect(0, "unchanged", "");
    assert_at_rest(&site, Some("v1"));
    let unspeakable = site.path("x").with_file_name(std::ffi::OsStr::from_bytes(b"\xff"));
    fs::rename(&app, &unspeakable).unwrap();
    ran(site.ship_app(&unspeakable, "v1")).expect(2, "usage", "usage.path");
}

#[test]
fn a_file_that_changes_while_it_is_read_is_never_released_torn() {
    assert_never_torn(|_| {});
}

#[test]
fn a_file_that_changes_while_it_is_copied_is_never_released_torn() {
    assert_never_torn(|site| {
        let patience = Instant::now() + Duration::from_secs(20);
        while Instant::now() < patience {
            let log = site.run(["log"]);
            let granted = |line: &Value| line["entry"].as_str().unwrap().contains("\"granted\"");
            if log.lines.iter().filter(|line| granted(line)).count() == 2 {
                return;
            }
        }
        panic!("the second ship was not granted in 20 s");
    });
}

/// Ships a big file that is rewritten without a pause as soon as `moment` returns.
fn assert_never_torn(moment: impl FnOnce(&Site) + Send) {
    const SIZE: usize = 24 << 20;
    let site = Site::new();
    site.ship("v1").expect(0, "released", "");
    let app = site.app("v2");
    let big = app.join("big");
    fs::write(&big, vec![b'a'; SIZE]).unwrap();
    let over = AtomicBool::new(false);
    let done = thread::scope(|scope| {
        scope.spawn(|| {
            moment(&site);
            // In place, so that whoever reads it sees some of both.
            let mut file = fs::OpenOptions::new().write(true).open(&big).unwrap();
            for letter in [b'b', b'a'].into_iter().cycle() {
                file.rewind().unwrap();
                for _ in 0..SIZE / 65_536 {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    file.write_all(&[letter; 65_536]).unwrap();
                }
            }
        });
        let done = ran(site.ship_app(&app, "v2"));
        over.store(true, Ordering::Relaxed);
        done
    });
    if done.outcome() == "released" {
        let copy = fs::read(site.root().join("current/big")).unwrap();
        let first = copy.first().copied();
        assert!(copy.len() == SIZE && copy.iter().all(|byte| Some(*byte) == first), "torn");
        assert_at_rest(&site, Some("v2"));
        return;
    }
    assert!(matches!(done.exit, Some(3 | 5)), "{:#}", done.report());
    assert!(
        done.report().to_string().contains("not what was to be shipped"),
        "{:#}",
        done.report()
    );
    assert!(!done.report()["next"].as_array().unwrap().is_empty());
    assert_at_rest(&site, Some("v1"));
    ran(site.ship_app(&app, "v2")).expect(0, "released", "");
}

/// A disk of its own that is small.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    /// `None` where mounting is not permitted; the tests with a limit on files run everywhere.
    fn new(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path())
            .stderr(Stdio::null())
            .status();
        let mounted = mount.is_ok_and(|status| status.success());
        let skips = !mounted && std::env::var_os("CI").is_some();
        assert!(!skips, "CI skips nothing: mounting must be permitted");
        mounted.then_some(Self { dir })
    }

    /// Leaves that much.
    fn fill(&self, free: u64) {
        let path = self.dir.path().join("ballast");
        let mut file = fs::File::create(&path).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        let size = file.metadata().unwrap().len();
        file.set_len(size.saturating_sub(free)).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.dir.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a killed service may not have let go of its log yet.
        let _ = Command::new("umount").arg("-l").arg(self.dir.path()).status();
    }
}

/// Brings a target to rest after its run could not.
fn settle(site: &Site) {
    let resumed = site.run(["resume"]);
    if site.status()["state"] == "suspect" {
        let back = site.run(["reconcile", "--roll-back", "--reason", "the disk was full"]);
        assert_eq!(back.exit, Some(3), "{back:?}\nafter {resumed:?}");
    }
}

/// The live release serves, and the journal is whole.
#[track_caller]
fn assert_settled(site: &Site) -> String {
    let status = site.status();
    let live = status["live"]["version"].as_str().unwrap_or_default().to_owned();
    assert_at_rest(site, Some(&live).filter(|live| !live.is_empty()).map(String::as_str));
    live
}

#[test]
fn a_disk_that_is_full_before_the_ship_fails_it_and_the_old_release_serves() {
    let Some(disk) = SmallDisk::new("4m") else { return };
    let site = Site::rooted(disk.dir.path().join("root"));
    disk.fill(0);
    ran(site.ship_command("v1")).expect(5, "failed", "ledger.full");
    assert_eq!(site.status()["live"], Value::Null);
    disk.free();
    site.ship("v1").expect(0, "released", "");
    disk.fill(0);
    let done = ran(site.ship_command("v2"));
    assert!(matches!(done.exit, Some(5)), "{done:?}");
    assert_eq!(site.status()["live"]["version"], "v1", "status can be read on a full disk");
    assert_eq!(site.answers().as_deref(), Some("v1"));
    site.assert_verifies();
    disk.free();
    settle(&site);
    assert_at_rest(&site, Some("v1"));
    site.ship("v2").expect(0, "released", "");
    assert_at_rest(&site, Some("v2"));
}

#[test]
fn a_ledger_whose_log_was_left_behind_can_be_read_on_a_full_disk() {
    let Some(disk) = SmallDisk::new("4m") else { return };
    let site = Site::rooted(disk.dir.path().join("root"));
    site.ship("v1").expect(0, "released", "");
    let (ledger, left) = (site.root().join("ledger.db"), disk.dir.path().join("left.db"));
    let writer = SqliteLedger::open(&ledger).unwrap();
    site.ship("v2").expect(0, "released", "");
    fs::copy(&ledger, &left).unwrap();
    fs::copy(ledger.with_extension("db-wal"), left.with_extension("db-wal")).unwrap();
    drop(writer);
    disk.fill(0);
    let log = fs::read(left.with_extension("db-wal")).unwrap();
    assert!(!log.is_empty());
    let url = format!("sqlite:{}", left.display());
    let done = site.run(["status", "--ledger", &url]);
    assert_eq!(done.exit, Some(0), "{done:?}");
    assert_eq!(done.report()["live"]["version"], "v2", "what is only in the log counts");
    let verified = site.run(["log", "--verify", "--ledger", &url]);
    assert_eq!(verified.exit, Some(0), "{verified:?}");
    assert_eq!(fs::read(left.with_extension("db-wal")).unwrap(), log, "reading writes nothing");
}

#[test]
fn a_disk_that_fills_up_while_the_release_is_copied_leaves_the_old_one() {
    let Some(disk) = SmallDisk::new("4m") else { return };
    let site = Site::rooted(disk.dir.path().join("root"));
    site.ship("v1").expect(0, "released", "");
    let app = site.app("v2");
    fs::write(app.join("big"), vec![7; 8 << 20]).unwrap();
    let done = ran(site.ship_app(&app, "v2"));
    assert_eq!(done.code(), "release_dir.disk_full", "{:#}", done.report());
    assert!(matches!(done.exit, Some(3 | 5)), "{:#}", done.report());
    assert!(!done.report()["next"].as_array().unwrap().is_empty());
    assert_at_rest(&site, Some("v1"));
    fs::remove_file(app.join("big")).unwrap();
    ran(site.ship_app(&app, "v2")).expect(0, "released", "");
    assert_at_rest(&site, Some("v2"));
}

#[test]
fn a_disk_that_fills_up_at_any_moment_loses_nothing() {
    let Some(disk) = SmallDisk::new("4m") else { return };
    let site = Site::rooted(disk.dir.path().join("root"));
    site.ship("v0").expect(0, "released", "");
    let mut live = "v0".to_owned();
    for step in 0..14_u64 {
        let version = format!("v{}", step + 1);
        disk.fill(step * 8192);
        let done = site.ship(&version);
        let at = format!("{} KiB free: {:#}\n{}", step * 8, done.report(), done.stderr);
        assert!(matches!(done.exit, Some(0 | 3 | 4 | 5)), "{at}");
        let claims = if done.exit == Some(0) { &version } else { &live };
        // Stuck between two writes, of which the ledger could not take the second: the old service may
        // be stopped and the new one not started. Never do two run.
        if done.exit == Some(4) {
            assert!(site.services().len() <= 1, "{at}");
        } else {
            assert_eq!(site.answers().as_deref(), Some(claims.as_str()), "{at}");
            assert_eq!(site.services().len(), 1, "{at}");
        }
        if done.exit != Some(0) {
            assert!(!done.report()["next"].as_array().unwrap().is_empty(), "{at}");
        }
        disk.free();
        settle(&site);
        live = assert_settled(&site);
        assert!(!live.is_empty(), "{at}");
    }
    site.ship("last").expect(0, "released", "");
}

/// That command with no file growing over so many blocks of 512 bytes: full for whoever writes.
fn limited(command: &Command, blocks: u32) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""), "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    shell.env_remove("GATEKIT_LEDGER").env_remove("GITHUB_ACTIONS").stdin(Stdio::null());
    shell
}

#[test]
fn files_that_cannot_grow_fail_the_ship_and_the_old_release_serves() {
    let site = Site::new();
    // SQLite takes it for a fault of the disk: it is not the error of a full one.
    ran(limited(&site.ship_command("v0"), 8)).expect(5, "failed", "ledger.io");
    assert_eq!(site.status()["live"], Value::Null);
    site.ship("v1").expect(0, "released", "");
    let app = site.app("v2");
    fs::write(app.join("big"), vec![7; 8 << 20]).unwrap();
    for blocks in [0, 8, 40, 80, 4096] {
        // Nothing that an earlier round may have copied is of use to this one.
        fs::write(app.join("round"), blocks.to_string()).unwrap();
        let done = ran(limited(&site.ship_app(&app, "v2"), blocks));
        let at = format!("{blocks}: {:#}\n{}", done.report(), done.stderr);
        assert!(matches!(done.exit, Some(3..=5)), "{at}");
        assert!(!done.report()["next"].as_array().unwrap().is_empty(), "{at}");
        assert_eq!(site.answers().as_deref(), Some("v1"), "{at}");
        // A run whose failure could not be written down is still open: it may be resumed to its end.
        settle(&site);
        if assert_settled(&site) == "v2" {
            site.run(["rollback", "--reason", "once more"]).expect(0, "released", "");
        }
        assert_at_rest(&site, Some("v1"));
    }
    ran(site.ship_app(&app, "v2")).expect(0, "released", "");
}

/// A library that moves the clock of the processes it is loaded into, and nobody else's.
#[cfg(target_os = "linux")]
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += 86400;
    return result;
}
"#;

#[cfg(target_os = "linux")]
#[test]
fn a_clock_that_is_set_back_changes_nothing() {
    let site = Site::new();
    let (source, library) = (site.path("clock.c"), site.path("clock.so"));
    fs::write(&source, CLOCK).unwrap();
    let cc =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(cc.unwrap().success(), "the README asks for a C compiler");
    let ahead = |mut command: Command| {
        command.env("LD_PRELOAD", &library);
        command
    };
    ran(ahead(site.ship_command("v1"))).expect(0, "released", "");
    // A day earlier from here on.
    assert_at_rest(&site, Some("v1"));
    site.ship("v2").expect(0, "released", "");
    let times: Vec<String> = site
        .run(["log"])
        .lines
        .iter()
        .map(|line| {
            let entry: Value = serde_json::from_str(line["entry"].as_str().unwrap()).unwrap();
            entry["at"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(times.last() < times.first(), "the clock was not set back: {times:?}");
    site.run(["rollback", "--reason", "why"]).expect(0, "released", "");
    assert_at_rest(&site, Some("v1"));

    // And while a holder that was killed still has the lock.
    let mut command = ahead(site.ship_command("v3"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    thread::sleep(Duration::from_millis(700));
    child.kill().unwrap();
    child.wait().unwrap();
    settle(&site);
    assert_settled(&site);
    site.ship("v4").expect(0, "released", "");
    assert_at_rest(&site, Some("v4"));
}
