//! The contracts, the pipeline and the engine of gatekit: releases that go through gates.
//!
//! > gatekit never reports a success that did not happen, and never loses track of a target it has
//! > touched.

pub mod code;

mod candidate;
mod context;
mod deployer;
mod digest;
mod engine;
mod error;
mod event;
mod gate;
mod id;
pub mod ledger;
mod outcome;
mod pipeline;
pub mod process;
mod retry;
mod rollback;
pub mod testing;
mod time;
mod verdict;

pub use candidate::Candidate;
pub use context::{ApplyContext, LastRelease, Permit, PlanContext, Vote};
pub use deployer::{Deployer, Go, Live, Location, Pause, Planned, Rollout};
pub use digest::{Digest, Hasher};
pub use engine::{Engine, Interrupter, Judged, Pending, Preview, Request, Running, Verified};
pub use error::{Action, Code, Effect, Error, Failure, NextAction, Result, Retry, Verb};
pub use event::{EVENT_VERSION, Event, EventBody, Reporter};
pub use gate::{
    All, Approval, Enforcement, Gate, GateExt, GateFn, GateSlot, Manual, PromotedFrom, Retried,
    Timeout, When, Window, advisory, enforced, gate_fn,
};
pub use id::{ClaimId, Fence, RunId, StageId, TargetName};
pub use outcome::{Outcome, RunReport};
pub use pipeline::Then::{Replan, SameChange};
pub use pipeline::{
    Deploying, Gating, Grouped, On, OnInterrupt, Pipeline, PipelineBuilder, Recovery, Then,
    UndecidedDeploy, UndecidedRecovery, UnfinishedRecovery, Whole, on,
};
pub use retry::RetryPolicy;
pub use rollback::{Reversibility, Rollback};
pub use time::Timestamp;
pub use verdict::{Evidence, FACTS_LIMIT, Finding, Freshness, Proof, Verdict};
