//! What people and programs read.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use gatekit_core::ledger::TargetState;
use gatekit_core::{
    Action, Code, Enforcement, Error, Judged, Live, NextAction, Preview, Request, RunReport,
    TargetName, Verb, Verified,
};
use serde_json::{Value, json};

use crate::call::Problem;

/// Who is spoken to, and how the program is called about the same target.
#[derive(Debug, Clone)]
pub(crate) struct Voice {
    pub(crate) json: bool,
    /// With the name of the pipeline, where there are several.
    pub(crate) program: String,
    /// The flags that name the same target and ledger.
    pub(crate) flags: String,
    pub(crate) target: TargetName,
}

/// Prints a line; a reader that has gone away is no reason to fail.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{}", tame(line));
}

pub(crate) fn warn(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", tame(line));
}

/// The line without what would move a terminal's cursor, or command a runner of GitHub Actions, which
/// obeys lines of either stream: what people, stages and backends said is quoted, and must be able to
/// do neither. JSON has none of it.
pub(crate) fn tame(line: &str) -> Cow<'_, str> {
    let wild = |c: char| c.is_control() && c != '\n' && c != '\t';
    let commands = |line: &str| line.trim_start().starts_with("::");
    if !line.contains(wild) && !line.contains("##[") && !line.lines().any(commands) {
        return line.into();
    }
    let line = line.replace(wild, "\u{fffd}").replace("##[", "## [");
    let quoted = |line| if commands(line) { format!("| {line}") } else { line.to_owned() };
    line.split('\n').map(quoted).collect::<Vec<_>>().join("\n").into()
}

pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

impl Voice {
    /// A next action as something to type.
    fn command(&self, next: &NextAction) -> String {
        match &next.action {
            Action::Verb(verb, args) => {
                let mut line = format!("{} {}", self.program, verb.as_str());
                for arg in args {
                    let _ = write!(line, " {arg}");
                }
                line + &self.flags
            }
            Action::Outside(what) => what.clone(),
            _ => "use a newer build".to_owned(),
        }
    }

    fn next_json(&self, next: &[NextAction]) -> Value {
        let list = next.iter().map(|next| json!({"command": self.command(next), "who": next.who}));
        Value::Array(list.collect())
    }

    fn next_lines(&self, next: &[NextAction], print: fn(&str)) {
        for next in next {
            let who =
                if next.who == "anyone" { String::new() } else { format!("  ({})", next.who) };
            print(&format!("  next: {}{who}", self.command(next)));
        }
    }

    /// The end of a run: the last line of standard output. Gives the exit code.
    pub(crate) fn report(&self, report: &RunReport) -> u8 {
        let exit = report.outcome.exit_code();
        let failure = report.failure.as_ref();
        if self.json {
            say(&json!({
                "v": 1,
                "outcome": report.outcome,
                "run": report.run,
                "target": report.target,
                "fence": report.fence,
                "code": failure.map(|failure| &failure.code),
                "exit": exit,
                "live": report.live,
                "next": self.next_json(&report.next),
                "message": failure.map(ToString::to_string),
                "causes": failure.map(|failure| &failure.causes),
            })
            .to_string());
            return exit;
        }
        say(&report.to_string());
        self.next_lines(&report.next, say);
        exit
    }

    /// An error that no run came to. Gives the exit code.
    pub(crate) fn error(&self, problem: &Problem) -> u8 {
        let mut failure = problem.error.to_failure();
        let (exit, outcome) = class(&failure.code, problem.building);
        if failure.next.is_empty() {
            // Nobody is left without a way on: what is wrong with the call, or what the call left.
            failure.next.push(match exit {
                2 => {
                    let help = format!("correct the command line: {} --help", self.program);
                    NextAction::outside(help)
                }
                _ => NextAction::verb(Verb::Status, &[]),
            });
        }
        if self.json {
            say(&json!({
                "v": 1, "outcome": outcome, "run": null, "target": self.target, "fence": null,
                "code": failure.code, "exit": exit, "live": null,
                "next": self.next_json(&failure.next),
                "message": failure.to_string(), "causes": failure.causes,
            })
            .to_string());
            return exit;
        }
        warn(&format!("error: {failure} [{}]", failure.code));
        for cause in &failure.causes {
            warn(&format!("  because: {cause}"));
        }
        self.next_lines(&failure.next, warn);
        exit
    }

