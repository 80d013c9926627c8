//! An emulated AWS account behind one HTTP endpoint.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::cloudwatch::{Alarm, AlarmState, Alarms};
use crate::ecr::Ecr;
use crate::ecs::{ALARM, Account, Scenario};
use crate::injection::{self, Injection, SILENCE, Trouble};
use crate::listening::{self, Listening, Responded, Responds};
use crate::wire::{Fault, Named, Reply};

/// An emulated AWS account: it answers as the services' own protocols do, whoever has signed.
///
/// It has the cluster `demo` with the service `web`, whose next deployment goes as its scenario says,
/// and the alarm `web-5xx`, which fires when that scenario says so.
#[derive(Debug, Clone)]
pub struct Aws {
    state: Arc<Mutex<State>>,
    clock: Clock,
    ecr: Option<Ecr>,
}

#[derive(Debug)]
struct State {
    account: Account,
    alarms: Alarms,
    clock: Clock,
    injections: Vec<Injection>,
    calls: Vec<Call>,
}

/// A call before it is understood.
pub(crate) struct Asked {
    /// The path of its URL: service and operation, of some protocols.
    pub(crate) path: String,
    /// Service and operation, of the others.
    pub(crate) target: String,
    pub(crate) body: Bytes,
}

/// What is answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) body: Bytes,
    /// In drops.
    pub(crate) slowly: bool,
}

/// A call that came in.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Call {
    /// When, on the emulator's clock.
    pub at: Duration,
    /// The operation, as `DescribeServices`.
    pub operation: String,
    /// What was asked.
    pub ask: Value,
    /// What went wrong with it.
    pub trouble: Option<Trouble>,
}

impl Aws {
    /// An account whose service deploys as the scenario says.
    #[must_use]
    pub fn new(scenario: Scenario, clock: Clock) -> Self {
        let account = Account::new(scenario, clock.clone());
        let mut alarms = Alarms::default();
        alarms.put(Alarm::metric(ALARM));
        let state = State {
            account,
            alarms,
            clock: clock.clone(),
            injections: Vec::new(),
            calls: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), clock, ecr: None }
    }

    /// The account with an image registry beside it.
    #[must_use]
    pub fn with_ecr(mut self, ecr: Ecr) -> Self {
        self.ecr = Some(ecr);
        self
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
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// The account itself, for what only its owner sees and does.
    pub fn with_account<T>(&self, look: impl FnOnce(&mut Account) -> T) -> T {
        look(&mut self.state().account)
    }

    /// Answers a call of that operation, without the way there and without a fault: or says the error.
    ///
    /// # Errors
    /// What the service would err with.
    pub fn call(&self, operation: &str, ask: &Value) -> Result<Value, Value> {
        let service = if operation.ends_with("Alarms") { "cloudwatch" } else { "ecs" };
        self.state().answer(service, operation, ask).map_err(|fault| fault.body())
    }

    /// Adds an alarm, or puts it in the place of the one of its name.
    pub fn put_alarm(&self, alarm: Alarm) {
        self.state().alarms.put(alarm);
    }

    /// Turns an alarm to that state now.
    pub fn turn_alarm(&self, name: &str, state: AlarmState) {
        let now = self.clock.elapsed();
        self.state().alarms.turn(name, now, state);
    }

    /// Listens on that port of the loopback, 0 for a free one, and serves until it is dropped.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn listen(&self, port: u16) -> io::Result<Listening> {
        Listening::begin(self.clone(), port).await
    }

    /// Answers a call; `None` when the connection is cut instead.
    pub(crate) async fn answer(&self, asked: Asked) -> Option<Answer> {
        let named = Named::of(&asked);
        let protocol = named.protocol;
        let (reply, trouble) = self.reply(named).await;
        match trouble {
            Some(Trouble::CutAfter | Trouble::CutBefore) => return None,
            Some(Trouble::Silent) => tokio::time::sleep(self.clock.wait(SILENCE)).await,
            _ => {}
        }
        let (status, body) = match reply {
            Ok(_) if trouble == Some(Trouble::Empty) => (200, Value::Object(Map::new())),
            Ok(body) => (200, body),
            Err(fault) => (fault.status, fault.body()),
        };
        let slowly = trouble == Some(Trouble::Slow);
        let (headers, body) = (protocol.headers(), protocol.encode(&body));
        Some(Answer { status, headers, body, slowly })
    }

    async fn reply(&self, named: Named) -> (Reply, Option<Trouble>) {
        let Named { service, operation, ask, .. } = named;
        let at = self.clock.elapsed();
        let ecr = self.ecr.as_ref().filter(|_| service == "ecr");
        let mut trouble = injection::next(&mut self.state().injections, &operation);
        let action = format!("{service}:{operation}");
        let reply = match (trouble.and_then(|it| refusal(it, &action)), ecr) {
            (Some(refusal), _) => Err(refusal),
            (None, Some(ecr)) => {
                let (reply, lost) = ecr.answer(&operation, &ask).await;
                trouble = trouble.or(lost);
                reply
            }
            (None, None) => self.state().answer(service, &operation, &ask),
        };
        self.state().calls.push(Call { at, operation, ask, trouble });
        (reply, trouble)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Responds for Aws {
    async fn respond(&self, request: Request<Incoming>) -> io::Result<Responded> {
        let (head, body) = request.into_parts();
        let target = head.headers.get("x-amz-target").and_then(|it| it.to_str().ok());
        let target = target.unwrap_or_default().to_owned();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let asked = Asked { path: head.uri.path().to_owned(), target, body };
        let answer = self.answer(asked).await.ok_or_else(listening::cut)?;
        let mut response = Response::builder().status(answer.status);
        for (name, value) in answer.headers {
            response = response.header(*name, *value);
        }
        let body = listening::body(answer.body, answer.slowly);
        response.body(body).map_err(io::Error::other)
    }
}

impl State {
    fn answer(&mut self, service: &str, operation: &str, ask: &Value) -> Reply {
        if service != "cloudwatch" {
            return self.account.answer(operation, ask);
        }
        if let Some(at) = self.account.alarmed() {
            self.alarms.turn(ALARM, at, AlarmState::Alarm);
        }
        self.alarms.answer(operation, ask, &self.clock)
    }
}

/// What a trouble makes of a call that it keeps from happening.
fn refusal(trouble: Trouble, action: &str) -> Option<Fault> {
    Some(match trouble {
        Trouble::Throttled => Fault::client("ThrottlingException", "Rate exceeded"),
        Trouble::ServerError | Trouble::CutBefore => Fault::server(),
        Trouble::Denied => {
            let what = format!(
                "User: arn:aws:iam::123456789012:user/deployer is not authorized to perform: \
                 {action} on resource: *"
            );
            Fault::client("AccessDeniedException", &what)
        }
        Trouble::Unknown => Fault::client("UnknownOperationException", ""),
        Trouble::NotImplemented => Fault::not_implemented(),
        Trouble::Expired => {
            let what = "The security token included in the request is expired";
            Fault::client("ExpiredTokenException", what)
        }
        Trouble::CutAfter | Trouble::Silent | Trouble::Slow | Trouble::Empty => return None,
    })
}
