//! What a program printed: hashed as a whole, and of it the end kept.

use std::collections::VecDeque;

use gatekit_core::{Digest, Hasher};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How much of the end of an output is kept, in bytes.
const KEPT: usize = 4096;

/// One stream of a program.
#[derive(Debug, Default)]
pub(super) struct Output {
    hasher: Hasher,
    bytes: u64,
    tail: VecDeque<u8>,
    /// The beginning of its first line is missing.
    cut: bool,
}

impl Output {
    /// Reads until the stream ends. Cancel-safe: what was read is kept.
    pub(super) async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) {
        let mut buffer = vec![0; 16 * 1024];
        // A stream that cannot be read has ended as well as one that is closed.
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            self.push(&buffer[..length]);
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.tail.extend(&bytes[bytes.len().saturating_sub(KEPT)..]);
        let surplus = self.tail.len().saturating_sub(KEPT);
        self.tail.drain(..surplus);
        self.cut = self.bytes > KEPT as u64;
    }

    /// Puts another stream behind this one. Which line of the one came before which of the other
    /// nobody can tell, so the digest is that of their digests.
    pub(super) fn append(&mut self, mut other: Self) {
        for stream in [&mut *self, &mut other] {
            stream.drop_half_line();
        }
        self.hasher.update(other.hasher.finish().as_str());
        self.bytes += other.bytes;
        self.tail.extend(other.tail);
    }

    /// Of a line whose beginning is missing nobody can tell whether it is part of a secret.
    fn drop_half_line(&mut self) {
        if std::mem::take(&mut self.cut) {
            let end = self.tail.iter().position(|&byte| byte == b'\n');
            self.tail.drain(..end.map_or(self.tail.len(), |end| end + 1));
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// The whole lines at its end as text, at most so many, without what a terminal would obey.
    pub(super) fn tail(&self, lines: usize) -> String {
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let text: String =
            text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
        let all: Vec<&str> = text.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_hashed_and_the_end_is_kept() {
        let mut output = Output::default();
        for _ in 0..10_000 {
            output.push(b"0123456789\n");
        }
        assert_eq!(output.bytes(), 110_000);
        assert_eq!(output.digest(), Digest::of("0123456789\n".repeat(10_000)));
        assert_eq!(output.tail.len(), KEPT);
        output.append(Output::default());
        assert_eq!(output.tail(2), "0123456789\n0123456789");
        assert!(output.tail(1000).lines().all(|line| line == "0123456789"), "no half lines");
    }

    #[test]
    fn what_is_no_text_and_what_a_terminal_obeys_is_harmless() {
        let mut output = Output::default();
        output.push(b"\xff\x1b[2Jgone\r\n\n");
        assert_eq!(output.tail(9), "\u{fffd} [2Jgone");
    }
}
