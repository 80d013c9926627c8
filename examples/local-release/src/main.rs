//! Releases a directory and its process on this machine, through gatekit.

mod demo;
mod service;

use std::ffi::OsString;
use std::process::ExitCode;

use local_release::{DEMO_SERVICE, app};

fn main() -> ExitCode {
    // A word need not be UTF-8, as a path need not.
    let words: Vec<OsString> = std::env::args_os().collect();
    match words.get(1) {
        None => demo::run().into(),
        Some(word) if word == DEMO_SERVICE => serve(&words[2..]),
        Some(_) => app().run_from(words).into(),
    }
}

/// The demonstration's web service.
fn serve(words: &[OsString]) -> ExitCode {
    let port = match words {
        [flag, port] if flag == "--port" => port.to_str().and_then(|port| port.parse().ok()),
        _ => None,
    };
    let Some(port) = port else {
        eprintln!("usage: local-release {DEMO_SERVICE} --port PORT");
        return ExitCode::from(2);
    };
    match service::serve(port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{DEMO_SERVICE}: port {port}: {error}");
            ExitCode::FAILURE
        }
    }
}
