//! A directory of targets, and the program called in it.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// The secret that the example asks for.
pub(crate) const TOKEN: &str = "open sesame";

pub(crate) struct Site {
    pub(crate) dir: tempfile::TempDir,
}

/// What a call came to.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) exit: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// The last line of standard output: what it came to.
    pub(crate) fn line(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_else(|| panic!("{}", self.stderr));
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"))
    }

    /// An end that is no run's.
    #[track_caller]
    pub(crate) fn expect_code(self, exit: i32, code: &str) -> Value {
        let line = self.line();
        assert_eq!((self.exit, line["code"].as_str()), (Some(exit), Some(code)), "{line:#}");
        line
    }

    #[track_caller]
    pub(crate) fn expect(self, exit: i32, outcome: &str, code: Option<&str>) -> Value {
        let line = self.line();
        let came = (self.exit, line["outcome"].as_str(), line["code"].as_str());
        assert_eq!(came, (Some(exit), Some(outcome), code), "{line:#}\n{}", self.stderr);
        assert_eq!(line["exit"], exit, "the line and the process agree");
        line
    }
}

impl Site {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// The program in this place, as `ann`, with the secret in its environment.
    pub(crate) fn program(&self) -> Command {
        let mut command = Command::new(example());
        command.current_dir(&self.dir).env("FILES_TOKEN", TOKEN).env("USER", "ann");
        for unset in ["GATEKIT_LEDGER", "GATEKIT_ACTOR", "GITHUB_ACTIONS", "FILES_SIGNED_BY"] {
            command.env_remove(unset);
        }
        command
    }

    pub(crate) fn people(&self, words: &[&str]) -> Done {
        done(self.program().args(words).output().unwrap())
    }

    pub(crate) fn json(&self, words: &[&str]) -> Done {
        done(self.program().args(words).args(["--output", "json"]).output().unwrap())
    }

    pub(crate) fn text(&self, target: &str) -> Option<String> {
        std::fs::read_to_string(self.dir.path().join(target)).ok()
    }
}

pub(crate) fn done(output: Output) -> Done {
    Done {
        exit: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Built with the tests, beside them.
fn example() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let profile = tests.parent().unwrap().parent().unwrap();
    let example = profile.join("examples").join("files");
    assert!(example.is_file(), "{} is built by `cargo test`", example.display());
    example
}
