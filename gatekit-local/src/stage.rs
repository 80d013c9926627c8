//! Bringing a release under the root, and clearing old ones away.

use std::fs;
use std::io;
use std::path::Path;

use gatekit_core::{Digest, Error, NextAction, Permit, Result};

use crate::code;
use crate::durable::{VERSION, make_dir, sync_dir, write_json};
use crate::error::{Doing as _, WithEffect as _, io_error, refuse};
use crate::fence::Locked;
use crate::layout::{CURRENT, Layout, PREVIOUS};
use crate::release::{self, ReleaseId, Sidecar};
use crate::tree;

/// What is to be staged.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) id: &'a ReleaseId,
    pub(crate) tree: &'a Digest,
    pub(crate) start: &'a str,
    pub(crate) version: Option<&'a str>,
}

/// Copies `source` to `releases/<id>`, unless it is there and whole. `runs` says whether that very
/// release is running, and so must not be replaced.
pub(crate) fn stage(
    layout: &Layout,
    permit: &Permit,
    _: &Locked,
    source: &Path,
    wanted: &Wanted<'_>,
    runs: bool,
) -> Result<()> {
    let staging = layout.staging_of(permit.run());
    remove_tree(&staging).no_effect()?;
    if let Some(kept) = release::find(layout, wanted.id).no_effect()? {
        match kept.manifest.altered(&layout.release(wanted.id)).no_effect()? {
            None => return relabel(layout, permit, kept, wanted.version).no_effect(),
            Some(path) if runs => return Err(altered(layout, wanted.id, &path)),
            Some(_) => {}
        }
    }
    let staged = copy(layout, permit, source, wanted, &staging).no_effect();
    let cleaned = remove_tree(&staging).no_effect();
    // The copy's own error matters more than that of clearing up after it.
    staged.and(cleaned)
}

fn copy(
    layout: &Layout,
    permit: &Permit,
    source: &Path,
    wanted: &Wanted<'_>,
    staging: &Path,
) -> Result<()> {
    make_dir(staging)?;
    let new = staging.join("new");
    let manifest = tree::read(source, Some(&new))?;
    if manifest.digest() != *wanted.tree {
        return Err(source_changed(source, wanted.tree, &manifest.digest()));
    }
    let sidecar = Sidecar {
        v: VERSION,
        id: wanted.id.clone(),
        tree: wanted.tree.clone(),
        start: wanted.start.to_owned(),
        version: wanted.version.map(str::to_owned),
        run: permit.run(),
        manifest,
    };
    let home = layout.release(wanted.id);
    // A release counts only with both its record and its files, and the files arrive whole.
    write_json(&layout.sidecar(wanted.id), &sidecar)?;
    if home.exists() {
        fs::rename(&home, staging.join("old")).doing("put an altered release aside", &home)?;
    }
    fs::rename(&new, &home).doing("put a release in its place", &home)?;
    sync_dir(&layout.releases())
}

fn relabel(
    layout: &Layout,
    permit: &Permit,
    mut sidecar: Sidecar,
    version: Option<&str>,
) -> Result<()> {
    let version = version.map(str::to_owned).or_else(|| sidecar.version.clone());
    if sidecar.run == permit.run() && sidecar.version == version {
        return Ok(());
    }
    sidecar.run = permit.run();
    sidecar.version = version;
    write_json(&layout.sidecar(&sidecar.id), &sidecar)
}

/// A release that is shipped again without its source must be whole.
pub(crate) fn check_kept(layout: &Layout, id: &ReleaseId) -> Result<Sidecar> {
    let sidecar = release::get(layout, id)?;
    match sidecar.manifest.altered(&layout.release(id)).no_effect()? {
        None => Ok(sidecar),
        Some(path) => Err(altered(layout, id, &path)),
    }
}

/// Removes all but the `keep` newest releases, and what other runs left in staging. What a link or
/// `spare` names stays. Returns how many were removed.
pub(crate) fn prune(
    layout: &Layout,
    permit: &Permit,
    _: &Locked,
    keep: usize,
    spare: &[&ReleaseId],
) -> Result<usize> {
    let linked = [layout.link(CURRENT)?, layout.link(PREVIOUS)?];
    let spared =
        |id: &ReleaseId| spare.contains(&id) || linked.iter().flatten().any(|linked| linked == id);
    let staging = layout.staging_of(permit.run());
    let mut removed = 0;
    for sidecar in release::all(layout)?.iter().skip(keep).filter(|kept| !spared(&kept.id)) {
        make_dir(&staging)?;
        let home = layout.release(&sidecar.id);
        fs::rename(&home, staging.join(sidecar.id.as_str())).doing("put a release aside", &home)?;
        for file in [layout.sidecar(&sidecar.id), layout.log(&sidecar.id)] {
            remove_file(&file)?;
        }
        removed += 1;
    }
    let path = layout.staging();
    for entry in fs::read_dir(&path).doing("read staging", &path)? {
        remove_tree(&entry.doing("read staging", &path)?.path())?;
    }
    Ok(removed)
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error(code::IO, "remove a file", path, error))
        }
        _ => Ok(()),
    }
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error(code::IO, "remove a directory", path, error))
        }
        _ => Ok(()),
    }
}

pub(crate) fn source_changed(source: &Path, wanted: &Digest, found: &Digest) -> Error {
    refuse(code::SOURCE_CHANGED, "the directory to ship is not what was to be shipped")
        .with_context("path", source.display())
        .with_context("wanted", wanted.short())
        .with_context("found", found.short())
        .with_next(NextAction::outside("let nothing write to the directory, then ship it anew"))
}

fn altered(layout: &Layout, id: &ReleaseId, path: &str) -> Error {
    refuse(code::ALTERED, format!("a file of release `{id}` was changed after it was shipped"))
        .with_context("path", layout.release(id).join(path).display())
        .with_next(NextAction::outside("restore the file, or stop the service and ship again"))
}
