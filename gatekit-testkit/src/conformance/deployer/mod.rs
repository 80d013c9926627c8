//! The conformance suite of [`Deployer`](gatekit_core::Deployer).
//!
//! It plays the part of the engine with a [`DeployerSubject`]: plans, takes the lock, applies, polls,
//! locates, kills the run at every permit and goes on in "another process", which is an object built
//! anew and what the journal has. What it finds it compares with the truth that the
//! [`DeployerWorld`] tells without asking the deployer.
//!
//! # Example
//! A sign that shows one text, and how it is judged:
//!
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use async_trait::async_trait;
//! use gatekit_core::ledger::{Ledger, MemoryLedger};
//! use gatekit_core::{
//!     ApplyContext, Candidate, Code, Deployer, Digest, Effect, Error, Live, Location, PlanContext,
//!     Planned, Result, Reversibility, Rollback, Rollout, RunId, StageId, TargetName,
//! };
//! use gatekit_testkit::conformance::deployer::{
//!     Capability, DeployerSubject, DeployerWorld, Release, Start, Trace, Truth,
//! };
//! use gatekit_testkit::conformance::{deployer, rollback};
//! use serde_json::{Value, json};
//!
//! /// What the sign shows, and which run has written it.
//! #[derive(Debug, Clone, Default)]
//! struct Sign(Arc<Mutex<Option<(String, RunId)>>>);
//!
//! type Change = (Option<String>, String);
//!
//! impl Sign {
//!     fn shows(&self) -> Option<(String, RunId)> {
//!         self.0.lock().unwrap().clone()
//!     }
//!
//!     fn find(&self, (before, wish): &Change, by: Option<&RunId>) -> Location {
//!         match self.shows() {
//!             Some((text, run)) if text == *wish && by.is_none_or(|by| *by == run) => {
//!                 Location::After
//!             }
//!             shown if shown.as_ref().map(|(text, _)| text) == before.as_ref() => Location::Before,
//!             Some((text, _)) => Location::Elsewhere(Live::new(text, None)),
//!             None => Location::Unknown("somebody has taken the text away".into()),
//!         }
//!     }
//! }
//!
//! #[async_trait]
//! impl Deployer for Sign {
//!     type Change = Change;
//!     type Receipt = RunId;
//!
//!     fn id(&self) -> StageId {
//!         StageId::new("sign").unwrap()
//!     }
//!
//!     fn describe(&self) -> Value {
//!         json!({"kind": "sign"})
//!     }
//!
//!     async fn plan(&self, cx: &PlanContext) -> Result<Planned<Change>> {
//!         let wish = cx.candidate().version.clone().unwrap_or_default();
//!         let (scope, summary) = (Digest::of(&wish), format!("show `{wish}`"));
//!         Ok(Planned { change: (self.shows().map(|(text, _)| text), wish), scope, summary })
//!     }
//!
//!     async fn apply(&self, cx: &ApplyContext, change: &Change, _: Option<&RunId>) -> Result<RunId> {
//!         match self.find(change, None) {
//!             Location::After => return Ok(cx.run()),
//!             Location::Elsewhere(_) => {
//!                 let code = Code::new("sign.elsewhere");
//!                 return Err(Error::new(code, "another text is shown").with_effect(Effect::None));
//!             }
//!             _ => {}
//!         }
//!         let permit = cx.permit("write the sign").await?;
//!         *self.0.lock().unwrap() = Some((change.1.clone(), permit.run()));
//!         Ok(cx.run())
//!     }
//!
//!     async fn observe(&self, _: &PlanContext, _: &Change, _: &RunId) -> Result<Rollout> {
//!         Ok(Rollout::Settled)
//!     }
//!
//!     async fn locate(
//!         &self,
//!         _: &PlanContext,
//!         change: &Change,
//!         receipt: Option<&RunId>,
//!     ) -> Result<Location> {
//!         Ok(self.find(change, receipt))
//!     }
//!
//!     async fn live(&self, _: &PlanContext) -> Result<Option<Live>> {
//!         Ok(self.shows().map(|(text, _)| Live::new(text, None)))
//!     }
//! }
//!
//! #[async_trait]
//! impl Rollback<Sign> for Sign {
//!     fn reversibility(&self, _: &Change) -> Reversibility {
//!         Reversibility::Free
//!     }
//!
//!     async fn roll_back(
//!         &self,
//!         cx: &ApplyContext,
//!         change: &Change,
//!         receipt: Option<&RunId>,
//!     ) -> Result<()> {
//!         if self.find(change, receipt) == Location::After {
//!             let permit = cx.permit("write the old text").await?;
//!             *self.0.lock().unwrap() = change.0.clone().map(|text| (text, permit.run()));
//!         }
//!         Ok(())
//!     }
//!
//!     async fn observe_back(
//!         &self,
//!         _: &PlanContext,
//!         _: &Change,
//!         _: Option<&RunId>,
//!     ) -> Result<Rollout> {
//!         Ok(Rollout::Settled)
//!     }
//! }
//!
//! #[derive(Debug)]
//! struct Signs;
//!
//! #[async_trait]
//! impl DeployerSubject for Signs {
//!     type World = Street;
//!
//!     fn capability(&self) -> Capability {
//!         Capability::new().starting_empty().with_others()
//!     }
//!
//!     async fn world(&self, live: Start) -> Street {
//!         let shown = (live == Start::Old).then(|| ("old".to_owned(), RunId::generate()));
//!         Street { sign: Sign(Arc::new(Mutex::new(shown))), ledger: MemoryLedger::default() }
//!     }
//! }
//!
//! #[derive(Debug)]
//! struct Street {
//!     sign: Sign,
//!     ledger: MemoryLedger,
//! }
//!
//! #[async_trait]
//! impl DeployerWorld for Street {
//!     type Deployer = Sign;
//!     type Rollback = Sign;
//!
//!     fn target(&self) -> TargetName {
//!         TargetName::new("street/sign").unwrap()
//!     }
//!
//!     fn ledger(&self) -> Arc<dyn Ledger> {
//!         Arc::new(self.ledger.clone())
//!     }
//!
//!     fn candidate(&self, release: Release) -> Candidate {
//!         Candidate::new().with_version(if release == Release::Old { "old" } else { "new" })
//!     }
//!
//!     fn deployer(&self, _: Release) -> Sign {
//!         self.sign.clone()
//!     }
//!
//!     fn rollback(&self, _: Release) -> Sign {
//!         self.sign.clone()
//!     }
//!
//!     async fn truth(&self) -> Truth {
//!         match self.sign.shows().as_ref().map(|(text, _)| text.as_str()) {
//!             None => Truth::Nothing,
//!             Some("old") => Truth::Old,
//!             Some("new") => Truth::New,
//!             Some(_) => Truth::Others,
//!         }
//!     }
//!
//!     async fn trace(&self) -> Trace {
//!         Trace::of_state(Digest::of(format!("{:?}", self.sign.shows())))
//!     }
//!
//!     async fn somebody_else_releases(&self) {
//!         *self.sign.0.lock().unwrap() = Some(("other".to_owned(), RunId::generate()));
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! deployer::all(&Signs).await;
//! rollback::all(&Signs).await;
//! # }
//! ```

