//! How a run is told while it goes: JSON lines for programs, lines for a log, and on a terminal live
//! lines that show what is waited for, and for how long.

use std::io::{self, IsTerminal as _};

use gatekit_core::{Engine, Event, EventBody, Reporter};

use crate::out::{Out, warn};
use crate::output::Voice;
use crate::terminal::{Screen, Terminal};

/// Adds the reporter for whoever listens. What it draws on a terminal is taken down before anything
/// else is printed.
pub(crate) fn told(engine: Engine, voice: &Voice) -> (Engine, Option<Screen>) {
    if voice.json {
        (engine.reporter(Json(voice.out.clone())), None)
    } else if io::stderr().is_terminal() && !is_dumb() {
        let terminal = Terminal::stderr();
        let screen = terminal.screen();
        (engine.reporter(terminal), Some(screen))
    } else {
        (engine.reporter(Plain::default()), None)
    }
}

/// Whether the terminal cannot take a line back.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb")
}

/// One JSON object a line, on standard output.
#[derive(Debug)]
struct Json(Out);

impl Reporter for Json {
    fn event(&mut self, event: &Event) {
        match serde_json::to_string(event) {
            Ok(line) => self.0.say_json(&line),
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
