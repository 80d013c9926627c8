//! A step of a workflow, as a run reports to it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatekit_core::ledger::{Body, Entry};
use gatekit_core::{
    Enforcement, Event, EventBody, Failure, Outcome, Reporter, Result, RunId, RunReport, StageId,
    Verdict,
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::command::{ANNOTATIONS, END_GROUP, Kind, annotation, group, inert, masks};
use crate::file;
use crate::summary::Rows;

/// A step of a GitHub Actions workflow. Cheap to clone: clones are of the same step.
///
/// [`reporter`](Self::reporter) tells a run in the log as it goes, with a group for each stage and
/// annotations for what went wrong, ten of each kind at most, as many as a step shows.
/// [`finish`](Self::finish) tells in the step's summary and outputs what it came to. Whatever
/// stages and people said is shown as text: it can neither give commands, nor end an output, nor move
/// a terminal's cursor.
#[derive(Debug, Clone)]
pub struct Actions(Arc<Mutex<Step>>);

struct Step {
    log: Box<dyn Write + Send>,
    /// Whether a runner reads the log, which takes masks for commands and does not show them.
    obeyed: bool,
    output: Option<PathBuf>,
    summary: Option<PathBuf>,
    /// The run that the outputs name by now.
    run: Option<RunId>,
    rows: Rows,
    group: Option<StageId>,
    last: String,
    annotated: BTreeMap<Kind, u32>,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step")
            .field("output", &self.output)
            .field("summary", &self.summary)
            .finish()
    }
}

/// Tells the log of the step: see [`Actions::reporter`].
#[derive(Debug)]
pub struct ActionsReporter(Actions);

impl Actions {
    /// The step that this process is part of: one of a workflow where `GITHUB_ACTIONS` is `true`, whose
    /// files are those of `GITHUB_OUTPUT` and `GITHUB_STEP_SUMMARY`. What is not set is not written.
    ///
    /// Its log is the standard error, of which a runner obeys commands as it does of the standard
    /// output; that is left to the program, and a script that captures it loses no mask.
    #[must_use]
    pub fn from_env() -> Self {
        Self::of(|name| std::env::var_os(name), io::stderr())
    }

