//! One request, one answer.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gatekit_core::{Effect, Error, NextAction, Result};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::multipart;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;
use url::Host;

use super::request::{Body, Method, Part, Request};
use crate::address::Address;
use crate::client::{Client, Connections, Setup, body};
use crate::code;
use crate::secrets::Secrets;
use crate::trouble::{Trouble, retry_after};

/// The header by which some say when they may be asked again.
const RESET: &str = "x-ratelimit-reset";

/// From so many seconds on, it is no pause but a moment since 1970.
const MOMENT: u64 = 1_000_000_000;

/// An API behind a base URL, asked with a bearer token that is never shown.
///
/// It sends each request once, and tells when that may have arrived although no answer came: whether to send
/// it again is for whoever knows what it does. It follows no redirect, and heeds no proxy of the environment.
///
/// # Example
/// ```no_run
/// # async fn example() -> gatekit_core::Result<()> {
/// use std::time::Duration;
/// use gatekit_http::{Api, Method, Request};
/// use secrecy::SecretString;
///
/// let api = Api::at("https://api.example.com", &SecretString::from("token"))?;
/// let request = Request::new(Method::Get, ["v1", "projects"]);
/// let answer = api.send(&request, Duration::from_secs(10)).await;
/// # let _ = answer;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Api {
    client: Client,
    base: Address,
    authorization: HeaderValue,
    secrets: Secrets,
}

impl Api {
    /// The API at that URL. It has to be https, but for the machine's own addresses.
    ///
    /// # Errors
    /// `api.url`, `api.secret_in_url`, `api.plaintext`; `api.token` when no header can carry the token;
    /// `api.client`. None of them repeats the token.
    pub fn at(base: &str, token: &SecretString) -> Result<Self> {
        let api = Self::over_plaintext(base, token)?;
        let is_here = match api.base.url().host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        if api.base.is_https() || is_here {
            return Ok(api);
        }
        Err(Error::new(code::API_PLAINTEXT, "others could read the token on its way")
            .with_effect(Effect::None)
            .with_context("url", &api.base)
            .with_next(NextAction::outside("give an `https` URL")))
    }

    /// The same, where http may lead to another machine: for networks in which nobody else listens.
    ///
    /// # Errors
    /// As [`at`](Self::at), without `api.plaintext`.
    pub fn over_plaintext(base: &str, token: &SecretString) -> Result<Self> {
        let (malformed, secret) = (code::API_URL, code::API_SECRET_IN_URL);
        let base = Address::parse_as("the URL of the API", base, malformed, secret)?;
        let refused = |code, what: &str| Err(Error::new(code, what).with_effect(Effect::None));
        if base.has_query() {
            return refused(code::API_URL, "the URL of the API has a query");
        }
        let given = token.expose_secret();
        let value = HeaderValue::from_str(&format!("Bearer {given}"));
        let Some(mut authorization) = value.ok().filter(|_| !given.trim().is_empty()) else {
            return refused(code::API_TOKEN, "the token is empty, or no header can carry it");
        };
        authorization.set_sensitive(true);
        let client = Client::new(Setup {
            https: base.is_https(),
            ca: None,
            like_curl: false,
            // One that is kept may be closed just as a write goes out: nobody could tell whether it arrived.
            connections: Connections::Single,
            code: code::API_CLIENT,
        })?;
        let mut secrets = Secrets::default();
        secrets.add(token);
        Ok(Self { client, base, authorization, secrets })
    }

    /// The base, as it may be shown.
    #[must_use]
    pub fn base(&self) -> String {
        self.base.to_string()
    }

    /// A text of the API as it may be shown: withheld when it repeats the token.
    #[must_use]
    pub fn shown(&self, text: &str) -> String {
        self.secrets.without(text).to_owned()
    }

    /// Sends a request once, and reads its answer, whatever its status, within that time.
    ///
    /// Dropped, it closes the connection; what was sent may have arrived then.
    ///
    /// # Errors
    /// Why there is no answer, and whether the request may have arrived.
    pub async fn send(&self, request: &Request, within: Duration) -> Result<Answer, NoAnswer> {
        match timeout(within, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(NoAnswer::of(format!("no answer within {within:?}"), true)),
        }
    }