    /// A target's status; `Err` of `live` is why that cannot be told, `missing` the path of a ledger
    /// that was named and does not exist.
    pub(crate) fn status(
        &self,
        lock: &TargetState,
        live: &Result<Option<Live>, Error>,
        waits: &[Request],
        next: &[NextAction],
        missing: Option<&str>,
    ) {
        let shipped = lock.head.seq > 0;
        let known = live.as_ref().ok().and_then(Option::as_ref);
        let unknown = live.as_ref().err().map(Error::to_failure);
        if self.json {
            let never = Code::new("status.never_shipped");
            let code = (!shipped).then_some(&never);
            let mut line = json!({
                "v": 1,
                "target": self.target,
                "state": lock.state,
                "fence": lock.fence,
                "live": known,
                "run": lock.run,
                "along_with": lock.along_with,
                "queue": lock.queue,
                "holder": lock.holder,
                "code": code.or_else(|| unknown.as_ref().map(|failure| &failure.code)),
                "next": self.next_json(next),
            });
            let asking = waits.iter().map(|request| {
                json!({
                    "run": request.run, "requester": request.requester,
                    "candidate": request.candidate, "waiting": request.waiting, "scopes": request.scopes,
                })
            });
            line["asking"] = asking.collect();
            if let Some(failure) = &unknown {
                line["message"] = failure.to_string().into();
            }
            if let Some(path) = missing {
                line["missing_ledger"] = path.into();
            }
            say(&line.to_string());
            return;
        }
        say(&format!("target  {}", self.target));
        match (known, &unknown) {
            (Some(live), _) => say(&format!("live    {live}")),
            (None, None) => say("live    nothing"),
            (None, Some(failure)) => say(&format!("live    unknown: {failure} [{}]", failure.code)),
        }
        say(&format!("state   {}, fence {}", lock.state.as_str(), lock.fence));
        if let Some(holder) = &lock.holder {
            say(&format!("holder  {} (pid {}), run {}", holder.actor, holder.pid, holder.run));
        } else if let Some(run) = lock.run {
            say(&format!("run     {run}"));
        }
        if let Some(leading) = &lock.along_with {
            say(&format!("locked  along with {leading}: see its status and log"));
        }
        for (place, waiter) in lock.queue.iter().enumerate() {
            let absent = if waiter.alive { "" } else { ", not heard of: skipped" };
            say(&format!("queue   {}. {} of {}{absent}", place + 1, waiter.run, waiter.actor));
        }
        for request in waits {
            say(&format!("asking  {} of {}", request.run, request.requester));
            if let Some(version) = &request.candidate.version {
                say(&format!("        ships {version}"));
            }
            for scope in &request.scopes {
                say(&format!("        would touch {}: {}", scope.stage, scope.summary));
            }
            for (stage, finding) in &request.waiting {
                say(&format!("        waits on {stage}: {} [{}]", finding.message, finding.code));
            }
        }
        if let Some(path) = missing {
            say(&format!("there is no ledger at `{path}` [status.never_shipped]"));
        } else if !shipped {
            say("nothing was ever shipped to this target from this ledger [status.never_shipped]");
        }
        self.next_lines(next, say);
    }

    /// What a ship would do. Gives the exit code: that of the end that it would come to.
    pub(crate) fn preview(&self, preview: &Preview, asked: bool) -> u8 {
        let exit = preview.stop.as_ref().map_or(0, |(outcome, _)| outcome.exit_code());
        if self.json {
            let stop = preview.stop.as_ref();
            say(&json!({
                "v": 1,
                "outcome": stop.map_or("planned", |(outcome, _)| outcome.as_str()),
                "target": self.target,
                "intent": preview.intent,
                "scopes": preview.scopes,
                "verdicts": verdicts_json(&preview.verdicts),
                "code": stop.map(|(_, failure)| &failure.code),
                "message": stop.map(|(_, failure)| failure.to_string()),
                "next": self.next_json(stop.map_or(&[], |(_, failure)| failure.next.as_slice())),
                "exit": exit,
            })
            .to_string());
            return exit;
        }
        for scope in &preview.scopes {
            say(&format!("would touch  {}: {}", scope.stage, scope.summary));
        }
        say_verdicts(&preview.verdicts);
        match &preview.stop {
            Some((outcome, failure)) => {
                let how = outcome.as_str().replace('_', " ");
                say(&format!("it would end {how}: {failure} [{}]", failure.code));
                self.next_lines(&failure.next, say);
            }
            None if asked => say("nothing is known to stop it"),
            None => say("nothing is known to stop it; its gates were not asked: --gates"),
        }
        exit
    }