mod applying;
mod bench;
mod course;
mod describing;
mod killing;
mod locating;
mod planning;
mod reading;
mod rolling_out;
mod subject;

pub(crate) use bench::{Bench, Write, told};
pub(crate) use course::Way;
pub(crate) use killing::{honest, walk};
pub(crate) use locating::starts;
pub(crate) use reading::survives_drops;

pub use applying::{
    a_late_apply_clobbers_nobody, a_lost_answer_is_found_again, an_overtaken_fence_writes_nothing,
    applying_again_has_no_second_effect, every_write_has_its_permit,
};
pub use describing::{it_describes_itself_the_same_in_every_process, no_secret_is_shown};
pub use killing::{errors_tell_what_was_written, it_goes_on_wherever_it_was_killed};
pub use locating::{
    a_half_way_state_is_not_taken_for_a_whole_one, another_runs_effect_is_not_its_own,
    it_is_before_and_then_after, live_tells_what_is_live, somebody_elses_release_is_found,
    what_is_in_place_is_recognised,
};
pub use planning::{
    another_candidate_has_another_scope, another_process_goes_on_with_change_and_receipt,
    the_scope_leaves_out_what_was_there,
};
pub use reading::{reading_is_cancel_safe, reading_is_repeatable, reading_writes_nothing};
pub use rolling_out::{a_pause_is_answered, a_release_that_fails_is_no_success, a_rollout_ends};
pub use subject::{Capability, DeployerSubject, DeployerWorld, Release, Start, Trace, Truth};

crate::conformance::suite::suite!(DeployerSubject in deployer, deployer_conforms $:
    it_describes_itself_the_same_in_every_process,
    no_secret_is_shown,
    reading_writes_nothing,
    reading_is_repeatable,
    reading_is_cancel_safe,
    another_candidate_has_another_scope,
    the_scope_leaves_out_what_was_there,
    another_process_goes_on_with_change_and_receipt,
    it_is_before_and_then_after,
    what_is_in_place_is_recognised,
    another_runs_effect_is_not_its_own,
    somebody_elses_release_is_found,
    live_tells_what_is_live,
    a_half_way_state_is_not_taken_for_a_whole_one,
    applying_again_has_no_second_effect,
    a_lost_answer_is_found_again,
    every_write_has_its_permit,
    an_overtaken_fence_writes_nothing,
    a_late_apply_clobbers_nobody,
    it_goes_on_wherever_it_was_killed,
    errors_tell_what_was_written,
    a_rollout_ends,
    a_release_that_fails_is_no_success,
    a_pause_is_answered,
);
