//! The one error type of every trait method, and what to do next.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What trait methods and the engine return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A stable, dotted name of a refusal or an error, like `lock.suspect`. Programs match on it; its
/// meaning never changes between versions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(Cow<'static, str>);

impl Code {
    /// A code of that text; by convention `area.what_happened`.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first dot, like `lock`.
    #[must_use]
    pub fn area(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the failed call did to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// Nothing: the call may be made again.
    None,
    /// Nobody can tell. The default, because it is the safe thing to believe.
    #[default]
    Unknown,
    /// The effect took place, and the error came after it.
    Done,
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Retry {
    /// No: the same call gives the same error.
    #[default]
    Never,
    /// Yes, as it is, a little later.
    Later,
}

/// A verb of a gatekit binary, as a next action names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verb {
    /// Ship a candidate.
    Ship,
    /// Go on with an interrupted run.
    Resume,
    /// Settle a suspect target.
    Reconcile,
    /// Return to an earlier release.
    Rollback,
    /// Approve a run that waits, or confirm what it waits for.
    Approve,
    /// Answer for a gate that blocks, for a while and for one candidate.
    Waive,
    /// Show what is live and who holds the target.
    Status,
    /// Show the journal.
    Log,
}

impl Verb {
    /// The word to type.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ship => "ship",
            Self::Resume => "resume",
            Self::Reconcile => "reconcile",
            Self::Rollback => "rollback",
            Self::Approve => "approve",
            Self::Waive => "waive",
            Self::Status => "status",
            Self::Log => "log",
        }
    }
}

/// Something that may legally be done next, as data: a program can offer it, a person can type it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NextAction {
    /// What to do.
    pub action: Action,
    /// Who may do it, like `anyone` or `operator`.
    pub who: Cow<'static, str>,
}

/// What a [`NextAction`] asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// A verb of the binary in use, with the arguments beyond those that name the target.
    Verb(Verb, Vec<String>),
    /// Something outside gatekit, in one sentence.
    Outside(String),
}

impl NextAction {
    /// The verb `verb` with `args`, open to anyone who can run the binary.
    #[must_use]
    pub fn verb(verb: Verb, args: &[&str]) -> Self {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self { action: Action::Verb(verb, args), who: Cow::Borrowed("anyone") }
    }

    /// Something to do outside gatekit, in one sentence.
    #[must_use]
    pub fn outside(what: impl Into<String>) -> Self {
        Self { action: Action::Outside(what.into()), who: Cow::Borrowed("anyone") }
    }

    /// Names who may do it.
    #[must_use]
    pub fn by(mut self, who: &'static str) -> Self {
        self.who = Cow::Borrowed(who);
        self
    }
}

/// A refusal or failure: a stable code, what happened, what it did to the target, whether a retry
/// can help, and what may be done next.
///
/// `Display` gives the message and its context, never the source: whoever prints an error walks the
/// chain. Messages are lower-case, without a full stop, names in backticks. They MUST NOT contain
/// secrets: errors are journalled.
///
/// ```
/// use gatekit_core::{Code, Effect, Error};
///
/// const OUT_OF_SPACE: Code = Code::new("acme.out_of_space");
/// let error = Error::new(OUT_OF_SPACE, "the release does not fit")
///     .with_context("needed", "2 GiB")
///     .with_effect(Effect::None);
/// assert_eq!(error.to_string(), "the release does not fit (needed: 2 GiB)");
/// ```
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    failure: Failure,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// An [`Error`] as plain data, as the journal and the reports keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// The stable name.
    pub code: Code,
    /// What happened.
    pub message: String,
    /// Facts around it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<(Cow<'static, str>, String)>,
    /// What the failed call did to the target.
    pub effect: Effect,
    /// Whether trying again can help.
    pub retry: Retry,
    /// What may be done next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<NextAction>,
    /// The messages of the errors below it, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for (i, (name, value)) in self.context.iter().enumerate() {
            write!(f, "{}{name}: {value}", if i == 0 { " (" } else { ", " })?;
        }
        f.write_str(if self.context.is_empty() { "" } else { ")" })
    }
}

impl Error {
    /// An error with that code and message, of unknown effect, that a retry does not help.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let failure = Failure {
            code,
            message: message.into(),
            context: Vec::new(),
            effect: Effect::default(),
            retry: Retry::default(),
            next: Vec::new(),
            causes: Vec::new(),
        };
        Self(Box::new(Inner { failure, source: None }))
    }

    /// Adds a named fact.
    #[must_use]
    pub fn with_context(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.failure.context.push((Cow::Borrowed(name), value.to_string()));
        self
    }

    /// Says what the failed call did to the target.
    #[must_use]
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.0.failure.effect = effect;
        self
    }

    /// Says that the same call may succeed a little later.
    #[must_use]
    pub fn retry_later(mut self) -> Self {
        self.0.failure.retry = Retry::Later;
        self
    }

    /// Adds something that may be done next.
    #[must_use]
    pub fn with_next(mut self, next: NextAction) -> Self {
        self.0.failure.next.push(next);
        self
    }

    /// Adds the error below this one. Its text, and that of its own sources, is journalled: it MUST
    /// NOT contain secrets.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The stable name.
    #[must_use]
    pub fn code(&self) -> &Code {
        &self.0.failure.code
    }

    /// What the failed call did to the target.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.0.failure.effect
    }

    /// Whether the same call may succeed a little later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.0.failure.retry == Retry::Later
    }

    /// The error as plain data, with the messages of its sources.
    #[must_use]
    pub fn to_failure(&self) -> Failure {
        let mut failure = self.0.failure.clone();
        let mut next = StdError::source(self);
        while let Some(source) = next {
            failure.causes.push(source.to_string());
            next = source.source();
        }
        failure
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self(Box::new(Inner { failure, source: None }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.failure.fmt(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_leaves_the_source_to_the_chain() {
        let io = std::io::Error::other("the disk is on fire");
        let error =
            Error::new(Code::new("a.b"), "no copy").with_context("path", "/x").with_source(io);
        assert_eq!(error.to_string(), "no copy (path: /x)");
        assert_eq!(error.to_failure().causes, ["the disk is on fire"]);
        assert_eq!(error.effect(), Effect::Unknown, "the safe thing to believe");
    }

    #[test]
    fn a_failure_survives_the_journal() {
        let error = Error::new(Code::new("a.b"), "m")
            .with_context("k", "v")
            .with_effect(Effect::None)
            .retry_later()
            .with_next(NextAction::verb(Verb::Reconcile, &["--adopt"]).by("operator"));
        let text = serde_json::to_string(&error.to_failure()).unwrap();
        assert_eq!(serde_json::from_str::<Failure>(&text).unwrap(), error.to_failure());
    }
}
