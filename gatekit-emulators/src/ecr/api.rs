//! The operations of the API.

use std::io;

use serde_json::{Value, json};

use super::registry::{self, Refused};
use super::{ACCOUNT, Ecr};
use crate::wire::{Fault, Reply};

/// The most images that one call names.
const IMAGES: usize = 100;

/// How many findings a page has, where the caller does not say.
const PAGE: usize = 100;

impl Ecr {
    pub(super) async fn operate(&self, operation: &str, ask: &Value) -> Reply {
        let registry = ask["registryId"].as_str().unwrap_or(ACCOUNT);
        let named = ask["repositoryName"].as_str().or_else(|| ask["repositoryNames"][0].as_str());
        let repository = named.unwrap_or_default();
        if registry != ACCOUNT || !self.state().repositories.contains_key(repository) {
            let what = format!(
                "The repository with name '{repository}' does not exist in the registry with id \
                 '{registry}'"
            );
            return Err(Fault::client("RepositoryNotFoundException", &what));
        }
        match operation {
            "BatchGetImage" => self.batch_get_image(repository, ask).await,
            "PutImage" => self.put_image(repository, ask).await,
            "DescribeImages" => self.describe_images(repository, ask).await,
            "DescribeRepositories" => Ok(self.describe_repository(repository)),
            "BatchDeleteImage" => self.batch_delete_image(repository, ask).await,
            "DescribeImageScanFindings" => self.scan_findings(repository, ask).await,
            "GetDownloadUrlForLayer" => self.download_url(repository, ask).await,
            _ => Err(Fault::client("UnknownOperationException", "")),
        }
    }

    /// What a description takes for it instead, when it is older than the last write of its tag.
    fn older(&self, repository: &str, id: &Value) -> Option<Value> {
        let mut state = self.state();
        let (of, tag, named) = state.last.clone()?;
        if state.stale == 0 || of != repository || id["imageTag"].as_str() != Some(&tag) {
            return None;
        }
        state.stale -= 1;
        Some(named.map_or_else(|| id.clone(), |digest| json!({ "imageDigest": digest })))
    }

    /// The digest of the image that an `imageId` means, and what it is; or why there is none.
    async fn find(
        &self,
        repository: &str,
        id: &Value,
    ) -> Result<Result<(String, registry::Manifest), Value>, Fault> {
        let failure = |code: &str, reason: &str| {
            Ok(Err(json!({ "imageId": id, "failureCode": code, "failureReason": reason })))
        };
        let missing = || failure("ImageNotFound", "Requested image not found");
        let (tag, digest) = (id["imageTag"].as_str(), id["imageDigest"].as_str());
        let tagged = tag.map(|tag| self.tags(repository).get(tag).cloned());
        let digest = match (tagged, digest) {
            (None, None) => return failure("MissingDigestAndTag", "Invalid request parameters"),
            (Some(None), _) => return missing(),
            (Some(Some(tagged)), Some(digest)) if tagged != digest => {
                return failure("ImageTagDoesNotMatchDigest", "Tag does not match digest");
            }
            (Some(Some(tagged)), _) => tagged,
            (None, Some(digest)) => digest.to_owned(),
        };
        match self.registry.manifest(repository, &digest).await.map_err(behind)? {
            Some(manifest) => Ok(Ok((digest, manifest))),
            None => missing(),
        }
    }

    async fn batch_get_image(&self, repository: &str, ask: &Value) -> Reply {
        let (mut images, mut failures) = (Vec::new(), Vec::new());
        let newline = if self.state().adds_newline { "\n" } else { "" };
        let takes = |kind: &str| {
            ask["acceptedMediaTypes"].as_array().is_none_or(|it| it.iter().any(|it| it == kind))
        };
        for id in ids(ask)? {
            match self.find(repository, &id).await? {
                // As a registry does that is not told of indexes.
                Ok((_, manifest)) if !takes(&manifest.kind) => failures.push(json!({
                    "imageId": id, "failureCode": "ImageNotFound",
                    "failureReason": "Requested image not found",
                })),
                Ok((digest, manifest)) => {
                    let mut of = json!({ "imageDigest": digest });
                    if let Some(tag) = id["imageTag"].as_str() {
                        of["imageTag"] = json!(tag);
                    }
                    images.push(json!({
                        "registryId": ACCOUNT, "repositoryName": repository, "imageId": of,
                        "imageManifest": manifest.text + newline,
                        "imageManifestMediaType": manifest.kind,
                    }));
                }
                Err(failure) => failures.push(failure),
            }
        }
        Ok(json!({ "images": images, "failures": failures }))
    }

