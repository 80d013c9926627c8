//! What a release is called, and the record beside its files.

use std::fmt;
use std::fs;
use std::io;
use std::str::FromStr;

use gatekit_core::{Digest, Error, Hasher, Live, Result, RunId};
use serde::{Deserialize, Serialize};

use crate::code;
use crate::durable::read_json;
use crate::error::{Doing as _, io_error, refuse};
use crate::layout::Layout;
use crate::tree::Manifest;

/// The address of a release: the first 16 hexadecimal digits of the SHA-256 over its files and its
/// start command. The version label is no part of it.
///
/// ```
/// use gatekit_local::ReleaseId;
///
/// let id: ReleaseId = "0123456789abcdef".parse()?;
/// assert_eq!(id.to_string(), "0123456789abcdef");
/// assert!("../../etc".parse::<ReleaseId>().is_err());
/// # Ok::<(), gatekit_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseId(String);

impl ReleaseId {
    pub(crate) fn new(tree: &Digest, start: &str) -> Self {
        let mut hasher = Hasher::new();
        hasher.update("gatekit release 1\0");
        hasher.update(tree.as_str());
        hasher.update("\0");
        hasher.update(start);
        Self(hasher.finish().as_str()[..16].to_owned())
    }

    /// The 16 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ReleaseId {
    type Err = Error;

    /// # Errors
    /// `release_dir.no_release` unless `text` is 16 lower-case hexadecimal digits.
    fn from_str(text: &str) -> Result<Self> {
        if text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Ok(Self(text.to_owned()));
        }
        Err(refuse(code::NO_RELEASE, format!("`{}` is not a release id", text.escape_debug())))
    }
}

impl TryFrom<String> for ReleaseId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ReleaseId> for String {
    fn from(id: ReleaseId) -> Self {
        id.0
    }
}

/// A release that is kept under the root and can be returned to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// Its address.
    pub id: ReleaseId,
    /// What people call it.
    pub version: Option<String>,
    /// The run that shipped it last.
    pub run: RunId,
}

/// `releases/<id>.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sidecar {
    pub(crate) v: u32,
    pub(crate) id: ReleaseId,
    pub(crate) tree: Digest,
    pub(crate) start: String,
    pub(crate) version: Option<String>,
    /// The run that shipped it last: releases are pruned in this order.
    pub(crate) run: RunId,
    pub(crate) manifest: Manifest,
}

/// The record of a release whose files are there too.
pub(crate) fn find(layout: &Layout, id: &ReleaseId) -> Result<Option<Sidecar>> {
    let Some(sidecar) = read_json::<Sidecar>(&layout.sidecar(id))? else { return Ok(None) };
    if sidecar.id != *id || ReleaseId::new(&sidecar.tree, &sidecar.start) != *id {
        return Err(refuse(code::CORRUPT, "the record of a release does not belong to it")
            .with_context("path", layout.sidecar(id).display()));
    }
    Ok(layout.release(id).is_dir().then_some(sidecar))
}

pub(crate) fn get(layout: &Layout, id: &ReleaseId) -> Result<Sidecar> {
    find(layout, id)?.ok_or_else(|| {
        refuse(code::NO_RELEASE, format!("release `{id}` is not under the root"))
            .with_context("root", layout.root().display())
    })
}

/// For people: a label that cannot be read is no reason to hide what is live.
pub(crate) fn live(layout: &Layout, id: &ReleaseId) -> Live {
    let version = find(layout, id).ok().flatten().and_then(|sidecar| sidecar.version);
    Live::new(id.as_str(), version)
}

/// Every release under the root, the one shipped last first.
pub(crate) fn all(layout: &Layout) -> Result<Vec<Sidecar>> {
    let path = layout.releases();
    let dir = match fs::read_dir(&path) {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error(code::IO, "read the releases", &path, error)),
    };
    let mut found = Vec::new();
    for entry in dir {
        let name = entry.doing("read the releases", &path)?.file_name();
        let id = name.to_str().and_then(|name| name.parse::<ReleaseId>().ok());
        if let Some(id) = id
            && let Some(sidecar) = find(layout, &id)?
        {
            found.push(sidecar);
        }
    }
    found.sort_by_key(|sidecar| std::cmp::Reverse(sidecar.run));
    Ok(found)
}
