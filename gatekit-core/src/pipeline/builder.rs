//! The builder: its types make a deploy without a decision how to undo it impossible to write.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::Arc;

use serde_json::json;

use super::erased::Paired;
use super::{Deploy, OnInterrupt, Pipeline, Step};
use crate::code;
use crate::deployer::Deployer;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::gate::GateSlot;
use crate::id::TargetName;
use crate::rollback::{Irreversible, Rollback};

/// The builder has gates only: gates and deploys may follow.
#[derive(Debug)]
pub struct Gating(());

/// The builder has a deploy: only verifications and further deploys may follow.
#[derive(Debug)]
pub struct Deploying(());

/// Builds a [`Pipeline`].
///
/// # Default
/// No gates; an interrupt unwinds, except on GitHub Actions, where it leaves the run for `resume`.
///
/// A gate after the first deploy does not compile:
///
/// ```compile_fail
/// # use gatekit_core::{Deployer, Gate, Pipeline, Rollback, enforced};
/// # fn build<D: Deployer>(deployer: D, rollback: impl Rollback<D>, gate: impl Gate) {
/// Pipeline::to("production/api").deploy(deployer).rollback_with(rollback).gate(enforced(gate));
/// # }
/// ```
#[derive(Debug)]
#[must_use = "end with `.build()?`"]
pub struct PipelineBuilder<State> {
    target: String,
    gates: Vec<Vec<GateSlot>>,
    steps: Vec<Step>,
    on_interrupt: OnInterrupt,
    state: PhantomData<State>,
}

impl Pipeline {
    /// Begins a pipeline to that target, like `production/api`.
    pub fn to(target: impl Into<String>) -> PipelineBuilder<Gating> {
        PipelineBuilder {
            target: target.into(),
            gates: Vec::new(),
            steps: Vec::new(),
            on_interrupt: OnInterrupt::of_environment(),
            state: PhantomData,
        }
    }
}

impl PipelineBuilder<Gating> {
    /// Adds a gate, after those before it.
    pub fn gate(self, gate: GateSlot) -> Self {
        self.gates([gate])
    }

    /// Adds a set of gates that run in parallel, after the sets before it.
    pub fn gates(mut self, gates: impl IntoIterator<Item = GateSlot>) -> Self {
        self.gates.push(gates.into_iter().collect());
        self
    }
}

impl<State> PipelineBuilder<State> {
    /// Adds a deploy, and asks how it is undone: only
    /// [`rollback_with`](UndecidedDeploy::rollback_with) and
    /// [`irreversible`](UndecidedDeploy::irreversible) lead on.
    pub fn deploy<D: Deployer>(self, deployer: D) -> UndecidedDeploy<D> {
        UndecidedDeploy {
            builder: PipelineBuilder {
                target: self.target,
                gates: self.gates,
                steps: self.steps,
                on_interrupt: self.on_interrupt,
                state: PhantomData,
            },
            deployer,
        }
    }

    /// What the first interrupt does after the target was touched.
    pub fn on_interrupt(mut self, choice: OnInterrupt) -> Self {
        self.on_interrupt = choice;
        self
    }
}

/// A deploy without a decision yet how it is undone.
#[derive(Debug)]
#[must_use = "decide: `.rollback_with(r)` or `.irreversible(\"why\")`"]
pub struct UndecidedDeploy<D> {
    builder: PipelineBuilder<Deploying>,
    deployer: D,
}

impl<D: Deployer> UndecidedDeploy<D> {
    /// Undoes it with `rollback`. A change that `rollback` calls one-way is refused before the first
    /// write.
    pub fn rollback_with<R: Rollback<D>>(mut self, rollback: R) -> PipelineBuilder<Deploying> {
        let deploy = Arc::new(Paired { deployer: self.deployer, rollback });
        self.builder.steps.push(Step::Deploy(Deploy {
            deploy,
            at_pause: Vec::new(),
            irreversible: None,
        }));
        self.builder
    }

    /// Declares that it cannot be undone, and why. When something fails after it, unwinding stops
    /// there: the target is left suspect, and a person must act.
    pub fn irreversible(mut self, why: impl Into<String>) -> PipelineBuilder<Deploying> {
        let why = why.into();
        let rollback = Irreversible(why.clone());
        let deploy = Arc::new(Paired { deployer: self.deployer, rollback });
        self.builder.steps.push(Step::Deploy(Deploy {
            deploy,
            at_pause: Vec::new(),
            irreversible: Some(why),
        }));
        self.builder
    }
}

impl PipelineBuilder<Deploying> {
    /// Gates that decide when the rollout of the deploy before them pauses. Without any, a pause
    /// fails the deploy: nobody can answer it.
    pub fn at_pause(mut self, gates: impl IntoIterator<Item = GateSlot>) -> Self {
        let deploy = self.steps.iter_mut().rev().find_map(|step| match step {
            Step::Deploy(deploy) => Some(deploy),
            Step::Verify(_) => None,
        });
        if let Some(deploy) = deploy {
            deploy.at_pause.extend(gates);
        }
        self
    }

    /// Adds a gate on what runs after the deploys before it.
    pub fn verify(self, gate: GateSlot) -> Self {
        self.verify_all([gate])
    }

    /// Adds a set of gates, run in parallel, on what runs after the deploys before it.
    pub fn verify_all(mut self, gates: impl IntoIterator<Item = GateSlot>) -> Self {
        self.steps.push(Step::Verify(gates.into_iter().collect()));
        self
    }

    /// The pipeline.
    ///
    /// # Errors
    /// `config.name` when the target's name is not valid, `config.duplicate_stage` when two stages
    /// have one id.
    pub fn build(self) -> Result<Pipeline> {
        let target = TargetName::new(self.target)?;
        let mut stages = Vec::new();
        let gate_json = |slot: &GateSlot| json!({"id": slot.gate.id(), "is": slot.gate.describe(), "as": slot.enforcement});
        let mut ids = Vec::new();
        for set in &self.gates {
            ids.extend(set.iter().map(|slot| slot.gate.id()));
            stages.push(json!({"gates": set.iter().map(gate_json).collect::<Vec<_>>()}));
        }
        for step in &self.steps {
            match step {
                Step::Deploy(deploy) => {
                    ids.push(deploy.deploy.id());
                    ids.extend(deploy.at_pause.iter().map(|slot| slot.gate.id()));
                    stages.push(json!({
                        "deploy": deploy.deploy.id(),
                        "is": deploy.deploy.describe(),
                        "irreversible": deploy.irreversible.is_some(),
                        "at_pause": deploy.at_pause.iter().map(gate_json).collect::<Vec<_>>(),
                    }));
                }
                Step::Verify(set) => {
                    ids.extend(set.iter().map(|slot| slot.gate.id()));
                    stages.push(json!({"verify": set.iter().map(gate_json).collect::<Vec<_>>()}));
                }
            }
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = ids.iter().find(|id| !seen.insert(*id)) {
            return Err(Error::new(
                code::CONFIG_DUPLICATE_STAGE,
                format!("two stages of the pipeline are called `{twice}`"),
            )
            .with_context("target", &target));
        }
        Ok(Pipeline {
            target,
            gates: self.gates,
            steps: self.steps,
            on_interrupt: self.on_interrupt,
            fingerprint: Digest::of_json(&json!(stages)),
        })
    }
}
