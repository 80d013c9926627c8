//! What people and programs read.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use gatekit_core::ledger::{Record, TargetState};
use gatekit_core::{
    Action, Code, Error, Event, EventBody, Live, NextAction, Outcome, Reporter, RunReport, Verb,
};
use serde_json::{Value, json};

use local_release::args::{Common, Output};

/// Prints a line; a reader that has gone away is no reason to fail.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

fn warn(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Tells a run as it goes: lines for people on standard error, JSON on standard output.
#[derive(Debug)]
pub(crate) struct Teller {
    output: Output,
    last: String,
}

impl Teller {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, last: String::new() }
    }
}

impl Reporter for Teller {
    fn event(&mut self, event: &Event) {
        match self.output {
            Output::Json => match serde_json::to_string(event) {
                Ok(line) => say(&line),
                Err(error) => warn(&format!("an event has no JSON form: {error}")),
            },
            Output::Human => {
                let line = match &event.event {
                    EventBody::Step { entry, .. } => match entry.line() {
                        Some(line) => line,
                        None => return,
                    },
                    EventBody::Progress { message, .. } => message.clone(),
                    _ => return,
                };
                if line != self.last {
                    warn(&format!("  {line}"));
                    self.last = line;
                }
            }
        }
    }
}

/// A journal entry in one line for people.
pub(crate) fn log_line(record: &Record) -> String {
    match record.decode() {
        Ok(entry) => {
            let told = entry.line().unwrap_or_else(|| entry.body.kind().to_owned());
            format!("{:>5}  {}  {}  {told}", record.seq, entry.at, short(&entry.run.to_string()))
        }
        Err(error) => format!("{:>5}  cannot be read: {error}", record.seq),
    }
}

/// The last digits of a run's id: the first are its time, which neighbours share.
fn short(run: &str) -> &str {
    run.get(run.len().saturating_sub(8)..).unwrap_or(run)
}

/// A next action as something to type.
pub(crate) fn command(next: &NextAction, common: &Common) -> String {
    match &next.action {
        Action::Verb(verb, args) => {
            let mut line = format!("local-release {}", verb.as_str());
            for arg in args {
                let _ = write!(line, " {arg}");
            }
            if common.root.as_os_str() != ".local-release" {
                let _ = write!(line, " --root {}", quoted(&common.root.to_string_lossy()));
            }
            if common.target.as_str() != "local/app" {
                let _ = write!(line, " --target {}", common.target);
            }
            if let Some(ledger) = &common.ledger {
                let _ = write!(line, " --ledger {}", quoted(ledger));
            }
            line
        }
        Action::Outside(what) => what.clone(),
        _ => "use a newer build".to_owned(),
    }
}

pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn next_json(next: &[NextAction], common: &Common) -> Value {
    let list = next.iter().map(|next| json!({"command": command(next, common), "who": next.who}));
    Value::Array(list.collect())
}

/// The end of a run: the last line of standard output. Gives the exit code.
pub(crate) fn report(report: &RunReport, common: &Common) -> u8 {
    let exit = report.outcome.exit_code();
    let failure = report.failure.as_ref();
    if common.output == Output::Json {
        say(&json!({
            "v": 1,
            "outcome": report.outcome,
            "run": report.run,
            "target": report.target,
            "fence": report.fence,
            "code": failure.map(|failure| &failure.code),
            "exit": exit,
            "live": report.live,
            "next": next_json(&report.next, common),
            "message": failure.map(ToString::to_string),
            "causes": failure.map(|failure| &failure.causes),
        })
        .to_string());
        return exit;
    }
    let live = match &report.live {
        Some(live) => format!("{live} is live on {}", report.target),
        None if report.outcome == Outcome::Interrupted => format!("target {}", report.target),
        None => format!("nothing runs on {}", report.target),
    };
    say(&format!("{}: {live}", report.outcome.as_str().replace('_', " ")));
    if let Some(failure) = failure {
        say(&format!("  {} [{}]", failure, failure.code));
        for cause in &failure.causes {
            say(&format!("  because: {cause}"));
        }
    }
    next_lines(&report.next, common, say);
    exit
}

fn next_lines(next: &[NextAction], common: &Common, print: fn(&str)) {
    for next in next {
        let who = if next.who == "anyone" { String::new() } else { format!("  ({})", next.who) };
        print(&format!("  next: {}{who}", command(next, common)));
    }
}

/// The exit code and the outcome's word of an error that no run came to.
fn class(code: &Code) -> (u8, &'static str) {
    match (code.area(), code.as_str()) {
        (_, "ledger.corrupt" | "log.broken" | "ledger.entry") => (4, "stuck"),
        (_, "rollback.nothing") => (1, "refused"),
        ("usage" | "config" | "smoke" | "release_dir", _)
        | (_, "ledger.foreign" | "ledger.newer" | "ledger.network_fs" | "ledger.ephemeral") => {
            (2, "usage")
        }
        _ => (5, "failed"),
    }
}

/// An error that no run came to. Gives the exit code.
pub(crate) fn error(error: &Error, common: &Common) -> u8 {
    let mut failure = error.to_failure();
    let (exit, outcome) = class(&failure.code);
    if failure.next.is_empty() {
        // Nobody is left without a way on: what is wrong with the call, or what the call left.
        failure.next.push(match exit {
            2 => NextAction::outside("correct the command line: local-release --help"),
            _ => NextAction::verb(Verb::Status, &[]),
        });
    }
    if common.output == Output::Json {
        say(&json!({
            "v": 1, "outcome": outcome, "run": null, "target": common.target, "fence": null,
            "code": failure.code, "exit": exit, "live": null,
            "next": next_json(&failure.next, common),
            "message": failure.to_string(), "causes": failure.causes,
        })
        .to_string());
        return exit;
    }
    warn(&format!("error: {failure} [{}]", failure.code));
    for cause in &failure.causes {
        warn(&format!("  because: {cause}"));
    }
    next_lines(&failure.next, common, warn);
    exit
}

/// A target's status.
pub(crate) fn status(
    lock: &TargetState,
    live: Option<&Live>,
    next: &[NextAction],
    common: &Common,
) {
    let shipped = lock.head.seq > 0;
    if common.output == Output::Json {
        say(&json!({
            "v": 1,
            "target": common.target,
            "state": lock.state,
            "fence": lock.fence,
            "live": live,
            "run": lock.run,
            "queue": lock.queue,
            "holder": lock.holder,
            "code": (!shipped).then_some("status.never_shipped"),
            "next": next_json(next, common),
        })
        .to_string());
        return;
    }
    say(&format!("target  {}", common.target));
    match live {
        Some(live) => say(&format!("live    {live}")),
        None => say("live    nothing"),
    }
    say(&format!("state   {}, fence {}", lock.state.as_str(), lock.fence));
    if let Some(holder) = &lock.holder {
        say(&format!("holder  {} (pid {}), run {}", holder.actor, holder.pid, holder.run));
    } else if let Some(run) = lock.run {
        say(&format!("run     {run}"));
    }
    for (place, waiter) in lock.queue.iter().enumerate() {
        let absent = if waiter.alive { "" } else { ", not heard of: skipped" };
        say(&format!("queue   {}. {} of {}{absent}", place + 1, waiter.run, waiter.actor));
    }
    if !shipped {
        say("nothing was ever shipped to this target from this ledger [status.never_shipped]");
    }
    next_lines(next, common, say);
}
