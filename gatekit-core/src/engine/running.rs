//! The handle of a run.

use std::future::IntoFuture;
use std::pin::Pin;

use tokio::sync::oneshot;

use super::interrupt::Interrupter;
use super::reporting::EventSender;
use crate::code;
use crate::error::{Error, NextAction, Verb};
use crate::id::{RunId, TargetName};
use crate::outcome::{Outcome, RunReport};

/// A run under way: await it for its report. Dropping it leaves the run alone.
#[derive(Debug)]
#[must_use = "await it: a run that nobody looks at may have failed"]
pub struct Running {
    target: TargetName,
    run: RunId,
    report: oneshot::Receiver<RunReport>,
    interrupter: Interrupter,
}

impl Running {
    pub(crate) fn spawn(
        target: TargetName,
        run: RunId,
        events: EventSender,
        interrupter: Interrupter,
        work: impl Future<Output = RunReport> + Send + 'static,
    ) -> Self {
        let (sender, report) = oneshot::channel();
        tokio::spawn(async move {
            let report = work.await;
            // The run has ended and holds nothing: now it may wait for its reporters.
            events.flush().await;
            // The handle may have been dropped.
            let _ = sender.send(report);
        });
        Self { target, run, report, interrupter }
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The handle by which it is interrupted.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    /// Waits for the run's end, or for its second interrupt.
    pub async fn wait(self) -> RunReport {
        let Self { target, run, report, interrupter } = self;
        let (outcome, failure) = tokio::select! {
            biased;
            report = report => match report {
                Ok(report) => return report,
                // The sender is dropped without a report only when the task panicked, or its
                // runtime was shut down: the target may have been touched.
                Err(_) => (
                    Outcome::Stuck,
                    Error::new(code::ENGINE_PANIC, "the run ended without a report"),
                ),
            },
            () = interrupter.let_go().cancelled() => (
                Outcome::Interrupted,
                Error::new(code::RUN_INTERRUPTED, "interrupted twice: the journal is left as it is"),
            ),
        };
        RunReport {
            outcome,
            run: Some(run),
            target,
            fence: None,
            failure: Some(failure.to_failure()),
            live: None,
            next: vec![
                NextAction::verb(Verb::Status, &[]),
                NextAction::verb(Verb::Resume, &[&run.to_string()]),
            ],
        }
    }
}

impl IntoFuture for Running {
    type Output = RunReport;
    type IntoFuture = Pin<Box<dyn Future<Output = RunReport> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.wait())
    }
}
