//! The port of a handle's bells, and the thread that listens there and asks for those who wait.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::bells::{BEAT, Bells, News};
use super::doorbell::Caller;
use super::inner::Inner;

/// How many datagrams are read within [`WINDOW`]; the kernel drops what its buffer cannot keep.
const BURST: u32 = 32;
const WINDOW: Duration = Duration::from_millis(100);

/// A port of the loopback, and the thread that listens there once somebody waits. A thread of its
/// own: it must neither need a runtime with I/O nor use up the threads on which the ledger's calls
/// run.
pub(super) struct Listener {
    socket: Arc<UdpSocket>,
    port: u16,
    closed: Arc<AtomicBool>,
    /// Whether there is a thread.
    listens: OnceLock<bool>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.port)
    }
}

impl Listener {
    pub(super) fn bind() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        // A ring is not worth waiting for.
        socket.set_write_timeout(Some(Duration::from_millis(10)))?;
        let port = socket.local_addr()?.port();
        let closed = Arc::default();
        Ok(Self { socket: Arc::new(socket), port, closed, listens: OnceLock::new() })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn ring(&self, caller: Caller) {
        self.send(caller.claim.to_string().as_bytes(), caller.port);
    }

    /// Makes the thread look anew what is due.
    pub(super) fn nudge(&self) {
        self.send(&[], self.port);
    }

    fn send(&self, datagram: &[u8], port: u16) {
        // It may not arrive, and nobody may be there: the beat is the backstop.
        let _ = self.socket.send_to(datagram, (Ipv4Addr::LOCALHOST, port));
    }

    /// Starts the thread, the first time; whether there is one.
    pub(super) fn listens(&self, bells: &Arc<Bells>, ledger: &Arc<Inner>) -> bool {
        *self.listens.get_or_init(|| {
            let ears = Ears {
                socket: Arc::clone(&self.socket),
                closed: Arc::clone(&self.closed),
                bells: Arc::clone(bells),
                ledger: Arc::downgrade(ledger),
            };
            let name = "gatekit-listener".to_owned();
            thread::Builder::new().name(name).spawn(move || ears.listen()).is_ok()
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        self.nudge();
    }
}

/// What the thread has.
struct Ears {
    socket: Arc<UdpSocket>,
    closed: Arc<AtomicBool>,
    bells: Arc<Bells>,
    /// Weak: a handle that nobody else has any more is gone.
    ledger: Weak<Inner>,
}

impl Ears {
    fn listen(&self) {
        let mut heard = (Instant::now(), 0);
        loop {
            self.hear(&mut heard);
            if self.closed.load(Ordering::SeqCst) {
                return;
            }
            let due = self.bells.due();
            if due.is_empty() {
                continue;
            }
            let Some(ledger) = self.ledger.upgrade() else { return };
            for due in due {
                let news = if due.watched_is_dead() {
                    News::Turn
                } else if due.asks() {
                    ledger.news_for(&due.told)
                } else {
                    continue;
                };
                self.bells.note(&due.told.claim, news);
            }
        }
    }

    /// Waits for a datagram, or until something is due. Never longer than a beat: what wakes it when
    /// somebody begins to wait, or when the handle is gone, may not arrive.
    fn hear(&self, (begun, count): &mut (Instant, u32)) {
        if *count >= BURST {
            // Faster than anybody has reason to ring.
            thread::sleep(WINDOW.saturating_sub(begun.elapsed()));
        }
        if begun.elapsed() >= WINDOW {
            (*begun, *count) = (Instant::now(), 0);
        }
        let left = self.bells.due_at().map(|due| due.saturating_duration_since(Instant::now()));
        // Zero would mean for ever.
        let patience = left.unwrap_or(BEAT).clamp(Duration::from_millis(1), BEAT);
        let mut buffer = [0; 64];
        let heard = self.socket.set_read_timeout(Some(patience));
        match heard.and_then(|()| self.socket.recv(&mut buffer)) {
            Ok(length) => {
                *count += 1;
                self.bells.ring(&buffer[..length]);
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                // Deaf, but not idle: the beats go on.
                _ => thread::sleep(WINDOW),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ears of a ledger that is gone, for which nobody waits.
    fn idle(listener: &Listener) -> Ears {
        Ears {
            socket: Arc::clone(&listener.socket),
            closed: Arc::default(),
            bells: Arc::default(),
            ledger: Weak::new(),
        }
    }

    /// Where the loopback is down, or a firewall drops what is sent there, nobody wakes the thread:
    /// a waiter that began to wait while it slept must still be asked for before its turn lapses.
    #[test]
    fn a_thread_that_nobody_can_wake_looks_as_often_as_a_waiter_beats() {
        let listener = Listener::bind().unwrap();
        let ears = idle(&listener);
        listener.nudge();
        ears.hear(&mut (Instant::now(), 0));
        let patience = listener.socket.read_timeout().unwrap().unwrap();
        assert!(patience <= BEAT, "{patience:?}");
    }

    #[test]
    fn a_flood_is_read_in_small_portions() {
        let listener = Listener::bind().unwrap();
        let ears = idle(&listener);
        for _ in 0..=BURST {
            listener.nudge();
        }
        let begun = Instant::now();
        let mut heard = (begun, 0);
        for _ in 0..=BURST {
            ears.hear(&mut heard);
        }
        assert!(begun.elapsed() >= WINDOW);
    }
}
