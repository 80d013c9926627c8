//! A run on a terminal: a line for each step, which stays, and below them live lines, one of the run
//! and one of each stage that is at work.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use std::{fmt, mem, thread};

use gatekit_core::ledger::{Body, Entry};
use gatekit_core::{Event, EventBody, Reporter, StageId, Verdict};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::out::tame;

/// How often the live lines are drawn anew while nothing happens.
const TICK: Duration = Duration::from_millis(120);

/// What does not fit is cut: a line that wraps cannot be taken back.
const OF_THE_RUN: &str = "{spinner} {wide_msg} {prefix:>6}   ";
const OF_A_STAGE: &str = "  {spinner} {wide_msg} {prefix:>6}   ";
const ANSWERED: &str = "    {wide_msg} {prefix:>6}   ";

/// The last line ends with it: the cursor goes back to the columns that are left free, where a `^C`
/// that the terminal echoes does not make the line wrap. Those above need it at their end, for that is
/// what begins the next line.
const BACK: &str = "\u{1b}[3D";

/// The reporter of a terminal.
#[derive(Debug)]
pub(crate) struct Terminal(Arc<Mutex<Lines>>);

/// The same live lines for who prints what comes after them.
#[derive(Debug)]
pub(crate) struct Screen(Arc<Mutex<Lines>>);

impl Terminal {
    pub(crate) fn stderr() -> Self {
        let begun = Instant::now();
        let target = ProgressDrawTarget::stderr();
        let terminal = Self::new(target, Box::new(move || begun.elapsed()));
        let lines = Arc::downgrade(&terminal.0);
        // Without a thread they are drawn anew when something happens.
        let _ = thread::Builder::new().name("gatekit-terminal".into()).spawn(move || tick(&lines));
        terminal
    }

    fn new(target: ProgressDrawTarget, clock: Clock) -> Self {
        let screen = MultiProgress::with_draw_target(target);
        let run = Line::new(&screen, OF_THE_RUN, "planning", clock());
        let lines = Lines {
            screen,
            clock,
            run,
            stages: Vec::new(),
            last: String::new(),
            over: false,
            broken: false,
        };
        let terminal = Self(Arc::new(Mutex::new(lines)));
        guarded(&terminal.0, Lines::draw);
        terminal
    }

    pub(crate) fn screen(&self) -> Screen {
        Screen(Arc::clone(&self.0))
    }
}

impl Reporter for Terminal {
    fn event(&mut self, event: &Event) {
        guarded(&self.0, |lines| lines.event(event));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        guarded(&self.0, Lines::end);
    }
}

impl Screen {
    /// Takes the live lines down for good: what is printed now is not overwritten.
    pub(crate) fn take_down(self) {
        guarded(&self.0, |lines| {
            lines.end();
            lines.screen.set_draw_target(ProgressDrawTarget::hidden());
        });
    }
}

/// Does something about the lines. What panics there, on a terminal of one column perhaps, ends them:
/// the bars of a poisoned screen panic when they are dropped, too, which could abort a run that holds
/// its target. So they never are.
fn guarded(lines: &Arc<Mutex<Lines>>, what: impl FnOnce(&mut Lines)) {
    let mut locked = lines.lock().unwrap_or_else(PoisonError::into_inner);
    if !locked.broken && catch_unwind(AssertUnwindSafe(|| what(&mut locked))).is_err() {
        locked.broken = true;
        mem::forget(Arc::clone(lines));
    }
}

/// Draws until there is nothing left to draw.
fn tick(lines: &Weak<Mutex<Lines>>) {
    loop {
        let Some(lines) = lines.upgrade() else { return };
        let mut over = true;
        guarded(&lines, |lines| {
            lines.draw();
            over = lines.over;
        });
        if over {
            return;
        }
        drop(lines);
        thread::sleep(TICK);
    }
}

/// How long it is since the run began.
type Clock = Box<dyn Fn() -> Duration + Send>;

struct Lines {
    screen: MultiProgress,
    clock: Clock,
    run: Line,
    stages: Vec<Stage>,
    last: String,
    /// The run does not go on here.
    over: bool,
    broken: bool,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("last", &self.last).finish_non_exhaustive()
    }
}

/// A line that is drawn again and again: what is done, and how long it has been.
struct Line {
    bar: ProgressBar,
    since: Duration,
    template: &'static str,
    last: bool,
}

