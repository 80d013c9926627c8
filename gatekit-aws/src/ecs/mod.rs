//! Services of Amazon ECS.
//!
//! | module | what it knows |
//! |---|---|
//! | `api` | the calls, every write behind a permit |
//! | `batch` | many services described in one call |
//! | `image` | what an image reference says, and which container it is for |
//! | `definition` | a revision of a task definition, and how another one is made of it |
//! | `change` | what a release changes, and by what it is known afterwards |
//! | `reading` | a service as it was read, and what that means for a deployment |
//! | `course` | a deployment as the service-deployment API tells it |
//! | `site` | reading one service with patience, and judging what was read |
//! | `follow` | one poll of a deployment |
//! | `watch` | what is remembered between two polls, and how soon to poll again |
//! | `stops` | why tasks stopped, grouped and counted |
//! | `service`, `deployer` | the deployer and its configuration |
//! | `rollback` | the way back |
//! | `preflight` | the gate before a release |

mod api;
mod batch;
mod change;
mod course;
mod definition;
mod deployer;
mod follow;
mod image;
mod names;
mod preflight;
mod reading;
mod rollback;
mod service;
mod site;
mod stops;
mod watch;

pub(crate) use api::Api;
pub use change::{Before, Change, DeploymentId, Receipt, Revision, WayBack, Wished};
pub use image::Image;
pub(crate) use image::repository_of;
pub use preflight::Preflight;
pub use rollback::PreviousRevision;
pub use service::Service;
