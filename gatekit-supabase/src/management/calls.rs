//! The calls, one for each use of an operation.

use gatekit_core::{Digest, Permit, Result};
use gatekit_http::Part;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::answers::{self, Deployed};
use super::client::Project;
use super::failed::{Failed, goes_without};
use crate::functions::Former;
use crate::operations::{
    DELETE_FUNCTION, DEPLOY_FUNCTION, FUNCTION_BODY, LIST_FUNCTIONS, LIST_SECRETS,
    SWITCH_FUNCTIONS, UPDATE_FUNCTION,
};

/// The largest artefact that is read, in bytes.
const LARGEST: usize = 64 * 1024 * 1024;

/// How artefacts begin, compressed and not.
const BEGINNINGS: [&[u8]; 2] = [b"EZBR", b"ESZIP"];

/// No artefact is shorter, in bytes.
const SHORTEST: usize = 16;

/// Whether these bytes can be an artefact at all.
pub(crate) fn is_artefact(bytes: &[u8]) -> bool {
    bytes.len() >= SHORTEST && BEGINNINGS.iter().any(|it| bytes.starts_with(it))
}

/// What artefacts are.
const ESZIP: &str = "application/vnd.denoland.eszip";

/// A function to be bundled.
#[derive(Debug)]
pub(crate) struct Upload<'a> {
    pub(crate) slug: &'a str,
    pub(crate) entrypoint: &'a str,
    pub(crate) import_map: Option<&'a str>,
    pub(crate) static_patterns: &'a [String],
    pub(crate) verify_jwt: bool,
    /// By their paths in the project.
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

impl Upload<'_> {
    /// The parts in the order of the Supabase CLI, version 3.
    fn parts(&self) -> Vec<Part> {
        let metadata = json!({
            "entrypoint_path": self.entrypoint,
            "import_map_path": self.import_map.unwrap_or_default(),
            "static_patterns": self.static_patterns,
            "verify_jwt": self.verify_jwt,
            "name": self.slug,
        });
        let files =
            self.files.iter().map(|(path, content)| Part::file("file", path, content.clone()));
        files.chain([Part::text("metadata", metadata.to_string())]).collect()
    }
}

impl Project {
    /// Those of these functions that are deployed.
    pub(crate) async fn functions(
        &self,
        slugs: impl IntoIterator<Item = &str>,
        deadline: Instant,
    ) -> Result<Vec<Deployed>> {
        let slugs: Vec<_> = slugs.into_iter().collect();
        let request = self.request(LIST_FUNCTIONS, "");
        let read = |body: &[u8]| answers::functions(LIST_FUNCTIONS, body, &slugs);
        self.read(LIST_FUNCTIONS, &request, deadline, read).await
    }

    /// The artefact that is live; the inner `Err` says why it cannot be had.
    pub(crate) async fn body(
        &self,
        slug: &str,
        deadline: Instant,
    ) -> Result<Result<Vec<u8>, String>> {
        let request = self.request(FUNCTION_BODY, slug).with_limit(LARGEST);
        let whole = |body: &[u8]| Ok(body.to_vec());
        let within = self.write_timeout();
        match self.read_within(within, FUNCTION_BODY, &request, deadline, whole).await {
            Ok(body) => Ok(Ok(body)),
            Err(error) if goes_without(&error) => Ok(Err(error.to_string())),
            Err(error) => Err(error),
        }
    }

    /// The names of the secrets.
    pub(crate) async fn secrets(&self, deadline: Instant) -> Result<Vec<String>> {
        let request = self.request(LIST_SECRETS, "");
        self.read(LIST_SECRETS, &request, deadline, |body| answers::names(LIST_SECRETS, body)).await
    }

    /// Bundles a function, which does not make it live.
    pub(crate) async fn bundle(&self, _: &Permit, upload: &Upload<'_>) -> Result<Deployed, Failed> {
        let request = self.request(DEPLOY_FUNCTION, "").with_query("slug", upload.slug);
        let request = request.with_query("bundleOnly", "true").with_form(upload.parts());
        let body = self.write(DEPLOY_FUNCTION, &request).await?;
        answers::function(DEPLOY_FUNCTION, &body)
    }

    /// Bundles a function and makes it live.
    pub(crate) async fn deploy(&self, _: &Permit, upload: &Upload<'_>) -> Result<Deployed, Failed> {
        let request = self.request(DEPLOY_FUNCTION, "").with_query("slug", upload.slug);
        let request = request.with_form(upload.parts());
        let body = self.write(DEPLOY_FUNCTION, &request).await?;
        answers::function(DEPLOY_FUNCTION, &body)
    }

    /// Makes what was bundled live, all at once. The API calls it idempotent. What it answers is read again.
    pub(crate) async fn switch(&self, _: &Permit, to: &[Deployed]) -> Result<(), Failed> {
        let items: Vec<_> = to.iter().map(item).collect();
        let request = self.request(SWITCH_FUNCTIONS, "").with_json(Value::Array(items).to_string());
        self.write(SWITCH_FUNCTIONS, &request).await.map(drop)
    }

    /// Makes an artefact live as a new version of a function that is to be as it was.
    pub(crate) async fn update(
        &self,
        _: &Permit,
        slug: &str,
        before: &Former,
        artefact: (&Digest, Vec<u8>),
    ) -> Result<(), Failed> {
        let (digest, bytes) = artefact;
        let mut request = self
            .request(UPDATE_FUNCTION, slug)
            .with_query("name", &before.name)
            .with_query("ezbr_sha256", digest.as_str())
            .with_query("verify_jwt", before.verify_jwt.to_string());
        let optional = [
            ("import_map", before.import_map.map(|it| it.to_string())),
            ("entrypoint_path", before.entrypoint_path.clone()),
            ("import_map_path", before.import_map_path.clone()),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                request = request.with_query(name, value);
            }
        }
        self.write(UPDATE_FUNCTION, &request.with_bytes(ESZIP, bytes)).await.map(drop)
    }

    /// Removes a function.
    pub(crate) async fn remove(&self, _: &Permit, slug: &str) -> Result<(), Failed> {
        self.write(DELETE_FUNCTION, &self.request(DELETE_FUNCTION, slug)).await.map(drop)
    }
}

/// A function as the bulk update takes it.
fn item(function: &Deployed) -> Value {
    let mut item = json!({
        "id": function.id, "slug": function.slug, "name": function.name,
        "status": function.status.as_str(), "version": function.version,
    });
    let optional = [
        ("verify_jwt", function.verify_jwt.map(Value::from)),
        ("import_map", function.import_map.map(Value::from)),
        ("entrypoint_path", function.entrypoint_path.clone().map(Value::from)),
        ("import_map_path", function.import_map_path.clone().map(Value::from)),
        ("ezbr_sha256", function.checksum.as_ref().map(|it| Value::from(it.as_str()))),
        ("created_at", function.created_at.map(Value::from)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            item[name] = value;
        }
    }
    item
}
