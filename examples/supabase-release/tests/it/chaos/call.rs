//! One call of the program, and how and when it is hit.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::journal::Journal;
use super::servers::Servers;
use crate::site::Done;

/// How long a call may take; what it may wait for ends before that.
const PATIENCE: Duration = Duration::from_secs(400);

/// What it is hit by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Blow {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Term,
    /// Its connections end: on the way, or on the server's side.
    Cut(Side),
    /// The server ends at once, and comes again.
    Restart(Away),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Line,
    Server,
}

/// For how long the server is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Away {
    For(Duration),
    /// Until the call has ended.
    ToTheEnd,
}

/// When a call is hit, after its start.
#[derive(Debug, Clone, Copy)]
pub(super) enum Moment {
    /// After that time.
    Delay(Duration),
    /// When the journal has that many more entries, and a little later.
    Entry(u64, Duration),
}

/// How a call ended.
#[derive(Debug)]
pub(super) struct End {
    /// What it said, if it lived.
    pub(super) done: Option<Done>,
    /// Whether it had changed something, or was about to, and was not through with it when it was hit; `None`
    /// where it was faster.
    pub(super) hit_at_work: Option<bool>,
}

/// What a call is about.
#[derive(Debug)]
pub(super) struct Call<'c> {
    pub(super) command: Command,
    pub(super) journal: &'c Journal,
    pub(super) database: &'c str,
    /// Where it lies what it says.
    pub(super) folder: &'c Path,
}

const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";

/// A call that was begun.
struct Running<'c> {
    child: Child,
    folder: &'c Path,
}

impl<'c> Call<'c> {
    pub(super) fn run(self) -> Done {
        Done::of(self.start().ended())
    }

    fn start(mut self) -> Running<'c> {
        // What it says may be more than a pipe holds.
        let file = |name| File::create(self.folder.join(name)).unwrap();
        self.command.stdin(Stdio::null()).stdout(file(STDOUT)).stderr(file(STDERR));
        Running { child: self.command.spawn().unwrap(), folder: self.folder }
    }

    /// Starts it and hits it at that moment.
    pub(super) fn strike(self, blow: Blow, moment: Moment, servers: &mut Servers) -> End {
        let (journal, database) = (self.journal, self.database);
        let before = journal.length();
        let mut running = self.start();
        running.wait_for(moment, journal, before);
        let mut at_work = journal.is_at_work(before);
        if running.has_ended() {
            return End { done: Some(Done::of(running.ended())), hit_at_work: None };
        }
        match blow {
            Blow::Kill => {
                running.child.kill().unwrap();
                let output = running.output();
                if output.status.signal() != Some(9) {
                    return End { done: Some(Done::of(output)), hit_at_work: None };
                }
                at_work = journal.is_at_work(before);
                return End { done: None, hit_at_work: Some(at_work) };
            }
            Blow::Term => {
                let pid = running.child.id().to_string();
                Command::new("kill").args(["-TERM", &pid]).status().unwrap();
            }
            Blow::Cut(Side::Line) => servers.cut(),
            Blow::Cut(Side::Server) => servers.terminate(database),
            Blow::Restart(away) => {
                servers.crash();
                if let Away::For(time) = away {
                    thread::sleep(time);
                    servers.go_on();
                }
            }
        }
        let output = running.ended();
        if blow == Blow::Restart(Away::ToTheEnd) {
            servers.go_on();
        }
        // Before it listens to signals they kill it.
        let has_said = output.status.signal().is_none();
        End { done: has_said.then(|| Done::of(output)), hit_at_work: Some(at_work) }
    }
}

impl Running<'_> {
    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for the moment, or for its end.
    fn wait_for(&mut self, moment: Moment, journal: &Journal, before: u64) {
        let (entries, delay) = match moment {
            Moment::Delay(delay) => (0, delay),
            Moment::Entry(entries, delay) => (entries, delay),
        };
        let began = Instant::now();
        while journal.length() < before + entries {
            if self.has_ended() {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "no entry {entries} for a long time");
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(delay);
    }

    fn ended(mut self) -> Output {
        let began = Instant::now();
        while !self.has_ended() {
            if began.elapsed() > PATIENCE {
                self.child.kill().unwrap();
                panic!("it does not end: {:?}", self.output());
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.output()
    }

    fn output(mut self) -> Output {
        let said = |name| fs::read(self.folder.join(name)).unwrap();
        Output { status: self.child.wait().unwrap(), stdout: said(STDOUT), stderr: said(STDERR) }
    }
}
