//! What is kept on this machine: artefacts to return to, and what was made of which files.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gatekit_core::{Code, Digest, Effect, Error, Result, RunId};
use serde::{Deserialize, Serialize};

use crate::code;

/// The version of the records.
const VERSION: u32 = 1;

/// A folder of the caller's.
///
/// ```text
/// artefacts/CHECKSUM.eszip   what was live before a deploy
/// bundles/SOURCE.json        the checksum of what the server has made of these files
/// begun/RUN-SLUG             a function is being made live, since that file was written
/// undone/RUN-SLUG            a function was put back that is on both sides of the change the same
/// ```
#[derive(Debug, Clone)]
pub(super) struct Keep {
    folder: PathBuf,
    /// How long a call may take effect after it was begun.
    longest: Duration,
}

/// What the server has made of some files.
#[derive(Debug, Serialize, Deserialize)]
struct Bundle {
    v: u32,
    checksum: Digest,
}

impl Keep {
    pub(super) fn at(folder: PathBuf, longest: Duration) -> Self {
        Self { folder, longest }
    }

    pub(super) fn with_longest(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// Whether that artefact is there, whole.
    pub(super) fn has_artefact(&self, checksum: &Digest) -> bool {
        self.artefact(checksum).is_ok()
    }

    /// An artefact.
    ///
    /// # Errors
    /// `functions.not_kept` when it is not there, or is another one by now.
    pub(super) fn artefact(&self, checksum: &Digest) -> Result<Vec<u8>> {
        let path = self.artefact_path(checksum);
        let gone = |what: &str| error(code::FUNCTIONS_NOT_KEPT, what, &path);
        let bytes = fs::read(&path).map_err(|source| {
            gone("the artefact to return to cannot be read").with_source(source)
        })?;
        if Digest::of(&bytes) == *checksum {
            return Ok(bytes);
        }
        Err(gone("the artefact to return to is not what it was"))
    }

    /// Keeps an artefact, durably.
    pub(super) fn keep_artefact(&self, checksum: &Digest, bytes: &[u8]) -> Result<()> {
        self.write(&self.artefact_path(checksum), bytes)
    }

    /// The checksum of what the server has made of these files last.
    pub(super) fn bundle(&self, source: &Digest) -> Result<Option<Digest>> {
        let path = self.bundle_path(source);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(&path).with_source(source)),
        };
        let bundle: Bundle =
            serde_json::from_slice(&text).map_err(|source| failed(&path).with_source(source))?;
        // One of a newer build is not understood, and nothing is lost with it.
        Ok((bundle.v == VERSION).then_some(bundle.checksum))
    }

    /// Notes what the server has made of these files.
    pub(super) fn note_bundle(&self, source: &Digest, checksum: &Digest) -> Result<()> {
        let bundle = Bundle { v: VERSION, checksum: checksum.clone() };
        let path = self.bundle_path(source);
        let text = serde_json::to_vec(&bundle).map_err(|error| failed(&path).with_source(error))?;
        self.write(&path, &text)
    }

    /// Notes that a run begins to make a function live, and does not know yet what will be.
    pub(super) fn begin(&self, run: RunId, slug: &str) -> Result<()> {
        self.write(&self.mark("begun", run, slug), b"")
    }

    /// Whether it has begun, and nobody knows yet what has become of it.
    pub(super) fn has_begun(&self, run: RunId, slug: &str) -> bool {
        self.begun_for(run, slug).is_some()
    }

    /// Whether what it has begun may still take effect.
    pub(super) fn may_land(&self, run: RunId, slug: &str) -> bool {
        self.begun_for(run, slug).is_some_and(|age| age < self.longest)
    }

    fn begun_for(&self, run: RunId, slug: &str) -> Option<Duration> {
        let begun = fs::metadata(self.mark("begun", run, slug)).and_then(|it| it.modified());
        match begun {
            // By a clock that was set back, it has begun just now.
            Ok(begun) => Some(SystemTime::now().duration_since(begun).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) => Some(Duration::ZERO),
        }
    }

    /// Notes that it is known.
    pub(super) fn end(&self, run: RunId, slug: &str) -> Result<()> {
        self.unmark(&self.mark("begun", run, slug))
    }

    /// Notes that a function was put back.
    pub(super) fn note_undone(&self, run: RunId, slug: &str) -> Result<()> {
        self.write(&self.mark("undone", run, slug), b"")
    }

    /// Whether it was.
    pub(super) fn is_undone(&self, run: RunId, slug: &str) -> bool {
        self.mark("undone", run, slug).exists()
    }

    /// Notes that it is deployed once more.
    pub(super) fn forget_undone(&self, run: RunId, slug: &str) -> Result<()> {
        self.unmark(&self.mark("undone", run, slug))
    }

    fn unmark(&self, path: &Path) -> Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed(path).with_source(error))
            }
            _ => Ok(()),
        }
    }

    fn artefact_path(&self, checksum: &Digest) -> PathBuf {
        self.folder.join("artefacts").join(format!("{checksum}.eszip"))
    }

    fn bundle_path(&self, source: &Digest) -> PathBuf {
        self.folder.join("bundles").join(format!("{source}.json"))
    }

    fn mark(&self, what: &str, run: RunId, slug: &str) -> PathBuf {
        self.folder.join(what).join(format!("{run}-{slug}"))
    }

    /// A file that is whole or not there, before and after a crash.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.try_write(path, bytes).map_err(|source| failed(path).with_source(source))
    }

    fn try_write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.folder);
        private().create(folder)?;
        // Others may write the same file: the name is of nobody else.
        let temporary = folder.join(format!(".{}", RunId::generate()));
        let written = File::create(&temporary)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written?;
        sync(folder)?;
        sync(&self.folder)
    }
}

/// A folder that nobody else on this machine reads: what is in an artefact may not be for everybody.
fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true);
    builder
}

/// Makes the names in a folder durable.
#[cfg(unix)]
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Windows opens no folder as a file.
#[cfg(not(unix))]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}

fn failed(path: &Path) -> Error {
    error(code::FUNCTIONS_KEEP, "the folder in which artefacts are kept cannot be used", path)
}

fn error(code: Code, what: &str, path: &Path) -> Error {
    Error::new(code, what).with_effect(Effect::None).with_context("path", path.display())
}
