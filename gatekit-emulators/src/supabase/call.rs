//! A call by its names.

use std::time::Duration;

use serde_json::Value;

use super::form::Sent;
use crate::injection::Trouble;

/// A call that came in.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SupabaseCall {
    /// When, on the emulator's clock.
    pub at: Duration,
    /// The operation, as `DeployFunction`; empty when there is none.
    pub operation: &'static str,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its query, pair by pair.
    pub query: Vec<(String, String)>,
    /// What kind its body is said to be, without parameters.
    pub kind: String,
    /// The parts of its form.
    pub parts: Vec<Sent>,
    /// Its body, when that is JSON.
    pub json: Value,
    /// What went wrong with it.
    pub trouble: Option<Trouble>,
}

impl SupabaseCall {
    /// A value of the query.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(it, _)| it == name).map(|(_, value)| &**value)
    }

    /// The metadata of a deployed function.
    #[must_use]
    pub fn metadata(&self) -> Value {
        let part = self.parts.iter().find(|it| it.name == "metadata");
        part.and_then(|it| serde_json::from_slice(&it.content).ok()).unwrap_or_default()
    }

    /// The slug that the path names.
    pub(super) fn slug(&self) -> &str {
        self.path.trim_matches('/').split('/').nth(4).unwrap_or_default()
    }

    /// The project that the path names.
    pub(super) fn project(&self) -> &str {
        self.path.trim_matches('/').split('/').nth(2).unwrap_or_default()
    }
}

/// The operation of a method and a path.
pub(super) fn operation(method: &str, path: &str, bundles_only: bool) -> &'static str {
    let segments: Vec<_> = path.trim_matches('/').split('/').collect();
    match (method, segments.as_slice()) {
        ("GET", ["v1", "projects", _, "functions"]) => "ListFunctions",
        ("PUT", ["v1", "projects", _, "functions"]) => "BulkUpdateFunctions",
        ("POST", ["v1", "projects", _, "functions", "deploy"]) if bundles_only => "BundleFunction",
        ("POST", ["v1", "projects", _, "functions", "deploy"]) => "DeployFunction",
        ("GET", ["v1", "projects", _, "functions", _]) => "GetFunction",
        ("PATCH", ["v1", "projects", _, "functions", _]) => "UpdateFunction",
        ("DELETE", ["v1", "projects", _, "functions", _]) => "DeleteFunction",
        ("GET", ["v1", "projects", _, "functions", _, "body"]) => "GetFunctionBody",
        ("GET", ["v1", "projects", _, "secrets"]) => "ListSecrets",
        _ => "",
    }
}
