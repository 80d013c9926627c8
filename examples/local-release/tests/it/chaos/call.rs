//! One call of the program, and the moment it is hit at.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::journal::Journal;
use crate::site::Done;

/// What a call does; the columns of the histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verb {
    Ship,
    Rollback,
    Resume,
    Reconcile,
}

pub(super) const VERBS: [Verb; 4] = [Verb::Ship, Verb::Rollback, Verb::Resume, Verb::Reconcile];

impl Verb {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ship => "ship",
            Self::Rollback => "rollback",
            Self::Resume => "resume",
            Self::Reconcile => "reconcile",
        }
    }
}

/// A call that was not made yet.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) verb: Verb,
    /// As the tally calls it.
    pub(super) name: String,
    pub(super) command: Command,
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
pub(super) enum End {
    Killed,
    /// It was faster than the moment.
    Done(Done),
}

impl Call {
    pub(super) fn spawn(mut self) -> Child {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub(super) fn run(mut self) -> Done {
        Done::of(&self.command.output().unwrap())
    }

    /// Starts it and kills it at that moment.
    pub(super) fn strike(self, moment: Moment, journal: &Journal) -> End {
        let before = journal.length();
        let mut child = self.spawn();
        moment.wait(&mut child, journal, before);
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        match output.status.signal() {
            Some(9) => End::Killed,
            _ => End::Done(Done::of(&output)),
        }
    }
}

impl Moment {
    /// Waits for it, or for the end of the child.
    pub(super) fn wait(self, child: &mut Child, journal: &Journal, before: u64) {
        match self {
            Self::Delay(delay) => thread::sleep(delay),
            Self::Entry(entries, delay) => {
                let patience = Instant::now() + Duration::from_secs(60);
                while journal.length() < before + entries {
                    if child.try_wait().unwrap().is_some() {
                        return;
                    }
                    assert!(Instant::now() < patience, "no entry {entries} in 60 s");
                    thread::sleep(Duration::from_millis(1));
                }
                thread::sleep(delay);
            }
        }
    }
}
