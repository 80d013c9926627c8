//! The builder: its types make a deploy without a decision how to undo it impossible to write.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use serde_json::{Value, json};

use super::{Deploy, OnInterrupt, Pipeline, Recovery, Step};
use crate::code;
use crate::deployer::Deployer;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::gate::GateSlot;
use crate::id::{StageId, TargetName};
use crate::rollback::Rollback;

/// The builder has gates only: gates and deploys may follow.
#[derive(Debug)]
pub struct Gating(());

/// The builder has a deploy: only verifications and further deploys may follow.
#[derive(Debug)]
pub struct Deploying(());

/// The builder is that of a whole pipeline: it can be built.
#[derive(Debug)]
pub struct Whole {
    target: String,
    also_lock: Vec<String>,
    on_interrupt: OnInterrupt,
}

/// Builds a [`Pipeline`], or a [group](PipelineBuilder::group) in one.
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
pub struct PipelineBuilder<State, Part = Whole> {
    pub(super) stages: Stages,
    pub(super) part: Part,
    pub(super) state: PhantomData<State>,
}

/// The stages of a pipeline or a group so far, their ids in full.
#[derive(Debug, Default)]
pub(super) struct Stages {
    /// The prefix of ids; `None` outside of groups.
    pub(super) group: Option<StageId>,
    pub(super) gates: Vec<Vec<GateSlot>>,
    pub(super) steps: Vec<Step>,
    pub(super) recoveries: Vec<Recovery>,
    /// The first mistake, for `build` to tell.
    pub(super) mistake: Option<Error>,
}

impl Stages {
    /// The id in full.
    pub(super) fn placed(&mut self, id: StageId) -> StageId {
        id.clone().within(self.group.as_ref()).unwrap_or_else(|error| {
            self.mistake(error);
            id
        })
    }

    fn placed_set(&mut self, gates: impl IntoIterator<Item = GateSlot>) -> Vec<GateSlot> {
        let set: Vec<_> =
            gates.into_iter().map(|slot| GateSlot { id: self.placed(slot.id), ..slot }).collect();
        if set.is_empty() {
            let empty = "a set of gates is empty: it would check nothing";
            self.mistake(Error::new(code::CONFIG_PIPELINE, empty));
        }
        set
    }

    pub(super) fn mistake(&mut self, error: Error) {
        self.mistake.get_or_insert(error);
    }
}

impl Pipeline {
    /// Begins a pipeline to that target, like `production/api`.
    pub fn to(target: impl Into<String>) -> PipelineBuilder<Gating> {
        PipelineBuilder {
            stages: Stages::default(),
            part: Whole {
                target: target.into(),
                also_lock: Vec::new(),
                on_interrupt: OnInterrupt::of_environment(),
            },
            state: PhantomData,
        }
    }
}

impl<Part> PipelineBuilder<Gating, Part> {
    /// Adds a gate, after those before it.
    pub fn gate(self, gate: GateSlot) -> Self {
        self.gates([gate])
    }

    /// Adds a set of gates that run in parallel, after the sets before it. An empty one is a
    /// mistake that [`build`](PipelineBuilder::build) tells.
    pub fn gates(mut self, gates: impl IntoIterator<Item = GateSlot>) -> Self {
        let set = self.stages.placed_set(gates);
        self.stages.gates.push(set);
        self
    }
}

impl<State, Part> PipelineBuilder<State, Part> {
    /// Adds a deploy, and asks how it is undone: only
    /// [`rollback_with`](UndecidedDeploy::rollback_with) and
    /// [`irreversible`](UndecidedDeploy::irreversible) lead on.
    pub fn deploy<D: Deployer>(self, deployer: D) -> UndecidedDeploy<D, Part> {
        UndecidedDeploy {
            builder: PipelineBuilder { stages: self.stages, part: self.part, state: PhantomData },
            deployer,
        }
    }
}

impl<State> PipelineBuilder<State> {
    /// What the first interrupt does after the target was touched.
    pub fn on_interrupt(mut self, choice: OnInterrupt) -> Self {
        self.part.on_interrupt = choice;
        self
    }

    /// Locks further targets along with the pipeline's own, like a database that several services are
    /// released with: nobody changes any of them until the run has closed. The run waits in the
    /// queues of all, and takes all at once when it is first in each; each has a
    /// [fence](crate::ApplyContext::fence_of) of its own. When the run leaves its target suspect, they
    /// are too, and are settled with it. The journal of each is told where the run's entries are.
    ///
    /// It is a lock, and no more: a deployer marks what it writes with the fence of the pipeline's own
    /// target, unless it asks for the other's, and nothing is released *to* the others.
    ///
    /// A name that is not valid, or the pipeline's own, is a mistake that
    /// [`build`](PipelineBuilder::build) tells.
    pub fn also_lock(mut self, targets: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.part.also_lock.extend(targets.into_iter().map(Into::into));
        self
    }
}

/// A deploy without a decision yet how it is undone.
#[derive(Debug)]
#[must_use = "decide: `.rollback_with(r)` or `.irreversible(\"why\")`"]
pub struct UndecidedDeploy<D, Part = Whole> {
    builder: PipelineBuilder<Deploying, Part>,
    deployer: D,
}

