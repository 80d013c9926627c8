//! Files that are whole or not there, before and after a crash.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use gatekit_core::{NextAction, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::code;
use crate::error::{Doing as _, io_error, refuse};

/// The version of every file this crate writes.
pub(crate) const VERSION: u32 = 1;

pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|dir| dir.sync_all()).doing("make a directory durable", path)
}

/// Makes a directory and its missing parents, durably.
pub(crate) fn make_dir(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
        match fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => {
                return Err(io_error(code::IO, "make a directory", path, error));
            }
            _ => sync_dir(parent)?,
        }
    }
    Ok(())
}

/// Replaces `path` by one rename. Callers hold the fence, so one temporary name is enough.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let temporary = path.with_extension("json.new");
    let text = serde_json::to_vec_pretty(value)
        .map_err(|source| refuse(code::CORRUPT, "a record has no JSON form").with_source(source))?;
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(source) = written {
        // The write's own error is the one to tell; a left-over is overwritten by the next write.
        let _ = fs::remove_file(&temporary);
        return Err(io_error(code::IO, "write a record", path, source));
    }
    path.parent().map_or(Ok(()), sync_dir)
}

/// The record at `path`, or `None` when there is none.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(code::IO, "read a record", path, error)),
    };
    let value = serde_json::from_slice::<Value>(&text).map_err(|source| corrupt(path, source))?;
    if value.get("v").and_then(Value::as_u64).is_some_and(|v| v > u64::from(VERSION)) {
        return Err(refuse(code::NEWER, "a record was written by a newer build")
            .with_context("path", path.display())
            .with_next(NextAction::outside("use the newer build for this root")));
    }
    serde_json::from_value(value).map(Some).map_err(|source| corrupt(path, source))
}

fn corrupt(path: &Path, source: serde_json::Error) -> gatekit_core::Error {
    refuse(code::CORRUPT, "a record cannot be understood")
        .with_context("path", path.display())
        .with_next(NextAction::outside(
            "find out what changed the file; restore it, or move it away once no process of the \
             service runs",
        ))
        .with_source(source)
}
