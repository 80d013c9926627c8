//! `supabase/config.toml`, as far as it is about functions.

use std::collections::BTreeMap;
use std::env;

use gatekit_core::Result;
use serde::Deserialize;

use super::paths::{Root, about};
use crate::code;

pub(super) const PATH: &str = "supabase/config.toml";

/// The folder that paths in it are seen from.
pub(super) const FOLDER: &str = "supabase";

/// The largest configuration, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// What is configured of the functions, by their slugs.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Config {
    #[serde(default)]
    pub(super) functions: BTreeMap<String, Configured>,
    /// What is configured otherwise for some projects.
    #[serde(default)]
    remotes: BTreeMap<String, Remote>,
}

/// What is configured for one project.
#[derive(Debug, Deserialize)]
struct Remote {
    project_id: Option<String>,
    #[serde(default)]
    functions: BTreeMap<String, Configured>,
}

/// What is configured of one.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Configured {
    pub(super) enabled: Option<bool>,
    pub(super) verify_jwt: Option<bool>,
    pub(super) entrypoint: Option<String>,
    pub(super) import_map: Option<String>,
    pub(super) static_files: Option<Vec<String>>,
}

impl Configured {
    /// Lets what another says come before what it says itself.
    fn merge(&mut self, other: Self) {
        self.enabled = other.enabled.or(self.enabled);
        self.verify_jwt = other.verify_jwt.or(self.verify_jwt);
        self.entrypoint = other.entrypoint.or(self.entrypoint.take());
        self.import_map = other.import_map.or(self.import_map.take());
        self.static_files = other.static_files.or(self.static_files.take());
    }
}

impl Remote {
    /// Whether it is that project's, which may stand in a variable, as `env(NAME)`.
    fn is_of(&self, reference: &str) -> bool {
        let id = self.project_id.as_deref().unwrap_or_default();
        let variable = id.strip_prefix("env(").and_then(|it| it.strip_suffix(')'));
        match variable {
            Some(name) => env::var(name).is_ok_and(|it| it == reference),
            None => id == reference,
        }
    }
}

impl Config {
    /// What is configured for a project; nothing when there is no such file.
    pub(super) fn read(root: &Root, reference: &str) -> Result<Self> {
        let mut config = Self::of_all(root)?;
        let remotes = std::mem::take(&mut config.remotes);
        let mut own = remotes.into_iter().filter(|(_, it)| it.is_of(reference));
        let (first, second) = (own.next(), own.next());
        if let (Some((one, _)), Some((other, _))) = (&first, &second) {
            let what = "two remotes are of one project";
            return Err(about(code::FUNCTIONS_CONFIG, what, PATH, "")
                .with_context("remotes", format!("{one}, {other}")));
        }
        for (slug, configured) in first.into_iter().flat_map(|(_, it)| it.functions) {
            config.functions.entry(slug).or_default().merge(configured);
        }
        Ok(config)
    }

    fn of_all(root: &Root) -> Result<Self> {
        if !root.has(PATH) {
            return Ok(Self::default());
        }
        let bytes = root.read(PATH, "", LARGEST)?;
        toml::from_slice(&bytes).map_err(|error| {
            // The text of the error quotes the line: there may be a password in it.
            let at = error.span().map_or(0, |span| span.start);
            let before = bytes.get(..at).unwrap_or_default();
            let line = 1 + before.iter().filter(|it| **it == b'\n').count();
            let what = "the configuration cannot be read";
            about(code::FUNCTIONS_CONFIG, what, PATH, "").with_context("line", line)
        })
    }
}