    /// Whether what is live verifies. Gives the exit code.
    pub(crate) fn verified(&self, verified: &Verified) -> u8 {
        let failure = verified.failure.as_ref();
        let exit = u8::from(failure.is_some());
        if self.json {
            say(&json!({
                "v": 1,
                "target": self.target,
                "verified": failure.is_none(),
                "live": verified.live,
                "verdicts": verdicts_json(&verified.verdicts),
                "code": failure.map(|failure| &failure.code),
                "message": failure.map(ToString::to_string),
                "next": self.next_json(failure.map_or(&[], |failure| failure.next.as_slice())),
                "exit": exit,
            })
            .to_string());
            return exit;
        }
        say_verdicts(&verified.verdicts);
        let live = verified.live.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        match failure {
            None => say(&format!("verified: {live} is live on {}", self.target)),
            Some(failure) => {
                say(&format!("not verified: {live} is live on {}", self.target));
                say(&format!("  {failure} [{}]", failure.code));
                self.next_lines(&failure.next, say);
            }
        }
        exit
    }

    /// Something that was done without a run: `text` for people, `line` for programs.
    pub(crate) fn done(&self, text: &str, mut line: Value, next: &[NextAction]) -> u8 {
        if self.json {
            line["v"] = 1.into();
            line["target"] = json!(self.target);
            line["next"] = self.next_json(next);
            line["exit"] = 0.into();
            say(&line.to_string());
        } else {
            say(text);
            self.next_lines(next, say);
        }
        0
    }
}

fn verdicts_json(verdicts: &[Judged]) -> Value {
    let list = verdicts.iter().map(|judged| {
        json!({
            "stage": judged.stage, "enforcement": judged.enforcement, "verdict": judged.verdict,
        })
    });
    Value::Array(list.collect())
}

fn say_verdicts(verdicts: &[Judged]) {
    for judged in verdicts {
        let advice = if judged.enforcement == Enforcement::Advisory { " (advice)" } else { "" };
        let why = judged.verdict.finding();
        let why = why.map(|it| format!(", {} [{}]", it.message, it.code)).unwrap_or_default();
        say(&format!("gate {}: {}{why}{advice}", judged.stage, judged.verdict.word()));
    }
}

/// A call that cannot be understood, for programs: people have read it on standard error.
pub(crate) fn usage(error: &Error, program: &str) {
    let failure = error.to_failure();
    say(&json!({
        "v": 1, "outcome": "usage", "run": null, "target": null, "fence": null,
        "code": failure.code, "exit": 2, "live": null,
        "next": [{"command": format!("{program} --help"), "who": "anyone"}],
        "message": failure.message,
    })
    .to_string());
}

/// The exit code and the outcome's word of an error that no run came to. Whatever the parts of a
/// pipeline refuse while they are built is wrong with the call, or with what it names.
fn class(code: &Code, building: bool) -> (u8, &'static str) {
    match (code.area(), code.as_str()) {
        (_, "ledger.corrupt" | "log.broken" | "ledger.entry") => (4, "stuck"),
        (_, "rollback.nothing") | ("approval" | "waiver", _) => (1, "refused"),
        ("usage" | "config", _)
        | (_, "ledger.foreign" | "ledger.newer" | "ledger.network_fs" | "ledger.ephemeral") => {
            (2, "usage")
        }
        (area, _) if building && area != "ledger" => (2, "usage"),
        _ => (5, "failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_commands_neither_a_terminal_nor_a_runner() {
        for (said, printed) in [
            ("all is well:: really", "all is well:: really"),
            ("one\n  ::error::two", "one\n|   ::error::two"),
            ("::stop-commands::x\n", "| ::stop-commands::x\n"),
            ("a ##[error]b", "a ## [error]b"),
            ("a\u{1b}[2Jb\rc", "a\u{fffd}[2Jb\u{fffd}c"),
            // Whatever hides behind what is taken out.
            ("\u{1b}::error::x", "\u{fffd}::error::x"),
        ] {
            assert_eq!(tame(said), printed);
        }
    }
}
