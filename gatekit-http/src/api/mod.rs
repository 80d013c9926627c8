//! An API that is asked with a bearer token.

mod client;
mod request;

pub use client::{Answer, Api, NoAnswer};
pub use request::{Method, Part, Request};
