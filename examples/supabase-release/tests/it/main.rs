//! The real executable, as a person or a program uses it, against a real server and an emulated API.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod chaos;
mod functions;
mod history;
mod shipping;
mod site;
