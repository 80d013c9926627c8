//! What ECS calls its errors.

use gatekit_core::Code;

use crate::code;

/// What ECS calls a missing cluster or service.
pub(super) const NAMES: &[(&str, Code)] = &[
    ("ClusterNotFoundException", code::NO_CLUSTER),
    ("ServiceNotFoundException", code::NO_SERVICE),
    ("ServiceNotActiveException", code::NO_SERVICE),
];
