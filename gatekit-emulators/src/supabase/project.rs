//! The functions and secrets of a project, as its owner sees them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// The project: what only its owner sees and does.
#[derive(Debug, Default)]
pub struct Project {
    pub(super) functions: BTreeMap<String, Function>,
    /// What was bundled and may be switched to, by its checksum.
    pub(super) bundles: BTreeMap<String, Vec<u8>>,
    /// The newest version that bundling alone has given out, by slug: the list tells it once it is switched to.
    given_out: BTreeMap<String, i64>,
    secrets: BTreeSet<String>,
    made: u64,
    /// How many calls have changed a function.
    effects: u64,
    pub(super) limit: Option<usize>,
    pub(super) turns_jwt_to: Option<bool>,
    pub(super) garbles_bodies: bool,
    unstable: bool,
}

/// A function: what the API tells of it, and its artefact.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) told: Map<String, Value>,
    pub(super) body: Vec<u8>,
}

impl Project {
    /// How many calls have changed what a function does so far: a version that merely catches up is none.
    #[must_use]
    pub fn effects(&self) -> u64 {
        self.effects
    }

    /// What is deployed under that slug, as the API tells it.
    #[must_use]
    pub fn told(&self, slug: &str) -> Option<&Map<String, Value>> {
        self.functions.get(slug).map(|it| &it.told)
    }

    /// The same, to be altered behind everybody's back.
    pub fn told_mut(&mut self, slug: &str) -> Option<&mut Map<String, Value>> {
        self.functions.get_mut(slug).map(|it| &mut it.told)
    }

    /// The artefact of a function.
    #[must_use]
    pub fn body(&self, slug: &str) -> Option<&[u8]> {
        self.functions.get(slug).map(|it| &*it.body)
    }

    /// Deploys a function of one file, as somebody else would.
    pub fn deploy(&mut self, slug: &str, source: &str, verify_jwt: bool) {
        let entrypoint = format!("supabase/functions/{slug}/index.ts");
        let body = bundle(&[(&entrypoint, source.as_bytes())], "", 0);
        let asked =
            json!({ "entrypoint_path": entrypoint, "verify_jwt": verify_jwt, "name": slug });
        self.put_artefact(slug, body, asked.as_object().cloned().unwrap_or_default());
    }

    /// Removes a function, as somebody else would.
    pub fn remove(&mut self, slug: &str) -> bool {
        let removed = self.functions.remove(slug).is_some();
        self.given_out.remove(slug);
        self.effects += u64::from(removed);
        removed
    }

    /// Sets a secret, whose value nobody needs.
    pub fn set_secret(&mut self, name: &str) {
        self.secrets.insert(name.to_owned());
    }

    /// Forgets a secret.
    pub fn unset_secret(&mut self, name: &str) {
        self.secrets.remove(name);
    }

    /// Lets it have so many functions at most.
    pub fn limit_functions(&mut self, most: usize) {
        self.limit = Some(most);
    }

    /// Gives every function that is deployed that `verify_jwt`, whatever was asked for.
    pub fn turn_jwt_to(&mut self, verify_jwt: bool) {
        self.turns_jwt_to = Some(verify_jwt);
    }

    /// Answers other bodies than those that are live.
    pub fn garble_bodies(&mut self) {
        self.garbles_bodies = true;
    }

    /// Gives a function that artefact, whatever is told of it.
    pub fn set_body(&mut self, slug: &str, body: impl Into<Vec<u8>>) {
        if let Some(function) = self.functions.get_mut(slug) {
            function.body = body.into();
        }
    }

    /// Bundles the same files into another artefact each time, as when what they import from elsewhere moves.
    pub fn bundle_unstably(&mut self) {
        self.unstable = true;
    }

    pub(super) fn secrets(&self) -> Value {
        let told = |name: &String| {
            json!({ "name": name, "value": sha256(format!("value of {name}").as_bytes()),
                    "updated_at": "2026-11-01T00:00:00.000Z" })
        };
        self.secrets.iter().map(told).collect()
    }