impl Line {
    fn new(screen: &MultiProgress, template: &'static str, what: &str, now: Duration) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_message(what.to_owned());
        let mut line = Self { bar, since: now, template, last: false };
        line.stands(true);
        line.bar = screen.add(line.bar);
        line
    }

    /// Whether it is the last one.
    fn stands(&mut self, last: bool) {
        self.last = last;
        let back = if last { BACK } else { "" };
        if let Ok(style) = ProgressStyle::with_template(&format!("{}{back}", self.template)) {
            self.bar.set_style(style);
        }
    }

    fn draw(&self, now: Duration) {
        self.bar.set_prefix(seconds(now.saturating_sub(self.since)));
        self.bar.tick();
    }

    fn says(&self, what: String) {
        if self.bar.message() != what {
            self.bar.set_message(what);
        }
    }
}

/// A stage that is at work.
struct Stage {
    id: StageId,
    kind: Kind,
    line: Line,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It tells of its progress, and nothing else is known of it.
    Heard,
    /// A gate that is asked.
    Gate,
    /// A gate that has answered while others of its set have not.
    Answered,
    /// A deploy, or its undoing.
    Deploy,
}

impl Lines {
    fn event(&mut self, event: &Event) {
        match &event.event {
            EventBody::Step { entry, .. } => self.step(entry),
            EventBody::Progress { stage: Some(stage), message, .. } => self.heard(stage, message),
            EventBody::Progress { message, .. } => self.run_does(message),
            EventBody::GateAsked { stage, .. } => self.asked(stage),
            EventBody::GateAnswered { stage, word, .. } => self.answered(stage, word),
            _ => {}
        }
    }

    fn step(&mut self, entry: &Entry) {
        if let Some(line) = entry.line() {
            self.stays(&line);
        }
        match &entry.body {
            // It is asked again: until then, that is what it waits for.
            Body::Verdict { stage, verdict: Verdict::Wait(finding), .. } => {
                self.does(stage, Kind::Gate, &format!("waiting: {}", finding.message));
            }
            Body::Verdict { stage, .. } => self.ends(|it| it.id == *stage),
            Body::Closed { .. } | Body::Left { .. } | Body::Parked { .. } | Body::Stuck { .. } => {
                self.end();
            }
            body => {
                if let Some(what) = of_the_run(body) {
                    // Between two sets nobody is asked, and a set that was cut off answers no more.
                    self.ends(|it| it.kind != Kind::Deploy);
                    self.run_does(what);
                }
                self.deploy(body);
            }
        }
    }

    /// What a deploy does after an entry, and since when.
    fn deploy(&mut self, body: &Body) {
        let (stage, what, anew) = match body {
            Body::Applying { stage, .. } => (stage, "applying", true),
            Body::Calling { stage, call } => (stage, call.as_str(), false),
            Body::Applied { stage, .. } => (stage, "waiting until it is live", true),
            Body::Answered { stage, went_on: true, .. } => {
                (stage, "waiting until it is live", false)
            }
            Body::Answered { stage, .. } => (stage, "told to roll back", false),
            Body::RollingBack { stage, .. } => (stage, "rolling back", true),
            Body::Settled { stage, .. }
            | Body::StageFailed { stage, .. }
            | Body::RolledBack { stage, .. } => return self.ends(|it| it.id == *stage),
            _ => return,
        };
        let now = (self.clock)();
        self.does(stage, Kind::Deploy, what);
        if let Some(stage) = self.stages.iter_mut().find(|it| anew && it.id == *stage) {
            stage.line.since = now;
            stage.line.draw(now);
        }
    }

    fn heard(&mut self, stage: &StageId, message: &str) {
        match self.stages.iter().find(|it| it.id == *stage).map(|it| it.kind) {
            Some(Kind::Answered) => {}
            Some(kind) => self.does(stage, kind, message),
            None => self.does(stage, Kind::Heard, message),
        }
    }

    fn asked(&mut self, stage: &StageId) {
        self.ends(|it| it.kind == Kind::Heard);
        // One that said wait is asked again for the same.
        if !self.stages.iter().any(|it| it.id == *stage && it.kind == Kind::Gate) {
            self.ends(|it| it.id == *stage);
            self.does(stage, Kind::Gate, "asked");
        }
    }

