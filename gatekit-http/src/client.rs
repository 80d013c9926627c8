//! The one place that makes an HTTP client and reads answers with it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use gatekit_core::{Code, Digest, Effect, Error, Result};
use reqwest::header::{HeaderMap, LOCATION, TRANSFER_ENCODING};
use reqwest::{Certificate, Response, redirect, retry};
use tokio::time::Instant;
use url::Url;

use crate::address::Address;
use crate::secrets::Secrets;
use crate::trouble::{Cause, Trouble};

/// How many redirects one attempt follows.
pub(crate) const MAX_REDIRECTS: usize = 5;

/// The most bytes of one header that curl reads.
const CURL_HEADER: usize = 100 * 1024;

/// The most bytes of all headers that curl reads.
const CURL_HEADERS: usize = 300 * 1024;

/// The shortest header has a name of one byte, its colon and the end of its line.
const SHORTEST_HEADER: usize = 4;

/// Whether a connection may serve several requests of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connections {
    /// Each request has its own: a kept one leads to the old process for as long as that one lives.
    Single,
    /// For a client that is dropped soon, or that does not mind who answers.
    Kept,
}

/// How a client is made.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    /// Whether root certificates are needed: reading those of the system is slow, and fails in
    /// containers without any, where plain http still has to work.
    pub(crate) https: bool,
    /// These, instead of those of the system.
    pub(crate) ca: Option<&'a [Certificate]>,
    /// Whether malformed headers are forgiven as curl forgives them.
    pub(crate) like_curl: bool,
    pub(crate) connections: Connections,
    /// The code of the error when there can be no client.
    pub(crate) code: Code,
}

/// A client that keeps no cookie and no opinion of the environment.
#[derive(Clone)]
pub(crate) struct Client(pub(crate) reqwest::Client);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    pub(crate) fn new(setup: Setup<'_>) -> Result<Self> {
        let idle = match setup.connections {
            Connections::Single => 0,
            Connections::Kept => usize::MAX,
        };
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("gatekit/", env!("CARGO_PKG_VERSION")))
            // A check of loopback sent through HTTP_PROXY asks the wrong machine.
            .no_proxy()
            .pool_max_idle_per_host(idle)
            // Redirects and retries are counted here, not there.
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            // The limit is on what is sent; whoever else is in the build may enable decoders.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd();
        if setup.like_curl {
            builder = builder
                .http1_ignore_invalid_headers_in_responses(true)
                .http1_allow_obsolete_multiline_headers_in_responses(true)
                .http1_allow_spaces_after_header_name_in_responses(true)
                .http1_max_headers(CURL_HEADERS / SHORTEST_HEADER);
        }
        let builder = match setup.ca {
            Some(ca) => builder.tls_certs_only(ca.iter().cloned()),
            None if setup.https => builder,
            None => builder.tls_certs_only([]),
        };
        builder.build().map(Self).map_err(|source| {
            Error::new(setup.code, "no HTTP client can be set up")
                .with_effect(Effect::None)
                .with_source(source.without_url())
        })
    }

    /// One attempt: asks for `address`, follows redirects that stay at its origin, and reads the
    /// whole answer. Has no time-out of its own. Cancel-safe: dropping it closes the connection.
    pub(crate) async fn get(&self, address: &Address, ask: &Ask) -> Got {
        let begun = Instant::now();
        let mut asked = vec![address.url().clone()];
        loop {
            let url = asked[asked.len() - 1].clone();
            let request = self.0.get(url.clone()).headers(ask.headers.clone());
            let response = match request.send().await {
                Ok(response) => response,
                Err(error) => {
                    let answer = Err(Trouble::of(error));
                    return Got { peer: None, took: begun.elapsed(), answer };
                }
            };
            let peer = response.remote_addr();
            let next = if ask.like_curl {
                Ok(None)
            } else {
                next_hop(&response, &url, address, &asked, &ask.secrets)
            };
            let answer = match next {
                Ok(Some(next)) => {
                    asked.push(next);
                    continue;
                }
                Ok(None) => read(response, ask, asked.len() - 1).await,
                Err(trouble) => Err(trouble),
            };
            return Got { peer, took: begun.elapsed(), answer };
        }
    }
}

/// What one client asks for, and what it takes for an answer.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) headers: HeaderMap,
    pub(crate) secrets: Secrets,
    /// The most bytes of a body; `None` to read on to its end, and keep nothing.
    pub(crate) limit: Option<usize>,
    /// As `curl --fail` does: no redirect is followed, and every status below 400 is an answer.
    pub(crate) like_curl: bool,
}

impl fmt::Debug for Ask {
    /// Without the values of headers, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("limit", &self.limit)
            .field("like_curl", &self.like_curl)
            .finish_non_exhaustive()
    }
}

