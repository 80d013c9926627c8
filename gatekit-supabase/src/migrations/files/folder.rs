//! The folder of the migrations.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use gatekit_core::{Code, Effect, Error, NextAction, Result};

use super::file::{File, refused};
use crate::code;

/// How large a file may be, unless it is said otherwise: 64 MiB.
pub const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// Before this version, a first file called `init` is one of the CLI's own, from a time when it kept its
/// schema so.
const INIT_BEFORE: u64 = 20_211_209_000_000;

/// Where migrations are, and how they are read.
///
/// # Names
/// A migration is called `<version>_<name>.sql`, and its version has 14 digits. What has another name is
/// no migration, for the Supabase CLI as for gatekit: it is listed in [`Folder::skipped`]. Folders within
/// are not looked into. A first file `<version>_init.sql` of before 2021-12-09 is skipped, too.
///
/// # Down files
/// What takes a migration back is `<version>_<name>.down.sql`. For the CLI that would be one more
/// migration, so these are in a folder of their own, into which it does not look: `down` within the
/// migrations by default. One among the migrations is refused with `migration.down_file`.
///
/// # What the CLI takes and this refuses
/// Versions of other than 14 digits, of which files and history have different orders; two files of
/// one version, of which one would stay pending for ever; what is not UTF-8; and a folder that is not
/// there, which for the CLI is one without migrations.
///
/// # Default
/// Files of at most [`LARGEST_FILE`] bytes; down files in `down`.
#[derive(Debug, Clone)]
#[must_use = "call `read()` or `list()`"]
pub struct FolderReader {
    dir: PathBuf,
    down: PathBuf,
    largest: u64,
}

impl FolderReader {
    /// Reads the migrations in `dir`, commonly `supabase/migrations`.
    pub fn of(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Self { down: dir.join("down"), dir, largest: LARGEST_FILE }
    }

    /// Sets how many bytes a file may have.
    pub fn largest_file(mut self, bytes: u64) -> Self {
        self.largest = bytes;
        self
    }

    /// Sets where the down files are. It need not exist.
    pub fn down_files_in(mut self, dir: impl Into<PathBuf>) -> Self {
        self.down = dir.into();
        self
    }

    pub(in crate::migrations) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is in the folder, by the names alone: no file is opened.
    ///
    /// # Errors
    /// `migration.no_folder`, `migration.version`, `migration.duplicate_version`, `migration.down_file`.
    pub fn list(&self) -> Result<Listing> {
        let mut listing = Listing { entries: Vec::new(), skipped: Vec::new() };
        for (i, (name, is_dir)) in names(&self.dir, code::NO_FOLDER)?.into_iter().enumerate() {
            if is_dir {
                continue;
            }
            let path = self.dir.join(&name);
            let parts = name.to_str().map(str::to_owned);
            match parts.as_deref().and_then(parse) {
                _ if i == 0 && parts.as_deref().is_some_and(is_old_init) => {
                    listing.skipped.push(Skipped { path, why: Why::Init });
                }
                None => listing.skipped.push(Skipped { path, why: Why::Name }),
                Some((_, name)) if name.ends_with(".down") => {
                    return Err(refused(
                        code::DOWN_FILE,
                        "a down file is among the migrations",
                        &path,
                    )
                    .with_next(NextAction::outside(format!(
                        "move it to `{}`, where the Supabase CLI does not apply it",
                        self.down.display()
                    ))));
                }
                Some((version, _)) if version.len() != 14 => {
                    return Err(odd_version(version, &path));
                }
                Some((version, name)) => {
                    let (version, name) = (version.to_owned(), name.to_owned());
                    listing.entries.push(Entry { version, name, path });
                }
            }
        }
        listing.entries.sort_by(|a, b| a.version.cmp(&b.version));
        let pairs = listing.entries.iter().zip(listing.entries.iter().skip(1));
        if let Some((first, second)) = pairs.into_iter().find(|(a, b)| a.version == b.version) {
            return Err(duplicate(first, second));
        }
        Ok(listing)
    }

