//! What people and programs read.

use std::fmt::Write as _;

use gatekit_core::code::ListedCode;
use gatekit_core::ledger::{TargetState, Word};
use gatekit_core::{
    Action, Code, Effect, Enforcement, Error, Failure, Judged, Live, NextAction, Preview, Request,
    RunReport, TargetName, Verb, Verified,
};
use serde_json::{Value, json};

use crate::call::{Problem, With};
use crate::code;
use crate::out::{Out, warn};

/// Who is spoken to, and how the program is called about the same target.
#[derive(Debug, Clone)]
pub(crate) struct Voice {
    pub(crate) json: bool,
    /// With the name of the pipeline, where there are several.
    pub(crate) program: String,
    /// The flags that name the same target and ledger.
    pub(crate) flags: String,
    pub(crate) target: TargetName,
    /// The codes of the backends that the program uses, with what is to be done about them.
    pub(crate) codes: Vec<&'static [ListedCode]>,
    pub(crate) out: Out,
}

/// An error that no run came to, with a way on, the exit code and the outcome's word.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) failure: Failure,
    pub(crate) exit: u8,
    outcome: &'static str,
    of_target: bool,
}

/// Why a status may be told by another ledger than the one that was read.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    /// The path of a ledger that was named and does not exist.
    pub(crate) missing: Option<String>,
    /// Where the ledger was moved to.
    pub(crate) moved_to: Option<String>,
    /// A standby has answered.
    pub(crate) is_behind: bool,
}

pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A flag with its value, as it is typed.
pub(crate) fn typed(long: &str, value: &str) -> String {
    // What begins like a flag would be taken for one.
    let between = if value.starts_with('-') { '=' } else { ' ' };
    format!("--{long}{between}{}", quoted(value))
}

impl Voice {
    fn next_json(&self, next: &[NextAction]) -> Value {
        next_json(next, &self.program, &self.flags)
    }

    fn say(&self, line: &str) {
        self.out.say(line);
    }

    fn out_json(&self, line: &Value) {
        self.out.say_json(&line.to_string());
    }

    fn say_next(&self, next: &[NextAction]) {
        next_lines(next, &self.program, &self.flags).for_each(|line| self.say(&line));
    }

    /// An error on standard error: what, because of what, and the way on.
    pub(crate) fn complain(&self, word: &str, failure: &Failure) {
        complaint(word, failure, &self.program, &self.flags).for_each(|line| warn(&line));
    }

    /// What may be done next, where whoever made the error knows nothing better than what is listed.
    fn way_on(&self, failure: &Failure, next: &[NextAction], exit: u8) -> Vec<NextAction> {
        if exit == 0 {
            return next.to_vec();
        }
        // A backend knows better than the engine what is to be done about its own error.
        let of_backend = self.codes.iter().flat_map(|codes| codes.iter());
        let of_backend = of_backend.filter(|it| it.code == failure.code && failure.next.is_empty());
        let of_backend = of_backend.map(|it| NextAction::outside(it.next));
        let next: Vec<_> = of_backend.chain(next.iter().cloned()).collect();
        if !next.is_empty() {
            return next;
        }
        // What is wrong with the call, or what the call left.
        let known = listed(&failure.code).filter(|_| failure.code != code::USAGE_COMMAND_LINE);
        vec![match (known, exit) {
            (Some(listed), _) => NextAction::outside(listed),
            (None, 2) => {
                NextAction::outside(format!("correct the command line: {} --help", self.program))
            }
            (None, _) => NextAction::verb(Verb::Status, &[]),
        }]
    }

    /// The end of a run: the last line of standard output. Gives the exit code.
    pub(crate) fn report(&self, report: &RunReport) -> u8 {
        let exit = report.outcome.exit_code();
        let failure = report.failure.as_ref();
        let mut next = match failure {
            Some(failure) => self.way_on(failure, &report.next, exit),
            None => report.next.clone(),
        };
        next.dedup();
        if self.json {
            self.out_json(&json!({
                "v": 1,
                "outcome": report.outcome,
                "run": report.run,
                "target": report.target,
                "fence": report.fence,
                "code": failure.map(|failure| &failure.code),
                "exit": exit,
                "live": report.live,
                "next": self.next_json(&next),
                "message": failure.map(ToString::to_string),
                "causes": failure.map(|failure| &failure.causes),
            }));
            return exit;
        }
        self.say(&report.to_string());
        self.say_next(&next);
        exit
    }

