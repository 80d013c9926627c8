//! The conformance suite of [`Gate`](gatekit_core::Gate).
//!
//! It shows a [`GateSubject`] one [`Scene`] after the other and looks at what the gate says.
//!
//! # Example
//! A gate that reads a text, and how it is judged:
//!
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use async_trait::async_trait;
//! use gatekit_core::{
//!     Code, Digest, Evidence, Finding, Gate, PlanContext, Result, StageId, Verdict,
//! };
//! use gatekit_testkit::conformance::gate::{self, Capability, GateSubject, GateWorld, Scene};
//! use serde_json::{Value, json};
//!
//! #[derive(Debug, Clone, Default)]
//! struct Freeze(Arc<Mutex<String>>);
//!
//! #[async_trait]
//! impl Gate for Freeze {
//!     fn id(&self) -> StageId {
//!         StageId::new("freeze").unwrap()
//!     }
//!
//!     fn describe(&self) -> Value {
//!         json!({"kind": "freeze"})
//!     }
//!
//!     async fn check(&self, _: &PlanContext) -> Result<Verdict> {
//!         let text = self.0.lock().unwrap().clone();
//!         let seen = Evidence::read("the calendar", &text, json!({"said": text}));
//!         Ok(match text.as_str() {
//!             "open" => Verdict::pass([seen]),
//!             "frozen" => Verdict::Fail(Finding::new(Code::new("freeze.on"), "it is frozen")),
//!             _ => Verdict::Inconclusive(Finding::new(Code::new("freeze.unreadable"), "what?")),
//!         })
//!     }
//! }
//!
//! #[derive(Debug)]
//! struct Calendars;
//!
//! #[async_trait]
//! impl GateSubject for Calendars {
//!     type World = Freeze;
//!
//!     fn capability(&self) -> Capability {
//!         Capability::new().with_empty()
//!     }
//!
//!     async fn world(&self) -> Freeze {
//!         let world = Freeze::default();
//!         world.show(Scene::Passes).await;
//!         world
//!     }
//! }
//!
//! #[async_trait]
//! impl GateWorld for Freeze {
//!     type Gate = Self;
//!
//!     fn gate(&self) -> Self {
//!         self.clone()
//!     }
//!
//!     async fn show(&self, scene: Scene) {
//!         *self.0.lock().unwrap() = match scene {
//!             Scene::Passes => "open",
//!             Scene::Fails => "frozen",
//!             Scene::Unreadable => "\u{0}\u{1}",
//!             _ => "",
//!         }
//!         .to_owned();
//!     }
//!
//!     async fn trace(&self) -> Digest {
//!         Digest::of(&*self.0.lock().unwrap())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! gate::all(&Calendars).await;
//! # }
//! ```

mod bench;
mod checking;
mod subject;

pub use checking::{
    checking_is_cancel_safe, checking_is_repeatable, checking_writes_nothing,
    it_describes_itself_the_same_in_every_process, it_does_not_judge_what_it_cannot_read,
    it_ends_by_the_deadline, it_fails_with_a_finding, it_looks_afresh, it_passes_with_evidence,
    it_waits_with_a_finding, no_secret_is_shown,
};
pub use subject::{Capability, GateSubject, GateWorld, Scene};

crate::conformance::suite::suite!(GateSubject in gate, gate_conforms $:
    it_describes_itself_the_same_in_every_process,
    it_passes_with_evidence,
    it_fails_with_a_finding,
    it_does_not_judge_what_it_cannot_read,
    it_waits_with_a_finding,
    checking_writes_nothing,
    checking_is_repeatable,
    checking_is_cancel_safe,
    it_looks_afresh,
    it_ends_by_the_deadline,
    no_secret_is_shown,
);
