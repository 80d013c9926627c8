//! A proxy before a server of PostgreSQL, or before its pooler, that fails on purpose.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::{Result, failed};

/// What becomes of what goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It arrives.
    Through,
    /// The next answer is lost, and its connection with it.
    LoseAnswer,
    /// As that, for a commit of a transaction: after so many others, so 0 is the next one.
    LoseCommit(u64),
    /// The next request arrives so much later, even if its client has gone by then; whatever comes on
    /// other connections overtakes it.
    Late(Duration),
    /// Nothing arrives any more, and nobody is told.
    HalfOpen,
    /// Everything is closed, and nothing is accepted.
    Closed,
}

/// A proxy on a port of the loopback, for as long as the runtime that has made it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Shared,
}

/// What its connections share.
#[derive(Debug, Clone)]
struct Shared {
    way: Arc<watch::Sender<Way>>,
    /// How many connections were made.
    made: Arc<AtomicUsize>,
    /// How many of them, the first ones, have fallen silent.
    silent: Arc<AtomicUsize>,
}

/// One connection.
#[derive(Debug, Clone)]
struct Connection {
    number: usize,
    shared: Shared,
    /// Its next answer is lost.
    loses: Arc<AtomicBool>,
}

impl Proxy {
    /// Before the server of that URL.
    ///
    /// # Errors
    /// The URL names none, or no port is to be had.
    pub async fn before(url: &str) -> Result<Self> {
        let server = authority(url)?.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Shared {
            way: Arc::new(watch::Sender::new(Way::Through)),
            made: Arc::default(),
            silent: Arc::default(),
        };
        let all = shared.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if all.way() != Way::Closed {
                    tokio::spawn(connect(client, server.clone(), all.connection()));
                }
            }
        });
        Ok(Self { address, shared })
    }

    /// The URL, by way of this proxy.
    ///
    /// # Errors
    /// It names no server.
    pub fn url(&self, url: &str) -> Result<String> {
        Ok(url.replace(authority(url)?, &self.address.to_string()))
    }

    /// What becomes of what goes through from now on.
    pub fn set(&self, way: Way) {
        self.shared.way.send_replace(way);
    }

    /// On the connections that there are nothing arrives any more, and nobody is told.
    pub fn silence(&self) {
        let made = self.shared.made.load(Ordering::SeqCst);
        self.shared.silent.store(made, Ordering::SeqCst);
    }

    /// Whether the fault has come to pass.
    #[must_use]
    pub fn is_through(&self) -> bool {
        self.shared.way() == Way::Through
    }
}

fn authority(url: &str) -> Result<&str> {
    let rest = url.split_once('@').map(|(_, rest)| rest);
    rest.and_then(|it| it.split('/').next()).ok_or_else(|| failed("the URL names no server"))
}

impl Shared {
    fn way(&self) -> Way {
        *self.way.borrow()
    }

    fn connection(&self) -> Connection {
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        Connection { number, shared: self.clone(), loses: Arc::default() }
    }

    /// Takes a fault that happens once.
    fn take(&self, wanted: impl Fn(Way) -> bool) -> Option<Way> {
        let mut taken = None;
        self.way.send_if_modified(|way| {
            let takes = wanted(*way);
            if takes {
                taken = Some(std::mem::replace(way, Way::Through));
            }
            takes
        });
        taken
    }

    /// Whether this commit is the one whose answer is lost.
    fn takes_commit(&self) -> bool {
        let counted = self.way.send_if_modified(|way| match way {
            Way::LoseCommit(after @ 1..) => {
                *after -= 1;
                true
            }
            _ => false,
        });
        !counted && self.take(|way| way == Way::LoseCommit(0)).is_some()
    }
}

impl Connection {
    fn is_silent(&self) -> bool {
        let silent = self.shared.silent.load(Ordering::SeqCst);
        self.number < silent || self.shared.way() == Way::HalfOpen
    }

    fn loses_answer(&self) -> bool {
        self.loses.load(Ordering::SeqCst)
            || self.shared.take(|way| way == Way::LoseAnswer).is_some()
    }
}

async fn connect(client: TcpStream, server: String, connection: Connection) {
    // Whoever comes while the server is away finds the way closed.
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let requests = tokio::spawn(requests(from_client, to_server, connection.clone()));
    answers(from_server, to_client, connection).await;
    requests.abort();
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, connection: Connection) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let request = buffer.get(..length).unwrap_or_default();
        if let Some(Way::Late(late)) = connection.shared.take(|way| matches!(way, Way::Late(_))) {
            let request = request.to_vec();
            // It goes on without its client.
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                // The server may have gone by then.
                to.write_all(&request).await.ok();
                tokio::time::sleep(Duration::from_secs(5)).await;
            });
            return std::future::pending().await;
        }
        if connection.is_silent() {
            return std::future::pending().await;
        }
        let commits = request.windows(7).any(|it| COMMITS.contains(&it));
        if commits && connection.shared.takes_commit() {
            connection.loses.store(true, Ordering::SeqCst);
        }
        if to.write_all(request).await.is_err() {
            return;
        }
    }
}

/// As a client sends it, alone or with something after it.
const COMMITS: [&[u8]; 2] = [b"COMMIT\0", b"COMMIT;"];

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, connection: Connection) {
    let mut buffer = vec![0; 65_536];
    let mut changes = connection.shared.way.subscribe();
    loop {
        let length = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            _ = changes.wait_for(|way| *way == Way::Closed) => 0,
        };
        if length == 0 || connection.loses_answer() {
            return;
        }
        if connection.is_silent() {
            return std::future::pending().await;
        }
        let answer = buffer.get(..length).unwrap_or_default();
        if to.write_all(answer).await.is_err() {
            return;
        }
    }
}
