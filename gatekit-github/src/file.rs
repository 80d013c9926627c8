//! The files that a step appends to: its outputs and its summary.

use std::borrow::Cow;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use gatekit_core::{Effect, Error, NextAction, Result};
use uuid::Uuid;

use crate::code;

/// The longest summary of a step, in bytes; a longer one is not shown at all.
const SUMMARY: usize = 1024 * 1024;

/// What a summary ends with that is cut there.
const CUT: &str = "\n\n… cut: a summary holds 1 MiB\n";

/// The longest value of an output that is written, in bytes: all outputs of a job have 1 MiB together.
const OUTPUT: usize = 64 * 1024;

/// One output, whose value ends where nobody can have foreseen.
pub(crate) fn output(name: &str, value: &str) -> String {
    let value = cut(value, OUTPUT);
    let end = format!("gatekit-{}", Uuid::new_v4());
    format!("{name}<<{end}\n{value}\n{end}\n")
}

/// Appends to the step's outputs.
pub(crate) fn append_outputs(path: &Path, text: &str) -> Result<(), Unwritten> {
    let written = open(path).and_then(|mut file| {
        let gap = gap(&mut file)?;
        file.write_all(format!("{gap}{text}").as_bytes())
    });
    written.map_err(|why| Unwritten::new("GITHUB_OUTPUT", path, why))
}

/// Appends to the step's summary as much as still fits; `false` when that is nothing.
pub(crate) fn append_summary(path: &Path, text: &str) -> Result<bool, Unwritten> {
    let written = open(path).and_then(|mut file| {
        let gap = gap(&mut file)?;
        let there = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let left = SUMMARY.saturating_sub(there).saturating_sub(gap.len());
        let Some(text) = fitting(text, left) else { return Ok(false) };
        file.write_all(format!("{gap}{text}").as_bytes()).map(|()| true)
    });
    written.map_err(|why| Unwritten::new("GITHUB_STEP_SUMMARY", path, why))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).open(path)
}

/// What has to come first, so that a line which somebody left open does not go on with ours.
fn gap(file: &mut File) -> io::Result<&'static str> {
    // Also what is no file, like a pipe, has no end to look at.
    if file.metadata()?.len() == 0 {
        return Ok("");
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(if last == *b"\n" { "" } else { "\n" })
}

/// The beginning of a summary that fits into so many bytes, and says that it is one.
fn fitting(text: &str, left: usize) -> Option<Cow<'_, str>> {
    if text.len() <= left {
        return Some(text.into());
    }
    let left = left.checked_sub(CUT.len()).filter(|left| *left > 0)?;
    Some(format!("{}{CUT}", cut(text, left)).into())
}

/// At most so many bytes of a text, whole characters.
fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// A file of the step that could not be written, and after it the next one.
#[derive(Debug)]
pub(crate) struct Unwritten {
    variable: &'static str,
    path: PathBuf,
    why: io::Error,
    next: Option<Box<Self>>,
}

impl Unwritten {
    fn new(variable: &'static str, path: &Path, why: io::Error) -> Self {
        Self { variable, path: path.to_owned(), why, next: None }
    }
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.variable, self.why)
    }
}

impl std::error::Error for Unwritten {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.next.as_deref().map(|next| next as &(dyn std::error::Error + 'static))
    }
}

/// One error of all files that could not be written, if any.
pub(crate) fn all_written(unwritten: Vec<Unwritten>) -> Result<()> {
    let names: Vec<_> = unwritten.iter().map(|it| format!("`{}`", it.variable)).collect();
    let what = match names.as_slice() {
        [name] => format!("the file that {name} names cannot be written"),
        names => format!("the files that {} name cannot be written", names.join(" and ")),
    };
    let mut error =
        Error::new(code::FILE, what).with_effect(Effect::None).with_next(NextAction::outside(
            "what the run came to stands in the log and in the journal: only the step does not know",
        ));
    for it in &unwritten {
        error = error.with_context(it.variable, it.path.display());
    }
    let chain = unwritten
        .into_iter()
        .rev()
        .reduce(|next, it| Unwritten { next: Some(Box::new(next)), ..it });
    chain.map_or(Ok(()), |first| Err(error.with_source(first)))
}

#[cfg(test)]
mod tests {
    use std::fs;

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
    fn a_line_that_was_left_open_does_not_go_on_with_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output");
        let after = |there: &str, append: &dyn Fn()| {
            fs::write(&path, there).unwrap();
            append();
            fs::read_to_string(&path).unwrap()
        };
        let outputs = || append_outputs(&path, "a<<b\nc\nb\n").unwrap();
        let summary = || assert!(append_summary(&path, "### t\n").unwrap());
        assert_eq!(after("foo=bar", &outputs), "foo=bar\na<<b\nc\nb\n");
        assert_eq!(after("foo=bar\n", &outputs), "foo=bar\na<<b\nc\nb\n");
        assert_eq!(after("", &outputs), "a<<b\nc\nb\n");
        assert_eq!(after("text", &summary), "text\n### t\n");
    }

    #[test]
    fn a_summary_that_is_too_long_is_cut_where_a_character_ends() {
        let text = "é".repeat(SUMMARY);
        let cut = fitting(&text, SUMMARY).unwrap();
        assert!(cut.len() <= SUMMARY && cut.ends_with("1 MiB\n"), "{}", cut.len());
        assert_eq!(fitting("short", 5).unwrap(), "short");
        assert!(fitting("short", 4).is_none());
        assert!(fitting(&text, CUT.len()).is_none(), "nothing of it would be there");
    }

    #[test]
    fn a_summary_never_grows_beyond_what_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("summary");
        for (there, text, fits) in [
            ("x".repeat(SUMMARY - 3), "more", false),
            ("x".repeat(SUMMARY - 3), "end", false),
            ("x".repeat(SUMMARY - 4), "end", true),
            ("x".repeat(SUMMARY + 1), "end", false),
        ] {
            fs::write(&path, &there).unwrap();
            assert_eq!(append_summary(&path, text).unwrap(), fits, "{} and {text}", there.len());
            let len = fs::read(&path).unwrap().len();
            assert_eq!(len, if fits { SUMMARY } else { there.len() });
        }
    }

    #[test]
    fn every_file_that_cannot_be_written_is_named() {
        let nowhere = Path::new("/no/such/dir/file");
        let output = append_outputs(nowhere, "x").unwrap_err();
        let error = all_written(vec![output]).unwrap_err();
        assert_eq!(error.code(), &code::FILE);
        assert_eq!(
            error.to_string(),
            "the file that `GITHUB_OUTPUT` names cannot be written (GITHUB_OUTPUT: /no/such/dir/file)"
        );
        assert_eq!(error.to_failure().causes.len(), 1);
        all_written(vec![]).unwrap();
    }
}
