//! For which platforms an image is.

use std::fmt;
use std::time::Duration;

use gatekit_core::{Digest, Result};
use tokio::time::Instant;

use super::api::Api;
use super::manifest::{Descriptor, Kind, Runs};
use super::names::Place;
use crate::call::patiently;

/// The most bytes of a configuration that are read: they have a few KB.
const CONFIG_LIMIT: u64 = 1 << 20;

/// How long the configuration may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// For which platforms an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Platforms {
    /// For these.
    Told(Vec<Platform>),
    /// That could not be read, and why.
    NotTold(String),
}

/// A platform, as `linux/arm64/v8`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Platform {
    /// The operating system, as `linux`.
    pub os: String,
    /// The architecture, as Go names it: `amd64`, `arm64`.
    pub architecture: String,
    /// What kind of that, as `v8`.
    pub variant: Option<String>,
}

impl Platform {
    fn of(runs: Runs) -> Option<Self> {
        let Runs { os, architecture, variant } = runs;
        Some(Self { os: os?, architecture: architecture?, variant })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// For which platforms the image of that digest is; `None` when the repository has no such image.
///
/// An index says it itself. Of a single image the configuration does, which is fetched from where ECR
/// says: that may be denied, or not be reachable from here.
pub(crate) async fn platforms(
    api: &Api,
    place: &Place,
    digest: &Digest,
    deadline: Instant,
) -> Result<Option<Platforms>> {
    let Some(manifest) = patiently(deadline, || api.manifest(place, digest)).await? else {
        return Ok(None);
    };
    let told = match manifest.kind()? {
        Kind::Index(images) => {
            let images = images.into_iter().filter(Descriptor::is_image);
            let told: Option<Vec<_>> =
                images.map(|it| it.platform.and_then(Platform::of)).collect();
            told.filter(|it| !it.is_empty()).ok_or_else(|| "its index does not say".to_owned())
        }
        Kind::Single(Some(config)) => of_config(api, place, &config, deadline).await,
        Kind::Single(None) => Err("its manifest names no configuration".to_owned()),
    };
    Ok(Some(told.map_or_else(Platforms::NotTold, Platforms::Told)))
}

async fn of_config(
    api: &Api,
    place: &Place,
    config: &Descriptor,
    deadline: Instant,
) -> Result<Vec<Platform>, String> {
    let digest = config.digest().map_err(|error| error.to_string())?;
    let url = patiently(deadline, || api.blob_url(place, &digest)).await;
    let url = url.map_err(|error| error.to_string())?;
    let deadline = deadline.min(Instant::now() + PATIENCE);
    let bytes = tokio::time::timeout_at(deadline, fetch(&url))
        .await
        .map_err(|_| "its configuration did not come in time".to_owned())?
        // The address is signed: whoever has it may read the blob.
        .map_err(|error| format!("its configuration did not come: {}", error.without_url()))?
        .ok_or_else(|| "its configuration was not given, or is too long".to_owned())?;
    if Digest::of(&bytes) != digest {
        return Err("its configuration has another digest".to_owned());
    }
    let runs: Runs = serde_json::from_slice(&bytes)
        .map_err(|error| format!("its configuration cannot be read: {error}"))?;
    let platform = Platform::of(runs).ok_or_else(|| "its configuration does not say".to_owned())?;
    Ok(vec![platform])
}

/// What is at that address; `None` when it is not given, or too long.
async fn fetch(url: &str) -> reqwest::Result<Option<Vec<u8>>> {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let mut answer = client.get(url).send().await?;
    if answer.status() != reqwest::StatusCode::OK {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > CONFIG_LIMIT {
            return Ok(None);
        }
    }
    Ok(Some(bytes))
}
