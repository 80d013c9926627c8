//! A raw HTTP server that does as it is told, also what no server should.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// What to do with one request.
pub(crate) enum Play {
    /// Send these bytes, and wait for the next request on the same connection.
    Send(Vec<u8>),
    /// Send these bytes and close.
    SendAndClose(Vec<u8>),
    /// Send this head, and then pieces of a body for as long as anybody reads.
    Endless(&'static str, bool),
    /// Send one byte of the body at a time, forever.
    Drip,
    /// Say nothing until the client goes.
    Silent,
    /// Send these bytes when everybody else is here too.
    Together(Arc<Barrier>, Vec<u8>),
}

pub(crate) fn ok(body: &str) -> Play {
    reply("200 OK", "", body)
}

pub(crate) fn status(line: &str) -> Play {
    reply(line, "", "")
}

pub(crate) fn reply(line: &str, headers: &str, body: &str) -> Play {
    let length = body.len();
    Play::Send(
        format!("HTTP/1.1 {line}\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes(),
    )
}

pub(crate) fn redirect(to: &str) -> Play {
    reply("302 Found", &format!("location: {to}\r\n"), "")
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    connections: AtomicUsize,
    requests: AtomicUsize,
    sent: AtomicUsize,
    left: AtomicUsize,
    writes: AtomicUsize,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Script = dyn Fn(usize, &str) -> Play + Send + Sync;

impl Server {
    /// `script` is given the number of the request, from 0, and its path with query.
    pub(crate) async fn start(
        script: impl Fn(usize, &str) -> Play + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let (script, shared): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&counts));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&shared)));
            }
        });
        Self { addr, counts, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }

    /// Bytes of endless bodies that the client let us send.
    pub(crate) fn sent(&self) -> usize {
        self.counts.sent.load(Ordering::SeqCst)
    }

    /// Requests that ask for more than to read.
    pub(crate) fn writes(&self) -> usize {
        self.counts.writes.load(Ordering::SeqCst)
    }

    /// Clients that went while we said nothing.
    pub(crate) fn left(&self) -> usize {
        self.counts.left.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>, counts: Arc<Counts>) {
    while let Some(path) = request(&mut stream, &counts).await {
        let n = counts.requests.fetch_add(1, Ordering::SeqCst);
        let goes_on = match script(n, &path) {
            Play::Send(bytes) => stream.write_all(&bytes).await.is_ok(),
            Play::SendAndClose(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                false
            }
            Play::Together(barrier, bytes) => {
                barrier.wait().await;
                stream.write_all(&bytes).await.is_ok()
            }
            Play::Silent => {
                while matches!(stream.read(&mut [0; 64]).await, Ok(n) if n > 0) {}
                counts.left.fetch_add(1, Ordering::SeqCst);
                false
            }
            Play::Endless(head, chunked) => {
                let mut piece = vec![b'x'; 0x1_0000];
                if chunked {
                    piece = [b"10000\r\n", piece.as_slice(), b"\r\n"].concat();
                }
                let mut alive = stream.write_all(head.as_bytes()).await.is_ok();
                while alive {
                    alive = stream.write_all(&piece).await.is_ok();
                    counts.sent.fetch_add(piece.len(), Ordering::SeqCst);
                }
                false
            }
            Play::Drip => {
                let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
                let mut alive = stream.write_all(head).await.is_ok();
                while alive {
                    alive = stream.write_all(b"x").await.is_ok();
                    sleep(Duration::from_millis(10)).await;
                }
                false
            }
        };
        if !goes_on {
            return;
        }
    }
}

/// Reads the head of one request, and returns its path.
async fn request(stream: &mut TcpStream, counts: &Counts) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    if !head.starts_with("GET ") {
        counts.writes.fetch_add(1, Ordering::SeqCst);
    }
    let path = head.strip_prefix("GET ")?.split(' ').next()?.to_owned();
    assert!(head.contains("user-agent: gatekit/"), "{head}");
    Some(path)
}