    async fn put_image(&self, repository: &str, ask: &Value) -> Reply {
        let text = ask["imageManifest"].as_str().unwrap_or_default();
        let manifest: Value = serde_json::from_str(text).map_err(|_| {
            invalid("Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'")
        })?;
        let kind =
            ask["imageManifestMediaType"].as_str().or_else(|| manifest["mediaType"].as_str());
        let kind = kind.ok_or_else(|| {
            invalid("'imageManifestMediaType' is required for manifests without a 'mediaType'")
        })?;
        let digest = registry::digest(text.as_bytes());
        if ask["imageDigest"].as_str().is_some_and(|it| it != digest) {
            let what = "The specified image digest does not match the digest that ECR calculated";
            return Err(Fault::client("ImageDigestDoesNotMatchException", what));
        }
        let tag = ask["imageTag"].as_str();
        let named = tag.and_then(|tag| self.tags(repository).get(tag).cloned());
        let exists = self.registry.manifest(repository, &digest).await.map_err(behind)?.is_some();
        if exists && (tag.is_none() || named.as_ref() == Some(&digest)) {
            let what = format!(
                "Image with digest '{digest}' and tag '{}' already exists in the repository with \
                 name '{repository}' in registry with id '{ACCOUNT}'",
                tag.unwrap_or("null")
            );
            return Err(Fault::client("ImageAlreadyExistsException", &what));
        }
        let fixed = |tag| self.state().repositories.get(repository).is_some_and(|it| it.fixes(tag));
        if let (Some(tag), Some(_)) = (tag, &named)
            && fixed(tag)
        {
            let what = format!(
                "The image tag '{tag}' already exists in the '{repository}' repository and cannot \
                 be overwritten because the tag is immutable."
            );
            return Err(Fault::client("ImageTagAlreadyExistsException", &what));
        }
        let put =
            self.registry.put_manifest(repository, &digest, kind, text).await.map_err(behind)?;
        put.map_err(|refused| match refused {
            Refused::Incomplete(what) if manifest["manifests"].is_array() => {
                Fault::client("ReferencedImagesNotFoundException", &what)
            }
            Refused::Incomplete(what) => Fault::client("LayersNotFoundException", &what),
            Refused::Invalid(what) => invalid(&what),
        })?;
        let mut state = self.state();
        state.effects += 1;
        let mut id = json!({ "imageDigest": digest });
        if let Some(tag) = tag {
            state.last = Some((repository.to_owned(), tag.to_owned(), named));
        }
        if let (Some(tag), Some(found)) = (tag, state.repositories.get_mut(repository)) {
            found.tags.insert(tag.to_owned(), digest);
            id["imageTag"] = json!(tag);
        }
        Ok(json!({ "image": {
            "registryId": ACCOUNT, "repositoryName": repository, "imageId": id,
            "imageManifest": text, "imageManifestMediaType": kind,
        } }))
    }

    async fn describe_images(&self, repository: &str, ask: &Value) -> Reply {
        let mut details = Vec::new();
        for id in ids(ask)? {
            let older = self.older(repository, &id);
            let as_asked = older.as_ref().unwrap_or(&id);
            let Ok((digest, manifest)) = self.find(repository, as_asked).await? else {
                let of = |key: &str| id[key].as_str().unwrap_or("null").to_owned();
                let what = format!(
                    "The image with imageId {{imageDigest:'{}', imageTag:'{}'}} does not exist \
                     within the repository with name '{repository}' in the registry with id \
                     '{ACCOUNT}'",
                    of("imageDigest"),
                    of("imageTag")
                );
                return Err(Fault::client("ImageNotFoundException", &what));
            };
            let tags = self.state().repositories.get(repository).map(|it| {
                let mut tags = it.tags_of(&digest);
                if let (Some(_), Some(tag)) = (&older, id["imageTag"].as_str()) {
                    tags.push(tag.to_owned());
                }
                tags
            });
            let mut detail = json!({
                "registryId": ACCOUNT, "repositoryName": repository, "imageDigest": digest,
                "imageManifestMediaType": manifest.kind, "imagePushedAt": 1.7e9,
                "imageSizeInBytes": manifest.text.len(),
            });
            if let Some(tags) = tags.filter(|tags| !tags.is_empty()) {
                detail["imageTags"] = json!(tags);
            }
            details.push(detail);
        }
        Ok(json!({ "imageDetails": details }))
    }

