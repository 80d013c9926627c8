//! A TCP server that sends bytes as they are written down, whatever HTTP says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gatekit_peers::Authority;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::tls::acceptor;

/// What a server does with every connection.
#[derive(Debug, Clone)]
pub(super) enum Play {
    /// Reads the request, sends these bytes and closes.
    Send(Vec<u8>),
    /// Reads the request, sends these bytes and waits for the client to go.
    Keep(Vec<u8>),
    /// Reads the request, sends these bytes one by one, so far apart, and closes.
    Drip(Vec<u8>, Duration),
    /// Reads the request, sends these bytes and resets the connection.
    Reset(Vec<u8>),
    /// Answers by the path: the first one that the request's path begins with.
    Paths(Vec<(&'static str, Vec<u8>)>),
    /// Closes without reading.
    HangUp,
    /// Resets without reading.
    ResetAtOnce,
    /// Nobody listens there.
    ClosedPort,
    /// Speaks TLS with that certificate, then as `Send`.
    Tls(Cert, Vec<u8>),
    /// Speaks TLS, sends these bytes and closes the connection without a word of TLS.
    TlsCut(Vec<u8>),
}

/// Which certificate a server shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cert {
    Good,
    WrongName,
    Expired,
}

/// A server that plays one piece, over and over.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) addr: SocketAddr,
    task: Option<JoinHandle<()>>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Stage {
    pub(super) async fn start(play: Play, authority: &Authority) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        if matches!(play, Play::ClosedPort) {
            return Self { addr, task: None };
        }
        let tls = match &play {
            Play::Tls(Cert::Good, _) | Play::TlsCut(_) => {
                Some(acceptor(authority, "127.0.0.1", false))
            }
            Play::Tls(Cert::WrongName, _) => Some(acceptor(authority, "elsewhere.example", false)),
            Play::Tls(Cert::Expired, _) => Some(acceptor(authority, "127.0.0.1", true)),
            _ => None,
        };
        let play = Arc::new(play);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(perform(stream, Arc::clone(&play), tls.clone()));
            }
        });
        Self { addr, task: Some(task) }
    }
}

async fn perform(mut stream: TcpStream, play: Arc<Play>, tls: Option<TlsAcceptor>) {
    match &*play {
        Play::HangUp | Play::ClosedPort => {}
        Play::ResetAtOnce => stream.set_zero_linger().unwrap(),
        Play::Tls(_, bytes) => {
            let Some(tls) = tls else { return };
            if let Ok(mut stream) = tls.accept(stream).await {
                request(&mut stream).await;
                send(&mut stream, bytes).await;
            }
        }
        Play::TlsCut(bytes) => {
            let Some(tls) = tls else { return };
            if let Ok(mut stream) = tls.accept(stream).await {
                request(&mut stream).await;
                let _ = stream.write_all(bytes).await;
                let _ = stream.flush().await;
                let _ = stream.get_mut().0.shutdown().await;
            }
        }
        Play::Send(bytes) => {
            request(&mut stream).await;
            send(&mut stream, bytes).await;
        }
        Play::Keep(bytes) => {
            request(&mut stream).await;
            let _ = stream.write_all(bytes).await;
            while matches!(stream.read(&mut [0; 64]).await, Ok(n) if n > 0) {}
        }
        Play::Drip(bytes, apart) => {
            request(&mut stream).await;
            for byte in bytes {
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
                sleep(*apart).await;
            }
        }
        Play::Reset(bytes) => {
            request(&mut stream).await;
            let _ = stream.write_all(bytes).await;
            // What was sent has to arrive before the reset overtakes it.
            sleep(Duration::from_millis(50)).await;
            let _ = stream.set_zero_linger();
        }
        Play::Paths(paths) => {
            let path = request(&mut stream).await;
            let found = paths.iter().find(|(prefix, _)| path.starts_with(prefix));
            if let Some((_, bytes)) = found {
                send(&mut stream, bytes).await;
            }
        }
    }
}

/// Reads the head of a request, or what there is of it, and returns its path.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    let head = String::from_utf8_lossy(&head);
    head.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// Sends, closes our side, and waits for the other one: closing earlier could reset.
async fn send(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), bytes: &[u8]) {
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    while matches!(stream.read(&mut [0; 64]).await, Ok(n) if n > 0) {}
}
