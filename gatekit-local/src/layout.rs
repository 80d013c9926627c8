//! Where things are under the root, and the two links.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use gatekit_core::{NextAction, Permit, Result, RunId};

use crate::code;
use crate::durable::{make_dir, sync_dir};
use crate::error::{Doing as _, io_error, refuse};
use crate::release::ReleaseId;

pub(crate) const CURRENT: &str = "current";
pub(crate) const PREVIOUS: &str = "previous";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout(PathBuf);

impl Layout {
    /// The root is made absolute at once: a later change of the working directory must not move it.
    pub(crate) fn new(root: &Path) -> Result<Self> {
        std::path::absolute(root).map(Self).map_err(|source| {
            refuse(code::CONFIG, "the root is not a usable path")
                .with_context("root", root.display())
                .with_source(source)
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    pub(crate) fn releases(&self) -> PathBuf {
        self.0.join("releases")
    }

    pub(crate) fn release(&self, id: &ReleaseId) -> PathBuf {
        self.releases().join(id.as_str())
    }

    pub(crate) fn sidecar(&self, id: &ReleaseId) -> PathBuf {
        self.releases().join(format!("{id}.json"))
    }

    pub(crate) fn staging(&self) -> PathBuf {
        self.0.join("staging")
    }

    pub(crate) fn staging_of(&self, run: RunId) -> PathBuf {
        self.staging().join(run.to_string())
    }

    pub(crate) fn service(&self) -> PathBuf {
        self.0.join("service.json")
    }

    pub(crate) fn fence_lock(&self) -> PathBuf {
        self.0.join("fence.lock")
    }

    pub(crate) fn fence(&self) -> PathBuf {
        self.0.join("fence.json")
    }

    pub(crate) fn log(&self, id: &ReleaseId) -> PathBuf {
        self.0.join("logs").join(format!("{id}.log"))
    }

    pub(crate) fn make(&self) -> Result<()> {
        for dir in [self.releases(), self.staging(), self.0.join("logs")] {
            make_dir(&dir)?;
        }
        Ok(())
    }

    /// What every service token of this root begins with: the root's own device and inode, so that
    /// a service is found even when its record is lost, and no other root's ever is. `None` while
    /// there is no root.
    pub(crate) fn token_prefix(&self) -> Result<Option<String>> {
        match fs::metadata(&self.0) {
            Ok(meta) => Ok(Some(format!("{:x}.{:x}.", meta.dev(), meta.ino()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(code::IO, "read the root", &self.0, error)),
        }
    }

    /// Which release the link `name` points to.
    pub(crate) fn link(&self, name: &str) -> Result<Option<ReleaseId>> {
        let path = self.0.join(name);
        let target = match fs::read_link(&path) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(foreign(&path, "it is not a symbolic link"));
            }
            Err(error) => return Err(io_error(code::IO, "read a link", &path, error)),
        };
        let id = target.strip_prefix("releases").ok().map(Path::as_os_str).and_then(OsStr::to_str);
        match id.and_then(|id| id.parse().ok()) {
            Some(id) => Ok(Some(id)),
            None => Err(foreign(&path, "it does not point to `releases/<id>`")),
        }
    }

    /// Points the link `name` to a release by one rename, or removes it.
    pub(crate) fn set_link(
        &self,
        _: &Permit,
        name: &str,
        release: Option<&ReleaseId>,
    ) -> Result<()> {
        // Never over something that is not one of ours.
        if self.link(name)?.as_ref() == release {
            return Ok(());
        }
        let path = self.0.join(name);
        match release {
            None => fs::remove_file(&path).doing("remove a link", &path)?,
            Some(id) => {
                let temporary = self.0.join(format!("{name}.new"));
                match fs::remove_file(&temporary) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(io_error(code::IO, "remove a link", &temporary, error));
                    }
                    _ => {}
                }
                symlink(Path::new("releases").join(id.as_str()), &temporary)
                    .doing("make a link", &temporary)?;
                fs::rename(&temporary, &path).doing("switch a link", &path)?;
            }
        }
        sync_dir(&self.0)
    }
}

fn foreign(path: &Path, why: &str) -> gatekit_core::Error {
    refuse(code::CORRUPT, format!("a link under the root is not gatekit's: {why}"))
        .with_context("path", path.display())
        .with_next(NextAction::outside("move it away, or choose another root"))
}
