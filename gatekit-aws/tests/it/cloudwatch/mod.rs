//! The gate on alarms, against an emulated account.

mod bakes;
mod conformance;
mod endpoint;

use std::time::Duration;

use gatekit_aws::cloudwatch::Alarms;
use gatekit_core::testing::plan_context;
use gatekit_core::{Candidate, Gate as _, PlanContext, TargetName};
use gatekit_emulators::{Aws as Account, Clock, Scenario};

use crate::account::in_process;

/// An account whose alarm `web-5xx` is quiet.
fn account() -> Account {
    Account::new(Scenario::Ok, Clock::at_speed(1.0))
}

/// A gate on that alarm and others of the account.
fn gate(account: &Account, others: &[&str]) -> Alarms {
    let names = ["web-5xx"].into_iter().chain(others.iter().copied());
    Alarms::of(&in_process(account), "alarms", names).unwrap()
}

/// What a run tells the gate that was opened just now, with that much time left.
fn run(gate: &Alarms, left: Duration) -> PlanContext {
    let target = TargetName::new("shop/prod").unwrap();
    plan_context(&target, Candidate::new(), &gate.id(), left)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
