//! Workflow commands: lines of the log that the runner obeys, and lines that it must not.

/// How many annotations of a kind a step shows
/// (<https://docs.github.com/actions/reference/limits>: 10 of each).
pub(crate) const ANNOTATIONS: u32 = 10;

/// What an annotation says about the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Error,
    Warning,
    Notice,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }

    /// How many are kept for the end of the run: what it came to, and a summary that is full.
    pub(crate) fn kept(self) -> u32 {
        match self {
            Self::Error | Self::Notice => 1,
            Self::Warning => 2,
        }
    }
}

/// An annotation.
pub(crate) fn annotation(kind: Kind, title: &str, message: &str) -> String {
    let (title, message) = (property(&tame(title)), data(&tame(message)));
    format!("::{} title={title}::{message}", kind.as_str())
}

pub(crate) fn group(name: &str) -> String {
    format!("::group::{}", data(&tame(name)))
}

pub(crate) const END_GROUP: &str = "::endgroup::";

/// The masks of a secret: the runner masks one line each.
pub(crate) fn masks(secret: &str) -> impl Iterator<Item = String> {
    let lines = secret.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| format!("::add-mask::{}", data(line)))
}

/// Text without what would move the cursor, or set the colours, of whoever reads it in a terminal.
/// Lines and tabs stay.
pub(crate) fn tame(text: &str) -> String {
    let wild = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    text.replace(wild, "\u{fffd}")
}

/// Text as lines that the runner does not obey, whoever wrote it: a command begins a line, after
/// blanks, and one of the older form may stand anywhere.
pub(crate) fn inert(text: &str) -> impl Iterator<Item = String> {
    text.split(['\n', '\r']).filter(|line| !line.is_empty()).map(|line| {
        let line = tame(line).replace("##[", "## [");
        if line.trim_start().starts_with("::") { format!("| {line}") } else { line }
    })
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_command_is_escaped() {
        assert_eq!(
            annotation(Kind::Error, "a: b, c", "100%\r\n::error::x"),
            "::error title=a%3A b%2C c::100%25%0D%0A::error::x"
        );
        assert_eq!(group("one\ntwo"), "::group::one%0Atwo");
    }

    #[test]
    fn every_line_of_a_secret_is_masked() {
        let masked: Vec<_> = masks("-----BEGIN-----\n  abc%\n\n").collect();
        assert_eq!(masked, ["::add-mask::-----BEGIN-----", "::add-mask::abc%25"]);
    }

    #[test]
    fn text_of_others_moves_no_cursor() {
        assert_eq!(inert("\u{1b}[2Jgone\tx").collect::<Vec<_>>(), ["\u{fffd}[2Jgone\tx"]);
        assert_eq!(
            annotation(Kind::Notice, "\u{9b}1m", "\u{8}\u{7}"),
            "::notice title=\u{fffd}1m::\u{fffd}\u{fffd}"
        );
        assert_eq!(group("\u{1b}x"), "::group::\u{fffd}x");
        let masked: Vec<_> = masks("a\u{1b}b").collect();
        assert_eq!(masked, ["::add-mask::a\u{1b}b"], "a mask is the secret as it is");
    }

    #[test]
    fn text_of_others_gives_no_commands() {
        for text in
            ["::set-env name=PATH::/tmp", " \t::stop-commands::x", "fine\n::error::x", "a\r::b"]
        {
            for line in inert(text) {
                assert!(!line.trim_start().starts_with("::"), "{line}");
            }
        }
        assert_eq!(inert("x ##[set-output]").collect::<Vec<_>>(), ["x ## [set-output]"]);
        assert_eq!(inert("two\nlines").collect::<Vec<_>>(), ["two", "lines"]);
    }
}
