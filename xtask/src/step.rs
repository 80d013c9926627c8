//! One command that is printed, run and believed.

use std::env;
use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::failure::{Failure, Result};

/// A command in the root of the workspace.
#[derive(Debug)]
pub(crate) struct Step {
    command: Command,
}

impl Step {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Result<Self> {
        let mut command = Command::new(program);
        command.current_dir(workspace_root()?);
        // `cargo run` describes xtask in these. Build scripts that watch them would run again
        // whenever xtask and a plain cargo take turns.
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(|name| {
                name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
            }) {
                command.env_remove(&name);
            }
        }
        Ok(Self { command })
    }

    /// A command that is made up elsewhere.
    pub(crate) fn of(command: Command) -> Self {
        Self { command }
    }

    /// The cargo that runs xtask, hence the toolchain of the workspace.
    pub(crate) fn cargo() -> Result<Self> {
        Self::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Adds words to a variable that holds flags, and keeps what the caller has set.
    pub(crate) fn flags(mut self, name: &str, flags: &str) -> Self {
        let value = match env::var(name) {
            Ok(own) if !own.trim().is_empty() => format!("{own} {flags}"),
            _ => flags.to_owned(),
        };
        self.command.env(name, value);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it in that folder instead of the root of the workspace.
    pub(crate) fn at(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs it; an unsuccessful end is a failure with the same exit code.
    pub(crate) fn run(mut self) -> Result<()> {
        let shown = self.shown();
        eprintln!("+ {shown}");
        let status = self.command.status().map_err(|error| Failure::of(&shown, error))?;
        succeeded(&shown, status)
    }

    /// Runs it to its end, successful or not.
    pub(crate) fn end(mut self) -> Result<()> {
        let shown = self.shown();
        eprintln!("+ {shown}");
        self.command.status().map(|_| ()).map_err(|error| Failure::of(&shown, error))
    }

    /// As `run`, and returns what it printed.
    pub(crate) fn read(mut self) -> Result<String> {
        let shown = self.shown();
        eprintln!("+ {shown}");
        let output = self
            .command
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| Failure::of(&shown, error))?;
        succeeded(&shown, output.status)?;
        String::from_utf8(output.stdout).map_err(|error| Failure::of(&shown, error))
    }

    /// Runs it, and returns what it printed, however it ended.
    pub(crate) fn said(mut self) -> Result<String> {
        let shown = self.shown();
        eprintln!("+ {shown}");
        let output = self.command.output().map_err(|error| Failure::of(&shown, error))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether it can be run and succeeds; prints nothing.
    pub(crate) fn works(mut self) -> bool {
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn shown(&self) -> String {
        let set = self.command.get_envs().filter_map(|(name, value)| {
            Some(format!("{}={}", name.display(), quoted(&value?.to_string_lossy())))
        });
        let program = Path::new(self.command.get_program());
        let program = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy();
        let args = self.command.get_args().map(|arg| quoted(&arg.to_string_lossy()));
        set.chain([quoted(&program)]).chain(args).collect::<Vec<_>>().join(" ")
    }
}

/// A word as a shell would need it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn succeeded(shown: &str, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    // As a shell tells it: 128 and the signal's number.
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    let code = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Err(Failure { message: format!("`{shown}` failed: {status}"), code })
}

/// The folder of the workspace, as the running cargo sees it: nothing is baked into the program.
pub(crate) fn workspace_root() -> Result<PathBuf> {
    let own = env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| {
        Failure::new("start it as `cargo xtask`, which knows where the sources are")
    })?;
    Path::new(&own)
        .parent()
        .map(Path::to_path_buf)
        .ok_or_else(|| Failure::new("xtask lies in no workspace"))
}

/// The target directory that xtask itself lies in, so that any choice of it is followed.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let own = env::current_exe().map_err(|error| Failure::of("cannot find xtask", error))?;
    own.parent()
        .and_then(Path::parent)
        .map(Path::to_path_buf)
        .ok_or_else(|| Failure::new("xtask lies in no target directory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_a_shell_needs_them() {
        assert_eq!(quoted("--locked"), "--locked");
        assert_eq!(quoted("-D warnings"), "'-D warnings'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn exit_codes_are_passed_on() {
        let code = |raw| succeeded("x", ExitStatus::from_raw(raw)).map_err(|failure| failure.code);
        assert_eq!(code(0), Ok(()));
        assert_eq!(code(101 << 8), Err(101));
        assert_eq!(code(9), Err(137), "killed by SIGKILL");
    }
}
