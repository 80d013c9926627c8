//! Events on their way to the reporters: on a thread of their own, so that a reporter that blocks or
//! panics never holds up a run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use crate::event::{Event, EventBody, Reporter};

/// How many unread events a reporter may be behind before progress is dropped. Steps never are.
const PROGRESS_BACKLOG: usize = 256;

#[derive(Debug, Clone)]
pub(crate) struct EventSender {
    sender: Option<mpsc::Sender<Event>>,
    backlog: Arc<AtomicUsize>,
}

impl EventSender {
    /// A sender that nobody listens to.
    pub(crate) fn silent() -> Self {
        Self { sender: None, backlog: Arc::default() }
    }

    pub(crate) fn step(&self, event: Event) {
        if let Some(sender) = &self.sender {
            self.backlog.fetch_add(1, Ordering::Relaxed);
            // Nobody listens any more: the journal has the entry.
            let _ = sender.send(event);
        }
    }

    pub(crate) fn progress(&self, event: Event) {
        if self.backlog.load(Ordering::Relaxed) < PROGRESS_BACKLOG {
            self.step(event);
        }
    }
}

/// The reporters' thread.
#[derive(Debug)]
pub(crate) struct Reporting {
    thread: Option<thread::JoinHandle<Vec<Box<dyn Reporter>>>>,
}

impl Reporting {
    /// Starts the thread. Where it cannot be started the run goes on unreported.
    pub(crate) fn start(mut reporters: Vec<Box<dyn Reporter>>) -> (Self, EventSender) {
        if reporters.is_empty() {
            return (Self { thread: None }, EventSender::silent());
        }
        let backlog = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = mpsc::channel::<Event>();
        let unread = Arc::clone(&backlog);
        let work = move || {
            for event in receiver {
                unread.fetch_sub(1, Ordering::Relaxed);
                reporters.retain_mut(|reporter| {
                    let told = catch_unwind(AssertUnwindSafe(|| reporter.event(&event)));
                    if told.is_err() {
                        tracing::warn!(?reporter, "a reporter panicked and is left alone");
                    }
                    told.is_ok()
                });
                debug_assert!(
                    !matches!(event.event, EventBody::Unknown),
                    "the engine knows what it says"
                );
            }
            reporters
        };
        match thread::Builder::new().name("gatekit-reporters".into()).spawn(work) {
            Ok(thread) => {
                (Self { thread: Some(thread) }, EventSender { sender: Some(sender), backlog })
            }
            Err(error) => {
                tracing::warn!(%error, "no thread for the reporters");
                (Self { thread: None }, EventSender::silent())
            }
        }
    }

    /// Waits until every event was taken, and gives the reporters back. All senders must be gone.
    pub(crate) fn finish(self) -> Vec<Box<dyn Reporter>> {
        self.thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}
