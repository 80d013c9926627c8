//! A small web service to release: the demo ships this very executable under a hidden subcommand.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

/// Serves until it is killed: `/version` answers with what the file `version` in the current
/// directory says, `/ready` with the status in the file `ready`, or 200.
///
/// # Errors
/// When the port cannot be bound.
pub(crate) fn serve(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || {
            // A client that went away concerns nobody but itself.
            let _ = answer(stream);
        });
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
    }
    let (status, body) = match request.split(' ').nth(1) {
        Some("/version") => ("200 OK".to_owned(), read(Path::new("version"), "unknown")),
        Some("/ready") => (read(Path::new("ready"), "200 OK"), "ready\n".to_owned()),
        _ => ("404 Not Found".to_owned(), "not found\n".to_owned()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn read(path: &Path, otherwise: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| otherwise.to_owned(), |text| text.trim().to_owned())
}
