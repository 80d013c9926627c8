//! A gate on alarms of Amazon CloudWatch.
//!
//! | module | what it knows |
//! |---|---|
//! | `alarms` | the gate: how often it looks, and until when |
//! | `bake` | what looks at alarms come to |
//! | `reading` | an alarm as it was read |
//! | `api` | the calls |

mod alarms;
mod api;
mod bake;
mod reading;

pub use alarms::Alarms;
pub(crate) use api::Api;