    /// The artefact of these files.
    pub(super) fn bundled(&mut self, files: &[(&str, &[u8])], how: &str) -> Vec<u8> {
        self.made += u64::from(self.unstable);
        bundle(files, how, self.made)
    }

    /// The version that comes next.
    pub(super) fn next_version(&self, slug: &str) -> i64 {
        self.version(slug).max(self.given_out(slug)) + 1
    }

    /// The version that the list tells.
    fn version(&self, slug: &str) -> i64 {
        let version = self.functions.get(slug).and_then(|it| it.told.get("version")?.as_i64());
        version.unwrap_or_default()
    }

    fn given_out(&self, slug: &str) -> i64 {
        self.given_out.get(slug).copied().unwrap_or_default()
    }

    /// Keeps what was bundled alone, as a version that nothing but a switch can follow.
    pub(super) fn give_out(&mut self, slug: &str, body: Vec<u8>) {
        let version = self.next_version(slug);
        self.given_out.insert(slug.to_owned(), version);
        self.bundles.insert(sha256(&body), body);
    }

    /// Whether a version is not newer than one that there is.
    pub(super) fn is_stale(&self, slug: &str, version: i64) -> bool {
        version <= self.version(slug) || version < self.given_out(slug)
    }

    /// Whether what is deployed by itself, which follows the version that the list tells, is in the way of what
    /// was bundled alone and never switched to.
    pub(super) fn is_stranded(&self, slug: &str) -> bool {
        self.version(slug) < self.given_out(slug)
    }

    /// What the API tells of a function that is deployed as asked: what is not said stays as it is.
    pub(super) fn telling(
        &self,
        slug: &str,
        body: &[u8],
        asked: &Map<String, Value>,
    ) -> Map<String, Value> {
        let mut told = self.functions.get(slug).map(|it| it.told.clone()).unwrap_or_else(|| {
            let id = &sha256(slug.as_bytes())[..12];
            let new = json!({
                "id": format!("00000000-0000-4000-8000-{id}"), "slug": slug, "name": slug,
                "status": "ACTIVE", "verify_jwt": true, "created_at": 1_700_000_000_000_i64,
            });
            new.as_object().cloned().unwrap_or_default()
        });
        let keys = ["name", "verify_jwt", "entrypoint_path", "import_map_path", "import_map"];
        for (key, value) in keys.iter().filter_map(|key| Some((*key, asked.get(*key)?))) {
            told.insert(key.to_owned(), value.clone());
        }
        if let Some(path) = asked.get("import_map_path").and_then(Value::as_str) {
            told.insert("import_map".to_owned(), json!(!path.is_empty()));
            if path.is_empty() {
                told.remove("import_map_path");
            }
        }
        if let Some(turned) = self.turns_jwt_to {
            told.insert("verify_jwt".to_owned(), json!(turned));
        }
        let version = self.next_version(slug);
        told.insert("version".to_owned(), json!(version));
        told.insert("ezbr_sha256".to_owned(), json!(sha256(body)));
        told.insert("updated_at".to_owned(), json!(1_700_000_000_000 + version * 1000));
        told
    }

    /// Makes an artefact live as the next version.
    pub(super) fn put_artefact(
        &mut self,
        slug: &str,
        body: Vec<u8>,
        asked: Map<String, Value>,
    ) -> Map<String, Value> {
        let told = self.telling(slug, &body, &asked);
        self.set(slug, Function { told: told.clone(), body });
        self.effects += 1;
        told
    }

    pub(super) fn set(&mut self, slug: &str, function: Function) {
        self.functions.insert(slug.to_owned(), function);
    }

    pub(super) fn one_effect(&mut self) {
        self.effects += 1;
    }
}

/// The artefact of these files: another one with every change of them.
fn bundle(files: &[(&str, &[u8])], how: &str, number: u64) -> Vec<u8> {
    let mut files = files.to_vec();
    files.sort_unstable();
    let mut bytes = b"EZBR".to_vec();
    bytes.extend_from_slice(format!("{how}\0{number}\0").as_bytes());
    for (name, content) in files {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(content);
        bytes.push(0);
    }
    bytes
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
