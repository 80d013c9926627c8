//! A reporter that posts to a URL.

mod builder;
mod count;
mod delivery;
mod reporter;
mod signature;

pub use builder::WebhookBuilder;
pub use reporter::Webhook;
pub use signature::SIGNATURE_HEADER;
