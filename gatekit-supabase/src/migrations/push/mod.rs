//! What is pending is applied, and taken back.

pub(super) mod alone;
pub(super) mod apply;
pub(super) mod change;
pub(super) mod deployer;
pub(super) mod evidence;
pub(super) mod fault;
pub(super) mod look;
pub(super) mod pipeline;
pub(super) mod pooler;
pub(super) mod rollback;
