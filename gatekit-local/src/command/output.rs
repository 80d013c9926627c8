//! What a program printed: hashed as a whole, and of it the end kept.

use std::collections::VecDeque;

use gatekit_core::{Digest, Hasher};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::program::Program;

/// How much of the end of an output is kept, in bytes.
const KEPT: usize = 4096;

/// One stream of a program.
#[derive(Debug, Default)]
pub(super) struct Output {
    hasher: Hasher,
    bytes: u64,
    tail: VecDeque<u8>,
    /// The lines of its secrets, and whether one was printed.
    secrets: Vec<String>,
    tells: bool,
    /// As much of its end as may be the beginning of a secret.
    end: Vec<u8>,
}

impl Output {
    pub(super) fn new(program: &Program) -> Self {
        Self { secrets: program.secret_lines(), ..Self::default() }
    }

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
        self.listen(bytes);
    }

    /// Looks for secrets, also where one piece ends and the next begins.
    fn listen(&mut self, bytes: &[u8]) {
        let Some(longest) = self.secrets.iter().map(String::len).max().filter(|_| !self.tells)
        else {
            return;
        };
        self.end.extend(bytes);
        let has = |secret: &String| {
            self.end.windows(secret.len()).any(|window| window == secret.as_bytes())
        };
        self.tells = self.secrets.iter().any(has);
        let surplus = self.end.len().saturating_sub(longest - 1);
        self.end.drain(..surplus);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The SHA-256 of all of it. `None` when it contains a secret: a short one could be guessed from
    /// that.
    pub(super) fn digest(&self) -> Option<Digest> {
        (!self.tells).then(|| self.hasher.clone().finish())
    }

    /// The whole lines at its end as text, without the program's secrets and without what a terminal
    /// would obey.
    pub(super) fn tail(&self, program: &Program) -> String {
        let mut bytes: Vec<u8> = self.tail.iter().copied().collect();
        if self.bytes > KEPT as u64 {
            // Of a line whose beginning is missing nobody can tell whether it is part of a secret.
            let end = bytes.iter().position(|&byte| byte == b'\n');
            bytes.drain(..end.map_or(bytes.len(), |end| end + 1));
        }
        let text = program.shown(&String::from_utf8_lossy(&bytes));
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Program {
        Program::new("x").secret("KEY", "two\tparts\nlong line".into())
    }

    #[test]
    fn all_is_hashed_and_the_end_is_kept() {
        let mut output = Output::new(&program());
        for _ in 0..10_000 {
            output.push(b"0123456789\n");
        }
        assert_eq!(output.bytes(), 110_000);
        assert_eq!(output.digest(), Some(Digest::of("0123456789\n".repeat(10_000))));
        assert_eq!(output.tail.len(), KEPT);
        let tail = output.tail(&program());
        assert!(tail.lines().all(|line| line == "0123456789"), "no half lines");
    }

    #[test]
    fn what_is_no_text_and_what_a_terminal_obeys_is_harmless() {
        let mut output = Output::default();
        output.push(b"\xff\x1b[2Jgone\r\n");
        assert_eq!(output.tail(&program()), "\u{fffd} [2Jgone");
    }

    #[test]
    fn a_secret_is_neither_shown_nor_part_of_a_digest_however_it_comes() {
        for pieces in [
            &["a two\tparts b"][..],
            &["a tw", "o\tp", "arts"],
            &["a two parts"],
            &["long line", "\n"],
        ] {
            let mut output = Output::new(&program());
            for piece in pieces {
                output.push(piece.as_bytes());
            }
            assert_eq!(output.digest(), None, "{pieces:?}");
            let tail = output.tail(&program());
            assert!(!tail.contains("parts") && !tail.contains("long"), "{tail}");
        }
        let mut output = Output::new(&program());
        output.push(b"two parts of nothing".get(..6).unwrap());
        assert!(output.digest().is_some());
    }
}
