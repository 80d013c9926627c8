//! What stands between a client and its server, and may fall silent.

use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Passes on what is said, on each connection until it is silenced.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) url: String,
    /// Counts how often what clients ask was silenced.
    asked: Arc<AtomicU32>,
    /// The same of what they are answered.
    answered: Arc<AtomicU32>,
    connections: Arc<AtomicU32>,
    /// All that clients have said.
    said: Arc<Mutex<Vec<u8>>>,
    /// Counts the answers to commits that somebody else's error came instead of.
    lost: Arc<AtomicU32>,
}

/// What a pooler says that has lost the server, and that its client may go on.
const LOST: &[u8] = b"E\0\0\0\x2eSERROR\0VERROR\0CXX000\0Mthe server is gone\0\0Z\0\0\0\x05I";

impl Relay {
    /// Before the server of that URL.
    pub(crate) async fn open(url: &str) -> Self {
        Self::that_twists(url, None).await
    }

    /// The same, and says something else that is as long in the place of what clients say.
    pub(crate) async fn that_twists(url: &str, twist: Option<[&'static str; 2]>) -> Self {
        Self::between(url, twist, false).await
    }

    /// The same, and tells on each connection an error instead of what the server says of the first commit.
    pub(crate) async fn that_loses_commits(url: &str) -> Self {
        Self::between(url, None, true).await
    }

    async fn between(url: &str, twist: Option<[&'static str; 2]>, loses: bool) -> Self {
        let (before, rest) = url.split_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{before}@{}/{database}", listener.local_addr().unwrap());
        let count = || Arc::new(AtomicU32::new(0));
        let (said, lost) = (Arc::default(), count());
        let relay =
            Self { url, asked: count(), answered: count(), connections: count(), said, lost };
        let (asked, answered) = (Arc::clone(&relay.asked), Arc::clone(&relay.answered));
        let (connections, server) = (Arc::clone(&relay.connections), server.to_owned());
        let (said, lost) = (Arc::clone(&relay.said), Arc::clone(&relay.lost));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let far = TcpStream::connect(&server).await.unwrap();
                let (near, far) = (near.into_split(), far.into_split());
                let both = || [Arc::clone(&asked), Arc::clone(&answered)];
                let (said, unheard) = (Arc::clone(&said), Arc::default());
                let lost = loses.then(|| Arc::clone(&lost));
                let asking = (said, Change { twist, lost: None });
                tokio::spawn(carry((near.0, far.1), asking, Arc::clone(&asked), both()));
                let answering = (unheard, Change { twist: None, lost });
                tokio::spawn(carry((far.0, near.1), answering, Arc::clone(&answered), both()));
            }
        });
        relay
    }

    /// On the connections there are, nothing is passed on any more, and nobody is told.
    pub(crate) fn silence(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.lose_answers();
    }

    /// The same for what the server says alone.
    pub(crate) fn lose_answers(&self) {
        self.answered.fetch_add(1, Ordering::SeqCst);
    }

    /// How often clients have said that.
    pub(crate) fn times_said(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.said.lock().unwrap()).matches(text).count()
    }

    /// How many answers to commits were lost.
    pub(crate) fn lost(&self) -> u32 {
        self.lost.load(Ordering::SeqCst)
    }

    /// How many there were so far.
    pub(crate) fn connections(&self) -> u32 {
        self.connections.load(Ordering::SeqCst)
    }
}

/// What is said otherwise.
struct Change {
    twist: Option<[&'static str; 2]>,
    lost: Option<Arc<AtomicU32>>,
}

/// Until its own `way` is silenced. Once `either` is, neither side hears that the other has gone.
async fn carry(
    (mut from, mut to): (OwnedReadHalf, OwnedWriteHalf),
    (said, Change { twist, mut lost }): (Arc<Mutex<Vec<u8>>>, Change),
    way: Arc<AtomicU32>,
    either: [Arc<AtomicU32>; 2],
) {
    let of_both = || either.each_ref().map(|it| it.load(Ordering::SeqCst));
    let (round, rounds) = (way.load(Ordering::SeqCst), of_both());
    let mut buffer = vec![0; 1 << 14];
    while let Ok(read) = from.read(&mut buffer).await {
        let is_over = read == 0 && of_both() != rounds;
        if is_over || way.load(Ordering::SeqCst) != round {
            pending::<()>().await;
        }
        said.lock().unwrap().extend_from_slice(&buffer[..read]);
        if let Some([what, instead]) = twist {
            assert_eq!(what.len(), instead.len());
            let is_there = |it: &[u8]| it == what.as_bytes();
            if let Some(at) = buffer[..read].windows(what.len()).position(is_there) {
                buffer[at..at + what.len()].copy_from_slice(instead.as_bytes());
            }
        }
        if buffer[..read].windows(7).any(|it| it == b"COMMIT\0")
            && let Some(lost) = lost.take()
        {
            lost.fetch_add(1, Ordering::SeqCst);
            to.write_all(LOST).await.unwrap();
            continue;
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
