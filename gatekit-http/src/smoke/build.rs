//! From the builder to the gate: what cannot work is refused here.

use std::sync::OnceLock;

use gatekit_core::{Digest, Effect, Error, NextAction, Result, StageId};
use reqwest::Certificate;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

use super::builder::{SmokeBuilder, Wanted};
use super::gate::{Ca, Limits, Smoke};
use crate::address::Address;
use crate::client::{Ask, Connections};
use crate::code;
use crate::expect::Expectations;
use crate::secrets::Secrets;
use crate::version::Expected;

/// What says how long a request is or what its connection is for, which only the client knows.
const OF_THE_CLIENT: [&str; 7] =
    ["connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"];

/// How much of a body `curl_compat` keeps when something is demanded of it.
const KEPT: usize = 1024 * 1024;

impl SmokeBuilder {
    /// The gate. Asks nobody, and does not read the certificates of the system yet.
    ///
    /// # Errors
    /// `smoke.no_checks`, `smoke.url`, `smoke.secret_in_url`, `smoke.limits`, `smoke.version_from`,
    /// `smoke.version_empty`, `smoke.header`, `smoke.pattern`, `smoke.pointer`, `smoke.ca`;
    /// `config.name` for the id. None of them repeats a URL that was refused, or the value of a
    /// header.
    pub fn build(self) -> Result<Smoke> {
        let id = StageId::new(self.id)?;
        if self.wanted.is_empty() {
            return Err(Error::new(code::SMOKE_NO_CHECKS, "the smoke gate has nothing to check")
                .with_effect(Effect::None)
                .with_next(NextAction::outside("add a check with `.get(path)` or `.url(url)`")));
        }
        let mut limits = self.limits;
        refuse_zero(&limits)?;
        let checks = addresses(self.base.as_deref(), &self.wanted)?;
        let expected =
            self.expected.map(|(version, from)| Expected::new(&version, from)).transpose()?;
        let mut expectations = Expectations::default();
        for pattern in &self.patterns {
            expectations.body(pattern)?;
        }
        for (pointer, value) in self.values {
            expectations.value(pointer, value)?;
        }
        if expected.is_some() || !expectations.is_empty() {
            // What is looked at has to be kept.
            limits.body = limits.body.or(Some(KEPT));
        }
        let (headers, secrets) = headers(&self.headers)?;
        let ca = self.ca.map(|pem| certificates(&pem)).transpose()?;
        let ask = Ask { headers, secrets, limit: limits.body, like_curl: self.like_curl };
        let smoke = Smoke {
            id,
            checks,
            ask,
            expected,
            expectations,
            limits,
            pace: self.pace,
            also: self.also,
            ca,
            answerer: self.answerer,
            client: OnceLock::new(),
        };
        if smoke.ca.is_some() {
            // Whether certificates can be used shows only here.
            smoke.new_client(Connections::Single).map_err(|source| {
                refused_ca("the certificates of the custom CA cannot be used").with_source(source)
            })?;
        }
        Ok(smoke)
    }
}

fn refuse_zero(limits: &Limits) -> Result<()> {
    let zero = limits.attempt.is_zero()
        || limits.deadline.is_zero()
        || limits.body == Some(0)
        || limits.latency.is_some_and(|budget| budget.is_zero())
        || limits.successes == 0;
    if !zero {
        return Ok(());
    }
    let message = "the attempt time-out, the deadline, the body limit, the latency budget and the \
                   number of successes must not be zero";
    Err(Error::new(code::SMOKE_LIMITS, message)
        .with_effect(Effect::None)
        .with_next(NextAction::outside("leave them out for the defaults")))
}

fn addresses(base: Option<&str>, wanted: &[Wanted]) -> Result<Vec<Address>> {
    let base = base.map(|base| Address::parse("the base", base)).transpose()?;
    let address = |(i, wanted): (usize, &Wanted)| {
        let what = format!("check {}", i + 1);
        match (wanted, &base) {
            (Wanted::Url(url), _) => Address::parse(&what, url),
            (Wanted::Path(path), Some(base)) => base.join(&what, path),
            (Wanted::Path(_), None) => {
                Err(Error::new(code::SMOKE_URL, format!("{what} is a path without a base"))
                    .with_effect(Effect::None)
                    .with_next(NextAction::outside("name the base with `.at(url)`")))
            }
        }
    };
    wanted.iter().enumerate().map(address).collect()
}

fn headers(wanted: &[(String, SecretString)]) -> Result<(HeaderMap, Secrets)> {
    let (mut headers, mut secrets) = (HeaderMap::new(), Secrets::default());
    for (i, (name, value)) in wanted.iter().enumerate() {
        let refuse = |what: &str| {
            // A malformed name may be a header with its value.
            Error::new(code::SMOKE_HEADER, format!("header {} {what}", i + 1))
                .with_effect(Effect::None)
                .with_next(NextAction::outside(
                    "give a name like `x-token`, and a value in one line",
                ))
        };
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(refuse("has a malformed name"));
        };
        if OF_THE_CLIENT.contains(&name.as_str()) {
            return Err(refuse(&format!("is `{name}`, which the client sets itself")));
        }
        let Ok(mut header) = HeaderValue::from_str(value.expose_secret()) else {
            return Err(refuse(&format!("(`{name}`) has a malformed value")));
        };
        header.set_sensitive(true);
        headers.append(name, header);
        secrets.add(value);
    }
    Ok((headers, secrets))
}

fn refused_ca(message: &str) -> Error {
    Error::new(code::SMOKE_CA, message)
        .with_effect(Effect::None)
        .with_next(NextAction::outside("give one or more certificates in PEM"))
}

fn certificates(pem: &[u8]) -> Result<Ca> {
    let certificates = Certificate::from_pem_bundle(pem).map_err(|source| {
        refused_ca("the certificates of the custom CA cannot be read").with_source(source)
    })?;
    if certificates.is_empty() {
        return Err(refused_ca("there are no certificates in what is given for the custom CA"));
    }
    Ok(Ca { certificates, digest: Digest::of(pem) })
}
