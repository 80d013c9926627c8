//! The API behind one HTTP endpoint.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Request, Response};
use serde_json::json;

use super::api::Reply;
use super::call::{SupabaseCall, operation};
use super::form;
use super::project::Project;
use crate::clock::Clock;
use crate::injection::{self, Injection, SILENCE, Trouble};
use crate::listening::{self, Listening, Responded, Responds};

/// After how many seconds one may ask again who asked too often, unless it is told otherwise.
const RETRY_AFTER: u64 = 1;

/// What somebody else does.
type Deed = Box<dyn FnOnce(&mut Project) + Send>;

/// An emulated management API of Supabase, with the functions and secrets of one project, whatever the token.
///
/// What is bundled is made of the files that were sent: other files, another checksum.
#[derive(Debug, Clone)]
pub struct Supabase {
    state: Arc<Mutex<State>>,
    clock: Clock,
}

#[derive(Default)]
struct State {
    project: Project,
    injections: Vec<Injection>,
    calls: Vec<SupabaseCall>,
    /// Before which call of which operation.
    deeds: Vec<(String, u32, Deed)>,
    late: Vec<Late>,
    repeats_token: bool,
    retry_after: Option<u64>,
}

/// How the next call of an operation lands late.
struct Late {
    operation: String,
    after: Duration,
    status: Option<u16>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("project", &self.project).finish_non_exhaustive()
    }
}

impl Supabase {
    /// The reference of its project.
    pub const PROJECT: &str = "abcdefghijklmnopqrst";

    /// A project without functions and secrets.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { state: Arc::default(), clock }
    }

    /// Lets something go wrong with the next calls.
    pub fn inject(&self, injection: Injection) {
        self.state().injections.push(injection);
    }

    /// Lets nothing go wrong any more.
    pub fn mend(&self) {
        self.state().injections.clear();
    }

    /// The calls that have come in.
    #[must_use]
    pub fn calls(&self) -> Vec<SupabaseCall> {
        self.state().calls.clone()
    }

    /// The project itself, for what only its owner sees and does.
    pub fn with_project<T>(&self, look: impl FnOnce(&mut Project) -> T) -> T {
        look(&mut self.state().project)
    }

    /// Lets somebody else do that just before the next call of an operation, as `DeployFunction`.
    pub fn before_next(&self, operation: &str, deed: impl FnOnce(&mut Project) + Send + 'static) {
        self.before_later(operation, 0, deed);
    }

    /// The same, after so many calls of it.
    pub fn before_later(
        &self,
        operation: &str,
        after: u32,
        deed: impl FnOnce(&mut Project) + Send + 'static,
    ) {
        self.state().deeds.push((operation.to_owned(), after, Box::new(deed)));
    }

    /// Lets the next call of an operation take effect only after that time. Who made it is answered at once,
    /// with that status of a gateway, or is cut off.
    pub fn land_late(&self, operation: &str, after: Duration, status: Option<u16>) {
        self.state().late.push(Late { operation: operation.to_owned(), after, status });
    }

    /// Tells who asks too often to come back after so many seconds.
    pub fn ask_for_patience(&self, seconds: u64) {
        self.state().retry_after = Some(seconds);
    }

    /// Repeats the token in what it refuses, as no API should.
    pub fn repeat_token(&self) {
        self.state().repeats_token = true;
    }

    /// Listens on that port of the loopback, 0 for a free one, and serves until it is dropped.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn listen(&self, port: u16) -> io::Result<Listening> {
        Listening::begin(self.clone(), port).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a call off that is to land late; the answer is what its caller gets meanwhile.
    fn put_off(&self, call: &SupabaseCall, body: &Bytes) -> Option<io::Result<Reply>> {
        let late = {
            let state = &mut *self.state();
            let at = state.late.iter().position(|it| it.operation == call.operation)?;
            state.calls.push(call.clone());
            state.late.remove(at)
        };
        let (emulator, call, body) = (self.clone(), call.clone(), body.clone());
        let after = self.clock.wait(late.after);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            emulator.state().project.answer(&call, &body);
        });
        let told = |status| Reply::refusal(status, "the gateway has given up waiting");
        Some(late.status.map(told).ok_or_else(listening::cut))
    }

    /// What is answered, and what went wrong.
    fn reply(&self, mut call: SupabaseCall, body: &Bytes, token: &str) -> (Reply, Option<Trouble>) {
        let state = &mut *self.state();
        let trouble = injection::next(&mut state.injections, call.operation);
        call.trouble = trouble;
        if let Some(at) = state.deeds.iter().position(|(it, ..)| it == call.operation) {
            match state.deeds.get_mut(at) {
                Some((_, after @ 1.., _)) => *after -= 1,
                _ => (state.deeds.remove(at).2)(&mut state.project),
            }
        }
        let reply = match trouble.and_then(refusal) {
            Some(refusal) => refusal,
            None if token.is_empty() => Reply::refusal(401, "Unauthorized"),
            None if call.project() != Self::PROJECT => Reply::refusal(404, "Project not found"),
            None => state.project.answer(&call, body),
        };
        state.calls.push(call);
        if state.repeats_token && reply.status == 401 {
            let message = format!("{token} is no token");
            return (Reply::refusal(401, &message), trouble);
        }
        (reply, trouble)
    }
}

