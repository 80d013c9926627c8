//! A proxy before the server that fails on purpose.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of what goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Through,
    /// The next answer is lost, and its connection with it.
    LoseAnswer,
    /// As that, for the next commit of a transaction.
    LoseCommit,
    /// The next request arrives so much later, even if its client has gone by then; whatever comes on
    /// other connections overtakes it.
    Late(Duration),
    /// Nothing arrives any more, and nobody is told.
    HalfOpen,
    /// Everything is closed, and nothing is accepted.
    Closed,
}

/// A proxy on a port of the loopback.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    way: Arc<watch::Sender<Way>>,
}

impl Proxy {
    /// Before the server of that URL.
    pub(crate) async fn before(url: &str) -> Self {
        let server = authority(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let way = Arc::new(watch::Sender::new(Way::Through));
        let shared = Arc::clone(&way);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *shared.borrow() != Way::Closed {
                    tokio::spawn(connect(client, server.clone(), Arc::clone(&shared)));
                }
            }
        });
        Self { address, way }
    }

    /// The URL, by way of this proxy.
    pub(crate) fn url(&self, url: &str) -> String {
        url.replace(authority(url), &self.address.to_string())
    }

    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Whether the fault has come to pass.
    pub(crate) fn is_through(&self) -> bool {
        *self.way.borrow() == Way::Through
    }
}

fn authority(url: &str) -> &str {
    let (_, rest) = url.split_once('@').unwrap();
    rest.split('/').next().unwrap()
}

async fn connect(client: TcpStream, server: String, way: Arc<watch::Sender<Way>>) {
    // Whoever comes while the server is away finds the way closed.
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let requests = tokio::spawn(requests(from_client, to_server, Arc::clone(&way)));
    answers(from_server, to_client, way).await;
    requests.abort();
}

/// Takes a fault that happens once.
fn take(way: &watch::Sender<Way>, wanted: impl Fn(Way) -> bool) -> Option<Way> {
    let taken = Mutex::new(None);
    way.send_if_modified(|way| {
        let takes = wanted(*way);
        if takes {
            *taken.lock().unwrap() = Some(std::mem::replace(way, Way::Through));
        }
        takes
    });
    taken.into_inner().unwrap()
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Arc<watch::Sender<Way>>) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if let Some(Way::Late(late)) = take(&way, |way| matches!(way, Way::Late(_))) {
            let request = buffer[..length].to_vec();
            // It goes on without its client.
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                // The server may have gone by then.
                to.write_all(&request).await.ok();
                tokio::time::sleep(Duration::from_secs(5)).await;
            });
            return std::future::pending().await;
        }
        if *way.borrow() == Way::HalfOpen {
            return std::future::pending().await;
        }
        let commits = buffer[..length].windows(COMMIT.len()).any(|it| it == COMMIT);
        if commits && take(&way, |way| way == Way::LoseCommit).is_some() {
            way.send_replace(Way::LoseAnswer);
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// As a client sends it.
const COMMIT: &[u8] = b"COMMIT\0";

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Arc<watch::Sender<Way>>) {
    let mut buffer = vec![0; 65_536];
    let mut changes = way.subscribe();
    loop {
        let length = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            _ = changes.wait_for(|way| *way == Way::Closed) => 0,
        };
        if length == 0 || take(&way, |way| way == Way::LoseAnswer).is_some() {
            return;
        }
        if *way.borrow() == Way::HalfOpen {
            return std::future::pending().await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