impl<D: Deployer, Part> UndecidedDeploy<D, Part> {
    /// Undoes it with `rollback`. A change that `rollback` calls one-way is refused before the first
    /// write.
    pub fn rollback_with<R: Rollback<D>>(self, rollback: R) -> PipelineBuilder<Deploying, Part> {
        self.builder.decided(Deploy::undone_by(self.deployer, rollback))
    }

    /// Declares that it cannot be undone, and why. When something fails after it, unwinding stops
    /// there: the target is left suspect, and a person must act.
    pub fn irreversible(self, why: impl Into<String>) -> PipelineBuilder<Deploying, Part> {
        self.builder.decided(Deploy::irreversible(self.deployer, why.into()))
    }
}

impl<Part> PipelineBuilder<Deploying, Part> {
    fn decided(mut self, deploy: Deploy) -> Self {
        let id = self.stages.placed(deploy.id);
        self.stages.steps.push(Step::Deploy(Deploy { id, ..deploy }));
        self
    }

    /// Gates that decide when the rollout of the deploy before them pauses. Without any, a pause is
    /// answered with [`Go::RollBack`](crate::Go), and fails the deploy. An empty set is a mistake that
    /// [`build`](Self::build) tells, and so is one in a group about a deploy that is not in the group
    /// (`config.pipeline`).
    pub fn at_pause(mut self, gates: impl IntoIterator<Item = GateSlot>) -> Self {
        let set = self.stages.placed_set(gates);
        let deploy = self.stages.steps.iter_mut().rev().find_map(|step| match step {
            Step::Deploy(deploy) => Some(deploy),
            Step::Verify(_) => None,
        });
        match deploy {
            Some(deploy) => deploy.at_pause.extend(set),
            None => self.stages.mistake(Error::new(
                code::CONFIG_PIPELINE,
                "the gates of a pause come before the first deploy of their group",
            )),
        }
        self
    }

    /// Adds a gate on what runs after the deploys before it.
    pub fn verify(self, gate: GateSlot) -> Self {
        self.verify_all([gate])
    }

    /// Adds a set of gates, run in parallel, on what runs after the deploys before it. An empty one
    /// is a mistake that [`build`](Self::build) tells.
    pub fn verify_all(mut self, gates: impl IntoIterator<Item = GateSlot>) -> Self {
        let set = self.stages.placed_set(gates);
        self.stages.steps.push(Step::Verify(set));
        self
    }
}

impl PipelineBuilder<Deploying> {
    /// The pipeline.
    ///
    /// # Errors
    /// `config.name` when the name of a target or of a group is not valid, or an id is too long
    /// with the names of its groups; `config.duplicate_stage` when two stages have one id;
    /// `config.pipeline` when a part of it can never take effect where it stands.
    pub fn build(self) -> Result<Pipeline> {
        let target = TargetName::new(self.part.target)?;
        let also_lock = self.part.also_lock.into_iter().map(TargetName::new);
        let also_lock = also_lock.collect::<Result<BTreeSet<_>>>()?;
        if also_lock.contains(&target) {
            let message = "a pipeline locks its own target anyway: `also_lock` names others";
            return Err(Error::new(code::CONFIG_PIPELINE, message).with_context("target", &target));
        }
        let stages = self.stages;
        if let Some(mistake) = stages.mistake {
            return Err(mistake.with_context("target", &target));
        }
        let mut ids = Vec::new();
        let mut described = Vec::new();
        for set in &stages.gates {
            ids.extend(set.iter().map(|slot| &slot.id));
            described.push(Value::from_iter([("gates", describe_set(set))]));
        }
        for step in &stages.steps {
            match step {
                Step::Deploy(deploy) => {
                    ids.push(&deploy.id);
                    ids.extend(deploy.at_pause.iter().map(|slot| &slot.id));
                    described.push(json!({
                        "deploy": deploy.id,
                        "is": deploy.deploy.describe(),
                        "irreversible": deploy.irreversible.is_some(),
                        "at_pause": describe_set(&deploy.at_pause),
                    }));
                }
                Step::Verify(set) => {
                    ids.extend(set.iter().map(|slot| &slot.id));
                    described.push(Value::from_iter([("verify", describe_set(set))]));
                }
            }
        }
        // None leave the fingerprint as it was before there were any.
        for recovery in &stages.recoveries {
            ids.push(&recovery.repair.id);
            described.push(json!({
                "recover": recovery.of,
                "on": recovery.on,
                "by": recovery.repair.id,
                "is": recovery.repair.deploy.describe(),
                "irreversible": recovery.repair.irreversible.is_some(),
                "then": recovery.then,
                "at_most": recovery.at_most,
            }));
        }
        if !also_lock.is_empty() {
            described.push(json!({"also_lock": also_lock}));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = ids.iter().find(|id| !seen.insert(**id)) {
            return Err(Error::new(
                code::CONFIG_DUPLICATE_STAGE,
                format!("two stages of the pipeline are called `{twice}`"),
            )
            .with_context("target", &target));
        }
        Ok(Pipeline {
            target,
            gates: stages.gates,
            steps: stages.steps,
            recoveries: stages.recoveries,
            on_interrupt: self.part.on_interrupt,
            also_lock,
            fingerprint: Digest::of_json(&Value::Array(described)),
        })
    }
}

fn describe_set(set: &[GateSlot]) -> Value {
    let describe = |slot: &GateSlot| json!({"id": slot.id, "is": slot.gate.describe(), "as": slot.enforcement});
    set.iter().map(describe).collect()
}
