//! A step of a workflow, as a run reports to it.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatekit_core::ledger::{Body, Entry};
use gatekit_core::{Enforcement, Event, EventBody, Reporter, Result, RunReport, StageId, Verdict};
use secrecy::{ExposeSecret as _, SecretString};

use crate::command::{ANNOTATIONS, END_GROUP, Kind, annotation, group, inert, masks};
use crate::file;
use crate::summary::Rows;

/// A step of a GitHub Actions workflow. Cheap to clone: clones are of the same step.
///
/// [`reporter`](Self::reporter) tells a run in the log as it goes, with a group for each stage and
/// annotations for what went wrong, ten of each kind at most, as many as a step shows.
/// [`finish`](Self::finish) tells in the step's summary and outputs what it came to. Whatever
/// stages and people said is shown as text: it can neither give commands nor end an output.
#[derive(Debug, Clone)]
pub struct Actions(Arc<Mutex<Step>>);

struct Step {
    log: Box<dyn Write + Send>,
    output: Option<PathBuf>,
    summary: Option<PathBuf>,
    rows: Rows,
    group: Option<StageId>,
    last: String,
    errors: u32,
    warnings: u32,
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
    /// The step that this process is part of, by `GITHUB_OUTPUT` and `GITHUB_STEP_SUMMARY`; its log is
    /// the standard output. Where they are not set, outside of a workflow, only the log is told.
    #[must_use]
    pub fn from_env() -> Self {
        let path = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        Self::new(io::stdout(), path("GITHUB_OUTPUT"), path("GITHUB_STEP_SUMMARY"))
    }

    /// A step with that log and those files.
    pub fn new(
        log: impl Write + Send + 'static,
        output: Option<PathBuf>,
        summary: Option<PathBuf>,
    ) -> Self {
        Self(Arc::new(Mutex::new(Step {
            log: Box::new(log),
            output,
            summary,
            rows: Rows::default(),
            group: None,
            last: String::new(),
            errors: 0,
            warnings: 0,
        })))
    }

    /// Has every line of a secret masked in the log from now on. Call it before anything can print
    /// the secret.
    pub fn mask(&self, secret: &SecretString) {
        let mut step = self.lock();
        for mask in masks(secret.expose_secret()) {
            step.say(&mask);
        }
    }

    /// Tells a run in the log.
    #[must_use]
    pub fn reporter(&self) -> ActionsReporter {
        ActionsReporter(self.clone())
    }

    /// Tells what a run came to: an annotation when it did not end as wished, a table in the step's
    /// summary, and the outputs `outcome`, `exit`, `target`, `run`, `code` and `live`, those that there
    /// are.
    ///
    /// # Errors
    /// `github.file` when the file of the outputs or of the summary cannot be written; the run is what
    /// it is all the same.
    pub fn finish(&self, report: &RunReport) -> Result<()> {
        let mut step = self.lock();
        step.end_group();
        if let Some(failure) = &report.failure {
            let title = format!("{} {}", report.target, report.outcome.as_str().replace('_', " "));
            let message = format!("{failure} [{}]", failure.code);
            let kind = if report.outcome.exit_code() == 0 { Kind::Warning } else { Kind::Error };
            // The end of a run is worth more than its tenth complaint.
            step.say(&annotation(kind, &title, &message));
        }
        let summary = step.rows.markdown(report);
        let told = match &step.summary {
            Some(path) => file::append("GITHUB_STEP_SUMMARY", path, &file::summary(path, &summary)),
            None => Ok(()),
        };
        let Some(path) = &step.output else { return told };
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
        let text: String = given.map(|(name, value)| file::output(name, value)).collect();
        // A summary that cannot be written is no reason to keep the outputs back.
        file::append("GITHUB_OUTPUT", path, &text).and(told)
    }

    fn lock(&self) -> MutexGuard<'_, Step> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Step {
    /// A log that nobody reads is no reason to fail.
    fn say(&mut self, line: &str) {
        let _ = writeln!(self.log, "{line}");
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
        let count = match kind {
            Kind::Error => &mut self.errors,
            Kind::Warning => &mut self.warnings,
        };
        // One is kept for the end of the run.
        if *count + 1 < ANNOTATIONS {
            *count += 1;
            self.say(&annotation(kind, title, message));
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
