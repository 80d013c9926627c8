//! A relay that counts what goes over the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::Result;

/// A port of the loopback that leads to another one.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    address: String,
    carried: Arc<AtomicU64>,
}

impl Relay {
    /// One to an authority, as `127.0.0.1:5000`.
    pub(crate) async fn to(authority: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let carried = Arc::new(AtomicU64::new(0));
        let (count, authority) = (Arc::clone(&carried), authority.to_owned());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                // Whoever called is hung up on when nobody is behind it.
                let Ok(far) = TcpStream::connect(&authority).await else { continue };
                let set = near.set_nodelay(true).and_then(|()| far.set_nodelay(true));
                if set.is_err() {
                    continue;
                }
                let ((near_in, near_out), (far_in, far_out)) =
                    (near.into_split(), far.into_split());
                tokio::spawn(carry(near_in, far_out, Arc::clone(&count)));
                tokio::spawn(carry(far_in, near_out, Arc::clone(&count)));
            }
        });
        Ok(Self { address, carried })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The bytes since it was last asked, both ways.
    pub(crate) fn take(&self) -> u64 {
        self.carried.swap(0, Ordering::Relaxed)
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, count: Arc<AtomicU64>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
        count.fetch_add(u64::try_from(read).unwrap_or_default(), Ordering::Relaxed);
    }
}