    /// The step that those variables describe.
    fn of(variable: impl Fn(&str) -> Option<OsString>, log: impl Write + Send + 'static) -> Self {
        let path = |name| variable(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let step = Self::new(log, path("GITHUB_OUTPUT"), path("GITHUB_STEP_SUMMARY"));
        step.lock().obeyed = variable("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        step
    }

    /// A step of a workflow, with that log, which a runner MUST read, and those files.
    pub fn new(
        log: impl Write + Send + 'static,
        output: Option<PathBuf>,
        summary: Option<PathBuf>,
    ) -> Self {
        Self(Arc::new(Mutex::new(Step {
            log: Box::new(log),
            obeyed: true,
            output,
            summary,
            run: None,
            rows: Rows::default(),
            group: None,
            last: String::new(),
            annotated: BTreeMap::new(),
        })))
    }

    /// Whether it is a step of a workflow: [`from_env`](Self::from_env) may find that it is not.
    #[must_use]
    pub fn in_workflow(&self) -> bool {
        self.lock().obeyed
    }

    /// Has every line of a secret masked in the log from now on. Call it before anything can print
    /// the secret. Outside of a workflow it does nothing: there a mask would show the secret.
    pub fn mask(&self, secret: &SecretString) {
        let mut step = self.lock();
        if !step.obeyed {
            return;
        }
        for mask in masks(secret.expose_secret()) {
            step.say(&mask);
        }
    }

    /// Tells a run in the log, and writes the output `run` as soon as it hears of it: a step that is
    /// killed later has told which run was its own.
    #[must_use]
    pub fn reporter(&self) -> ActionsReporter {
        ActionsReporter(self.clone())
    }

    /// Tells what a run came to: an annotation when it did not end as wished, a table in the step's
    /// summary, and the outputs `outcome`, `exit`, `target`, `run`, `code` and `live`, those that there
    /// are. A run that waits is no failure: its annotation is a notice.
    ///
    /// A summary holds 1 MiB. One that does not fit is cut, and says so; where nothing of it fits,
    /// because the step has written as much before, a warning in the log does.
    ///
    /// # Errors
    /// `github.file` when the file of the outputs, that of the summary, or both cannot be written; the
    /// run is what it is all the same.
    pub fn finish(&self, report: &RunReport) -> Result<()> {
        let mut step = self.lock();
        step.end_group();
        step.announce(report);
        let mut unwritten = Vec::new();
        // A summary that cannot be written is no reason to keep the outputs back.
        if let Some(path) = step.output.clone() {
            unwritten.extend(file::append_outputs(&path, &outputs(report)).err());
        }
        if let Some(path) = step.summary.clone() {
            match file::append_summary(&path, &step.rows.markdown(report)) {
                Ok(true) => {}
                Ok(false) => step.say(&annotation(
                    Kind::Warning,
                    "the step's summary is full",
                    "what the run came to is not in it: it would be longer than 1 MiB",
                )),
                Err(why) => unwritten.push(why),
            }
        }
        file::all_written(unwritten)
    }

    /// Tells an error that no run came to, with the exit code of the program: an annotation, and the
    /// outputs `outcome` (`usage` for 2, `refused` for 1, `stuck` for 4, else `failed`), `exit` and `code`.
    ///
    /// # Errors
    /// `github.file` when the file of the outputs cannot be written.
    pub fn fail(&self, failure: &Failure, exit: u8) -> Result<()> {
        let mut step = self.lock();
        step.end_group();
        let message = format!("{failure} [{}]", failure.code);
        step.say(&annotation(Kind::Error, "no run came of the call", &message));
        let Some(path) = &step.output else { return Ok(()) };
        let outcome = match exit {
            1 => Outcome::Refused.as_str(),
            2 => "usage",
            4 => Outcome::Stuck.as_str(),
            _ => Outcome::Failed.as_str(),
        };
        let (exit, code) = (exit.to_string(), failure.code.to_string());
        let told = [("outcome", outcome), ("exit", &exit), ("code", &code)];
        let text: String = told.iter().map(|(name, value)| file::output(name, value)).collect();
        file::all_written(file::append_outputs(path, &text).err().into_iter().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Step> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Step {
    /// A log that nobody reads is no reason to fail.
    fn say(&mut self, line: &str) {
        // In one piece: others write to the same log.
        let _ = self.log.write_all(format!("{line}\n").as_bytes());
    }

    fn tell(&mut self, text: &str) {
        if text != self.last {
            for line in inert(text) {
                self.say(&line);
            }
            text.clone_into(&mut self.last);
        }
    }

    fn annotate(&mut self, kind: Kind, title: &str, message: &str) {
        let count = self.annotated.entry(kind).or_default();
        if *count + kind.kept() < ANNOTATIONS {
            *count += 1;
            self.say(&annotation(kind, title, message));
        }
    }

    /// Why a run did not end as wished: that is worth more than its tenth complaint.
    fn announce(&mut self, report: &RunReport) {
        let Some(failure) = &report.failure else { return };
        let kind = match report.outcome {
            Outcome::Waiting => Kind::Notice,
            outcome if outcome.exit_code() == 0 => Kind::Warning,
            _ => Kind::Error,
        };
        let title = format!("{} {}", report.target, report.outcome.as_str().replace('_', " "));
        self.say(&annotation(kind, &title, &format!("{failure} [{}]", failure.code)));
    }

    /// Has the outputs name the run.
    fn learn(&mut self, run: RunId) {
        if self.run.replace(run) == Some(run) {
            return;
        }
        if let Some(path) = &self.output {
            // The end of the run writes it again, and tells what keeps it from that.
            let _ = file::append_outputs(path, &file::output("run", &run.to_string()));
        }
    }

    fn end_group(&mut self) {
        if self.group.take().is_some() {
            self.say(END_GROUP);
        }
    }

    /// Begins the group of a stage, unless it is the present one.
    fn enter(&mut self, stage: Option<&StageId>) {
        if self.group.as_ref() != stage {
            self.end_group();
            if let Some(stage) = stage {
                self.say(&group(stage.as_str()));
                self.group = Some(stage.clone());
            }
        }
    }

    fn step(&mut self, entry: &Entry) {
        self.learn(entry.run);
        self.rows.learn(entry);
        self.enter(stage_of(&entry.body));
        if let Some(line) = entry.line() {
            self.tell(&line);
        }
        match &entry.body {
            Body::Verdict { stage, enforcement, verdict, .. } => {
                if let (Some(finding), false) =
                    (verdict.finding(), matches!(verdict, Verdict::Wait(_)))
                {
                    let enforced = *enforcement == Enforcement::Enforced;
                    let kind = if enforced { Kind::Error } else { Kind::Warning };
                    let title = format!("{stage} says {}", verdict.word());
                    self.annotate(kind, &title, &format!("{} [{}]", finding.message, finding.code));
                }
            }
            Body::Waived { stage, .. } => {
                let line = entry.line().unwrap_or_default();
                self.annotate(Kind::Warning, &format!("{stage} is waived"), &line);
            }
            Body::StageFailed { stage, failure, .. } => {
                let message = format!("{failure} [{}]", failure.code);
                self.annotate(Kind::Error, &format!("{stage} failed"), &message);
            }
            _ => {}
        }
    }
}

impl Reporter for ActionsReporter {
    fn event(&mut self, event: &Event) {
        let mut step = self.0.lock();
        match &event.event {
            EventBody::Step { entry, .. } => step.step(entry),
            EventBody::Progress { stage, message, .. } => {
                step.enter(stage.as_ref());
                step.tell(message);
            }
            _ => {}
        }
    }
}

/// What a run came to, for the steps after this one.
fn outputs(report: &RunReport) -> String {
    let failure = report.failure.as_ref();
    let outputs = [
        ("outcome", Some(report.outcome.as_str().to_owned())),
        ("exit", Some(report.outcome.exit_code().to_string())),
        ("target", Some(report.target.to_string())),
        ("run", report.run.map(|run| run.to_string())),
        ("code", failure.map(|failure| failure.code.to_string())),
        ("live", report.live.as_ref().map(|live| live.release.clone())),
    ];
    let given = outputs.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    given.map(|(name, value)| file::output(name, value)).collect()
}

/// The stage that an entry is about.
fn stage_of(body: &Body) -> Option<&StageId> {
    match body {
        Body::Verdict { stage, .. }
        | Body::Waived { stage, .. }
        | Body::Applying { stage, .. }
        | Body::Calling { stage, .. }
        | Body::Checkpoint { stage, .. }
        | Body::Applied { stage, .. }
        | Body::Answered { stage, .. }
        | Body::Settled { stage, .. }
        | Body::StageFailed { stage, .. }
        | Body::Recovering { stage, .. }
        | Body::RollingBack { stage, .. }
        | Body::RolledBack { stage, .. } => Some(stage),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_secret_is_masked_in_a_workflow_and_shown_to_nobody_outside_of_one() {
        for (value, masked) in [
            (None, ""),
            (Some(""), ""),
            (Some("false"), ""),
            (Some("true"), "::add-mask::the secret\n"),
        ] {
            let log = Log::default();
            let step = Actions::of(
                |name| value.filter(|_| name == "GITHUB_ACTIONS").map(OsString::from),
                log.clone(),
            );
            step.mask(&"the secret".into());
            assert_eq!(String::from_utf8_lossy(&log.0.lock().unwrap()), masked, "{value:?}");
            assert_eq!(step.in_workflow(), !masked.is_empty());
        }
    }
}
