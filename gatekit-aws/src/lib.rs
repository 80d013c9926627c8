//! Releases to AWS that are followed to their true end.
//!
//! [`ecs::Service`] deploys to a service of Amazon ECS: images by digest, in a task definition of the
//! run's own. It follows *its* deployment, and not whatever the service is stable with: a deployment
//! that was rolled back, superseded, or of which nothing runs is no success.
//!
//! | module | what it has |
//! |---|---|
//! | [`ecs`] | the deployer of a service, its way back, and a preflight gate |
//! | [`ecr`] | moving a tag without moving a byte of an image, its way back, and a gate on scan findings |
//! | [`cloudwatch`] | a gate on alarms |
//! | [`operations`] | every call that is made, and what goes without it |

mod aws;
mod call;
pub mod cloudwatch;
pub mod code;
mod digest;
mod doubt;
pub mod ecr;
pub mod ecs;
pub mod operations;
mod pace;
mod said;

pub use aws::Aws;
