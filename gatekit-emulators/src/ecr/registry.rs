//! The registry behind it, over its HTTP API.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, LOCATION};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// How long the registry may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The digest of bytes, as registries write it.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// A registry.
#[derive(Debug)]
pub(super) struct Registry {
    /// Host and port.
    authority: String,
}

/// A manifest as the registry gives it.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) text: String,
    pub(super) kind: String,
}

/// Why a registry does not take a manifest.
#[derive(Debug)]
pub(super) enum Refused {
    /// It refers to something that is not there, and to what.
    Incomplete(String),
    /// Something else.
    Invalid(String),
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    kind: String,
    location: Option<String>,
    body: Bytes,
}

impl Registry {
    pub(super) fn new(url: &str) -> io::Result<Self> {
        let authority = url.trim_end_matches('/').strip_prefix("http://");
        let authority = authority.ok_or_else(|| io::Error::other("a registry at http:// only"))?;
        Ok(Self { authority: authority.to_owned() })
    }

    pub(super) fn blob_url(&self, repository: &str, digest: &str) -> String {
        format!("http://{}/v2/{repository}/blobs/{digest}", self.authority)
    }

    pub(super) async fn manifest(
        &self,
        repository: &str,
        digest: &str,
    ) -> io::Result<Option<Manifest>> {
        let path = format!("/v2/{repository}/manifests/{digest}");
        let answer = self.ask(Method::GET, &path, (ACCEPT.as_str(), MANIFESTS), &[]).await?;
        match answer.status {
            StatusCode::OK => {
                let text = String::from_utf8(answer.body.to_vec()).map_err(io::Error::other)?;
                Ok(Some(Manifest { text, kind: answer.kind }))
            }
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => Ok(None),
            _ => Err(unexpected(&answer)),
        }
    }

    pub(super) async fn has_blob(&self, repository: &str, digest: &str) -> io::Result<bool> {
        let path = format!("/v2/{repository}/blobs/{digest}");
        Ok(self.ask(Method::HEAD, &path, (ACCEPT.as_str(), "*/*"), &[]).await?.status.is_success())
    }

    pub(super) async fn put_manifest(
        &self,
        repository: &str,
        digest: &str,
        kind: &str,
        manifest: &str,
    ) -> io::Result<Result<(), Refused>> {
        let path = format!("/v2/{repository}/manifests/{digest}");
        let body = manifest.as_bytes();
        let answer = self.ask(Method::PUT, &path, (CONTENT_TYPE.as_str(), kind), body).await?;
        if answer.status.is_success() {
            return Ok(Ok(()));
        }
        let told = String::from_utf8_lossy(&answer.body).into_owned();
        Ok(Err(match answer.status {
            _ if told.contains("BLOB_UNKNOWN") => Refused::Incomplete(told),
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => Refused::Invalid(told),
            _ => return Err(unexpected(&answer)),
        }))
    }

    pub(super) async fn delete_manifest(&self, repository: &str, digest: &str) -> io::Result<()> {
        let path = format!("/v2/{repository}/manifests/{digest}");
        let answer = self.ask(Method::DELETE, &path, (ACCEPT.as_str(), "*/*"), &[]).await?;
        match answer.status {
            StatusCode::ACCEPTED | StatusCode::NOT_FOUND => Ok(()),
            _ => Err(unexpected(&answer)),
        }
    }

    pub(super) async fn push_blob(&self, repository: &str, bytes: &[u8]) -> io::Result<String> {
        let digest = digest(bytes);
        let path = format!("/v2/{repository}/blobs/uploads/");
        let begun = self.ask(Method::POST, &path, (ACCEPT.as_str(), "*/*"), &[]).await?;
        let to = begun.location.clone().ok_or_else(|| unexpected(&begun))?;
        let to = to.split_once("/v2/").map_or(to.clone(), |(_, path)| format!("/v2/{path}"));
        let to = format!("{to}{}digest={digest}", if to.contains('?') { '&' } else { '?' });
        let kind = (CONTENT_TYPE.as_str(), "application/octet-stream");
        let answer = self.ask(Method::PUT, &to, kind, bytes).await?;
        if answer.status.is_success() { Ok(digest) } else { Err(unexpected(&answer)) }
    }

    /// One request on a connection of its own.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        (header, value): (&str, &str),
        body: &[u8],
    ) -> io::Result<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.authority)
            .header(header, value)
            .body(Full::new(Bytes::copy_from_slice(body)))
            .map_err(io::Error::other)?;
        let asked = async {
            let stream = TokioIo::new(TcpStream::connect(&self.authority).await?);
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(stream).await.map_err(io::Error::other)?;
            // Ends with the sender.
            tokio::spawn(connection);
            let answer = sender.send_request(request).await.map_err(io::Error::other)?;
            let (parts, body) = answer.into_parts();
            let header =
                |name| parts.headers.get(name).and_then(|it| it.to_str().ok()).map(str::to_owned);
            let (kind, location) = (header(CONTENT_TYPE).unwrap_or_default(), header(LOCATION));
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            Ok(Answer { status: parts.status, kind, location, body })
        };
        tokio::time::timeout(PATIENCE, asked).await?
    }
}

fn unexpected(answer: &Answer) -> io::Error {
    let told = String::from_utf8_lossy(&answer.body);
    io::Error::other(format!("the registry answered {}: {told}", answer.status))
}
