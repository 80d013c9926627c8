//! What is run: a program or a shell line, where, for how long, and with which environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::tree;

/// The variables that every program gets from its environment, where they are set.
const INHERITED: [&str; 8] = ["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER"];

/// The longest line of a program's own words that is shown, in characters.
const LINE: usize = 1000;

/// What is run: a program with its arguments, or a line for the shell.
///
/// It gets no input from a terminal. Of the environment it gets `PATH`, `HOME`, `USER`, `LOGNAME`,
/// `LANG`, `LC_ALL`, `TZ`, `TMPDIR`, and what it is given here. Everything that is part of the
/// fingerprint and of reports, arguments above all, MUST NOT contain secrets: give those by
/// [`secret`](Self::secret).
///
/// ```
/// # use std::time::Duration;
/// use gatekit_local::Program;
///
/// let tests = Program::new("cargo").args(["test", "--locked"]).limit(Duration::from_secs(900));
/// let count = Program::shell("ls dist | wc -l | grep -qv '^0$'");
/// ```
///
/// # Default
/// The current directory; ten minutes.
#[derive(Debug, Clone)]
#[must_use = "give it to a `Command` or a `CommandDeploy`"]
pub struct Program {
    argv: Vec<OsString>,
    shell: bool,
    dir: Option<PathBuf>,
    inherited: Vec<String>,
    given: BTreeMap<String, String>,
    secrets: BTreeMap<String, SecretString>,
    limit: Duration,
}

impl Program {
    /// That program, found on `PATH` unless it has a slash in it. No shell is involved.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            argv: vec![program.into()],
            shell: false,
            dir: None,
            inherited: Vec::new(),
            given: BTreeMap::new(),
            secrets: BTreeMap::new(),
            limit: Duration::from_secs(600),
        }
    }

    /// That line, for `/bin/sh -c`. Nothing in it is quoted for you.
    pub fn shell(line: impl Into<OsString>) -> Self {
        let mut program = Self::new("/bin/sh");
        program.argv.extend([OsString::from("-c"), line.into()]);
        program.shell = true;
        program
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.argv.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.argv.extend(args.into_iter().map(Into::into));
        self
    }

    /// Runs it in that directory.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Lets it have a variable of this process's environment, where that is set.
    pub fn inherit(mut self, name: impl Into<String>) -> Self {
        self.inherited.push(name.into());
        self
    }

    /// Sets a variable. Its value is part of the fingerprint.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.given.insert(name.into(), value.into());
        self
    }

    /// Sets a variable to a secret: its name alone is part of the fingerprint, and wherever its
    /// output is quoted, each line of the secret is masked. Only as it stands is it found: not in
    /// parts, in another encoding, or across two lines of output.
    pub fn secret(mut self, name: impl Into<String>, value: SecretString) -> Self {
        self.secrets.insert(name.into(), value);
        self
    }

    /// Ends it, with everything that it has started, when it has not ended after that long.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    pub(super) fn limited_to(&self) -> Duration {
        self.limit
    }

    pub(super) fn program(&self) -> &OsStr {
        self.argv.first().map_or(OsStr::new(""), OsString::as_os_str)
    }

    /// The command that is spawned, without input and output.
    pub(super) fn command(&self) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(self.program());
        command.args(self.argv.iter().skip(1)).env_clear();
        let inherited = INHERITED.iter().copied().chain(self.inherited.iter().map(String::as_str));
        for name in inherited {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(&self.given);
        command.envs(self.secrets.iter().map(|(name, value)| (name, value.expose_secret())));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }

    /// The lines of its secrets, also as [`shown`](Self::shown) would print them.
    pub(super) fn secret_lines(&self) -> Vec<String> {
        let lines = self.secrets.values().flat_map(|secret| secret.expose_secret().lines());
        let forms = lines.flat_map(|line| [line.to_owned(), harmless(line)]);
        let mut forms: Vec<_> = forms.map(|line| line.trim().to_owned()).collect();
        forms.retain(|line| !line.is_empty());
        // One that is part of another would leave the rest of that.
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        forms
    }

    fn masked(&self, text: &str) -> String {
        let lines = self.secret_lines();
        lines.iter().fold(text.to_owned(), |text, line| text.replace(line, "***"))
    }

    /// A text of the program as it may be shown: without the secrets that the program was given, and
    /// without what a terminal would obey.
    pub(super) fn shown(&self, text: &str) -> String {
        // First as it came, for a control character may be part of a secret.
        self.masked(&harmless(&self.masked(text)))
    }

    /// The same in one line of bounded length.
    pub(super) fn shown_line(&self, text: &str) -> String {
        let text = self.shown(text).split_whitespace().collect::<Vec<_>>().join(" ");
        let text = self.masked(&text);
        match text.char_indices().nth(LINE) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }

    pub(super) fn describe(&self) -> Value {
        let argv: Vec<_> = self.argv.iter().map(|arg| lossless(arg)).collect();
        json!({
            "argv": argv, "shell": self.shell,
            "dir": self.dir.as_ref().map(|dir| lossless(dir.as_os_str())),
            "inherit": self.inherited, "env": self.given,
            "secrets": self.secrets.keys().collect::<Vec<_>>(), "limit": self.limit,
        })
    }
}

