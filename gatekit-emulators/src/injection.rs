//! Faults that are injected into the traffic.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// It is refused, because there were too many.
    Throttled,
    /// The service fails; nothing has happened.
    ServerError,
    /// The caller may not do that.
    Denied,
    /// The service does not know the operation.
    Unknown,
    /// The endpoint says so by a status alone, as those do that imitate AWS.
    NotImplemented,
    /// The credentials are no longer valid.
    Expired,
    /// It happens, and the connection is cut before the answer.
    CutAfter,
    /// The connection is cut before it happens.
    CutBefore,
    /// It happens, and the answer does not come.
    Silent,
    /// It happens, and the answer comes in drops.
    Slow,
    /// The answer has nothing in it.
    Empty,
}

/// A fault that the next calls meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    /// Of which operation, or of all that are called `writes`; of any, when it is `None`.
    pub operation: Option<String>,
    /// How many of them go well before.
    pub after: u32,
    /// What goes wrong.
    pub trouble: Trouble,
    /// How many calls meet it.
    pub times: u32,
}

/// How long a silent service keeps the caller waiting.
pub(crate) const SILENCE: Duration = Duration::from_secs(3600);

impl Trouble {
    const ALL: [(Self, &'static str); 11] = [
        (Self::Throttled, "throttled"),
        (Self::ServerError, "server-error"),
        (Self::Denied, "denied"),
        (Self::Unknown, "unknown"),
        (Self::NotImplemented, "not-implemented"),
        (Self::Expired, "expired"),
        (Self::CutAfter, "cut-after"),
        (Self::CutBefore, "cut-before"),
        (Self::Silent, "silent"),
        (Self::Slow, "slow"),
        (Self::Empty, "empty"),
    ];
}

impl Injection {
    /// The next `times` calls of an operation meet that trouble.
    #[must_use]
    pub fn of(trouble: Trouble, operation: &str, times: u32) -> Self {
        Self { operation: Some(operation.to_owned()), after: 0, trouble, times }
    }

    /// The same, after so many that go well.
    #[must_use]
    pub fn after(mut self, calls: u32) -> Self {
        self.after = calls;
        self
    }

    /// Whether it is about calls of that operation.
    pub(crate) fn is_about(&self, operation: &str) -> bool {
        let reads = ["Describe", "List", "Get", "BatchGet"];
        match self.operation.as_deref() {
            None => true,
            Some("writes") => !reads.iter().any(|it| operation.starts_with(it)),
            Some(of) => of == operation,
        }
    }
}

/// What goes wrong with the next call of that operation.
pub(crate) fn next(injections: &mut [Injection], operation: &str) -> Option<Trouble> {
    let about = |it: &&mut Injection| it.times > 0 && it.is_about(operation);
    let injection = injections.iter_mut().find(about)?;
    if injection.after > 0 {
        injection.after -= 1;
        return None;
    }
    injection.times -= 1;
    Some(injection.trouble)
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(it, _)| it == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

impl FromStr for Injection {
    type Err = String;

    /// `TROUBLE[:TIMES[:OPERATION]]`, as `throttled:3:DescribeServices`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':');
        let name = parts.next().unwrap_or_default();
        let Some((trouble, _)) = Trouble::ALL.iter().find(|(_, known)| *known == name) else {
            let names: Vec<_> = Trouble::ALL.iter().map(|(_, name)| *name).collect();
            return Err(format!("`{name}` is no trouble: there are {}", names.join(", ")));
        };
        let times = parts.next().unwrap_or("1");
        let times = times.parse().map_err(|_| format!("`{times}` is no number of calls"))?;
        let operation = parts.next().map(str::to_owned);
        Ok(Self { operation, after: 0, trouble: *trouble, times })
    }
}
