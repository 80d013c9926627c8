//! The API and its projects.

use std::fmt;
use std::time::Duration;

use gatekit_core::{Effect, Error, Result};
use gatekit_http::{Answer, Api, Request};
use secrecy::SecretString;
use tokio::time::{Instant, sleep};

use super::failed::Failed;
use crate::code;
use crate::operations::Operation;

/// Where Supabase has it.
const HOSTED: &str = "https://api.supabase.com";

/// How long a read is tried again that fails for a while. The engine gives the judge of a release 30 s.
const PATIENCE: Duration = Duration::from_secs(25);

/// The first pause before a read is tried again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(4));

/// How many letters name a project.
const REFERENCE: usize = 20;

/// Supabase's management API, asked with a token that is never shown.
///
/// What reads is tried again while it fails for a while; who asks too often waits as long as the API says, if
/// the deadline allows that. What writes is sent once.
///
/// # Default
/// An answer to what reads may take 15 s, and to what writes 150 s: functions are bundled meanwhile. So long may
/// an artefact take that is read.
///
/// # Example
/// ```
/// # fn example() -> gatekit_core::Result<()> {
/// use gatekit_supabase::Management;
/// use secrecy::SecretString;
///
/// let management = Management::new(&SecretString::from("sbp_token"))?;
/// let project = management.project("abcdefghijklmnopqrst")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Management {
    api: Api,
    read: Duration,
    write: Duration,
}

impl Management {
    /// The API of Supabase itself.
    ///
    /// # Errors
    /// `api.token`, `api.client`.
    pub fn new(token: &SecretString) -> Result<Self> {
        Self::at(HOSTED, token)
    }

    /// The API at another URL: https, or http on this machine.
    ///
    /// # Errors
    /// `api.url`, `api.secret_in_url`, `api.plaintext`, `api.token`, `api.client`.
    pub fn at(url: &str, token: &SecretString) -> Result<Self> {
        Api::at(url, token).map(Self::of)
    }

    /// The same, where http may lead to another machine: for networks in which nobody else listens.
    ///
    /// # Errors
    /// As [`at`](Self::at), without `api.plaintext`.
    pub fn over_plaintext(url: &str, token: &SecretString) -> Result<Self> {
        Api::over_plaintext(url, token).map(Self::of)
    }

    fn of(api: Api) -> Self {
        Self { api, read: Duration::from_secs(15), write: Duration::from_secs(150) }
    }

    /// Lets an answer take so long: to what reads, and to what writes.
    #[must_use]
    pub fn with_timeouts(mut self, read: Duration, write: Duration) -> Self {
        (self.read, self.write) = (read, write);
        self
    }

    /// A project, by the 20 small letters of its reference.
    ///
    /// # Errors
    /// `supabase.config` when no project can have that reference.
    pub fn project(&self, reference: &str) -> Result<Project> {
        let is_one =
            reference.len() == REFERENCE && reference.bytes().all(|it| it.is_ascii_lowercase());
        if !is_one {
            let what = format!("`{}` is no reference of a project", reference.escape_debug());
            return Err(Error::new(code::CONFIG, what).with_effect(Effect::None));
        }
        Ok(Project { management: self.clone(), reference: reference.to_owned() })
    }
}

/// A project of Supabase.
#[derive(Clone)]
pub struct Project {
    management: Management,
    reference: String,
}

impl Project {
    /// Its reference.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// How long an answer to what writes may take.
    pub(crate) fn write_timeout(&self) -> Duration {
        self.management.write
    }

    /// The API and the project, as a change names them.
    pub(crate) fn place(&self) -> String {
        format!("{} of {}", self.reference, self.management.api.base())
    }

    /// A request of that operation.
    pub(super) fn request(&self, operation: &'static Operation, slug: &str) -> Request {
        Request::new(operation.method, operation.segments(&self.reference, slug))
    }

    /// Reads; and reads again, at growing pauses, while that fails for a while. Cancel-safe.
    pub(super) async fn read<T>(
        &self,
        operation: &'static Operation,
        request: &Request,
        deadline: Instant,
        understand: impl Fn(&[u8]) -> Result<T, Failed> + Send + Sync,
    ) -> Result<T> {
        self.read_within(self.management.read, operation, request, deadline, understand).await
    }

    /// The same, where an answer may take so long.
    pub(super) async fn read_within<T>(
        &self,
        patience: Duration,
        operation: &'static Operation,
        request: &Request,
        deadline: Instant,
        understand: impl Fn(&[u8]) -> Result<T, Failed> + Send + Sync,
    ) -> Result<T> {
        let until = deadline.min(Instant::now() + PATIENCE);
        let mut pause = PAUSES.0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let within = patience.min(left);
            let answer = self.send(operation, request, within).await;
            let failed = match answer.and_then(|answer| understand(&answer.body)) {
                Ok(read) => return Ok(read),
                Err(failed) => failed,
            };
            // Those who were refused together do not come back together.
            let jittered = pause.mul_f64(0.5 + fastrand::f64());
            // What the API asks for is worth waiting for, also beyond what is tried on one's own account.
            let (wait, until) = match failed.pause {
                Some(asked) => (asked.checked_add(jittered), deadline),
                None => (Some(jittered), until),
            };
            let is_in_time =
                |wait: &Duration| Instant::now().checked_add(*wait).is_some_and(|at| at < until);
            match wait.filter(is_in_time) {
                Some(wait) if failed.error.is_temporary() => sleep(wait).await,
                _ => return Err(failed.error),
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Writes, once.
    pub(super) async fn write(
        &self,
        operation: &'static Operation,
        request: &Request,
    ) -> Result<Vec<u8>, Failed> {
        let answer = self.send(operation, request, self.management.write).await?;
        Ok(answer.body)
    }

    async fn send(
        &self,
        operation: &'static Operation,
        request: &Request,
        within: Duration,
    ) -> Result<Answer, Failed> {
        let api = &self.management.api;
        match api.send(request, within).await {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(answer),
            Ok(answer) => Err(Failed::refused(operation, api, &answer)),
            Err(no_answer) => Err(Failed::lost(operation, no_answer)),
        }
    }
}

impl fmt::Debug for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Project").field(&self.place()).finish()
    }
}
