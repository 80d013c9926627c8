//! How lines get out: tamed for people, escaped for programs.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use gatekit_core::{Effect, Error};

use crate::code;

/// Standard output, and why it could not be written, if it could not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Out(Arc<Mutex<Option<io::Error>>>);

impl Out {
    /// A line, or several, for people.
    pub(crate) fn say(&self, line: &str) {
        self.write(format!("{}\n", tame(line)).as_bytes());
    }

    /// A line of JSON.
    pub(crate) fn say_json(&self, line: &str) {
        self.write(format!("{}\n", escaped(line)).as_bytes());
    }

    /// A text that is nobody's but the program's own.
    pub(crate) fn write(&self, text: &[u8]) {
        let mut stdout = io::stdout().lock();
        if let Err(error) = stdout.write_all(text).and_then(|()| stdout.flush()) {
            self.failed(error);
        }
    }

    /// Keeps why the first line that could not be written was not. A reader that has gone away is no
    /// reason to fail.
    pub(crate) fn failed(&self, error: io::Error) {
        if error.kind() != ErrorKind::BrokenPipe {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    }

    /// Tells on standard error what of standard output was lost, and gives the exit code: that of what
    /// was done, or 5 where nothing was done but to print.
    pub(crate) fn end(&self, exit: u8, only_prints: bool) -> u8 {
        let failed = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(source) = failed else { return exit };
        let error = Error::new(code::OUTPUT_WRITE, "standard output cannot be written")
            .with_effect(Effect::None)
            .with_source(source);
        let failure = error.to_failure();
        let word = if only_prints { "error" } else { "warning" };
        warn(&format!("{word}: {failure} [{}]", failure.code));
        for cause in &failure.causes {
            warn(&format!("  because: {cause}"));
        }
        match (exit, only_prints) {
            (0, true) => 5,
            _ => exit,
        }
    }
}

pub(crate) fn warn(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", tame(line));
}

/// Whether it moves a terminal's cursor.
fn wild(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
}

/// The line without what would move a terminal's cursor, or command a runner of GitHub Actions, which
/// obeys lines of either stream: what people, stages and backends said is quoted, and must be able to
/// do neither.
pub(crate) fn tame(line: &str) -> Cow<'_, str> {
    let commands = |line: &str| line.trim_start().starts_with("::");
    if !line.contains(wild) && !line.contains("##[") && !line.lines().any(commands) {
        return line.into();
    }
    let line = line.replace(wild, "\u{fffd}").replace("##[", "## [");
    let quoted = |line| if commands(line) { format!("| {line}") } else { line.to_owned() };
    line.split('\n').map(quoted).collect::<Vec<_>>().join("\n").into()
}

/// The same for JSON in one line, where it stands within strings alone, and in another spelling is the
/// same text still: hashes are made of it.
fn escaped(json: &str) -> Cow<'_, str> {
    if !json.contains(wild) && !json.contains("##[") {
        return json.into();
    }
    let mut line = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if wild(c) || (c == '[' && line.ends_with("##")) {
            let _ = write!(line, "\\u{:04x}", u32::from(c));
        } else {
            line.push(c);
        }
    }
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_commands_neither_a_terminal_nor_a_runner() {
        for (said, printed) in [
            ("all is well:: really", "all is well:: really"),
            ("one\n  ::error::two", "one\n|   ::error::two"),
            ("::stop-commands::x\n", "| ::stop-commands::x\n"),
            ("a ##[error]b", "a ## [error]b"),
            ("a\u{1b}[2Jb\rc", "a\u{fffd}[2Jb\u{fffd}c"),
            // Whatever hides behind what is taken out.
            ("\u{1b}::error::x", "\u{fffd}::error::x"),
        ] {
            assert_eq!(tame(said), printed);
        }
    }

    #[test]
    fn json_is_tamed_without_a_change_of_what_it_says() {
        let said = "##[error] ###[[x] \u{7f}\u{80}\u{9b}2J\u{1b}[0m\n\t::error::é\\##[";
        let json = serde_json::json!({"list": [["##"], ["["]], "##[key\u{85}": said}).to_string();
        let line = escaped(&json);
        assert!(!line.contains("##[") && !line.contains(char::is_control), "{line}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&line), read(&json));
        assert_eq!(read(&line)["##[key\u{85}"], said);
    }
}
