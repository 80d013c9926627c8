//! Groups: stages under a name of their own, in the run of their pipeline.

use std::marker::PhantomData;

use super::builder::{PipelineBuilder, Stages};
use crate::id::StageId;

/// The builder is that of a [group](PipelineBuilder::group): it becomes a part of its pipeline.
#[derive(Debug)]
pub struct Grouped(());

impl<State, Part> PipelineBuilder<State, Part> {
    /// Adds the stages that `stages` adds to the builder it is given, each id prefixed by `name/`:
    /// everywhere, for the stages themselves too.
    ///
    /// That is all a group is: it shares the run, the lock, the journal and the unwinding of its
    /// pipeline. Gates at the head of the pipeline are asked before the queue, in a group like
    /// outside; after the first deploy there are none, in a group or outside. Groups nest.
    ///
    /// `name` is made of `a-z A-Z 0-9 - _ . :`, in segments separated by `/`;
    /// [`build`](PipelineBuilder::build) gives `config.name` otherwise.
    ///
    /// ```
    /// # use gatekit_core::{Deployer, Gate, Pipeline, Result, Rollback, enforced};
    /// # fn build<D: Deployer>(
    /// #     image_scanned: impl Gate, service: D, previous: impl Rollback<D>, smoke: impl Gate,
    /// #     schema: impl Deployer,
    /// # ) -> Result<Pipeline> {
    /// Pipeline::to("production/shop")
    ///     .group("web", |web| {
    ///         web.gate(enforced(image_scanned))
    ///             .deploy(service)
    ///             .rollback_with(previous)
    ///             .verify(enforced(smoke))
    ///     })
    ///     .group("db", |db| db.deploy(schema).irreversible("dropped columns stay dropped"))
    ///     .build()
    /// # }
    /// ```
    pub fn group<Next>(
        mut self,
        name: impl AsRef<str>,
        stages: impl FnOnce(PipelineBuilder<State, Grouped>) -> PipelineBuilder<Next, Grouped>,
    ) -> PipelineBuilder<Next, Part> {
        let mut inner = Stages::default();
        match StageId::group(self.stages.group.as_ref(), name.as_ref()) {
            Ok(prefix) => inner.group = Some(prefix),
            Err(error) => self.stages.mistake(error),
        }
        let inner =
            stages(PipelineBuilder { stages: inner, part: Grouped(()), state: PhantomData });
        self.stages.take_in(inner.stages);
        PipelineBuilder { stages: self.stages, part: self.part, state: PhantomData }
    }
}

impl Stages {
    /// Adds those of a group, whose ids are in full already.
    fn take_in(&mut self, group: Self) {
        self.gates.extend(group.gates);
        self.steps.extend(group.steps);
        self.recoveries.extend(group.recoveries);
        if let Some(mistake) = group.mistake {
            self.mistake(mistake);
        }
    }
}