    fn describe_repository(&self, repository: &str) -> Value {
        let state = self.state();
        let found = state.repositories.get(repository);
        let exempt = found.map(|it| it.exempt.as_slice()).unwrap_or_default();
        let filters: Vec<_> =
            exempt.iter().map(|it| json!({ "filterType": "WILDCARD", "filter": it })).collect();
        let mut told = json!({
            "registryId": ACCOUNT, "repositoryName": repository,
            "imageTagMutability": found.map(|it| it.mutability.as_str()),
        });
        if !filters.is_empty() {
            told["imageTagMutabilityExclusionFilters"] = json!(filters);
        }
        json!({ "repositories": [told] })
    }

    async fn batch_delete_image(&self, repository: &str, ask: &Value) -> Reply {
        let (mut deleted, mut failures) = (Vec::new(), Vec::new());
        for id in ids(ask)? {
            let digest = match self.find(repository, &id).await? {
                Ok((digest, _)) => digest,
                Err(failure) => {
                    failures.push(failure);
                    continue;
                }
            };
            let last = {
                let mut state = self.state();
                state.effects += 1;
                let Some(found) = state.repositories.get_mut(repository) else { continue };
                let tag = id["imageTag"].as_str();
                found.tags.retain(|it, of| *of != digest || tag.is_some_and(|tag| tag != it));
                found.tags_of(&digest).is_empty()
            };
            // The image goes with its last tag.
            if last {
                self.registry.delete_manifest(repository, &digest).await.map_err(behind)?;
            }
            let mut of = json!({ "imageDigest": digest });
            if let Some(tag) = id["imageTag"].as_str() {
                of["imageTag"] = json!(tag);
            }
            deleted.push(of);
        }
        Ok(json!({ "imageIds": deleted, "failures": failures }))
    }

    async fn scan_findings(&self, repository: &str, ask: &Value) -> Reply {
        let id = &ask["imageId"];
        let Ok((digest, _)) = self.find(repository, id).await? else {
            return Err(Fault::client("ImageNotFoundException", "The image does not exist"));
        };
        let token = ask["nextToken"].as_str();
        let mut state = self.state();
        let most = ask["maxResults"].as_u64().and_then(|it| usize::try_from(it).ok());
        let size = state.page.or(most).unwrap_or(PAGE);
        let Some(found) = state.repositories.get_mut(repository) else {
            return Err(Fault::server());
        };
        let reports = found.scans.get_mut(&digest).filter(|it| !it.is_empty());
        let reports = reports.ok_or_else(|| {
            let what = format!("Image scan does not exist for the image with '{digest}'");
            Fault::client("ScanNotFoundException", &what)
        })?;
        // The next report begins with a first page.
        let from: usize = token.and_then(|it| it.parse().ok()).unwrap_or_default();
        let report = reports[0].clone();
        let all = report.findings.len().max(report.enhanced.len());
        let to = (from + size).min(all);
        if to == all && reports.len() > 1 {
            reports.remove(0);
        }
        let page = |of: &[Value]| json!(of.get(from..to.min(of.len())).unwrap_or_default());
        let mut findings = json!({ "imageScanCompletedAt": report.completed_at });
        if !report.findings.is_empty() {
            findings["findings"] = page(&report.findings);
        }
        if !report.enhanced.is_empty() {
            findings["enhancedFindings"] = page(&report.enhanced);
        }
        let mut told = json!({
            "registryId": ACCOUNT, "repositoryName": repository, "imageId": id,
            "imageScanStatus": { "status": report.status, "description": "" },
            "imageScanFindings": findings,
        });
        if to < all {
            told["nextToken"] = json!(to.to_string());
        }
        Ok(told)
    }

    async fn download_url(&self, repository: &str, ask: &Value) -> Reply {
        let digest = ask["layerDigest"].as_str().unwrap_or_default();
        if !self.registry.has_blob(repository, digest).await.map_err(behind)? {
            return Err(Fault::client("LayersNotFoundException", "The layer does not exist"));
        }
        let url = self.registry.blob_url(repository, digest);
        Ok(json!({ "downloadUrl": url, "layerDigest": digest }))
    }
}

fn ids(ask: &Value) -> Result<Vec<Value>, Fault> {
    let ids = ask["imageIds"].as_array().cloned().unwrap_or_default();
    if ids.is_empty() || ids.len() > IMAGES {
        return Err(invalid("Invalid parameter at 'imageIds' failed to satisfy constraint"));
    }
    Ok(ids)
}

fn invalid(what: &str) -> Fault {
    Fault::client("InvalidParameterException", what)
}

/// The registry behind it has failed: that is ECR's own trouble.
fn behind(_: io::Error) -> Fault {
    Fault::server()
}
