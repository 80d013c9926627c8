//! How a run is told while it goes: JSON lines for programs, lines for a log, and on a terminal a
//! last line that shows what is waited for, and for how long.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use gatekit_core::ledger::Body;
use gatekit_core::{Engine, Event, EventBody, Reporter};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::{say, tame, warn};

/// Adds the reporter for whoever listens.
pub(crate) fn told(engine: Engine, json: bool) -> Engine {
    if json {
        engine.reporter(Json)
    } else if io::stderr().is_terminal() && !is_dumb() {
        engine.reporter(Terminal::new(ProgressDrawTarget::stderr()))
    } else {
        engine.reporter(Plain::default())
    }
}

/// Whether the terminal cannot take a line back.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb")
}

/// One JSON object a line, on standard output.
#[derive(Debug)]
struct Json;

impl Reporter for Json {
    fn event(&mut self, event: &Event) {
        match serde_json::to_string(event) {
            Ok(line) => say(&line),
            Err(error) => warn(&format!("an event has no JSON form: {error}")),
        }
    }
}

/// A line for each event, on standard error.
#[derive(Debug, Default)]
struct Plain {
    last: String,
}

impl Reporter for Plain {
    fn event(&mut self, event: &Event) {
        if let Some(line) = line(event).filter(|line| *line != self.last) {
            warn(&format!("  {line}"));
            self.last = line;
        }
    }
}

/// What an event says to people.
fn line(event: &Event) -> Option<String> {
    match &event.event {
        EventBody::Step { entry, .. } => entry.line(),
        EventBody::Progress { message, .. } => Some(message.clone()),
        _ => None,
    }
}

/// A line for each step with the time since the run began, and below them what it does now.
#[derive(Debug)]
struct Terminal {
    bar: ProgressBar,
    begun: Instant,
    last: String,
}

/// How often the last line is drawn anew while nothing happens.
const TICK: Duration = Duration::from_millis(120);

impl Terminal {
    fn new(target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(None, target);
        // What does not fit is cut: a line that wraps cannot be taken back.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed:>5}") {
            bar.set_style(style);
        }
        bar.set_message("planning");
        bar.enable_steady_tick(TICK);
        Self { bar, begun: Instant::now(), last: String::new() }
    }

    fn stays(&mut self, line: String) {
        if line != self.last {
            // A message may span lines, and only the first is beside the time.
            let line_with_time = format!("{:>6}  {}", elapsed(self.begun.elapsed()), tame(&line));
            self.bar.println(line_with_time);
            self.last = line;
        }
    }

    fn waits_for(&self, what: impl Into<String>) {
        let what = tame(&what.into()).replace('\n', " ");
        if self.bar.message() != what {
            self.bar.reset_elapsed();
            self.bar.set_message(what);
        }
    }
}

impl Reporter for Terminal {
    fn event(&mut self, event: &Event) {
        match &event.event {
            EventBody::Step { entry, .. } => {
                if let Some(line) = entry.line() {
                    self.stays(line);
                }
                match now(&entry.body) {
                    Now::Does(what) => self.waits_for(what),
                    Now::Same => {}
                    Now::Ends => self.bar.finish_and_clear(),
                }
            }
            EventBody::Progress { stage: Some(stage), message, .. } => {
                self.waits_for(format!("{stage}: {message}"));
            }
            EventBody::Progress { message, .. } => self.waits_for(message.clone()),
            _ => {}
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// What a run does after an entry.
enum Now {
    Does(String),
    Same,
    Ends,
}

fn now(body: &Body) -> Now {
    Now::Does(match body {
        Body::Opened { .. } | Body::Continued { .. } => "planning, and asking the gates".to_owned(),
        Body::Queued { .. } => "waiting in the queue".to_owned(),
        Body::Granted { .. } => "planning under the lock".to_owned(),
        Body::Applying { stage, .. } => format!("{stage}: applying"),
        Body::Calling { stage, call } => format!("{stage}: {call}"),
        Body::Applied { stage, .. } => format!("{stage}: waiting until it is live"),
        Body::Settled { .. } => "going on".to_owned(),
        Body::Unwinding { .. } => "undoing what was begun".to_owned(),
        Body::RollingBack { stage, .. } => format!("{stage}: rolling back"),
        Body::Closed { .. } | Body::Left { .. } | Body::Parked { .. } | Body::Stuck { .. } => {
            return Now::Ends;
        }
        _ => return Now::Same,
    })
}

/// `0.4s`, `12.0s`, `3m05s`.
fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1}s", time.as_secs_f64())
    } else {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_as_exact_as_it_is_short() {
        for (millis, text) in [(440, "0.4s"), (59_900, "59.9s"), (185_000, "3m05s")] {
            assert_eq!(elapsed(Duration::from_millis(millis)), text);
        }
    }
}