    /// Reads all files.
    ///
    /// # Errors
    /// Those of [`FolderReader::list`]; `migration.unreadable`, `migration.too_large`, `migration.nul`,
    /// `migration.not_utf8`.
    pub fn read(&self) -> Result<Folder> {
        let Listing { entries, mut skipped } = self.list()?;
        let mut downs = self.down_files(&mut skipped)?;
        let mut files = Vec::with_capacity(entries.len());
        for Entry { version, name, path } in entries {
            let mut file = self.read_file(&path, &version, &name)?;
            if let Some(path) = downs.remove(&(version, name)) {
                let down = self.read_file(&path, &file.version, &file.name)?;
                file.down = Some(Box::new(down));
            }
            files.push(file);
        }
        skipped
            .extend(downs.into_values().map(|path| Skipped { path, why: Why::NothingToTakeBack }));
        Ok(Folder { dir: self.dir.clone(), files, skipped })
    }

    fn down_files(
        &self,
        skipped: &mut Vec<Skipped>,
    ) -> Result<BTreeMap<(String, String), PathBuf>> {
        let mut downs = BTreeMap::new();
        if !self.down.exists() {
            return Ok(downs);
        }
        for (name, is_dir) in names(&self.down, code::UNREADABLE)? {
            let path = self.down.join(&name);
            let parts = name.to_str().and_then(parse);
            match parts.and_then(|(version, name)| Some((version, name.strip_suffix(".down")?))) {
                _ if is_dir => {}
                Some((version, name)) => {
                    downs.insert((version.to_owned(), name.to_owned()), path);
                }
                None => skipped.push(Skipped { path, why: Why::Name }),
            }
        }
        Ok(downs)
    }

    fn read_file(&self, path: &Path, version: &str, name: &str) -> Result<File> {
        let unreadable = |error| {
            refused(code::UNREADABLE, "a migration cannot be read", path)
                .with_next(NextAction::outside("see that it is a file and this user may read it"))
                .with_source(error)
        };
        // Before it is opened: what is no file might never end.
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(unreadable(std::io::Error::other("it is not a file")));
        }
        let mut bytes = Vec::new();
        if metadata.len() <= self.largest {
            // And a byte by which its end is seen.
            bytes.reserve(usize::try_from(metadata.len()).map_or(0, |it| it.saturating_add(1)));
            let file = fs::File::open(path).map_err(unreadable)?;
            // It may have grown.
            file.take(self.largest.saturating_add(1))
                .read_to_end(&mut bytes)
                .map_err(unreadable)?;
        }
        let size = metadata.len().max(bytes.len() as u64);
        if size > self.largest {
            return Err(refused(code::TOO_LARGE, "a migration is too large", path)
                .with_context("bytes", size)
                .with_context("limit", self.largest)
                .with_next(NextAction::outside(
                    "load data outside of migrations, or raise the limit",
                )));
        }
        File::from_bytes(path, version, name, &bytes)
    }
}

impl From<PathBuf> for FolderReader {
    fn from(dir: PathBuf) -> Self {
        Self::of(dir)
    }
}

impl From<&PathBuf> for FolderReader {
    fn from(dir: &PathBuf) -> Self {
        Self::of(dir)
    }
}

impl From<&Path> for FolderReader {
    fn from(dir: &Path) -> Self {
        Self::of(dir)
    }
}

impl From<String> for FolderReader {
    fn from(dir: String) -> Self {
        Self::of(dir)
    }
}

impl From<&str> for FolderReader {
    fn from(dir: &str) -> Self {
        Self::of(dir)
    }
}

/// What is in a folder, by the names alone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// The migrations, by version.
    pub entries: Vec<Entry>,
    /// What is none.
    pub skipped: Vec<Skipped>,
}

