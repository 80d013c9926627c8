//! What people are told on the way, and secrets in what is shown.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gatekit_core::testing::overheard;
use gatekit_core::{Error, Event, EventBody, PlanContext, Reporter};
use serde::Serialize;

use super::contract::{Sentence, broken, unfit};

/// Said last, so that all before it is known to have been heard.
const END: &str = "the conformance suite has heard enough";

/// Hears the progress of a context.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ear(Arc<Mutex<Vec<String>>>);

impl Reporter for Ear {
    fn event(&mut self, event: &Event) {
        if let EventBody::Progress { message, .. } = &event.event {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(message.clone());
        }
    }
}

impl Ear {
    /// A context that is listened to.
    pub(crate) fn at(cx: PlanContext) -> (Self, PlanContext) {
        let ear = Self::default();
        (ear.clone(), overheard(cx, ear))
    }

    /// All that was said in `cx`. Progress is lossy, so the last word is repeated until it is heard.
    pub(crate) async fn heard(&self, cx: &PlanContext) -> Vec<String> {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(30) {
            cx.progress(END);
            tokio::time::sleep(Duration::from_millis(1)).await;
            let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(end) = heard.iter().position(|message| message == END) {
                return heard[..end].to_vec();
            }
        }
        unfit("no progress is heard within 30 s")
    }
}

/// What must not be shown anywhere.
#[derive(Debug)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// Those of a subject; `None` when it declares none.
    pub(crate) fn new(secrets: Vec<String>) -> Option<Self> {
        if secrets.iter().any(String::is_empty) {
            unfit("an empty text is declared as a secret");
        }
        (!secrets.is_empty()).then_some(Self(secrets))
    }

    #[track_caller]
    pub(crate) fn absent(&self, sentence: Sentence, what: &str, shown: &str) {
        // Without the secret: the report of a leak must not leak it again.
        if self.0.iter().any(|secret| shown.contains(secret.as_str())) {
            broken(sentence, format_args!("a declared secret in {what}"));
        }
    }

    /// Neither as JSON nor for programmers.
    #[track_caller]
    pub(crate) fn absent_in(
        &self,
        sentence: Sentence,
        what: &str,
        shown: &(impl Serialize + Debug),
    ) {
        let json = serde_json::to_string(shown).unwrap_or_default();
        self.absent(sentence, what, &format!("{json} {shown:?}"));
    }

    #[track_caller]
    pub(crate) fn absent_in_error(&self, sentence: Sentence, error: &Error) {
        self.absent(sentence, "an error", &format!("{error} {error:?}"));
        self.absent_in(sentence, "an error", &error.to_failure());
    }
}
