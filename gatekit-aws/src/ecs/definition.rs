//! A revision of a task definition, and how another one is made of it.

use std::collections::BTreeMap;

use aws_sdk_ecs::operation::register_task_definition::builders::RegisterTaskDefinitionFluentBuilder;
use aws_sdk_ecs::types::{
    Compatibility, CpuArchitecture, OsFamily, Tag, TaskDefinition, TaskDefinitionStatus,
};

use gatekit_core::RunId;

use super::change::Revision;
use super::image::Image;

/// The tag that names the run that registered a revision.
const RUN: &str = "gatekit:run";
/// The tag that says what a run registered it for.
const ROLE: &str = "gatekit:role";

/// The tag that names the revision it was made of.
const OF: &str = "gatekit:of";

/// What a run registers a revision for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// To be released.
    Release,
    /// To return to the digests that ran before.
    WayBack,
}

impl Role {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::WayBack => "way-back",
        }
    }
}

/// A revision as it was read.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    pub(super) revision: Revision,
    pub(super) is_active: bool,
    /// The images by container.
    pub(super) images: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
    told: TaskDefinition,
}

impl Definition {
    pub(super) fn of(told: TaskDefinition, tags: Vec<Tag>) -> Option<Self> {
        let containers = told.container_definitions();
        let images = containers.iter().filter_map(|it| Some((it.name.clone()?, it.image.clone()?)));
        let tags = tags.into_iter().filter_map(|it| Some((it.key?, it.value.unwrap_or_default())));
        Some(Self {
            revision: Revision(told.task_definition_arn.clone()?),
            is_active: told.status == Some(TaskDefinitionStatus::Active),
            images: images.collect(),
            tags: tags.collect(),
            told,
        })
    }

    /// The operating system and the architecture that its tasks run on, as images name them; `None`
    /// when it does not say.
    pub(super) fn platform(&self) -> Option<(&'static str, &'static str)> {
        let platform = self.told.runtime_platform();
        let architecture =
            platform.and_then(|it| it.cpu_architecture()).map(CpuArchitecture::as_str);
        let os = platform.and_then(|it| it.operating_system_family()).map(OsFamily::as_str);
        let is_fargate = self.told.requires_compatibilities().contains(&Compatibility::Fargate);
        let architecture = match architecture {
            Some("ARM64") => "arm64",
            Some("X86_64") => "amd64",
            // The default of Fargate. An instance has the one that it has.
            None if is_fargate => "amd64",
            _ => return None,
        };
        let is_windows = os.is_some_and(|it| it.starts_with("WINDOWS"));
        Some((if is_windows { "windows" } else { "linux" }, architecture))
    }

    /// Whether that run registered it for that, made of that revision.
    pub(super) fn is_of(&self, run: RunId, role: Role, of: &Revision) -> bool {
        self.has_tag(RUN, &run.to_string())
            && self.has_tag(ROLE, role.as_str())
            && self.has_tag(OF, &of.to_string())
    }

    /// The revision by which people know what it runs: for a way back, the one that it leads to.
    pub(super) fn known_as(&self) -> String {
        let of = self.tags.get(OF).filter(|_| self.has_tag(ROLE, Role::WayBack.as_str()));
        of.cloned().unwrap_or_else(|| self.revision.to_string())
    }

    fn has_tag(&self, name: &str, value: &str) -> bool {
        self.tags.get(name).is_some_and(|it| it == value)
    }

    /// Whether some run registered it to return to that one, with these images.
    pub(super) fn leads_back_to(
        &self,
        before: &Revision,
        images: &BTreeMap<String, Image>,
    ) -> bool {
        self.has_tag(ROLE, Role::WayBack.as_str())
            && self.has_tag(OF, &before.to_string())
            && self.has(images)
    }

    /// Whether its containers have these images.
    pub(super) fn has(&self, images: &BTreeMap<String, Image>) -> bool {
        has(&self.images, images)
    }

    /// Asks for another revision, with these images in it and known by these tags.
    ///
    /// What is not an input of the call, as revision and status, is left out. What this version of the
    /// SDK does not know, it drops: see the README.
    pub(super) fn registered_with(
        &self,
        call: RegisterTaskDefinitionFluentBuilder,
        images: &BTreeMap<String, Image>,
        run: &str,
        role: Role,
    ) -> RegisterTaskDefinitionFluentBuilder {
        let told = self.told.clone();
        let containers = told.container_definitions.map(|containers| {
            let replaced = |mut it: aws_sdk_ecs::types::ContainerDefinition| {
                if let Some(image) = it.name.as_ref().and_then(|name| images.get(name)) {
                    it.image = Some(image.to_string());
                }
                it
            };
            containers.into_iter().map(replaced).collect()
        });
        let ours = [
            (RUN, run.to_owned()),
            (ROLE, role.as_str().to_owned()),
            (OF, self.revision.to_string()),
        ];
        let theirs = self.tags.iter().filter(|(key, _)| !key.starts_with("gatekit:"));
        let theirs = theirs.map(|(key, value)| (key.as_str(), value.clone()));
        let tag = |(key, value)| Tag::builder().key(key).value(value).build();
        call.set_family(told.family)
            .set_task_role_arn(told.task_role_arn)
            .set_execution_role_arn(told.execution_role_arn)
            .set_network_mode(told.network_mode)
            .set_container_definitions(containers)
            .set_volumes(told.volumes)
            .set_placement_constraints(told.placement_constraints)
            .set_requires_compatibilities(told.requires_compatibilities)
            .set_cpu(told.cpu)
            .set_memory(told.memory)
            .set_pid_mode(told.pid_mode)
            .set_ipc_mode(told.ipc_mode)
            .set_proxy_configuration(told.proxy_configuration)
            .set_ephemeral_storage(told.ephemeral_storage)
            .set_runtime_platform(told.runtime_platform)
            .set_enable_fault_injection(told.enable_fault_injection)
            .set_tags(Some(theirs.chain(ours).map(tag).collect()))
    }
}

/// Whether these containers have those images.
pub(super) fn has(current: &BTreeMap<String, String>, images: &BTreeMap<String, Image>) -> bool {
    images.iter().all(|(name, image)| current.get(name).is_some_and(|it| image.is(it)))
}
