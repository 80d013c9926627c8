//! `supabase/config.toml`, as far as it is about functions.

use std::collections::BTreeMap;

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
}

/// What is configured of one.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Configured {
    pub(super) enabled: Option<bool>,
    pub(super) verify_jwt: Option<bool>,
    pub(super) entrypoint: Option<String>,
    pub(super) import_map: Option<String>,
    #[serde(default)]
    pub(super) static_files: Vec<String>,
}

impl Config {
    /// What is configured; nothing when there is no such file.
    pub(super) fn read(root: &Root) -> Result<Self> {
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
