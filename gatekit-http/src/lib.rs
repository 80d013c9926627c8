//! What a URL can answer and be told: the [`Smoke`] gate, the [`Webhook`] reporter, an [`Api`] that backends
//! ask, and behind them one HTTP client that redacts.
//!
//! A smoke gate asks a few URLs of what should be live, and passes only when all of them answered
//! well in one and the same round:
//!
//! ```
//! use gatekit_http::{Smoke, VersionFrom};
//!
//! let smoke = Smoke::at("https://shop.example.com")
//!     .get("/health")
//!     .get("/version")
//!     .expect_version("1.4.0", VersionFrom::JsonPointer("/version".into()))
//!     .build()?;
//! # Ok::<(), gatekit_core::Error>(())
//! ```
//!
//! [`Smoke::curl_compat`] judges as `curl --fail` does. A [`Webhook`] tells a URL of what a run does,
//! signed, and never holds it up.
//!
//! Secrets stay out of everything that is stored or shown: a URL with a password is refused, query
//! strings are printed as `?…`, values of headers not at all, and bodies are kept as digests only.

pub mod code;

mod address;
mod answerer;
mod api;
mod client;
mod expect;
mod secrets;
mod smoke;
mod trouble;
mod version;
mod webhook;

pub use answerer::{Answerer, Judgement};
pub use api::{Answer, Api, Method, NoAnswer, Part, Request};
pub use smoke::{Smoke, SmokeBuilder};
pub use version::VersionFrom;
pub use webhook::{SIGNATURE_HEADER, Webhook, WebhookBuilder};
