//! Reading a directory to its manifest, with or without copying it.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use gatekit_core::{Digest, Error, Hasher, NextAction, Result};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::code;
use crate::durable::sync_dir;
use crate::error::{Doing as _, WithEffect as _, io_error, refuse};

/// How many links may follow each other, as on Linux.
const LINK_HOPS: u32 = 40;

/// What is in a tree, sorted by path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Manifest(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// Relative, in the spelling of [`encode`].
    path: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Dir,
    File { sha256: Digest, executable: bool },
    Link { target: String },
}

impl Manifest {
    pub(crate) fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update("gatekit tree 1\n");
        for Entry { path, kind } in &self.0 {
            // No field contains a NUL or a line feed: `encode` escapes both.
            hasher.update(match kind {
                Kind::Dir => format!("d\0{path}\n"),
                Kind::File { sha256, executable: false } => format!("f\0{path}\0{sha256}\n"),
                Kind::File { sha256, executable: true } => format!("x\0{path}\0{sha256}\n"),
                Kind::Link { target } => format!("l\0{path}\0{target}\n"),
            });
        }
        hasher.finish()
    }

    /// The first difference between the manifest and the files in `dir`; files that the manifest
    /// does not name are left out of account, because services write caches where they run.
    pub(crate) fn altered(&self, dir: &Path) -> Result<Option<String>> {
        for Entry { path, kind } in &self.0 {
            let file = dir.join(decode(path));
            let same = match fs::symlink_metadata(&file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                Err(error) => return Err(io_error(code::IO, "read a release", &file, error)),
                Ok(meta) => match kind {
                    Kind::Dir => meta.is_dir(),
                    Kind::Link { target } => {
                        meta.is_symlink()
                            && encode(
                                fs::read_link(&file).doing("read a release", &file)?.as_os_str(),
                            ) == *target
                    }
                    Kind::File { sha256, executable } => {
                        meta.is_file()
                            && is_executable(&meta) == *executable
                            && pump(&file, None).no_effect()?.0 == *sha256
                    }
                },
            };
            if !same {
                return Ok(Some(path.clone()));
            }
        }
        Ok(None)
    }
}

/// The manifest of `source`, copied durably into the new directory `copy` when one is given. What
/// is hashed is what is written, so a file that changes meanwhile shows in the digest.
pub(crate) fn read(source: &Path, copy: Option<&Path>) -> Result<Manifest> {
    match fs::metadata(source) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return Err(missing(source, "is not a directory")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(missing(source, "does not exist"));
        }
        Err(error) => return Err(error).reading("read the directory to ship", source),
    }
    let mut reader = Reader { source, copy, entries: Vec::new(), links: BTreeMap::new() };
    reader.dir(Path::new(""))?;
    let Reader { mut entries, links, .. } = reader;
    if !entries.iter().any(|entry| matches!(entry.kind, Kind::File { .. })) {
        return Err(refuse(code::SOURCE_EMPTY, "the directory to ship has no file in it")
            .with_context("path", source.display())
            .with_next(NextAction::outside("build the application, then ship again")));
    }
    check_links(source, &links)?;
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Manifest(entries))
}

struct Reader<'a> {
    source: &'a Path,
    copy: Option<&'a Path>,
    entries: Vec<Entry>,
    links: BTreeMap<PathBuf, PathBuf>,
}

impl Reader<'_> {
    /// Reads everything below `top`. A list of what is to be done instead of recursion: the depth
    /// of a tree is its owner's choice.
    fn dir(&mut self, top: &Path) -> Result<()> {
        let mut todo = vec![top.to_owned()];
        let mut made = Vec::new();
        while let Some(dir) = todo.pop() {
            let from = self.source.join(&dir);
            if let Some(copy) = self.copy {
                let to = copy.join(&dir);
                let meta = fs::metadata(&from).reading("read a directory", &from)?;
                // The owner must be able to remove it again; nobody else gets more than before.
                let mode = meta.permissions().mode() & 0o777 | 0o700;
                DirBuilder::new().mode(mode).create(&to).doing("make a directory", &to)?;
                made.push(to);
            }
            for entry in fs::read_dir(&from).reading("read a directory", &from)? {
                let name = entry.reading("read a directory", &from)?.file_name();
                let path = dir.join(name);
                let full = self.source.join(&path);
                let kind = fs::symlink_metadata(&full).reading("read a file", &full)?.file_type();
                let kind = if kind.is_dir() {
                    todo.push(path.clone());
                    Kind::Dir
                } else if kind.is_symlink() {
                    self.link(&path)?
                } else if kind.is_file() {
                    let (sha256, executable) =
                        pump(&full, self.copy.map(|copy| copy.join(&path)).as_deref())?;
                    Kind::File { sha256, executable }
                } else {
                    return Err(special(&full));
                };
                self.entries.push(Entry { path: encode(path.as_os_str()), kind });
            }
        }
        made.iter().rev().try_for_each(|dir| sync_dir(dir))
    }

    fn link(&mut self, path: &Path) -> Result<Kind> {
        let full = self.source.join(path);
        let target = fs::read_link(&full).reading("read a link", &full)?;
        if let Some(copy) = self.copy {
            let to = copy.join(path);
            symlink(&target, &to).doing("make a link", &to)?;
        }
        let kind = Kind::Link { target: encode(target.as_os_str()) };
        self.links.insert(path.to_owned(), target);
        Ok(kind)
    }
}