    async fn exchange(&self, request: &Request) -> Result<Answer, NoAnswer> {
        let mut url = self.base.url().clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&request.path);
        }
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let builder = match request.method {
            Method::Get => self.client.0.get(url),
            Method::Post => self.client.0.post(url),
            Method::Put => self.client.0.put(url),
            Method::Patch => self.client.0.patch(url),
            Method::Delete => self.client.0.delete(url),
        };
        let builder = builder.header(AUTHORIZATION, self.authorization.clone());
        let builder = match &request.body {
            Body::Nothing => builder,
            Body::Bytes { kind, content } => {
                builder.header(CONTENT_TYPE, *kind).body(content.clone())
            }
            Body::Form(parts) => builder.multipart(form(parts)?),
        };
        let response = builder.send().await.map_err(|error| {
            let may_have_arrived = !(error.is_connect() || error.is_builder());
            NoAnswer::of(Trouble::of(error).to_string(), may_have_arrived)
        })?;
        let status = response.status().as_u16();
        let pause = pause(status, response.headers(), SystemTime::now());
        match body(response, Some(request.limit)).await {
            Ok((body, _)) => Ok(Answer { status, body, pause }),
            Err(trouble) => {
                let is_too_large = matches!(trouble, Trouble::BodyTooLarge(_));
                Err(NoAnswer { is_too_large, ..NoAnswer::of(trouble.to_string(), true) })
            }
        }
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Api").field(&self.base).finish()
    }
}

fn form(parts: &[Part]) -> Result<multipart::Form, NoAnswer> {
    let mut form = multipart::Form::new();
    for part in parts {
        let mut made = multipart::Part::bytes(part.content.clone());
        if let Some(file) = &part.file {
            made = made
                .mime_str("application/octet-stream")
                .map_err(|error| NoAnswer::of(error.to_string(), false))?
                .file_name(file.clone());
        }
        form = form.part(part.name.clone(), made);
    }
    Ok(form)
}

/// How long the other side asks to be left alone. When its limit is reset, it tells with every answer: that is a
/// pause where the limit was reached.
fn pause(status: u16, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let reset = || {
        let reset: u64 = headers.get(RESET)?.to_str().ok()?.trim().parse().ok()?;
        let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let seconds = if reset < MOMENT { reset } else { reset.saturating_sub(now) };
        (status == 429).then_some(Duration::from_secs(seconds))
    };
    retry_after(headers, now).or_else(reset)
}

/// A complete answer, of whatever status.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// All of its body.
    pub body: Vec<u8>,
    /// How long the API asks to be left alone: by `Retry-After`, or else, when it was asked too often, by
    /// `X-RateLimit-Reset`, in seconds or as a moment since 1970.
    pub pause: Option<Duration>,
}

impl fmt::Debug for Answer {
    /// Without the body, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}

/// That there is no answer, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoAnswer {
    /// Why, without secrets.
    pub why: String,
    /// Whether the request may have arrived all the same.
    pub may_have_arrived: bool,
    /// Whether an answer came that is larger than may be read.
    pub is_too_large: bool,
}

impl NoAnswer {
    fn of(why: String, may_have_arrived: bool) -> Self {
        Self { why, may_have_arrived, is_too_large: false }
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for NoAnswer {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_a_pause_or_a_moment_where_the_limit_was_reached() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (status, text, seconds) in [
            (429, "40", Some(40)),
            (429, "0", Some(0)),
            (429, "1700000060", Some(60)),
            (429, "1600000000", Some(0)),
            (429, "soon", None),
            (429, "18446744073709551615", Some(u64::MAX - 1_700_000_000)),
            (403, "40", None),
            (500, "1700000060", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RESET, HeaderValue::from_static(text));
            let told = pause(status, &headers, now);
            assert_eq!(told, seconds.map(Duration::from_secs), "{status} {text}");
        }
    }
}