    fn answered(&mut self, stage: &StageId, word: &str) {
        let now = (self.clock)();
        let found = self.stages.iter_mut().find(|it| it.id == *stage && it.kind == Kind::Gate);
        let Some(stage) = found.filter(|_| word != "wait") else { return };
        stage.kind = Kind::Answered;
        stage.line.template = ANSWERED;
        stage.line.stands(stage.line.last);
        stage.line.says(of_a_stage(&stage.id, &format!("says {word}")));
        stage.line.draw(now);
    }

    /// A live line of the stage, which is there already or begins now.
    fn does(&mut self, id: &StageId, kind: Kind, what: &str) {
        if self.over {
            return;
        }
        let (what, now) = (of_a_stage(id, what), (self.clock)());
        if let Some(stage) = self.stages.iter_mut().find(|it| it.id == *id) {
            stage.kind = kind;
            stage.line.says(what);
        } else {
            // Drawn before there is one below it.
            let above = self.last_line();
            above.stands(false);
            above.draw(now);
            let line = Line::new(&self.screen, OF_A_STAGE, &what, now);
            line.draw(now);
            self.stages.push(Stage { id: id.clone(), kind, line });
        }
    }

    fn run_does(&mut self, what: &str) {
        let what = one_line(what);
        if !self.over && self.run.bar.message() != what {
            self.run.since = (self.clock)();
            self.run.says(what);
            self.run.draw(self.run.since);
        }
    }

    fn ends(&mut self, which: impl Fn(&Stage) -> bool) {
        let screen = &self.screen;
        self.stages.retain(|stage| {
            let ends = which(stage);
            if ends {
                stage.line.bar.finish_and_clear();
                screen.remove(&stage.line.bar);
            }
            !ends
        });
        let now = (self.clock)();
        let line = self.last_line();
        if !line.last {
            line.stands(true);
            line.draw(now);
        }
    }

    fn last_line(&mut self) -> &mut Line {
        self.stages.last_mut().map_or(&mut self.run, |stage| &mut stage.line)
    }

    /// A line that stays, with the time since the run began.
    fn stays(&mut self, line: &str) {
        if *line != *self.last {
            // A message may span lines, and only the first is beside the time. A tab is as wide as
            // the terminal likes.
            let told = tame(line).replace('\t', "    ");
            // A terminal that is gone is told nothing.
            let _ = self.screen.println(format!("{:>6}  {told}", elapsed((self.clock)())));
            line.clone_into(&mut self.last);
        }
    }

    /// Draws what has become of the time.
    fn draw(&mut self) {
        let now = (self.clock)();
        self.run.draw(now);
        for stage in self.stages.iter().filter(|stage| stage.kind != Kind::Answered) {
            stage.line.draw(now);
        }
    }

    fn end(&mut self) {
        self.ends(|_| true);
        self.run.bar.finish_and_clear();
        self.over = true;
    }
}

/// What a run does after an entry; `None` for the same as before.
fn of_the_run(body: &Body) -> Option<&'static str> {
    Some(match body {
        Body::Opened { .. } | Body::Continued { .. } => "planning, and asking the gates",
        Body::Queued { .. } => "waiting in the queue",
        Body::Granted { .. } => "planning under the lock",
        Body::Applying { .. } | Body::Calling { .. } | Body::Applied { .. } => "deploying",
        Body::Settled { .. } => "going on",
        Body::Unwinding { .. } => "undoing what was begun",
        Body::RollingBack { .. } => "rolling back",
        _ => return None,
    })
}

fn of_a_stage(id: &StageId, what: &str) -> String {
    format!("{id}: {}", one_line(what))
}

fn one_line(what: &str) -> String {
    tame(what).replace(['\n', '\t'], " ")
}

/// `0.4s`, `12.0s`, `3m05s`: of what is over.
fn elapsed(time: Duration) -> String {
    if time.as_secs() < 60 { format!("{:.1}s", time.as_secs_f64()) } else { seconds(time) }
}

/// `0s`, `12s`, `3m05s`, `2h07m`: of what goes on.
fn seconds(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds / 60 {
        0 => format!("{seconds}s"),
        minutes @ 1..60 => format!("{minutes}m{:02}s", seconds % 60),
        minutes => format!("{}h{:02}m", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests;
