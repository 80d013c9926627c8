//! A smoke gate over many URLs, and a server that answers them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use gatekit_core::testing::plan_context;
use gatekit_core::{Candidate, Gate as _, StageId, TargetName};
use gatekit_http::Smoke;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::Result;
use crate::line::say;

/// Asks URLs of `base` once, and errs unless every answer is good.
pub(crate) async fn ask(base: &str, urls: usize) -> Result<()> {
    let patience = Duration::from_secs(60);
    let smoke = Smoke::urls((0..urls).map(|at| format!("{base}/{at}")))
        .with_retries(0)
        .with_attempt_timeout(patience)
        .with_deadline(patience)
        .build()?;
    let (target, stage) = (TargetName::new("bench")?, StageId::new("smoke")?);
    let cx = plan_context(&target, Candidate::new(), &stage, patience);
    let verdict = smoke.check(&cx).await?;
    if verdict.is_pass() { Ok(()) } else { Err(format!("{verdict:?}").into()) }
}

/// Answers every request with 200 until its standard input ends; prints `listens ADDRESS`.
pub(crate) async fn serve() -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let listener = socket.listen(4096)?;
    say("listens", listener.local_addr()?)?;
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(0);
    });
    loop {
        let (stream, _) = listener.accept().await?;
        // Whoever hangs up early has what it wanted.
        tokio::spawn(async move { answer(stream).await.ok() });
    }
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = Vec::with_capacity(1024);
    loop {
        while !request.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        request.clear();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
    }
}
