//! Releases a directory and its process on this machine, through gatekit.

mod demo;
mod output;
mod pipeline;
mod service;
mod verbs;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use gatekit_core::{Code, Error};

use local_release::args::{Cli, Command, says_json};

/// The command line cannot be understood.
const USAGE: Code = Code::new("usage.command_line");

fn main() -> ExitCode {
    // A word need not be UTF-8, as a path need not.
    let words: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error, &words),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = Error::new(Code::new("runtime.start"), "no runtime").with_source(error);
            return output::error(&error, &cli.common).into();
        }
    };
    let exit = match &cli.command {
        Some(Command::DemoService { port }) => match service::serve(*port) {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("demo-service: port {port}: {error}");
                1
            }
        },
        Some(command) => runtime.block_on(verbs::run(command, &cli.common)),
        None if words.len() > 1 => {
            let error = Error::new(
                USAGE,
                "flags need a command: without one, local-release is its demonstration and takes none",
            );
            output::error(&error, &cli.common)
        }
        None => runtime.block_on(demo::run()),
    };
    // After a second interrupt a call may still be in flight: it is not waited for.
    runtime.shutdown_background();
    exit.into()
}

/// Help and version go to standard output; an error to standard error, and for programs as the last
/// line of standard output.
fn not_understood(error: &clap::Error, words: &[OsString]) -> ExitCode {
    // Whether the text reached anybody changes nothing.
    let _ = error.print();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return ExitCode::SUCCESS;
    }
    if says_json(words) {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default();
        output::say(
            &serde_json::json!({
                "v": 1, "outcome": "usage", "run": null, "target": null, "fence": null,
                "code": USAGE, "exit": 2, "live": null,
                "next": [{"command": "local-release --help", "who": "anyone"}],
                "message": message,
            })
            .to_string(),
        );
    }
    ExitCode::from(2)
}
