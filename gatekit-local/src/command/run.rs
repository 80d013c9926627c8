//! Running a program: its own process group, a time limit, bounded output, and nothing left behind.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::output::Output;
use super::program::Program;
use crate::platform;

/// How long the streams of a program that has ended may stay open: something that it left behind
/// has them.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// How long a program that is to stop has for it.
const GRACE: Duration = Duration::from_secs(2);

/// The variable that marks every process of one run of a program.
const MARK: &str = "GATEKIT_COMMAND";

/// What becomes of processes that a program has left behind when it ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leftovers {
    End,
    Stay,
}

/// A program that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// `None` when it did not end in time, and was ended.
    pub(super) status: Option<ExitStatus>,
    /// What it answered on its standard output, if that was asked for, at most so many bytes.
    pub(super) answer: Vec<u8>,
    /// Whether it answered more than that.
    pub(super) flooded: bool,
    /// Everything else that it printed.
    pub(super) output: Output,
    pub(super) took: Duration,
}

/// What a program is told and asked for.
#[derive(Debug, Default)]
pub(super) struct Dialogue {
    /// Its standard input.
    pub(super) told: Vec<u8>,
    /// How many bytes of its standard output are its answer; `None`: they are output like any other.
    pub(super) asked: Option<usize>,
}

/// Runs `program` to its end, or to the end of `limit`. When the future is dropped, or time is over,
/// the program is ended with everything that it has started.
pub(super) async fn run(
    program: &Program,
    limit: Duration,
    dialogue: Dialogue,
    leftovers: Leftovers,
) -> io::Result<Ended> {
    let begun = Instant::now();
    let mut command = program.command();
    let mark = Uuid::new_v4().to_string();
    command.env(MARK, &mark).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tree = Tree { child: command.process_group(0).spawn()?, mark, leftovers, over: false };
    let (stdin, mut stdout) = (tree.child.stdin.take(), tree.child.stdout.take());
    let mut stderr = tree.child.stderr.take();
    let (mut answer, mut output, mut errors) = (Vec::new(), Output::default(), Output::default());
    let mut flooded = false;
    let reading = async {
        let told = tell(stdin, &dialogue.told);
        let standard = async {
            let Some(stdout) = &mut stdout else { return };
            if let Some(most) = dialogue.asked {
                let mut beginning = stdout.take(most as u64 + 1);
                // What cannot be read ends the answer: it is judged as it is.
                let _ = beginning.read_to_end(&mut answer).await;
                flooded = answer.len() > most;
                answer.truncate(most);
            }
            output.read(stdout).await;
        };
        let other = async {
            if let Some(stderr) = &mut stderr {
                errors.read(stderr).await;
            }
        };
        tokio::join!(told, standard, other);
    };
    let child = &mut tree.child;
    let status = timeout(limit, async {
        tokio::pin!(reading);
        tokio::select! {
            () = &mut reading => child.wait().await,
            status = child.wait() => {
                let _open = timeout(AFTERWARDS, reading).await;
                status
            }
        }
    })
    .await;
    let status = match status {
        Ok(status) => {
            tree.over = true;
            Some(status?)
        }
        Err(_) => {
            tree.stop().await;
            None
        }
    };
    output.append(errors);
    Ok(Ended { status, answer, flooded, output, took: begun.elapsed() })
}

/// Who does not listen is not told.
async fn tell(stdin: Option<ChildStdin>, told: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(told).await;
    }
}

/// A program that runs, and all that it has started.
struct Tree {
    child: Child,
    mark: String,
    leftovers: Leftovers,
    /// It has ended by itself.
    over: bool,
}

impl Tree {
    /// Asks it to stop, and ends what has not stopped after a while.
    async fn stop(&mut self) {
        self.signal(Signal::TERM);
        tokio::select! {
            _ = self.child.wait() => {}
            () = sleep(GRACE) => {}
        }
    }

    /// Signals its process group, as long as its number can be no other's.
    fn signal(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = id {
            // It may have ended meanwhile.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if self.over && self.leftovers == Leftovers::Stay {
            return;
        }
        self.signal(Signal::KILL);
        platform::kill_marked(MARK, &self.mark);
    }
}
