//! Many processes that wait for one lock: what waiting costs, how fast it is handed over, and in
//! which order.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use gatekit_core::ledger::{Acquired, Claim, Hold, Ledger as _};
use gatekit_core::{RunId, TargetName};
use gatekit_store::SqliteLedger;
use tokio::runtime::Runtime;

use crate::Result;
use crate::clock::now;
use crate::line::{millis, say, value};

/// What all wait for.
pub(crate) const TARGET: &str = "production/api";

/// How long a poller sleeps between two tries.
const POLL_PAUSE: Duration = Duration::from_secs(15);

/// How long waiters are left to settle before their use of a core is measured.
const SETTLE: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lock {
    /// The queue of gatekit on one SQLite ledger.
    Gatekit,
    /// A directory that each tries to make every 15 seconds.
    Poll,
    /// flock(1).
    Flock,
}

/// One process that waits.
struct Waiter {
    child: Child,
    input: ChildStdin,
    lines: BufReader<ChildStdout>,
}

impl Waiter {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("`{}`: {error}", command.get_program().display()))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let input = input.ok_or("no standard input")?;
        let lines = BufReader::new(output.ok_or("no standard output")?);
        Ok(Self { child, input, lines })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        Ok(line)
    }

    fn used(&mut self) -> Result<Duration> {
        writeln!(self.input)?;
        let line = self.line()?;
        Ok(Duration::from_micros(value(&line, "used")?.parse()?))
    }

    /// From when to when it held the lock.
    fn held(mut self) -> Result<(Duration, Duration)> {
        let line = self.line()?;
        let (from, to) = value(&line, "held")?.split_once(' ').ok_or("no end of a hold")?;
        let held = (Duration::from_nanos(from.parse()?), Duration::from_nanos(to.parse()?));
        match self.child.wait()? {
            status if status.success() => Ok(held),
            status => Err(format!("a waiter failed: {status}").into()),
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // After an error nobody would end it; after its end there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prints `waiting_percent` (where it can be told), one `handover_ms` each, `overtaken` and
/// `together`.
pub(crate) fn measure(
    runtime: &Runtime,
    with: Lock,
    dir: &Path,
    count: usize,
    idle: Duration,
) -> Result<()> {
    let first = First::take(runtime, with, dir)?;
    let mut waiters = Vec::with_capacity(count);
    for _ in 0..count {
        waiters.push(start(with, dir)?);
        // Nobody polls in step: they come evenly spread over one pause.
        if with == Lock::Poll {
            thread::sleep(POLL_PAUSE / u32::try_from(count)?);
        }
    }
    if with != Lock::Flock {
        thread::sleep(SETTLE);
        say("waiting_percent", waiting_percent(&mut waiters, idle)?)?;
    }
    let mut freed = now()?;
    first.free(runtime)?;
    let held = waiters.into_iter().map(Waiter::held).collect::<Result<Vec<_>>>()?;
    let mut order: Vec<_> = held.iter().enumerate().collect();
    order.sort_by_key(|(_, (from, _))| *from);
    let mut together = 0;
    for (_, (from, to)) in &order {
        match from.checked_sub(freed) {
            Some(pause) => say("handover_ms", millis(pause))?,
            None => together += 1,
        }
        freed = *to;
    }
    // Those that somebody who came later was let in before.
    let overtaken = order
        .iter()
        .enumerate()
        .filter(|(at, (own, _))| order[..*at].iter().any(|(other, _)| other > own));
    say("overtaken", overtaken.count())?;
    say("together", together)
}

fn start(with: Lock, dir: &Path) -> Result<Waiter> {
    let own = std::env::current_exe()?;
    let mut command = Command::new(&own);
    match with {
        Lock::Gatekit => command.arg("waiter").arg("--ledger").arg(dir.join("ledger.db")),
        Lock::Poll => {
            let pause = POLL_PAUSE.as_secs().to_string();
            command.arg("poller").arg("--lock").arg(dir.join("lock")).args(["--pause", &pause])
        }
        Lock::Flock => {
            command = Command::new("flock");
            command.arg(dir.join("lock")).arg(&own).arg("holder")
        }
    };
    let mut waiter = Waiter::start(&mut command)?;
    if with == Lock::Flock {
        // It says nothing while it waits.
        thread::sleep(Duration::from_millis(50));
    } else {
        value(&waiter.line()?, "waits")?;
    }
    Ok(waiter)
}

/// The share of one core that all waiters together use while they merely wait.
fn waiting_percent(waiters: &mut [Waiter], idle: Duration) -> Result<f64> {
    let mut total = || -> Result<Duration> { waiters.iter_mut().map(Waiter::used).sum() };
    let (begun, before) = (now()?, total()?);
    thread::sleep(idle);
    let (ended, after) = (now()?, total()?);
    Ok(100.0 * (after - before).as_secs_f64() / (ended - begun).as_secs_f64())
}

/// Whoever holds the lock while the others come.
enum First {
    Gatekit(SqliteLedger, Hold),
    Directory(std::path::PathBuf),
    Flock(std::fs::File),
}

impl First {
    fn take(runtime: &Runtime, with: Lock, dir: &Path) -> Result<Self> {
        let lock = dir.join("lock");
        Ok(match with {
            Lock::Gatekit => {
                let ledger = SqliteLedger::builder(dir.join("ledger.db")).durable(true).build()?;
                let claim = Claim::new(TargetName::new(TARGET)?, RunId::generate(), "first");
                let lease = Duration::from_secs(3600);
                let asked = runtime.block_on(async {
                    ledger.enqueue(&claim).await?;
                    ledger.acquire(&claim, lease).await
                });
                match asked? {
                    Acquired::Granted(hold) => Self::Gatekit(ledger, hold),
                    other => return Err(format!("not granted: {other:?}").into()),
                }
            }
            Lock::Poll => {
                std::fs::create_dir(&lock)?;
                Self::Directory(lock)
            }
            Lock::Flock => {
                let file = std::fs::File::create(lock)?;
                file.lock()?;
                Self::Flock(file)
            }
        })
    }

    fn free(self, runtime: &Runtime) -> Result<()> {
        match self {
            Self::Gatekit(ledger, hold) => {
                if !runtime.block_on(ledger.release(&hold))? {
                    return Err("the first holder was overtaken".into());
                }
            }
            Self::Directory(lock) => std::fs::remove_dir(lock)?,
            Self::Flock(file) => file.unlock()?,
        }
        Ok(())
    }
}
