//! What a service answers, before it is HTTP.

use ciborium::value::Value as Cbor;
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::aws::Asked;

/// The answer to a call.
pub(crate) type Reply = Result<Value, Fault>;

/// A failed call, as the protocols tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    kind: String,
    message: String,
}

impl Fault {
    /// The caller's fault.
    pub(crate) fn client(kind: &str, message: &str) -> Self {
        Self { status: 400, kind: kind.to_owned(), message: message.to_owned() }
    }

    /// The service's own.
    pub(crate) fn server() -> Self {
        let message = "Service Unavailable. Please try again later.".to_owned();
        Self { status: 500, kind: "ServerException".to_owned(), message }
    }

    /// As endpoints tell it that imitate the service in part.
    pub(crate) fn not_implemented() -> Self {
        let message = "API action has not been implemented".to_owned();
        Self { status: 501, kind: "InternalFailure".to_owned(), message }
    }

    pub(crate) fn body(&self) -> Value {
        json!({ "__type": self.kind, "message": self.message })
    }
}

/// How a service is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// JSON, with the operation in a header.
    Json,
    /// Smithy's RPC v2 with CBOR, with the operation in the path.
    Cbor,
}

/// A call by its names.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) protocol: Protocol,
    /// The service, as the names of its actions begin.
    pub(crate) service: &'static str,
    pub(crate) operation: String,
    pub(crate) ask: Value,
}

impl Named {
    pub(crate) fn of(asked: &Asked) -> Self {
        // `/service/GraniteServiceVersion20100801/operation/DescribeAlarms`
        if let ["service", service, "operation", operation] =
            asked.path.trim_matches('/').split('/').collect::<Vec<_>>()[..]
        {
            let ask = ciborium::from_reader(&*asked.body).unwrap_or_default();
            let (service, operation) = (prefix(service), operation.to_owned());
            return Self { protocol: Protocol::Cbor, service, operation, ask };
        }
        let (service, operation) = asked.target.rsplit_once('.').unwrap_or_default();
        let ask = serde_json::from_slice(&asked.body).unwrap_or_default();
        let (service, operation) = (prefix(service), operation.to_owned());
        Self { protocol: Protocol::Json, service, operation, ask }
    }
}

fn prefix(service: &str) -> &'static str {
    match service {
        _ if service.starts_with("GraniteService") => "cloudwatch",
        _ if service.starts_with("AmazonEC2ContainerRegistry") => "ecr",
        _ => "ecs",
    }
}

impl Protocol {
    pub(crate) fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Json => &[("content-type", "application/x-amz-json-1.1")],
            Self::Cbor => {
                &[("content-type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")]
            }
        }
    }

    pub(crate) fn encode(self, body: &Value) -> Bytes {
        match self {
            Self::Json => Bytes::from(body.to_string()),
            Self::Cbor => {
                let mut bytes = Vec::new();
                // Memory takes whatever is written.
                let _ = ciborium::into_writer(&cbor("", body), &mut bytes);
                Bytes::from(bytes)
            }
        }
    }
}

/// As CBOR has it: times have a tag, which JSON has not, so that their names tell them.
fn cbor(name: &str, value: &Value) -> Cbor {
    /// Seconds since 1970.
    const TIME: u64 = 1;
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(value) => Cbor::Bool(*value),
        Value::Number(number) if name.ends_with("Timestamp") => {
            Cbor::Tag(TIME, Box::new(Cbor::Float(number.as_f64().unwrap_or_default())))
        }
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Cbor::Integer(integer.into()),
            None => Cbor::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Cbor::Text(text.clone()),
        Value::Array(items) => Cbor::Array(items.iter().map(|it| cbor(name, it)).collect()),
        Value::Object(members) => Cbor::Map(
            members.iter().map(|(name, it)| (Cbor::Text(name.clone()), cbor(name, it))).collect(),
        ),
    }
}