    /// What an error that no run came to is told as.
    pub(crate) fn judged(&self, problem: &Problem) -> Told {
        let mut failure = problem.error.to_failure();
        let (exit, outcome) = match (problem.with, failure.effect) {
            (With::Ledger, Effect::Unknown | Effect::Done) => (4, "stuck"),
            // What may pass by itself is no fault of the call, also where a pipeline is built of what a
            // service answers.
            (with, _) => {
                class(&failure.code, with == With::Pipeline && !problem.error.is_temporary())
            }
        };
        failure.next = self.way_on(&failure, &failure.next, exit);
        let of_target = problem.with != With::Ledger;
        Told { failure, exit, outcome, of_target }
    }

    /// Tells it. Gives the exit code.
    pub(crate) fn error(&self, told: &Told) -> u8 {
        if self.json {
            let next = self.next_json(&told.failure.next);
            let target = told.of_target.then_some(&self.target);
            self.out_json(&error_json(told, target, next));
        } else {
            self.complain("error", &told.failure);
        }
        told.exit
    }

    /// A target's status; `Err` of `live` is why that cannot be told.
    pub(crate) fn status(
        &self,
        lock: &TargetState,
        live: &Result<Option<Live>, Error>,
        waits: &[Request],
        next: &[NextAction],
        elsewhere: &Elsewhere,
    ) {
        let shipped = lock.head.seq > 0;
        let known = live.as_ref().ok().and_then(Option::as_ref);
        let unknown = live.as_ref().err().map(Error::to_failure);
        let next = &with_unknown(next, unknown.as_ref());
        if self.json {
            let code = (!shipped).then_some(code::STATUS_NEVER_SHIPPED);
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
                "code": code.or_else(|| unknown.as_ref().map(|failure| failure.code.clone())),
                "next": self.next_json(next),
            });
            let asking = waits.iter().map(|request| {
                json!({
                    "run": request.run, "requester": request.requester,
                    "candidate": request.candidate, "waiting": request.waiting, "said": request.said,
                    "scopes": request.scopes,
                })
            });
            line["asking"] = asking.collect();
            if let Some(failure) = &unknown {
                line["message"] = failure.to_string().into();
            }
            if let Some(path) = &elsewhere.missing {
                line["missing_ledger"] = path.as_str().into();
            }
            if let Some(place) = &elsewhere.moved_to {
                line["moved_to"] = place.as_str().into();
            }
            if elsewhere.is_behind {
                line["standby"] = true.into();
            }
            self.out_json(&line);
            return;
        }
        self.say(&format!("target  {}", self.target));
        match (known, &unknown) {
            (Some(live), _) => self.say(&format!("live    {live}")),
            (None, None) => self.say("live    nothing"),
            (None, Some(failure)) => {
                self.say(&format!("live    unknown: {failure} [{}]", failure.code));
            }
        }
        self.say(&format!("state   {}, fence {}", lock.state.as_str(), lock.fence));
        if let Some(holder) = &lock.holder {
            self.say(&format!("holder  {} (pid {}), run {}", holder.actor, holder.pid, holder.run));
        } else if let Some(run) = lock.run {
            self.say(&format!("run     {run}"));
        }
        if let Some(leading) = &lock.along_with {
            self.say(&format!("locked  along with {leading}: see its status and log"));
        }
        for (place, waiter) in lock.queue.iter().enumerate() {
            let absent = if waiter.alive { "" } else { ", not heard of: skipped" };
            self.say(&format!("queue   {}. {} of {}{absent}", place + 1, waiter.run, waiter.actor));
        }
        for request in waits {
            self.say(&format!("asking  {} of {}", request.run, request.requester));
            if let Some(version) = &request.candidate.version {
                self.say(&format!("        ships {version}"));
            }
            for scope in &request.scopes {
                self.say(&format!("        would touch {}: {}", scope.stage, scope.summary));
            }
            for (stage, finding) in &request.waiting {
                self.say(&format!(
                    "        waits on {stage}: {} [{}]",
                    finding.message, finding.code
                ));
            }
            for (stage, word, by) in &request.said {
                let said = if *word == Word::Approve { "approved" } else { "rejected" };
                self.say(&format!("        {said} since by {by}, at {stage}: `resume` hears it"));
            }
        }
        if let Some(path) = &elsewhere.missing {
            self.say(&format!("there is no ledger at `{path}` [{}]", code::STATUS_NEVER_SHIPPED));
        } else if !shipped {
            let never = "nothing was ever shipped to this target from this ledger";
            self.say(&format!("{never} [{}]", code::STATUS_NEVER_SHIPPED));
        }
        self.say_next(next);
    }

    /// What a ship would do. Gives the exit code: that of the end that it would come to.
    pub(crate) fn preview(&self, preview: &Preview, asked: bool) -> u8 {
        let exit = preview.stop.as_ref().map_or(0, |(outcome, _)| outcome.exit_code());
        let next = preview.stop.as_ref().map(|(_, why)| self.way_on(why, &why.next, exit));
        let next = next.unwrap_or_default();
        if self.json {
            let stop = preview.stop.as_ref();
            self.out_json(&json!({
                "v": 1,
                "outcome": stop.map_or("planned", |(outcome, _)| outcome.as_str()),
                "target": self.target,
                "intent": preview.intent,
                "scopes": preview.scopes,
                "verdicts": verdicts_json(&preview.verdicts),
                "code": stop.map(|(_, failure)| &failure.code),
                "message": stop.map(|(_, failure)| failure.to_string()),
                "next": self.next_json(&next),
                "exit": exit,
            }));
            return exit;
        }
        for scope in &preview.scopes {
            self.say(&format!("would touch  {}: {}", scope.stage, scope.summary));
        }
        self.say_verdicts(&preview.verdicts);
        match &preview.stop {
            Some((outcome, failure)) => {
                let how = outcome.as_str().replace('_', " ");
                self.say(&format!("it would end {how}: {failure} [{}]", failure.code));
                self.say_next(&next);
            }
            None if asked => self.say("nothing is known to stop it"),
            None => self.say("nothing is known to stop it; its gates were not asked: --gates"),
        }
        exit
    }

    /// Whether what is live verifies. Gives the exit code.
    pub(crate) fn verified(&self, verified: &Verified) -> u8 {
        let failure = verified.failure.as_ref();
        let exit = u8::from(failure.is_some());
        let next = failure.map(|why| self.way_on(why, &why.next, exit)).unwrap_or_default();
        if self.json {
            self.out_json(&json!({
                "v": 1,
                "target": self.target,
                "verified": failure.is_none(),
                "live": verified.live,
                "verdicts": verdicts_json(&verified.verdicts),
                "code": failure.map(|failure| &failure.code),
                "message": failure.map(ToString::to_string),
                "next": self.next_json(&next),
                "exit": exit,
            }));
            return exit;
        }
        self.say_verdicts(&verified.verdicts);
        let live = verified.live.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        match failure {
            None => self.say(&format!("verified: {live} is live on {}", self.target)),
            Some(failure) => {
                self.say(&format!("not verified: {live} is live on {}", self.target));
                self.say(&format!("  {failure} [{}]", failure.code));
                self.say_next(&next);
            }
        }
        exit
    }

    /// Something that was done without a run: `text` for people, `line` for programs.
    pub(crate) fn done(&self, text: &str, mut line: Value, next: &[NextAction]) -> u8 {
        line["target"] = json!(self.target);
        self.told(text, line, next)
    }

    /// As [`done`](Self::done), where it was about no target.
    pub(crate) fn told(&self, text: &str, mut line: Value, next: &[NextAction]) -> u8 {
        if self.json {
            line["v"] = 1.into();
            line["next"] = self.next_json(next);
            line["exit"] = 0.into();
            self.out_json(&line);
        } else {
            self.say(text);
            self.say_next(next);
        }
        0
    }

    fn say_verdicts(&self, verdicts: &[Judged]) {
        for judged in verdicts {
            let advice = if judged.enforcement == Enforcement::Advisory { " (advice)" } else { "" };
            let why = judged.verdict.finding();
            let why = why.map(|it| format!(", {} [{}]", it.message, it.code)).unwrap_or_default();
            self.say(&format!("gate {}: {}{why}{advice}", judged.stage, judged.verdict.word()));
        }
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

/// What became of a call that no run came of, for programs.
fn error_json(told: &Told, target: Option<&TargetName>, next: Value) -> Value {
    let failure = &told.failure;
    json!({
        "v": 1, "outcome": told.outcome, "run": null, "target": target, "fence": null,
        "code": failure.code, "exit": told.exit, "live": null, "next": next,
        "message": failure.to_string(), "causes": failure.causes,
    })
}

/// A call that cannot be understood: what people are told is `said` by clap, else the error itself.
pub(crate) fn usage(
    out: &Out,
    program: &str,
    failure: Failure,
    said: Option<&str>,
    json: bool,
) -> u8 {
    match said {
        Some(said) => warn(said),
        None => warn_of("error", &failure, program),
    }
    let next = next_json(&failure.next, program, "");
    let told = Told { outcome: "usage", exit: 2, failure, of_target: false };
    if json {
        out.say_json(&error_json(&told, None, next).to_string());
    }
    told.exit
}

/// What went wrong where it is not known what the call is about.
pub(crate) fn warn_of(word: &str, failure: &Failure, program: &str) {
    complaint(word, failure, program, "").for_each(|line| warn(&line));
}

/// What, because of what, and the way on.
fn complaint(
    word: &str,
    failure: &Failure,
    program: &str,
    flags: &str,
) -> impl Iterator<Item = String> {
    let what = format!("{word}: {failure} [{}]", failure.code);
    let causes = failure.causes.iter().map(|cause| format!("  because: {cause}"));
    [what].into_iter().chain(causes).chain(next_lines(&failure.next, program, flags))
}

/// A next action as something to type.
fn command(next: &NextAction, program: &str, flags: &str) -> String {
    match &next.action {
        Action::Verb(verb, args) => {
            let mut line = format!("{program} {}", verb.as_str());
            for arg in args {
                let _ = write!(line, " {arg}");
            }
            line + flags
        }
        Action::Outside(what) => what.clone(),
        _ => "use a newer build".to_owned(),
    }
}

fn next_json(next: &[NextAction], program: &str, flags: &str) -> Value {
    let list =
        next.iter().map(|next| json!({"command": command(next, program, flags), "who": next.who}));
    Value::Array(list.collect())
}

fn next_lines(next: &[NextAction], program: &str, flags: &str) -> impl Iterator<Item = String> {
    next.iter().map(move |next| {
        let who = if next.who == "anyone" { String::new() } else { format!("  ({})", next.who) };
        format!("  next: {}{who}", command(next, program, flags))
    })
}

/// What may be done next, with what would make known what is not.
fn with_unknown(next: &[NextAction], unknown: Option<&Failure>) -> Vec<NextAction> {
    let mut next = next.to_vec();
    let Some(failure) = unknown else { return next };
    if failure.next.is_empty() {
        next.extend(listed(&failure.code).map(NextAction::outside));
    }
    for more in &failure.next {
        if !next.contains(more) {
            next.push(more.clone());
        }
    }
    next
}

/// What is to be done about that code, as the guide has it.
fn listed(code: &Code) -> Option<&'static str> {
    let lists = [gatekit_core::code::ALL, code::ALL, gatekit_store::code::ALL];
    lists.into_iter().flatten().find(|listed| listed.code == *code).map(|listed| listed.next)
}

