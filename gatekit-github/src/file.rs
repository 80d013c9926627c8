//! The files that a step appends to: its outputs and its summary.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use gatekit_core::{Effect, Error, NextAction, Result};
use uuid::Uuid;

use crate::code;

/// The longest summary of a step, in bytes; a longer one is not shown at all.
const SUMMARY: usize = 1024 * 1024;

/// The longest value of an output that is written, in bytes: all outputs of a job have 1 MiB together.
const OUTPUT: usize = 64 * 1024;

/// One output, whose value ends where nobody can have foreseen.
pub(crate) fn output(name: &str, value: &str) -> String {
    let value = cut(value, OUTPUT);
    let end = format!("gatekit-{}", Uuid::new_v4());
    format!("{name}<<{end}\n{value}\n{end}\n")
}

/// The beginning of a summary that still fits behind what is in the file.
pub(crate) fn summary(path: &Path, text: &str) -> String {
    const CUT: &str = "\n\n… cut: a summary holds 1 MiB\n";
    let there = std::fs::metadata(path).map_or(0, |meta| meta.len());
    let left = SUMMARY.saturating_sub(usize::try_from(there).unwrap_or(usize::MAX));
    if text.len() <= left {
        return text.to_owned();
    }
    match left.checked_sub(CUT.len()) {
        Some(left) => format!("{}{CUT}", cut(text, left)),
        None => String::new(),
    }
}

/// At most so many bytes of a text, whole characters.
fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// Appends to a file of the step.
pub(crate) fn append(variable: &str, path: &Path, text: &str) -> Result<()> {
    let written = OpenOptions::new().append(true).create(true).open(path);
    written.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|source| {
        Error::new(code::FILE, format!("the file that `{variable}` names cannot be written"))
            .with_context("path", path.display())
            .with_effect(Effect::None)
            .with_next(NextAction::outside(
                "what the run came to stands in the log and in the journal: only the step does not know",
            ))
            .with_source(source)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_itself() {
        let (one, other) = (output("a", "x"), output("a", "x"));
        assert_ne!(one, other, "the end is another each time");
        let lines: Vec<_> = one.lines().collect();
        let end = lines[0].strip_prefix("a<<").unwrap();
        assert_eq!(lines[1..], ["x", end]);
        assert!(output("a", &"y".repeat(1 << 20)).len() < OUTPUT + 200);
    }

    #[test]
    fn a_summary_that_is_too_long_is_cut_where_a_character_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("summary");
        assert_eq!(summary(&path, "short"), "short");
        let cut = summary(&path, &"é".repeat(SUMMARY));
        assert!(cut.len() <= SUMMARY && cut.ends_with("1 MiB\n"), "{}", cut.len());
        std::fs::write(&path, "x".repeat(SUMMARY - 3)).unwrap();
        assert_eq!(summary(&path, "more"), "");
        assert_eq!(summary(&path, "end"), "end");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let error = append("GITHUB_OUTPUT", Path::new("/no/such/dir/file"), "x").unwrap_err();
        assert_eq!(error.code(), &code::FILE);
        assert!(
            error.to_string().contains("GITHUB_OUTPUT") && error.to_string().contains("/no/such")
        );
    }
}
