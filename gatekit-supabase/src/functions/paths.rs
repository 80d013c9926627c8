//! Paths in a project, and the files there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gatekit_core::{Code, Effect, Error, Result};

use crate::code;

/// The root of a project. Its files are named by their paths in it, as `supabase/functions/hello/index.ts`.
#[derive(Debug)]
pub(super) struct Root {
    given: PathBuf,
    real: PathBuf,
}

/// The path of `relative`, seen from a folder of the project; `None` when it leads out of it.
pub(super) fn joined(folder: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|it| !it.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// An error about a file, which this one names or is in.
pub(super) fn about(code: Code, what: &str, file: impl AsRef<str>, of: &str) -> Error {
    let error =
        Error::new(code, what).with_effect(Effect::None).with_context("file", file.as_ref());
    if of.is_empty() { error } else { error.with_context("named_by", of) }
}

pub(super) fn outside(file: &str, of: &str) -> Error {
    about(
        code::FUNCTIONS_OUTSIDE,
        "a file that a function needs is outside of the project",
        file,
        of,
    )
}

impl Root {
    pub(super) fn open(given: &Path) -> Result<Self> {
        let real = fs::canonicalize(given).and_then(|real| {
            if real.is_dir() { Ok(real) } else { Err(io::ErrorKind::NotADirectory.into()) }
        });
        let real = real.map_err(|error| {
            let what = "the folder of the project cannot be read";
            about(code::FUNCTIONS_NO_FILE, what, given.to_string_lossy(), "").with_source(error)
        })?;
        Ok(Self { given: given.to_owned(), real })
    }

    /// What a configuration in a folder names: seen from there, or from the root of the file system.
    pub(super) fn named(&self, folder: &str, path: &str, of: &str) -> Result<String> {
        if !Path::new(path).is_absolute() {
            return joined(folder, path).ok_or_else(|| outside(path, of));
        }
        let within = Path::new(path).strip_prefix(&self.given);
        let within = within.or_else(|_| Path::new(path).strip_prefix(&self.real));
        let within = within.ok().and_then(slashed).and_then(|it| joined("", &it));
        within.ok_or_else(|| outside(path, of))
    }

    /// Whether there is such a file, wherever it leads.
    pub(super) fn has(&self, path: &str) -> bool {
        self.real.join(path).is_file()
    }

    /// The real place of a file of the project.
    fn place(&self, path: &str, of: &str) -> Result<PathBuf> {
        let missing = |error: io::Error| {
            let what = "a file that a function needs is not there";
            about(code::FUNCTIONS_NO_FILE, what, path, of).with_source(error)
        };
        let real = match fs::canonicalize(self.real.join(path)) {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(unreadable(path, of).with_source(error));
            }
            Err(error) => return Err(missing(error)),
        };
        if !real.starts_with(&self.real) {
            return Err(outside(path, of).with_context("leads_to", real.display()));
        }
        if !real.is_file() {
            return Err(missing(io::Error::other("it is no file")));
        }
        Ok(real)
    }

    /// The bytes of a file, which `of` names; none larger than `left`.
    pub(super) fn read(&self, path: &str, of: &str, left: u64) -> Result<Vec<u8>> {
        let place = self.place(path, of)?;
        let size = fs::metadata(&place).map(|it| it.len());
        let read = size.and_then(|size| {
            let fits = size <= left;
            if fits { fs::read(&place).map(Some) } else { Ok(None) }
        });
        match read {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => {
                let what = "the files of a function are more than may be sent";
                Err(about(code::FUNCTIONS_TOO_LARGE, what, path, of))
            }
            Err(error) => Err(unreadable(path, of).with_source(error)),
        }
    }

    /// The files that a pattern matches, by their paths in the project.
    pub(super) fn matching(&self, pattern: &str, of: &str) -> Result<Vec<String>> {
        let whole = format!("{}/{pattern}", glob::Pattern::escape(&self.real.to_string_lossy()));
        let options = glob::MatchOptions { require_literal_separator: true, ..Default::default() };
        let bad = |error: glob::PatternError| {
            let what = "a pattern of static files is none";
            about(code::FUNCTIONS_CONFIG, what, pattern, of).with_source(error)
        };
        let mut found = Vec::new();
        for entry in glob::glob_with(&whole, options).map_err(bad)? {
            let entry = entry.map_err(|error| unreadable(pattern, of).with_source(error))?;
            if entry.is_file() {
                let path = entry.strip_prefix(&self.real).ok().and_then(slashed);
                found.push(path.ok_or_else(|| unreadable(&entry.to_string_lossy(), of))?);
            }
        }
        if found.is_empty() {
            let what = "a pattern of static files matches none";
            return Err(about(code::FUNCTIONS_NO_FILE, what, pattern, of));
        }
        Ok(found)
    }
}

/// A path as it is sent, whatever the system has between its parts.
fn slashed(path: &Path) -> Option<String> {
    let parts: Option<Vec<_>> = path.iter().map(|it| it.to_str()).collect();
    Some(parts?.join("/"))
}

pub(super) fn unreadable(file: &str, of: &str) -> Error {
    about(code::FUNCTIONS_UNREADABLE, "a file of a function cannot be read", file, of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_a_folder_and_stay_in_the_project() {
        for (folder, relative, path) in [
            ("supabase/functions/hello", "./index.ts", Some("supabase/functions/hello/index.ts")),
            (
                "supabase/functions/hello",
                "../_shared/a.ts",
                Some("supabase/functions/_shared/a.ts"),
            ),
            ("supabase", "../../a.ts", None),
            ("supabase", "../a//b.ts", Some("a/b.ts")),
            ("", "..", None),
        ] {
            assert_eq!(joined(folder, relative).as_deref(), path, "{folder} {relative}");
        }
        assert_eq!((folder_of("a/b/c.ts"), folder_of("c.ts")), ("a/b", ""));
    }
}