/// The exit code and the outcome's word of an error that no run came to. Whatever the parts of a
/// pipeline refuse while they are built is wrong with the call, or with what it names.
fn class(code: &Code, building: bool) -> (u8, &'static str) {
    match (code.area(), code.as_str()) {
        (_, "ledger.corrupt" | "log.broken" | "ledger.entry") => (4, "stuck"),
        (_, "rollback.nothing") | ("approval" | "waiver", _) => (1, "refused"),
        // Of the program, and not of the call.
        ("engine", _) => (5, "failed"),
        (_, "ledger.moved" | "ledger.in_use" | "ledger.conflict" | "ledger.arriving") => {
            (1, "refused")
        }
        ("usage" | "config", _)
        | (_, "ledger.foreign" | "ledger.newer" | "ledger.network_fs" | "ledger.ephemeral")
        | (_, "ledger.url" | "ledger.tls" | "ledger.login" | "ledger.denied" | "ledger.missing") => {
            (2, "usage")
        }
        (area, _) if building && area != "ledger" => (2, "usage"),
        _ => (5, "failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(codes: &'static [ListedCode]) -> Voice {
        Voice {
            json: false,
            program: "deploy".into(),
            flags: " --target t".into(),
            target: TargetName::new("t").unwrap(),
            codes: vec![codes],
            out: Out::default(),
        }
    }

    #[test]
    fn a_backends_error_that_knows_no_way_on_is_told_with_the_one_that_the_backend_lists() {
        static LISTED: &[ListedCode] =
            &[ListedCode::new(Code::new("acme.strange"), "it is strange", "mend it")];
        let (voice, log) = (voice(LISTED), NextAction::verb(Verb::Log, &[]));
        let way_on = |error: Error, exit| {
            let next = voice.way_on(&error.to_failure(), std::slice::from_ref(&log), exit);
            next_lines(&next, "deploy", "").collect::<Vec<_>>()
        };
        let strange = || Error::new(Code::new("acme.strange"), "what");
        assert_eq!(way_on(strange(), 5), ["  next: mend it", "  next: deploy log"]);
        let knows = strange().with_next(NextAction::outside("ask ann"));
        assert_eq!(way_on(knows, 5), ["  next: deploy log"], "what it knows is there already");
        assert_eq!(way_on(Error::new(Code::new("acme.other"), "what"), 5), ["  next: deploy log"]);
    }

    #[test]
    fn an_error_that_knows_no_way_on_tells_the_one_that_is_listed() {
        let voice = voice(&[]);
        let told = |code: Code| {
            let told = voice.judged(&Error::new(code, "what").into());
            let lines = next_lines(&told.failure.next, &voice.program, &voice.flags);
            (told.exit, lines.collect::<Vec<_>>().join("\n"))
        };
        let (exit, next) = told(code::CONFIG_ARGUMENTS);
        assert_eq!(exit, 2);
        assert!(next.starts_with("  next: give the run's own arguments"), "{next}");
        let (exit, next) = told(gatekit_store::code::LEDGER_FULL);
        assert_eq!((exit, next.as_str()), (5, "  next: free space, then `resume`"));
        let help = "  next: correct the command line: deploy --help";
        assert_eq!(told(code::USAGE_COMMAND_LINE), (2, help.to_owned()));
        let status = "  next: deploy status --target t";
        assert_eq!(told(Code::new("acme.strange")), (5, status.to_owned()));
    }

    #[test]
    fn what_may_pass_by_itself_is_no_fault_of_the_call() {
        let voice = voice(&[]);
        let built = |error: Error| voice.judged(&Problem { error, with: With::Pipeline }).exit;
        let refused = || Error::new(Code::new("acme.strange"), "what");
        assert_eq!(built(refused()), 2);
        assert_eq!(built(refused().retry_later()), 5);
    }

    #[test]
    fn an_error_beside_a_run_tells_its_causes_and_the_way_on() {
        let full = std::io::Error::other("the disk is full");
        let error = Error::new(Code::new("github.file"), "the outputs cannot be written")
            .with_next(NextAction::outside("free space"))
            .with_next(NextAction::verb(Verb::Log, &[]).by("operator"))
            .with_source(full);
        let lines: Vec<_> =
            complaint("warning", &error.to_failure(), "deploy", " --target t").collect();
        assert_eq!(
            lines,
            [
                "warning: the outputs cannot be written [github.file]",
                "  because: the disk is full",
                "  next: free space",
                "  next: deploy log --target t  (operator)",
            ]
        );
    }
}
