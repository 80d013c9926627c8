//! The engine.
mod recorder;
mod reporting;
pub(crate) use recorder::Recorder;
pub(crate) use reporting::EventSender;
/// The engine.
#[derive(Debug)]
pub struct Engine;
