//! The one place that makes an HTTP client and reads answers with it.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use gatekit_core::{Code, Digest, Effect, Error, Result};
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Response, redirect, retry};
use url::Url;

use crate::address::Address;
use crate::code;
use crate::version::clip;

/// How many redirects one attempt follows.
pub(crate) const MAX_REDIRECTS: usize = 5;

/// Whether a connection may serve several requests of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connections {
    /// Each request has its own: a kept one leads to the old process for as long as that one lives.
    Single,
    /// For a client that is dropped soon.
    Kept,
}

/// A client that keeps no cookie and no opinion of the environment.
#[derive(Clone)]
pub(crate) struct Client(reqwest::Client);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// `https` says whether the system's root certificates are needed: reading them is slow, and
    /// fails in containers without any, where plain http still has to work.
    pub(crate) fn new(https: bool, connections: Connections) -> Result<Self> {
        let idle = match connections {
            Connections::Single => 0,
            Connections::Kept => usize::MAX,
        };
        let builder = reqwest::Client::builder()
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
        let builder = if https { builder } else { builder.tls_certs_only([]) };
        builder.build().map(Self).map_err(|source| {
            Error::new(code::SMOKE_CLIENT, "no HTTP client can be set up")
                .with_effect(Effect::None)
                .with_source(source.without_url())
        })
    }

    /// One attempt: asks for `address`, follows redirects that stay at its origin, and reads at most
    /// `limit` bytes of the body. Has no time-out of its own. Cancel-safe: dropping it closes the
    /// connection.
    pub(crate) async fn get(&self, address: &Address, limit: usize) -> Got {
        let mut asked = vec![address.url().clone()];
        loop {
            let url = asked[asked.len() - 1].clone();
            let response = match self.0.get(url.clone()).send().await {
                Ok(response) => response,
                Err(error) => return Got { peer: None, answer: Err(Trouble::of(error)) },
            };
            let peer = response.remote_addr();
            let answer = match next_hop(&response, &url, address, &asked) {
                Ok(Some(next)) => {
                    asked.push(next);
                    continue;
                }
                Ok(None) => read(response, limit, asked.len() - 1).await,
                Err(trouble) => Err(trouble),
            };
            return Got { peer, answer };
        }
    }
}

/// Where a response sends us; `None` when it is an answer.
fn next_hop(
    response: &Response,
    url: &Url,
    address: &Address,
    asked: &[Url],
) -> Result<Option<Url>, Trouble> {
    let status = response.status().as_u16();
    let location = match status {
        301 | 302 | 303 | 307 | 308 => response.headers().get(LOCATION),
        _ => None,
    };
    let Some(location) = location else { return Ok(None) };
    let next = location.to_str().ok().and_then(|text| url.join(text).ok());
    let Some(mut next) = next else { return Err(Trouble::Status(status)) };
    next.set_fragment(None);
    let clean = next.username().is_empty() && next.password().is_none();
    if !clean || !address.same_origin(&next) {
        // No more than the origin: what follows may hold a token. Schemes like `file` have none.
        let origin = next.origin();
        return Err(Trouble::RedirectElsewhere(if origin.is_tuple() {
            origin.ascii_serialization()
        } else {
            format!("{}:", next.scheme())
        }));
    }
    if asked.contains(&next) || asked.len() > MAX_REDIRECTS {
        return Err(Trouble::RedirectLoop(asked.len()));
    }
    Ok(Some(next))
}

/// Reads the whole answer, and never holds more than `limit` bytes and one piece of it.
async fn read(mut response: Response, limit: usize, redirects: usize) -> Result<Answer, Trouble> {
    let status = response.status();
    if !status.is_success() {
        return Err(Trouble::Status(status.as_u16()));
    }
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(Trouble::BodyTooLarge(limit));
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(Trouble::broken_off)? {
        if piece.len() > limit - body.len() {
            return Err(Trouble::BodyTooLarge(limit));
        }
        body.extend_from_slice(&piece);
    }
    let headers = response.headers().clone();
    Ok(Answer { status: status.as_u16(), headers, digest: Digest::of(&body), body, redirects })
}

/// What one attempt brought, and from which address.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) answer: Result<Answer, Trouble>,
}

/// A complete 2xx answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) digest: Digest,
    pub(crate) redirects: usize,
}

impl fmt::Debug for Answer {
    /// Without headers and body: both may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}

/// Why there is no answer that counts.
#[derive(Debug)]
pub(crate) enum Trouble {
    Status(u16),
    BodyTooLarge(usize),
    RedirectLoop(usize),
    RedirectElsewhere(String),
    Unreachable(String),
    Unreadable(String),
}

impl Trouble {
    /// Before there was an answer.
    fn of(error: reqwest::Error) -> Self {
        let (why, io) = deepest(&error.without_url());
        if io { Self::Unreachable(why) } else { Self::Unreadable(why) }
    }

    /// In the middle of an answer.
    fn broken_off(error: reqwest::Error) -> Self {
        Self::Unreadable(deepest(&error.without_url()).0)
    }

    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Status(_) => code::SMOKE_STATUS,
            Self::BodyTooLarge(_) => code::SMOKE_BODY_TOO_LARGE,
            Self::RedirectLoop(_) => code::SMOKE_REDIRECT_LOOP,
            Self::RedirectElsewhere(_) => code::SMOKE_REDIRECT_ELSEWHERE,
            Self::Unreachable(_) => code::SMOKE_UNREACHABLE,
            Self::Unreadable(_) => code::SMOKE_UNREADABLE,
        }
    }

    /// Whether somebody answered, and the answer is no.
    pub(crate) fn is_no(&self) -> bool {
        !matches!(self, Self::Unreachable(_) | Self::Unreadable(_))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::BodyTooLarge(limit) => write!(f, "a body of more than {limit} bytes"),
            Self::RedirectLoop(hops) => write!(f, "no end of redirects after {hops}"),
            Self::RedirectElsewhere(origin) => write!(f, "a redirect to `{}`", clip(origin)),
            Self::Unreachable(why) => write!(f, "unreachable: {why}"),
            Self::Unreadable(why) => write!(f, "no readable HTTP answer: {why}"),
        }
    }
}

/// The innermost cause, because the outer ones only say "client error", and whether the network is
/// to blame. `error` comes without its URL, which may hold a token.
fn deepest(error: &reqwest::Error) -> (String, bool) {
    let mut io = error.is_connect();
    let mut why = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        io |= source.is::<io::Error>();
        why = source.to_string();
        next = source.source();
    }
    (clip(&why), io)
}
