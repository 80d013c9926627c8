//! Running a program: its own process group, a time limit, bounded output, and nothing left behind.

use std::io;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use gatekit_core::{Code, Effect, Error};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::ChildStdin;
use tokio::time::timeout;

use super::mark::Mark;
use super::output::Output;
use super::program::Program;
use super::tree::Tree;
use crate::code;

/// How long the streams of a program that has ended may stay open: something that it left behind
/// has them.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// How long a program that is to stop has for it.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// A program that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// `None` when it did not end in time, and was ended.
    pub(super) status: Option<ExitStatus>,
    /// How long it had.
    pub(super) limit: Duration,
    /// What it answered on its standard output, if that was asked for, at most so many bytes.
    pub(super) answer: Vec<u8>,
    /// Whether it answered more than that.
    pub(super) flooded: bool,
    /// What else it printed on its standard output.
    pub(super) stdout: Output,
    pub(super) stderr: Output,
    pub(super) took: Duration,
    /// Why something that it left behind was not ended, although it was to be.
    pub(super) stays: Option<io::Error>,
}

impl Ended {
    /// The last lines that it printed, as they may be shown.
    pub(super) fn tail(&self, program: &Program, lines: usize) -> String {
        let text = format!("{}\n{}", self.stdout.tail(program), self.stderr.tail(program));
        let all: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// That it took too long, and for whom.
    pub(super) fn late(&self, program: &Program) -> String {
        let limit = self.limit;
        if limit < program.limited_to() {
            format!(
                "`{program}` did not end within {limit:?}, which is what the run's deadline left"
            )
        } else {
            format!("`{program}` did not end within its limit of {limit:?}")
        }
    }
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
/// the program is ended with everything that it has started; so is what it has left behind when it
/// ends by itself, unless `keep` says that this is to live on. Only what was not started has no effect.
pub(super) async fn run(
    program: &Program,
    limit: Duration,
    dialogue: Dialogue,
    mark: Mark,
    keep: impl FnOnce(&Ended) -> bool + Send,
) -> Result<Ended, Error> {
    let begun = Instant::now();
    let mut tree = Tree::spawn(program, mark).map_err(|source| not_started(program, source))?;
    let exit = tree.exit();
    let child = tree.child();
    let (stdin, mut stdout) = (child.stdin.take(), child.stdout.take());
    let mut stderr = child.stderr.take();
    let (mut answer, mut flooded) = (Vec::new(), false);
    let (mut output, mut errors) = (Output::new(program), Output::new(program));
    let status = {
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
        tokio::pin!(reading, exit);
        let mut read = false;
        let mut status = None;
        for (limit, then) in [(limit, Some(Signal::TERM)), (GRACE, None)] {
            let ended = timeout(limit, async {
                loop {
                    tokio::select! {
                        status = &mut exit => break status,
                        () = &mut reading, if !read => read = true,
                    }
                }
            });
            match ended.await {
                Ok(ended) => {
                    let ended = ended.map_err(|source| unwatched(program, source))?;
                    // One that was told to stop was late, however it ended.
                    status = then.is_some().then_some(ended);
                    break;
                }
                Err(_) => then.into_iter().for_each(|signal| tree.signal(signal)),
            }
        }
        // It ended in time, whoever has its streams now.
        if !read && status.is_some() {
            let _open = timeout(AFTERWARDS, reading).await;
        }
        status
    };
    let took = begun.elapsed();
    let (stdout, stderr) = (output, errors);
    let mut ended = Ended { status, limit, answer, flooded, stdout, stderr, took, stays: None };
    if ended.status.is_some() && keep(&ended) {
        tree.leave().await;
    } else if let Err(error) = tree.end().await {
        tracing::warn!(%program, %error, "what a program left behind may still run");
        ended.stays = Some(error);
    }
    Ok(ended)
}

/// Who does not listen is not told.
async fn tell(stdin: Option<ChildStdin>, told: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(told).await;
    }
}

fn not_started(program: &Program, source: io::Error) -> Error {
    failed(code::COMMAND_NOT_STARTED, format!("`{program}` cannot be started"), source)
        .with_effect(Effect::None)
}

/// Something around gatekit, like a handler that reaps every child, has taken its end away.
fn unwatched(program: &Program, source: io::Error) -> Error {
    stays(format!("`{program}` was started, and how it ends cannot be told"), source)
}

pub(super) fn stays(what: impl Into<String>, source: io::Error) -> Error {
    failed(code::COMMAND_STAYS, what, source)
}

fn failed(code: Code, what: impl Into<String>, source: io::Error) -> Error {
    Error::new(code, what).with_source(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_of_unknown_effect() {
        let error = stays("it may still write", io::Error::other("still there: process 7"));
        assert_eq!((error.code().as_str(), error.effect()), ("command.stays", Effect::Unknown));
        assert_eq!(error.to_failure().causes, ["still there: process 7"]);
    }
}
