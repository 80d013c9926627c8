//! A port of the loopback at which an emulator answers.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::slow::SlowBody;

/// A response whose body may come in drops.
pub(crate) type Responded = Response<BoxBody<Bytes, Infallible>>;

/// What answers requests of HTTP.
pub(crate) trait Responds: Clone + Send + Sync + 'static {
    /// An error cuts the connection.
    fn respond(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = io::Result<Responded>> + Send;
}

/// A body, whole or in drops.
pub(crate) fn body(body: Bytes, slowly: bool) -> BoxBody<Bytes, Infallible> {
    if slowly { SlowBody::new(body).boxed() } else { http_body_util::Full::new(body).boxed() }
}

/// The error that cuts a connection.
pub(crate) fn cut() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionReset)
}

/// A listening emulator.
#[derive(Debug)]
#[must_use = "it serves until it is dropped"]
pub struct Listening {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Listening {
    /// Listens on that port of the loopback, 0 for a free one.
    pub(crate) async fn begin(service: impl Responds, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                connections.spawn(async move { serve(&service, stream).await });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, _tasks: tasks })
    }

    /// The endpoint, as for `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(service: &impl Responds, stream: TcpStream) {
    let answer = service_fn(|request| service.respond(request));
    let connection = hyper::server::conn::http1::Builder::new();
    // A caller who went away, or was cut off as it was asked for.
    let _ = connection.serve_connection(TokioIo::new(stream), answer).await;
}
