//! The configuration of the deployer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gatekit_core::{Digest, Result, StageId};

use crate::code;
use crate::error::refuse;
use crate::layout::Layout;
use crate::probe::ServiceProbe;
use crate::release::{self, Kept, ReleaseId};
use crate::service::Memory;
use crate::tree;

/// What is to be there afterwards.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    /// The files of a directory, run by a start command.
    App { dir: PathBuf, start: String },
    /// A release that is under the root already.
    Kept(ReleaseId),
    /// The same link, and no process.
    Stopped,
    /// Nothing: for reading, and for rolling back.
    Nothing,
}

/// Copies a directory to `ROOT/releases/<id>`, switches `ROOT/current` to it, and restarts the
/// service there.
///
/// The start command is a line for `/bin/sh`. It runs in the release's directory, in a session of
/// its own, outlives the ship, and must stay in the foreground. It finds `GATEKIT_SERVICE` (the mark
/// by which its processes are known), `GATEKIT_RELEASE` and, when named, `GATEKIT_VERSION` in its
/// environment beside everything that gatekit's own process has there. What it prints goes to
/// `ROOT/logs/<id>.log`. It is stopped by SIGTERM, and by SIGKILL after a grace period, together
/// with every process it started.
///
/// The start command is part of the fingerprint and kept beside the release: it MUST NOT contain
/// secrets. Neither construction nor `locate`, `live` and rolling back need the directory to ship.
///
/// # Default
/// id `release-dir`, no version label, 10 s of grace, 500 ms to settle, 5 releases kept.
///
/// # Example
/// ```
/// use gatekit_core::Candidate;
/// use gatekit_local::{PreviousRelease, ReleaseDir};
///
/// # let home = tempfile::tempdir().unwrap();
/// # let (root, app) = (home.path().join("root"), home.path().join("app"));
/// # std::fs::create_dir(&app).unwrap();
/// # std::fs::write(app.join("server"), "#!/bin/sh\nexec sleep 60\n").unwrap();
/// let candidate =
///     Candidate::new().with_version("1.4.0").with_artifact("app", ReleaseDir::artifact(&app)?);
/// let deployer = ReleaseDir::new(&root, &app, "exec ./server")?.with_version(Some("1.4.0".into()));
/// let rollback = PreviousRelease::of(&deployer);
/// # Ok::<(), gatekit_core::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to a pipeline"]
pub struct ReleaseDir {
    pub(crate) id: StageId,
    pub(crate) layout: Layout,
    pub(crate) wish: Wish,
    pub(crate) version: Option<String>,
    pub(crate) grace: Duration,
    pub(crate) settle: Duration,
    pub(crate) keep: usize,
    pub(crate) memory: Arc<Memory>,
}

impl ReleaseDir {
    /// Ships the files of `app_dir`, run by `start_command`, to `root`. Touches no file.
    ///
    /// # Errors
    /// `release_dir.config` when the start command is empty or has a NUL in it, or a path is empty.
    pub fn new(
        root: impl AsRef<Path>,
        app_dir: impl AsRef<Path>,
        start_command: impl Into<String>,
    ) -> Result<Self> {
        let start = start_command.into();
        if start.trim().is_empty() || start.contains('\0') {
            return Err(refuse(code::CONFIG, "the start command is empty or has a NUL in it"));
        }
        let dir = std::path::absolute(app_dir.as_ref()).map_err(|source| {
            refuse(code::CONFIG, "the directory to ship is not a usable path").with_source(source)
        })?;
        Self::wishing(root.as_ref(), Wish::App { dir, start })
    }

    /// Wishes the same link and no process: stopping goes through lock and journal as well.
    ///
    /// # Errors
    /// `release_dir.config` when the path is empty.
    pub fn stopped(root: impl AsRef<Path>) -> Result<Self> {
        Self::wishing(root.as_ref(), Wish::Stopped)
    }

    /// Returns to a release that is still under the root; see [`releases`](Self::releases).
    ///
    /// # Errors
    /// `release_dir.config` when the path is empty. Whether the release is there is for `plan`.
    pub fn kept(root: impl AsRef<Path>, release: ReleaseId) -> Result<Self> {
        Self::wishing(root.as_ref(), Wish::Kept(release))
    }

    /// Wishes nothing: for `live`, `locate`, the [probe](Self::service) and rolling back. `plan` is
    /// refused with `release_dir.nothing_to_ship`.
    ///
    /// # Errors
    /// `release_dir.config` when the path is empty.
    pub fn existing(root: impl AsRef<Path>) -> Result<Self> {
        Self::wishing(root.as_ref(), Wish::Nothing)
    }

    fn wishing(root: &Path, wish: Wish) -> Result<Self> {
        Ok(Self {
            id: StageId::new("release-dir")?,
            layout: Layout::new(root)?,
            wish,
            version: None,
            grace: Duration::from_secs(10),
            settle: Duration::from_millis(500),
            keep: 5,
            memory: Arc::default(),
        })
    }

    /// Names the deploy in its pipeline.
    pub fn with_id(mut self, id: StageId) -> Self {
        self.id = id;
        self
    }

    /// What people call the release. Shipping the same files again with another label renames it;
    /// `None` keeps the label it has.
    pub fn with_version(mut self, version: Option<String>) -> Self {
        self.version = version;
        self
    }

    /// How long the service may take to end after SIGTERM.
    pub const fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long the service must live before it counts as started.
    pub const fn with_settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// How many releases are kept. Those that `current` and `previous` name are kept beyond that.
    pub const fn with_keep(mut self, keep: usize) -> Self {
        self.keep = keep;
        self
    }

    /// The digest of the files of `app_dir`, for the candidate's artifact `app`: paths, contents,
    /// executable bits and link targets. Reads every file; blocking.
    ///
    /// # Errors
    /// `release_dir.source_missing`, `.source_empty`, `.source_unreadable`, `.symlink` and
    /// `.special_file`, all with [`Effect::None`](gatekit_core::Effect).
    pub fn artifact(app_dir: impl AsRef<Path>) -> Result<Digest> {
        tree::read(app_dir.as_ref(), None).map(|manifest| manifest.digest())
    }

    /// The releases under the root, the one shipped last first. Blocking.
    ///
    /// # Errors
    /// `release_dir.io`, `release_dir.corrupt` or `release_dir.newer`.
    pub fn releases(&self) -> Result<Vec<Kept>> {
        let kept = release::all(&self.layout)?.into_iter();
        Ok(kept.map(|kept| Kept { id: kept.id, version: kept.version, run: kept.run }).collect())
    }

    /// Asks whether the service answers on an address, for a smoke gate.
    #[must_use]
    pub fn service(&self) -> ServiceProbe {
        ServiceProbe::new(self.layout.clone())
    }
}