/// Without what a terminal would obey.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// As text, if it is text. What is not is encoded, so that no two arguments are described alike.
fn lossless(text: &OsStr) -> Value {
    match text.to_str() {
        Some(text) => json!(text),
        None => json!({"bytes": tree::encode(text)}),
    }
}

impl fmt::Display for Program {
    /// As a person would type it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.shell {
            let line = self.argv.get(2).map(|line| line.to_string_lossy()).unwrap_or_default();
            return f.write_str(&line);
        }
        for (i, arg) in self.argv.iter().enumerate() {
            let arg = arg.to_string_lossy();
            let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,".contains(c);
            let space = if i == 0 { "" } else { " " };
            if !arg.is_empty() && arg.chars().all(plain) {
                write!(f, "{space}{arg}")?;
            } else {
                write!(f, "{space}'{}'", arg.replace('\'', r"'\''"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn it_is_shown_as_it_would_be_typed() {
        let program = Program::new("echo").args(["a-b", "two words", "it's", ""]);
        assert_eq!(program.to_string(), r"echo a-b 'two words' 'it'\''s' ''");
        assert_eq!(Program::shell("a | b").to_string(), "a | b");
    }

    #[test]
    fn every_line_of_a_secret_is_masked_and_none_is_described() {
        let key = "-----BEGIN-----\nabc\n\n-----END-----";
        let program = Program::new("x").env("SHOWN", "1").secret("KEY", key.into());
        assert_eq!(program.masked("<abc> -----END-----"), "<***> ***");
        let longer = program.clone().secret("LONGER", "abcdef ".into());
        assert_eq!(longer.masked("abcdef"), "***");
        let tab = Program::new("x").secret("KEY", "one\ttwo".into());
        assert_eq!(tab.shown("<one\ttwo> <one two>\x1b[m"), "<***> <***> [m");
        assert_eq!(tab.shown_line("a\n b one\n two c"), "a b *** c");
        assert_eq!(tab.shown_line(&"é".repeat(LINE + 1)).chars().count(), LINE + 1);
        let described = program.describe().to_string();
        assert!(described.contains("KEY") && !described.contains("abc"), "{described}");
        assert!(!format!("{program:?}").contains("abc"));
    }

    #[test]
    fn what_is_no_text_is_described_without_loss() {
        let bytes = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        let of = |arg: &[u8]| Program::new("x").arg(bytes(arg)).dir(bytes(arg)).describe();
        let arguments: [&[u8]; 4] = [b"\xff", b"\xfe", b"%FF", b"{\"bytes\":\"%FF\"}"];
        let described: BTreeSet<_> = arguments.iter().map(|arg| of(arg).to_string()).collect();
        assert_eq!(described.len(), arguments.len(), "{described:?}");
        assert_eq!(of(b"it")["argv"], json!(["x", "it"]), "a text stays as it was");
    }
}