impl Responds for Supabase {
    async fn respond(&self, request: Request<Incoming>) -> io::Result<Responded> {
        let at = self.clock.elapsed();
        let (head, body) = request.into_parts();
        let header = |name| head.headers.get(name).and_then(|it| it.to_str().ok());
        let token = header(AUTHORIZATION).and_then(|it| it.strip_prefix("Bearer "));
        let token = token.unwrap_or_default().to_owned();
        let kind = header(CONTENT_TYPE).unwrap_or_default().to_owned();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let (method, path) = (head.method.as_str().to_owned(), head.uri.path().to_owned());
        let query = pairs(head.uri.query().unwrap_or_default());
        let bundles_only =
            query.iter().any(|(name, value)| name == "bundleOnly" && value == "true");
        let call = SupabaseCall {
            at,
            operation: operation(&method, &path, bundles_only),
            method,
            path,
            query,
            parts: form::parts(&kind, &body).unwrap_or_default(),
            kind: kind.split(';').next().unwrap_or_default().to_owned(),
            json: serde_json::from_slice(&body).unwrap_or_default(),
            trouble: None,
        };
        let (mut reply, trouble) = match self.put_off(&call, &body) {
            Some(meanwhile) => (meanwhile?, None),
            None => self.reply(call, &body, &token),
        };
        match trouble {
            Some(Trouble::CutAfter | Trouble::CutBefore) => return Err(listening::cut()),
            Some(Trouble::Silent) => tokio::time::sleep(self.clock.wait(SILENCE)).await,
            Some(Trouble::Empty) => reply = Reply::json(200, &json!({})),
            _ => {}
        }
        let mut response =
            Response::builder().status(reply.status).header(CONTENT_TYPE, reply.kind);
        if reply.status == 429 {
            let seconds = self.state().retry_after.unwrap_or(RETRY_AFTER);
            response = response
                .header("retry-after", seconds)
                .header("x-ratelimit-limit", "120")
                .header("x-ratelimit-remaining", "0")
                .header("x-ratelimit-reset", seconds);
        }
        let body = listening::body(reply.body, trouble == Some(Trouble::Slow));
        response.body(body).map_err(io::Error::other)
    }
}

/// What a trouble makes of a call that it keeps from happening.
fn refusal(trouble: Trouble) -> Option<Reply> {
    Some(match trouble {
        Trouble::Throttled => Reply::refusal(429, "ThrottlerException: Too Many Requests"),
        Trouble::ServerError | Trouble::CutBefore => Reply::refusal(500, "Internal Server Error"),
        Trouble::Denied => Reply::refusal(403, "Forbidden resource"),
        Trouble::Unknown => Reply::refusal(404, "Not Found"),
        Trouble::NotImplemented => Reply::refusal(501, "Not Implemented"),
        Trouble::Expired => Reply::refusal(401, "Unauthorized"),
        Trouble::CutAfter | Trouble::Silent | Trouble::Slow | Trouble::Empty => return None,
    })
}

/// The pairs of a query, unescaped.
fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (unescaped(name), unescaped(value))).collect()
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|it| std::str::from_utf8(it).ok());
        let escaped = digits.and_then(|it| u8::from_str_radix(it, 16).ok());
        let (byte, left) = match (first, escaped) {
            (b'%', Some(byte)) => (byte, after.get(2..).unwrap_or_default()),
            (b'+', _) => (b' ', after),
            (byte, _) => (*byte, after),
        };
        bytes.push(byte);
        rest = left;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
