//! Why there is no answer that counts, and whether it may pass by itself.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::{Duration, SystemTime};

use gatekit_core::Code;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::code;
use crate::version::clip;

/// What kind of failure it was, as far as curl's `--retry` tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// No complete answer in time.
    Timeout,
    /// The name could not be resolved.
    Name,
    /// Nobody listens there.
    Refused,
    /// A status that says "later", and when.
    Busy(Option<Duration>),
    /// Anything else.
    Lasting,
}

impl Cause {
    /// Of a status that is no pass.
    pub(crate) fn of_status(status: u16, headers: &HeaderMap) -> Self {
        match status {
            408 | 429 | 500 | 502 | 503 | 504 | 522 | 524 => {
                Self::Busy(retry_after(headers, SystemTime::now()))
            }
            _ => Self::Lasting,
        }
    }

    /// How long the other side asks to be left alone.
    pub(crate) fn asked_for(self) -> Option<Duration> {
        if let Self::Busy(pause) = self { pause } else { None }
    }
}

/// The pause that `Retry-After` asks for, in seconds or until a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // A date in the past asks for nothing.
    httpdate::parse_http_date(text).ok()?.duration_since(now).ok()
}

/// Why there is no answer that counts.
#[derive(Debug)]
pub(crate) enum Trouble {
    Status(u16, Cause),
    BodyTooLarge(usize),
    RedirectLoop(usize),
    RedirectElsewhere(String),
    Unreachable(String, Cause),
    Unreadable(String),
}

impl Trouble {
    /// Before there was an answer.
    pub(crate) fn of(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let (why, io, cause) = deepest(&error);
        if io { Self::Unreachable(why, cause) } else { Self::Unreadable(why) }
    }

    /// In the middle of an answer.
    pub(crate) fn broken_off(error: reqwest::Error) -> Self {
        Self::Unreadable(deepest(&error.without_url()).0)
    }

    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Status(..) => code::SMOKE_STATUS,
            Self::BodyTooLarge(_) => code::SMOKE_BODY_TOO_LARGE,
            Self::RedirectLoop(_) => code::SMOKE_REDIRECT_LOOP,
            Self::RedirectElsewhere(_) => code::SMOKE_REDIRECT_ELSEWHERE,
            Self::Unreachable(..) => code::SMOKE_UNREACHABLE,
            Self::Unreadable(_) => code::SMOKE_UNREADABLE,
        }
    }

    /// Whether somebody answered, and the answer is no.
    pub(crate) fn is_no(&self) -> bool {
        !matches!(self, Self::Unreachable(..) | Self::Unreadable(_))
    }

    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::Status(_, cause) | Self::Unreachable(_, cause) => *cause,
            _ => Cause::Lasting,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, _) => write!(f, "status {status}"),
            Self::BodyTooLarge(limit) => write!(f, "a body of more than {limit} bytes"),
            Self::RedirectLoop(hops) => write!(f, "no end of redirects after {hops}"),
            Self::RedirectElsewhere(origin) => write!(f, "a redirect to `{}`", clip(origin)),
            Self::Unreachable(why, _) => write!(f, "unreachable: {why}"),
            Self::Unreadable(why) => write!(f, "no readable HTTP answer: {why}"),
        }
    }
}

/// The innermost cause, because the outer ones only say "client error"; whether the network is to
/// blame; and what kind it is. `error` comes without its URL, which may hold a token.
fn deepest(error: &reqwest::Error) -> (String, bool, Cause) {
    let mut io = error.is_connect();
    let mut cause = if error.is_dns() { Cause::Name } else { Cause::Lasting };
    let mut why = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        if let Some(error) = source.downcast_ref::<io::Error>() {
            io = true;
            cause = match error.kind() {
                io::ErrorKind::ConnectionRefused => Cause::Refused,
                io::ErrorKind::TimedOut => Cause::Timeout,
                _ => cause,
            };
        }
        why = source.to_string();
        next = source.source();
    }
    (clip(&why), io, cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_seconds_and_as_any_date_of_http() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:49:39 GMT", Some(2)),
            ("Sun Nov  6 08:49:40 1994", Some(3)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
            ("99999999999999999999999", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            let pause = retry_after(&headers, now);
            assert_eq!(pause, seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn the_statuses_of_curl_are_busy_and_no_others() {
        let busy: Vec<_> = (100..1000)
            .filter(|status| Cause::of_status(*status, &HeaderMap::new()) != Cause::Lasting)
            .collect();
        assert_eq!(busy, [408, 429, 500, 502, 503, 504, 522, 524]);
    }
}
