//! The files of a function, as the Supabase CLI finds them.

use std::collections::BTreeSet;

use gatekit_core::Result;

use super::config::{self, Config};
use super::import_map::{ImportMap, Leads};
use super::imports::imports;
use super::paths::{Root, about, outside, unreadable};
use super::source::Function;
use crate::code;

/// The most that is sent of a function, in bytes.
pub(super) const LARGEST: u64 = 64 * 1024 * 1024;

const FUNCTIONS: &str = "supabase/functions";

/// The files in which imports are looked for.
const SCRIPTS: [&str; 8] = [".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs"];

/// A function as it is in the project.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) entrypoint: String,
    pub(super) import_map: Option<String>,
    pub(super) static_patterns: Vec<String>,
    pub(super) verify_jwt: Option<bool>,
    /// In the order in which they are sent.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

/// Reads a function: its import map, its entrypoint, what that imports, and its static files.
pub(super) fn find(root: &Root, config: &Config, wanted: &Function) -> Result<Found> {
    let slug = &wanted.slug;
    let none = config::Configured::default();
    let configured = config.functions.get(slug).unwrap_or(&none);
    if configured.enabled == Some(false) {
        let what = "the function is disabled in the configuration";
        return Err(
            about(code::FUNCTIONS_CONFIG, what, config::PATH, "").with_context("function", slug)
        );
    }
    let entrypoint = match &configured.entrypoint {
        Some(path) => root.named(config::FOLDER, path, config::PATH)?,
        None => format!("{FUNCTIONS}/{slug}/index.ts"),
    };
    let import_map = match (&wanted.import_map, &configured.import_map) {
        (Some(path), _) => Some(root.named("", path, "")?),
        (None, Some(path)) => Some(root.named(config::FOLDER, path, config::PATH)?),
        (None, None) => {
            let beside = ["deno.json", "deno.jsonc", "import_map.json"];
            let beside = beside.map(|name| format!("{FUNCTIONS}/{slug}/{name}"));
            let shared = format!("{FUNCTIONS}/import_map.json");
            beside.into_iter().chain([shared]).find(|path| root.has(path))
        }
    };
    let patterns = configured.static_files.iter().flatten();
    let patterns = patterns.map(|it| root.named(config::FOLDER, it, config::PATH));
    let static_patterns = patterns.collect::<Result<Vec<_>>>()?;
    let mut gathering = Gathering { root, left: LARGEST, seen: BTreeSet::new(), files: Vec::new() };
    let map = match &import_map {
        Some(path) => gathering.map(path)?,
        None => ImportMap::default(),
    };
    gathering.scripts(&entrypoint, &map)?;
    for pattern in &static_patterns {
        for path in root.matching(pattern, config::PATH)? {
            gathering.take(&path, config::PATH)?;
        }
    }
    Ok(Found {
        entrypoint,
        import_map,
        static_patterns,
        verify_jwt: wanted.verify_jwt.or(configured.verify_jwt),
        files: gathering.files,
    })
}

struct Gathering<'a> {
    root: &'a Root,
    left: u64,
    seen: BTreeSet<String>,
    files: Vec<(String, Vec<u8>)>,
}

impl Gathering<'_> {
    /// Takes a file, which `of` names; nothing when it was taken already.
    fn take(&mut self, path: &str, of: &str) -> Result<Option<&[u8]>> {
        if !self.seen.insert(path.to_owned()) {
            return Ok(None);
        }
        let bytes = self.root.read(path, of, self.left)?;
        self.left = self.left.saturating_sub(bytes.len() as u64);
        self.files.push((path.to_owned(), bytes));
        Ok(self.files.last().map(|(_, bytes)| &**bytes))
    }

    /// Takes an import map, and the one that it names in its place.
    fn map(&mut self, path: &str) -> Result<ImportMap> {
        let map = ImportMap::parse(path, self.take(path, "")?.unwrap_or_default())?;
        let Some(elsewhere) = map.elsewhere() else { return Ok(map) };
        let named = self.root.named(map.folder(), elsewhere, path)?;
        match self.take(&named, path)? {
            Some(bytes) => ImportMap::parse(&named, bytes),
            None => Ok(map),
        }
    }

    /// Takes a script and whatever it imports of the project.
    fn scripts(&mut self, entrypoint: &str, map: &ImportMap) -> Result<()> {
        let mut next = vec![(entrypoint.to_owned(), String::new())];
        let mut at = 0;
        while let Some((path, of)) = next.get(at).cloned() {
            at += 1;
            let Some(bytes) = self.take(&path, &of)? else { continue };
            if !SCRIPTS.iter().any(|it| path.ends_with(it)) {
                continue;
            }
            let script = std::str::from_utf8(bytes);
            let script = script.map_err(|error| unreadable(&path, &of).with_source(error))?;
            for specifier in imports(script) {
                match map.lead(&path, &specifier) {
                    Leads::To(imported) => next.push((imported, path.clone())),
                    Leads::Outside => return Err(outside(&specifier, &path)),
                    Leads::Elsewhere => {}
                }
            }
        }
        Ok(())
    }
}
