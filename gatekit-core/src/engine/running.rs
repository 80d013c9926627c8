//! The handle of a run.

use std::convert::Infallible;
use std::future::{IntoFuture, pending};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use tokio::sync::oneshot;

use super::interrupt::Interrupter;
use super::reporting::EventSender;
use crate::code;
use crate::error::{Error, NextAction, Verb};
use crate::event::EventBody;
use crate::id::{RunId, TargetName};
use crate::outcome::{Outcome, RunReport};

/// A run under way: await it for its report. Dropping it leaves the run alone.
#[derive(Debug)]
#[must_use = "await it: a run that nobody looks at may have failed"]
pub struct Running {
    target: TargetName,
    run: RunId,
    /// Dropped or sent when the task is over.
    over: oneshot::Receiver<()>,
    report: Arc<OnceLock<RunReport>>,
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
        let (told, over) = oneshot::channel();
        let report = Arc::new(OnceLock::new());
        let ended = Arc::clone(&report);
        let stop = interrupter.stop().clone();
        let heard = EventBody::Progress {
            target: target.clone(),
            run,
            stage: None,
            message: "interrupted: the run stops where that is safe; once more lets go".to_owned(),
        };
        tokio::spawn(async move {
            // A call that writes is waited for, however long it takes: whoever interrupts is told.
            let interrupted = async {
                stop.cancelled().await;
                events.progress(|| heard);
                pending::<Infallible>().await
            };
            let report = tokio::select! {
                report = work => report,
                never = interrupted => match never {},
            };
            // Nobody else sets it.
            let _ = ended.set(report);
            // The run has ended and holds nothing: now it may wait for its reporters.
            events.flush().await;
            // The handle may have been dropped.
            let _ = told.send(());
        });
        Self { target, run, over, report, interrupter }
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
        let Self { target, run, over, report, interrupter } = self;
        let (outcome, failure) = tokio::select! {
            biased;
            // Without a report only when the task panicked, or its runtime was shut down: the target
            // may have been touched.
            _ = over => (
                Outcome::Stuck,
                Error::new(code::ENGINE_PANIC, "the run ended without a report"),
            ),
            () = interrupter.let_go().cancelled() => (
                Outcome::Interrupted,
                Error::new(code::RUN_INTERRUPTED, "interrupted twice: the journal is left as it is"),
            ),
        };
        // One that has ended is not let go of: it only waits for its reporters.
        if let Some(report) = report.get() {
            return report.clone();
        }
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::event::{Event, Reporter};

    /// Blocks until the other end is dropped.
    #[derive(Debug)]
    struct Blocks(mpsc::Receiver<()>);
    impl Reporter for Blocks {
        fn event(&mut self, _: &Event) {
            let _ = self.0.recv();
        }
    }

    #[derive(Debug)]
    struct Tells(mpsc::Sender<String>);
    impl Reporter for Tells {
        fn event(&mut self, event: &Event) {
            if let EventBody::Progress { message, .. } = &event.event {
                self.0.send(message.clone()).unwrap();
            }
        }
    }

    /// It may take long until that is so.
    #[tokio::test]
    async fn who_interrupts_is_told_what_is_waited_for() {
        let (sender, told) = mpsc::channel();
        let mut events = EventSender::silent();
        events.add(Box::new(Tells(sender)));
        let (target, interrupter) = (TargetName::new("t").unwrap(), Interrupter::default());
        let work = std::future::pending();
        let running = Running::spawn(target, RunId::generate(), events, interrupter.clone(), work);
        running.interrupter().interrupt();
        let told = tokio::task::spawn_blocking(move || told.recv().unwrap()).await.unwrap();
        assert!(told.contains("once more lets go"), "{told}");
        interrupter.interrupt();
        assert_eq!(running.await.outcome, Outcome::Interrupted);
    }

    #[tokio::test]
    async fn a_run_that_has_ended_is_not_let_go_of_while_its_reporters_are_behind() {
        let (target, run) = (TargetName::new("t").unwrap(), RunId::generate());
        let (unblock, blocked) = mpsc::channel();
        let mut events = EventSender::silent();
        events.add(Box::new(Blocks(blocked)));
        let body = EventBody::Progress {
            target: target.clone(),
            run,
            stage: None,
            message: String::new(),
        };
        events.step(|| body);
        let why = Error::new(code::RESUME_NOTHING, "nothing").to_failure();
        let ended = RunReport::nothing_to_do(target.clone(), why, None);
        let interrupter = Interrupter::default();
        let work = std::future::ready(ended.clone());
        let running = Running::spawn(target, run, events, interrupter.clone(), work);
        while running.report.get().is_none() {
            tokio::task::yield_now().await;
        }
        for _ in 0..2 {
            interrupter.interrupt();
        }
        assert_eq!(running.await, ended);
        drop(unblock);
    }
}
