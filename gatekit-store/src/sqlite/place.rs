//! Where a ledger is, and whether it can be there.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use gatekit_core::{NextAction, Result};
use rustix::fs::{Access, access};

use super::error;

/// `$XDG_STATE_HOME/gatekit/ledger.db`, else the same below `~/.local/state`.
pub(super) fn default_path() -> Result<PathBuf> {
    // The XDG specification has relative paths ignored.
    let state = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = match state {
        Some(state) => state,
        None => env::home_dir()
            .filter(|home| home.is_absolute())
            .ok_or_else(|| {
                error::plain(Path::new("~/.local/state/gatekit/ledger.db"), "find a home directory")
                    .with_next(NextAction::outside("set `XDG_STATE_HOME` to an absolute path"))
            })?
            .join(".local/state"),
    };
    Ok(state.join("gatekit").join("ledger.db"))
}

/// Tells a file from any other, also from one that has taken its place: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

/// Which file is at that path now, if one is.
pub(super) fn file_id(path: &Path) -> Option<FileId> {
    fs::metadata(path).ok().map(|meta| FileId(meta.dev(), meta.ino()))
}

/// The size of the header that every SQLite file begins with.
const HEADER: u64 = 100;

/// What is at the path of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// A file without content, which counts as new.
    Empty,
    Content,
}

/// Looks at the path; a directory, or a path that cannot be looked at, is an error.
pub(super) fn look(path: &Path) -> Result<Found> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error::os(path, "look at its file", error)),
    };
    if !meta.is_file() {
        return Err(error::plain(path, "open its file: the path is not that of a file"));
    }
    match meta.len() {
        0 => {}
        // SQLite takes a file of one byte for an empty one, and would write over it.
        1..HEADER => return Err(error::corrupt(path).with_context("found", "no whole header")),
        _ => return Ok(Found::Content),
    }
    // SQLite would throw the side file away and begin anew; entries may be in it.
    if size(&beside(path, "-wal")) > 0 {
        return Err(error::corrupt(path).with_context("found", "an empty file beside its log"));
    }
    Ok(Found::Empty)
}

/// Refuses a file that a person marked as not to be written, which would not stop root, and one in
/// a place where nothing can be written.
pub(super) fn check_writable(path: &Path, found: Found) -> Result<()> {
    if found != Found::Nothing {
        let meta =
            fs::metadata(path).map_err(|error| error::os(path, "look at its file", error))?;
        if meta.permissions().mode() & 0o222 == 0 {
            return Err(error::read_only(path, "the file has no write permission"));
        }
        writable(path, path, "the file cannot be written")?;
    }
    let real = resolved(path);
    let directory = real.parent().unwrap_or(&real);
    writable(path, directory, "its directory cannot be written")
}

fn writable(ledger: &Path, path: &Path, why: &str) -> Result<()> {
    match access(path, Access::WRITE_OK) {
        Ok(()) => Ok(()),
        Err(errno @ (rustix::io::Errno::ACCESS | rustix::io::Errno::ROFS)) => {
            Err(error::read_only(ledger, why).with_source(io::Error::from(errno)))
        }
        Err(errno) => Err(error::os(ledger, "look at its file", errno.into())),
    }
}

/// Creates the directories above the ledger.
pub(super) fn create_parents(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).map_err(|error| {
        if error.kind() == io::ErrorKind::PermissionDenied {
            error::read_only(path, "its directory cannot be created").with_source(error)
        } else {
            error::os(path, "create its directory", error)
        }
    })
}

/// The path with symbolic links followed, as SQLite names the files beside it.
pub(super) fn resolved(path: &Path) -> PathBuf {
    // A path that does not exist yet has no links to follow.
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The file that SQLite keeps beside the ledger under that suffix.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = resolved(path).into_os_string();
    name.push(suffix);
    name.into()
}

/// The size of a file; nothing when there is none.
pub(super) fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

/// Refuses a network file system: its locks do not hold, and the processes of another machine would
/// be taken for dead.
pub(super) fn check_local(path: &Path) -> Result<()> {
    let Some(there) = path.ancestors().find(|path| path.exists()) else { return Ok(()) };
    match network_name(there) {
        Ok(None) => Ok(()),
        Ok(Some(name)) => Err(error::network(path, name)),
        Err(errno) => Err(error::os(path, "look at its file system", errno.into())),
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn network_name(path: &Path) -> rustix::io::Result<Option<&'static str>> {
    Ok(network_of(rustix::fs::statfs(path)?.f_type as u64))
}

/// Only Linux tells the kind by a number.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn network_name(_: &Path) -> rustix::io::Result<Option<&'static str>> {
    Ok(None)
}

/// The network file system of that magic number (statfs(2), linux/magic.h). 9p and FUSE are not
/// among them: virtual machines and containers mount local disks with those.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn network_of(magic: u64) -> Option<&'static str> {
    // The field is signed on some platforms.
    Some(match magic & 0xFFFF_FFFF {
        0x6969 => "nfs",
        0x517B => "smb",
        0xFF53_4D42 => "cifs",
        0xFE53_4D42 => "smb2",
        0x5346_414F | 0x6B41_4653 => "afs",
        0x00C3_6400 => "ceph",
        0x0BD0_0BD0 => "lustre",
        0x7375_7245 => "coda",
        0x564C => "ncp",
        0x0116_1970 => "gfs2",
        0x7461_636F => "ocfs2",
        0x4750_4653 => "gpfs",
        0x1983_0326 => "beegfs",
        0xAAD7_AAEA => "panfs",
        _ => return None,
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_told_from_local_ones() {
        // As linux/magic.h and the file systems' own sources define them.
        for (magic, name) in [
            (0x6969, "nfs"),
            (0x517B, "smb"),
            (0xFF53_4D42, "cifs"),
            (0xFE53_4D42, "smb2"),
            (0xFFFF_FFFF_FE53_4D42, "smb2"),
            (0x5346_414F, "afs"),
            (0x6B41_4653, "afs"),
            (0x00C3_6400, "ceph"),
            (0x0BD0_0BD0, "lustre"),
            (0x7375_7245, "coda"),
            (0x564C, "ncp"),
            (0x0116_1970, "gfs2"),
            (0x7461_636F, "ocfs2"),
            (0x4750_4653, "gpfs"),
            (0x1983_0326, "beegfs"),
            (0xAAD7_AAEA, "panfs"),
        ] {
            assert_eq!(network_of(magic), Some(name), "{magic:x}");
        }
        // ext4, tmpfs, overlay, btrfs, xfs, 9p, FUSE.
        for magic in
            [0xEF53, 0x0102_1994, 0x794C_7630, 0x9123_683E, 0x5846_5342, 0x0102_1997, 0x6573_5546]
        {
            assert_eq!(network_of(magic), None, "{magic:x}");
        }
    }
}