/// Hashes a regular file, and writes what was hashed to `to` durably.
fn pump(from: &Path, to: Option<&Path>) -> Result<(Digest, bool)> {
    // A path that became a link or a fifo since it was listed is neither followed nor waited for.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut input = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(from)
        .reading("read a file", from)?;
    let meta = input.metadata().reading("read a file", from)?;
    if !meta.is_file() {
        return Err(special(from));
    }
    let mut output = match to {
        None => None,
        Some(to) => {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
            Some((file.doing("make a file", to)?, to))
        }
    };
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).reading("read a file", from),
        };
        hasher.update(&buffer[..read]);
        if let Some((file, to)) = &mut output {
            file.write_all(&buffer[..read]).doing("write a file", to)?;
        }
    }
    if let Some((file, to)) = output {
        finish(&file, meta.permissions().mode()).doing("write a file", to)?;
    }
    Ok((hasher.finish(), is_executable(&meta)))
}

/// Private files stay private; set-uid bits are not carried over.
fn finish(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode & 0o777 | 0o600))?;
    file.sync_all()
}

fn is_executable(meta: &fs::Metadata) -> bool {
    meta.permissions().mode() & 0o100 != 0
}

/// Refuses links that lead out of the tree, whatever other links lie on their way.
fn check_links(source: &Path, links: &BTreeMap<PathBuf, PathBuf>) -> Result<()> {
    links.iter().try_for_each(|(path, target)| {
        escapes(path, target, links).map_or(Ok(()), |why| {
            Err(refuse(code::SYMLINK, format!("a symbolic link {why}"))
                .with_context("path", source.join(path).display())
                .with_context("target", target.display())
                .with_next(NextAction::outside(
                    "replace the link by what it points to, or by a relative link in the tree",
                )))
        })
    })
}

fn escapes(path: &Path, target: &Path, links: &BTreeMap<PathBuf, PathBuf>) -> Option<&'static str> {
    let mut here = path.parent().map(Path::to_owned).unwrap_or_default();
    let mut todo: VecDeque<Component<'_>> = target.components().collect();
    let mut hops = 0;
    while let Some(step) = todo.pop_front() {
        match step {
            Component::Prefix(_) | Component::RootDir => return Some("is absolute"),
            Component::CurDir => {}
            Component::ParentDir => {
                if !here.pop() {
                    return Some("leads out of the directory to ship");
                }
            }
            Component::Normal(name) => {
                here.push(name);
                if let Some(next) = links.get(&here) {
                    hops += 1;
                    if hops > LINK_HOPS {
                        return Some("goes round in a circle");
                    }
                    here.pop();
                    for step in next.components().rev() {
                        todo.push_front(step);
                    }
                }
            }
        }
    }
    None
}

/// A path as text and back without loss: what is not UTF-8, control characters and `%` become `%XX`.
pub(crate) fn encode(path: &OsStr) -> String {
    let mut text = String::new();
    let escape = |text: &mut String, bytes: &[u8]| {
        for byte in bytes {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    };
    for chunk in path.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '%' || c.is_control() {
                escape(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(c);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

fn decode(text: &str) -> OsString {
    let bytes = text.as_bytes();
    let mut path = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%')
            .then(|| text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok()))
            .flatten();
        path.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    OsString::from_vec(path)
}

fn missing(source: &Path, what: &str) -> Error {
    refuse(code::SOURCE_MISSING, format!("the directory to ship {what}"))
        .with_context("path", source.display())
        .with_next(NextAction::outside(
            "build the application or correct the path, then ship again",
        ))
}

fn special(path: &Path) -> Error {
    refuse(code::SPECIAL_FILE, "a fifo, socket or device cannot be shipped")
        .with_context("path", path.display())
        .with_next(NextAction::outside("remove it from the directory to ship"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_survives_its_spelling() {
        for bytes in [&b"a/b"[..], b"%", b"%41", b"\xff\xfe", b"a\nb\0", "häß/x".as_bytes()] {
            let path = OsStr::from_bytes(bytes);
            assert_eq!(decode(&encode(path)), path, "{path:?}");
        }
        assert_eq!(encode(OsStr::from_bytes(b"a\xff%")), "a%FF%25");
    }

    #[test]
    fn a_link_is_judged_by_where_it_really_leads() {
        let links: BTreeMap<PathBuf, PathBuf> =
            [("a/b", "../c"), ("loop", "loop"), ("ok", "a/b/x")]
                .map(|(path, target)| (path.into(), target.into()))
                .into();
        let judge = |path: &str, target: &str| escapes(path.as_ref(), target.as_ref(), &links);
        assert_eq!(judge("x", "a/y"), None);
        assert_eq!(judge("d/x", "../a"), None);
        assert_eq!(judge("x", "ok/../z"), None);
        assert!(judge("x", "/etc").is_some());
        assert!(judge("x", "../x").is_some());
        assert!(judge("x", "a/b/../../etc").is_some(), "in the tree by its text only");
        assert!(judge("x", "loop").is_some());
    }
}
