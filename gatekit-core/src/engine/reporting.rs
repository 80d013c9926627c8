//! Events on their way to the reporters: each on a thread of its own, so that a reporter that blocks
//! or panics never holds up a run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::event::{Event, EventBody, Reporter};

/// How many unread events a reporter may be behind before progress is dropped. Steps never are.
const PROGRESS_BACKLOG: usize = 256;

/// How long the report of a run is held back for reporters that are behind.
const FLUSH_LIMIT: Duration = Duration::from_secs(30);

/// Where a run's events go.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventSender(Vec<Listener>);

#[derive(Debug, Clone)]
struct Listener {
    sender: mpsc::Sender<Message>,
    backlog: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Message {
    Event(Arc<Event>),
    Flush(mpsc::Sender<()>),
}

impl EventSender {
    /// A sender that nobody listens to.
    pub(crate) fn silent() -> Self {
        Self::default()
    }

    /// Starts a thread for `reporter`. Where none can be started, runs go on without it.
    pub(crate) fn add(&mut self, mut reporter: Box<dyn Reporter>) {
        let backlog = Arc::new(AtomicUsize::new(0));
        let unread = Arc::clone(&backlog);
        let (sender, receiver) = mpsc::channel();
        let work = move || {
            for message in receiver {
                match message {
                    Message::Event(event) => {
                        unread.fetch_sub(1, Ordering::Relaxed);
                        let told = catch_unwind(AssertUnwindSafe(|| reporter.event(&event)));
                        if told.is_err() {
                            tracing::warn!(?reporter, "a reporter panicked and is left alone");
                            return;
                        }
                    }
                    // Whoever waited may have gone.
                    Message::Flush(done) => drop(done.send(())),
                }
            }
        };
        match thread::Builder::new().name("gatekit-reporter".into()).spawn(work) {
            Ok(_) => self.0.push(Listener { sender, backlog }),
            Err(error) => tracing::warn!(%error, "no thread for a reporter"),
        }
    }

    /// Sends an event, which is made only if somebody listens.
    pub(crate) fn step(&self, event: impl FnOnce() -> EventBody) {
        let Some(event) = self.made(event) else { return };
        for listener in &self.0 {
            listener.send(&event);
        }
    }

    /// [`step`](Self::step), for what a listener that is behind can do without.
    pub(crate) fn progress(&self, event: impl FnOnce() -> EventBody) {
        let Some(event) = self.made(event) else { return };
        for listener in &self.0 {
            if listener.backlog.load(Ordering::Relaxed) < PROGRESS_BACKLOG {
                listener.send(&event);
            }
        }
    }

    fn made(&self, event: impl FnOnce() -> EventBody) -> Option<Arc<Event>> {
        (!self.0.is_empty()).then(|| Arc::new(Event::new(event())))
    }

    /// Waits until every reporter has taken what was sent, for [`FLUSH_LIMIT`] at most.
    pub(crate) async fn flush(&self) {
        if !self.flushed_within(FLUSH_LIMIT).await {
            tracing::warn!("a reporter is behind, and is not waited for any longer");
        }
    }

    async fn flushed_within(&self, limit: Duration) -> bool {
        let sent = self.0.iter().filter_map(|listener| {
            let (done, flushed) = mpsc::channel();
            listener.sender.send(Message::Flush(done)).ok().map(|()| flushed)
        });
        let sent: Vec<_> = sent.collect();
        if sent.is_empty() {
            return true;
        }
        // By the real clock: reporters are on threads, which a test's clock does not know.
        let waited = tokio::task::spawn_blocking(move || {
            let limit = Instant::now() + limit;
            sent.iter().all(|flushed| {
                let left = limit.saturating_duration_since(Instant::now());
                // A reporter that panicked meanwhile drops its end: there is nothing to wait for.
                !matches!(flushed.recv_timeout(left), Err(mpsc::RecvTimeoutError::Timeout))
            })
        });
        waited.await.unwrap_or(false)
    }
}

impl Listener {
    fn send(&self, event: &Arc<Event>) {
        self.backlog.fetch_add(1, Ordering::Relaxed);
        // A reporter that panicked no longer listens; the journal has every step.
        let _ = self.sender.send(Message::Event(Arc::clone(event)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::id::{RunId, TargetName};

    fn progress(message: &str) -> EventBody {
        EventBody::Progress {
            target: TargetName::new("t").unwrap(),
            run: RunId::generate(),
            stage: None,
            message: message.to_owned(),
        }
    }

    #[derive(Debug)]
    struct Panics;
    impl Reporter for Panics {
        fn event(&mut self, _: &Event) {
            panic!("on purpose");
        }
    }

    #[derive(Debug, Clone, Default)]
    struct Collects(Arc<Mutex<Vec<Event>>>);
    impl Reporter for Collects {
        fn event(&mut self, event: &Event) {
            self.0.lock().unwrap().push(event.clone());
        }
    }

    #[tokio::test]
    async fn a_reporter_that_panics_leaves_the_others_and_the_run_alone() {
        let collected = Collects::default();
        let mut sender = EventSender::silent();
        sender.add(Box::new(Panics));
        sender.add(Box::new(collected.clone()));
        for i in 0..3 {
            sender.step(|| progress(&i.to_string()));
        }
        sender.flush().await;
        assert_eq!(collected.0.lock().unwrap().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reporter_that_hangs_is_not_waited_for_for_ever() {
        let (unblock, blocked) = mpsc::channel();
        let mut sender = EventSender::silent();
        sender.add(Box::new(Blocks(blocked, Arc::default())));
        sender.step(|| progress("1"));
        assert!(!sender.flushed_within(Duration::from_millis(50)).await);
        drop(unblock);
        assert!(sender.flushed_within(Duration::from_secs(60)).await);
    }

    #[derive(Debug)]
    struct Blocks(mpsc::Receiver<()>, Arc<Mutex<Vec<Event>>>);
    impl Reporter for Blocks {
        fn event(&mut self, event: &Event) {
            let _ = self.0.recv();
            self.1.lock().unwrap().push(event.clone());
        }
    }

    #[tokio::test]
    async fn a_reporter_that_blocks_loses_progress_but_no_step() {
        let (unblock, blocked) = mpsc::channel();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut sender = EventSender::silent();
        sender.add(Box::new(Blocks(blocked, Arc::clone(&seen))));
        for _ in 0..10 * PROGRESS_BACKLOG {
            sender.progress(|| progress("lossy"));
        }
        for _ in 0..50 {
            sender.step(|| progress("durable"));
        }
        drop(unblock);
        sender.flush().await;
        let seen = seen.lock().unwrap();
        let durable = |event: &&Event| matches!(&event.event, EventBody::Progress { message, .. } if message == "durable");
        assert_eq!(seen.iter().filter(durable).count(), 50);
        assert!(seen.len() <= PROGRESS_BACKLOG + 51);
    }
}