/// The name of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The digits before the first `_`.
    pub version: String,
    /// What is between that `_` and `.sql`. May be empty.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// A folder of migrations that has been read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Folder {
    /// Where it is.
    pub dir: PathBuf,
    /// The migrations, by version.
    pub files: Vec<File>,
    /// What is in it and no migration.
    pub skipped: Vec<Skipped>,
}

impl Folder {
    /// Reads the migrations in `dir`, with the defaults of [`FolderReader`].
    ///
    /// # Errors
    /// Those of [`FolderReader::read`].
    pub fn read(dir: &Path) -> Result<Self> {
        FolderReader::of(dir).read()
    }
}

/// A file that is no migration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// Where it is.
    pub path: PathBuf,
    /// Why it is skipped.
    pub why: Why,
}

/// Why a file is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// Its name is not `<version>_<name>.sql`, or `<version>_<name>.down.sql` of a down file.
    Name,
    /// It is the first, is called `init`, and is older than 2021-12-09.
    Init,
    /// There is no migration of that version and name that it could take back.
    NothingToTakeBack,
}

impl Why {
    /// It in words, of a file that is skipped.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "its name is not `<version>_<name>.sql`",
            Self::Init => "the first file is called `init`, and is older than 2021-12-09",
            Self::NothingToTakeBack => "there is no migration of its version and name",
        }
    }
}

/// Which of them look like migrations and are none, by their names alone: nothing of them is ever applied.
pub(in crate::migrations) fn misnamed(skipped: &[Skipped]) -> Vec<String> {
    let is_sql = |path: &Path| path.extension().is_some_and(|it| it.eq_ignore_ascii_case("sql"));
    let misnamed = skipped.iter().filter(|it| it.why == Why::Name && is_sql(&it.path));
    let names = misnamed.filter_map(|it| it.path.file_name());
    names.map(|it| it.to_string_lossy().into_owned()).collect()
}

/// The names in a folder by their bytes, and which of them are folders.
fn names(dir: &Path, code: Code) -> Result<Vec<(OsString, bool)>> {
    let failed = |error| {
        Error::new(code.clone(), "the folder of the migrations cannot be read")
            .with_effect(Effect::None)
            .with_context("path", dir.display())
            .with_next(NextAction::outside(
                "see the path: it is `supabase/migrations` in the project",
            ))
            .with_source(error)
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // A link to a folder is none, as for the CLI: it is found when it is read.
        let is_dir = entry.file_type().map_err(failed)?.is_dir();
        names.push((entry.file_name(), is_dir));
    }
    names.sort();
    Ok(names)
}

/// Version and name of a file's name, if it is that of a migration.
fn parse(file: &str) -> Option<(&str, &str)> {
    let (version, name) = file.strip_suffix(".sql")?.split_once('_')?;
    let is_version = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    let is_one_line = !name.contains(['\n', '\r', '\u{2028}', '\u{2029}']);
    (is_version && is_one_line).then_some((version, name))
}

/// Whether that is what old versions of the CLI called their own schema, wherever in the name.
fn is_old_init(file: &str) -> bool {
    let digits = |(at, _)| {
        let digits = file.get(usize::checked_sub(at, 14)?..at)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?
    };
    file.match_indices("_init.sql").find_map(digits).is_some_and(|version| version < INIT_BEFORE)
}

fn odd_version(version: &str, path: &Path) -> Error {
    refused(code::VERSION, "the version of a migration has not 14 digits", path)
        .with_context("version", version)
        .with_next(NextAction::outside(
            "name it `YYYYMMDDhhmmss_name.sql`; where it has been applied, repair the history, too",
        ))
}

fn duplicate(first: &Entry, second: &Entry) -> Error {
    refused(code::DUPLICATE_VERSION, "two migrations have one version", &second.path)
        .with_context("other", first.path.display())
        .with_context("version", &first.version)
        .with_next(NextAction::outside("give the newer of the two a version of its own"))
}
