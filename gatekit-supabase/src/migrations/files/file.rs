//! One migration file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatekit_core::{Code, Digest, Effect, Error, Result};

use super::split::{Statement, split};
use crate::code;

/// A migration: its name taken apart, its text, and its statements.
///
/// A byte order mark at the beginning is left away, as the Supabase CLI does; line ends stay as they are.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct File {
    /// The digits before the first `_` of its name.
    pub version: String,
    /// What is between that `_` and `.sql`. May be empty.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// The digest of its bytes, as `sha256sum` gives it.
    pub digest: Digest,
    /// Its text.
    pub sql: Arc<str>,
    /// The text in statements. May be empty.
    pub statements: Vec<Statement>,
    /// What takes it back, where the project keeps such files.
    pub down: Option<Box<Self>>,
}

impl File {
    /// A file of these bytes.
    ///
    /// # Errors
    /// `migration.nul` or `migration.not_utf8`, with the line and the byte.
    pub fn from_bytes(
        path: impl Into<PathBuf>,
        version: impl Into<String>,
        name: impl Into<String>,
        bytes: &[u8],
    ) -> Result<Self> {
        let path = path.into();
        if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
            return Err(at_byte(code::NUL, "a migration has a NUL byte", &path, bytes, at));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let at = error.valid_up_to();
            at_byte(code::NOT_UTF8, "a migration is not UTF-8", &path, bytes, at)
        })?;
        let sql = text.strip_prefix('\u{feff}').unwrap_or(text);
        Ok(Self {
            version: version.into(),
            name: name.into(),
            path,
            digest: Digest::of(bytes),
            statements: split(sql),
            sql: Arc::from(sql),
            down: None,
        })
    }

    /// The name of the file, for people.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }
}

/// A refusal of a file.
pub(in crate::migrations) fn refused(code: Code, what: &str, path: &Path) -> Error {
    Error::new(code, what).with_effect(Effect::None).with_context("file", path.display())
}

fn at_byte(code: Code, what: &str, path: &Path, bytes: &[u8], at: usize) -> Error {
    let before = bytes.get(..at).unwrap_or_default();
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    refused(code, what, path).with_context("line", line).with_context("byte", at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<File> {
        File::from_bytes("m/20260101000000_a.sql", "20260101000000", "a", bytes)
    }

    #[test]
    fn a_byte_order_mark_is_left_away_and_line_ends_stay() {
        let bytes = b"\xef\xbb\xbfselect 1;\r\nselect\r\n2;\r\n";
        let file = read(bytes).unwrap();
        assert_eq!(&*file.sql, "select 1;\r\nselect\r\n2;\r\n");
        let texts: Vec<_> = file.statements.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(texts, ["select 1", "select\r\n2"]);
        assert_eq!(file.digest, Digest::of(bytes), "as sha256sum gives it");
        assert_eq!(file.file_name(), "20260101000000_a.sql");
    }

    #[test]
    fn an_empty_file_is_legal() {
        assert!(read(b"").unwrap().statements.is_empty());
        assert!(read(b"\xef\xbb\xbf").unwrap().statements.is_empty());
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_place() {
        let nul = read(b"select 1;\nselect '\0'").unwrap_err();
        assert_eq!(nul.code(), &code::NUL);
        assert_eq!(
            nul.to_string(),
            "a migration has a NUL byte (file: m/20260101000000_a.sql, line: 2, byte: 18)"
        );
        let latin = read(b"-- caf\xe9\n").unwrap_err();
        assert_eq!(latin.code(), &code::NOT_UTF8);
        assert!(latin.to_string().ends_with("line: 1, byte: 6)"), "{latin}");
        assert_eq!(read(b"\xff\xfes\0e\0").unwrap_err().code(), &code::NUL, "UTF-16");
    }
}