/// Where a response sends us; `None` when it is an answer.
fn next_hop(
    response: &Response,
    url: &Url,
    address: &Address,
    asked: &[Url],
    secrets: &Secrets,
) -> Result<Option<Url>, Trouble> {
    let status = response.status().as_u16();
    let location = match status {
        301 | 302 | 303 | 307 | 308 => response.headers().get(LOCATION),
        _ => None,
    };
    let Some(location) = location else { return Ok(None) };
    let next = location.to_str().ok().and_then(|text| url.join(text).ok());
    let Some(mut next) = next else { return Err(Trouble::Status(status, Cause::Lasting)) };
    next.set_fragment(None);
    let clean = next.username().is_empty() && next.password().is_none();
    if !clean || !address.same_origin(&next) {
        // No more than the origin: what follows may hold a token. Schemes like `file` have none.
        let origin = next.origin();
        let origin = if origin.is_tuple() {
            origin.ascii_serialization()
        } else {
            format!("{}:", next.scheme())
        };
        return Err(Trouble::RedirectElsewhere(secrets.without(&origin).to_owned()));
    }
    if asked.contains(&next) || asked.len() > MAX_REDIRECTS {
        return Err(Trouble::RedirectLoop(asked.len()));
    }
    Ok(Some(next))
}

/// Reads the whole answer.
async fn read(response: Response, ask: &Ask, redirects: usize) -> Result<Answer, Trouble> {
    let status = response.status().as_u16();
    let good = if ask.like_curl { 200..400 } else { 200..300 };
    if !good.contains(&status) {
        return Err(Trouble::Status(status, Cause::of_status(status, response.headers())));
    }
    if let Some(why) = unreadable(response.headers(), ask.like_curl) {
        return Err(Trouble::Unreadable(why.to_owned()));
    }
    let headers = response.headers().clone();
    let (body, bytes) = body(response, ask.limit).await?;
    // A body that is nothing but a secret is not to be recognised by its digest.
    let digest = if ask.limit.is_none() || ask.secrets.are_in(&body) {
        Digest::of(format!("status {status}, {bytes} bytes"))
    } else {
        Digest::of(&body)
    };
    Ok(Answer { status, headers, digest, body, bytes, redirects })
}

/// The whole body, when it is kept, and how long it is. Never holds more than the limit and one piece.
pub(crate) async fn body(
    mut response: Response,
    limit: Option<usize>,
) -> Result<(Vec<u8>, u64), Trouble> {
    if let (Some(limit), Some(length)) = (limit, response.content_length())
        && length > limit as u64
    {
        return Err(Trouble::BodyTooLarge(limit));
    }
    let mut body = Vec::new();
    let mut bytes = 0_u64;
    while let Some(piece) = response.chunk().await.map_err(Trouble::broken_off)? {
        bytes = bytes.saturating_add(piece.len() as u64);
        let Some(limit) = limit else { continue };
        if piece.len() > limit - body.len() {
            return Err(Trouble::BodyTooLarge(limit));
        }
        body.extend_from_slice(&piece);
    }
    Ok((body, bytes))
}

/// Why an answer with these headers cannot be read to its end, or is too much for curl.
fn unreadable(headers: &HeaderMap, like_curl: bool) -> Option<&'static str> {
    let encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let mut encodings = encodings.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let known = |encoding: &[u8]| {
        let encoding = encoding.trim_ascii();
        ["", "chunked", "identity"].iter().any(|it| encoding.eq_ignore_ascii_case(it.as_bytes()))
    };
    if !encodings.all(known) {
        return Some("a transfer encoding other than chunked");
    }
    if !like_curl {
        return None;
    }
    let sizes = headers.iter().map(|(name, value)| {
        name.as_str().len().saturating_add(value.len()).saturating_add(SHORTEST_HEADER)
    });
    let (mut all, mut largest) = (0_usize, 0_usize);
    for size in sizes {
        (all, largest) = (all.saturating_add(size), largest.max(size));
    }
    (largest > CURL_HEADER || all > CURL_HEADERS).then_some("larger headers than curl reads")
}

/// What one attempt brought, from which address, and how long it took.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) took: Duration,
    pub(crate) answer: Result<Answer, Trouble>,
}

/// A complete answer with a status that passes.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// Empty when it was not to be kept.
    pub(crate) body: Vec<u8>,
    pub(crate) bytes: u64,
    /// Of the body; of no more than status and size when that was not kept, or repeats a secret.
    pub(crate) digest: Digest,
    pub(crate) redirects: usize,
}

impl fmt::Debug for Answer {
    /// Without headers and body: both may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.bytes)
    }
}
