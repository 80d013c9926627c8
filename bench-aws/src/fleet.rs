//! Many services behind one endpoint.
//!
//! An emulated account has one service, `web`. Here is one account for each service `web-N`, and
//! what is asked of a service is passed on to its own under the name that it has there.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use gatekit_emulators::Scenario;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::Result;
use crate::world::{World, definition, image};

/// The services, and when which operation was called.
#[derive(Clone)]
pub(crate) struct Fleet {
    services: Arc<Vec<World>>,
    calls: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fleet({})", self.services.len())
    }
}

impl Fleet {
    /// So many services, whose revision `web:2` has the new image, and whose rollouts take five minutes.
    pub(crate) fn new(services: usize) -> Result<Self> {
        let new = || -> Result<World> {
            let world = World::new(Scenario::Slow, 1.0);
            world.call("RegisterTaskDefinition", &definition(&image()?.to_string()))?;
            Ok(world)
        };
        let services = (0..services).map(|_| new()).collect::<Result<_>>()?;
        Ok(Self { services: Arc::new(services), calls: Arc::default() })
    }

    pub(crate) fn http_client(&self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(self.clone());
        http_client_fn(move |_, _| connector.clone())
    }

    /// When an operation was called.
    pub(crate) fn called(&self, operation: &str) -> Vec<Instant> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().filter(|(_, of)| of == operation).map(|(at, _)| *at).collect()
    }

    fn answer(&self, operation: &str, ask: &Value) -> std::result::Result<Value, Value> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push((Instant::now(), operation.to_owned()));
        let Some(names) = ask["services"].as_array() else {
            return self.of_one(operation, ask, number(&ask.to_string()));
        };
        let mut found = Vec::new();
        for name in names {
            let ask = json!({ "cluster": "demo", "services": [name] });
            let told = self.of_one(operation, &ask, number(&ask.to_string()))?;
            found.extend(told["services"].as_array().into_iter().flatten().cloned());
        }
        Ok(json!({ "services": found, "failures": [] }))
    }

    fn of_one(
        &self,
        operation: &str,
        ask: &Value,
        number: usize,
    ) -> std::result::Result<Value, Value> {
        let refused = || json!({ "__type": "ServiceNotFoundException" });
        let world = self.services.get(number).ok_or_else(refused)?;
        let name = format!("web-{number}");
        let parsed = |text: String| serde_json::from_str(&text).map_err(|_| refused());
        let told =
            world.account.call(operation, &parsed(ask.to_string().replace(&name, "web"))?)?;
        let told = told.to_string().replace("demo/web", &format!("demo/{name}"));
        parsed(told.replace(r#""serviceName":"web""#, &format!(r#""serviceName":"{name}""#)))
    }
}

/// Which service a call is about: what is about none, the first answers for all.
fn number(ask: &str) -> usize {
    let name = ask.find("web-").map(|at| &ask[at + 4..]).unwrap_or_default();
    let digits = name.find(|it: char| !it.is_ascii_digit()).unwrap_or(name.len());
    name[..digits].parse().unwrap_or_default()
}

impl HttpConnector for Fleet {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let ask = request.body().bytes().unwrap_or_default();
        let ask = serde_json::from_slice(ask).unwrap_or_default();
        let (status, told) = match self.answer(operation, &ask) {
            Ok(told) => (200, told),
            Err(refused) => (400, refused),
        };
        HttpConnectorFuture::ready(
            StatusCode::try_from(status)
                .map(|status| HttpResponse::new(status, SdkBody::from(told.to_string())))
                .map_err(|source| ConnectorError::other(Box::new(source), None)),
        )
    }
}
