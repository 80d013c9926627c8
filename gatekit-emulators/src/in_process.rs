//! The emulator inside the process of the SDK that calls it, for virtual time.

use std::fmt;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;

use crate::aws::{Answer, Asked, Aws};

impl Aws {
    /// An HTTP client for the SDK that reaches this account without a network: time is tokio's alone,
    /// so a test that pauses it passes in no time. Drops of a slow answer come all at once.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(InProcess(self.clone()));
        http_client_fn(move |_, _| connector.clone())
    }
}

#[derive(Clone)]
struct InProcess(Aws);

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let aws = self.0.clone();
        HttpConnectorFuture::new(async move {
            let header = |name| request.headers().get(name).unwrap_or_default().to_owned();
            let asked = Asked {
                path: url_path(request.uri()).to_owned(),
                target: header("x-amz-target"),
                body: request.body().bytes().unwrap_or_default().to_vec().into(),
            };
            // As hyper's client tells it: by no kind of its own.
            let cut = || {
                let kind = Some(ErrorKind::TransientError);
                ConnectorError::other("connection closed before message completed".into(), kind)
            };
            let Answer { status, headers, body, .. } = aws.answer(asked).await.ok_or_else(cut)?;
            let status = StatusCode::try_from(status)
                .map_err(|source| ConnectorError::other(Box::new(source), None))?;
            let mut response = HttpResponse::new(status, SdkBody::from(body));
            for (name, value) in headers {
                response.headers_mut().insert(*name, *value);
            }
            Ok(response)
        })
    }
}

/// The path of an absolute URL.
fn url_path(url: &str) -> &str {
    let beyond = url.split_once("://").map_or(url, |(_, beyond)| beyond);
    beyond.find('/').map_or("/", |at| &beyond[at..])
}
