//! What the API answers, as far as it is used. Fields that are not known are left alone.

use gatekit_core::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::failed::Failed;
use crate::code;
use crate::operations::Operation;

/// Whether a function is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Status {
    Active,
    Removed,
    Throttled,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Removed => "REMOVED",
            Self::Throttled => "THROTTLED",
        }
    }
}

/// A function as it is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deployed {
    pub(crate) id: String,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) status: Status,
    pub(crate) version: u64,
    pub(crate) verify_jwt: Option<bool>,
    pub(crate) import_map: Option<bool>,
    pub(crate) entrypoint_path: Option<String>,
    pub(crate) import_map_path: Option<String>,
    pub(crate) checksum: Option<Digest>,
    pub(crate) created_at: Option<i64>,
    pub(crate) updated_at: Option<i64>,
}

/// The same, before it is judged.
#[derive(Deserialize)]
struct Told {
    id: Option<String>,
    slug: Option<String>,
    name: Option<String>,
    status: Option<String>,
    version: Option<u64>,
    verify_jwt: Option<bool>,
    import_map: Option<bool>,
    entrypoint_path: Option<String>,
    import_map_path: Option<String>,
    ezbr_sha256: Option<String>,
    created_at: Option<i64>,
    updated_at: Option<i64>,
}

/// A secret: the digest of its value is not read.
#[derive(Deserialize)]
struct Secret {
    name: String,
}

fn decoded<'a, T: Deserialize<'a>>(
    operation: &'static Operation,
    body: &'a [u8],
) -> Result<T, Failed> {
    understood(operation, serde_json::from_slice(body))
}

fn understood<T>(operation: &'static Operation, told: serde_json::Result<T>) -> Result<T, Failed> {
    // The text of the error may quote what was answered.
    told.map_err(|error| {
        let lacking =
            format!("what is expected there (line {}, column {})", error.line(), error.column());
        Failed::unreadable(operation, code::ANSWER, &lacking)
    })
}

pub(super) fn function(operation: &'static Operation, body: &[u8]) -> Result<Deployed, Failed> {
    judged(operation, decoded(operation, body)?)
}

/// Those of these slugs, whatever is told of others. What is removed is not there.
pub(super) fn functions(
    operation: &'static Operation,
    body: &[u8],
    slugs: &[&str],
) -> Result<Vec<Deployed>, Failed> {
    let told: Vec<Value> = decoded(operation, body)?;
    let mut found = Vec::new();
    for function in told {
        let slug = function.get("slug").and_then(Value::as_str);
        let slug = slug.ok_or_else(|| Failed::unreadable(operation, code::ANSWER, "`slug`"))?;
        if slugs.contains(&slug) {
            found
                .push(judged(operation, understood(operation, serde_json::from_value(function))?)?);
        }
    }
    found.retain(|it| it.status != Status::Removed);
    Ok(found)
}

pub(super) fn names(operation: &'static Operation, body: &[u8]) -> Result<Vec<String>, Failed> {
    let secrets: Vec<Secret> = decoded(operation, body)?;
    Ok(secrets.into_iter().map(|it| it.name).collect())
}

fn judged(operation: &'static Operation, told: Told) -> Result<Deployed, Failed> {
    let lacks = |field: &str| Failed::unreadable(operation, code::ANSWER, field);
    let status = match told.status.as_deref() {
        Some("ACTIVE") => Status::Active,
        Some("REMOVED") => Status::Removed,
        Some("THROTTLED") => Status::Throttled,
        Some(_) => {
            let lacking = "a status that is known";
            return Err(Failed::unreadable(operation, code::UNKNOWN_VALUE, lacking));
        }
        None => return Err(Failed::unreadable(operation, code::UNKNOWN_VALUE, "`status`")),
    };
    let checksum = match told.ezbr_sha256.filter(|it| !it.is_empty()) {
        None => None,
        Some(text) => {
            let digest = Digest::try_from(text.to_ascii_lowercase());
            Some(digest.map_err(|_| lacks("an `ezbr_sha256` that is one"))?)
        }
    };
    Ok(Deployed {
        id: told.id.ok_or_else(|| lacks("`id`"))?,
        slug: told.slug.ok_or_else(|| lacks("`slug`"))?,
        name: told.name.ok_or_else(|| lacks("`name`"))?,
        status,
        version: told.version.ok_or_else(|| lacks("`version`"))?,
        verify_jwt: told.verify_jwt,
        import_map: told.import_map,
        entrypoint_path: told.entrypoint_path,
        import_map_path: told.import_map_path,
        checksum,
        created_at: told.created_at,
        updated_at: told.updated_at,
    })
}
