//! Which of the hosts is asked.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, Error, Socket};

use super::address::{Address, read_password};

/// A connection, and the task that drives it.
pub type Connected = (Client, JoinHandle<()>);

/// Connects to the host that answered last, else to the next: one that is silent takes its share of
/// the time, not that of the others.
#[derive(Debug)]
pub struct Hosts<T> {
    address: Address,
    tls: T,
    share: Duration,
    /// Whether it must be one that may be written.
    writes: bool,
    /// Which is asked first.
    first: AtomicUsize,
}

impl<T> Hosts<T> {
    /// The servers of an address, which have that long to answer, all together. `writes` is whether only
    /// one will do that may be written.
    #[must_use]
    pub fn new(address: Address, tls: T, patience: Duration, writes: bool) -> Self {
        let hosts = u32::try_from(address.hosts.len()).unwrap_or(u32::MAX).max(1);
        Self { address, tls, share: patience / hosts, writes, first: AtomicUsize::new(0) }
    }

    /// The configuration of that host at this moment.
    fn config(&self, at: usize) -> Option<Config> {
        let mut config = self.address.hosts.get(at)?.clone();
        if let Some(file) = &self.address.password_file
            // A file that is being written keeps the password of before.
            && let Ok(password) = read_password(file)
        {
            config.password(password.expose_secret());
        }
        // A standby takes connections, too, and would be kept to.
        let any = config.get_target_session_attrs() == TargetSessionAttrs::Any;
        if self.writes && any && self.address.hosts.len() > 1 {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        if config.get_connect_timeout().is_none() {
            // A name may stand for two addresses, of which the first leads nowhere.
            config.connect_timeout(self.share / 2);
        }
        Some(config)
    }
}

impl<T> Hosts<T>
where
    T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
    T::Stream: Sync + Send,
    T::TlsConnect: Sync + Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    /// Connects. Never returns when all servers are silent: whoever waits gives up about when the
    /// patience ends. Cancel-safe.
    ///
    /// # Errors
    /// That of the last server that said anything.
    pub async fn connect(&self) -> Result<Connected, Error> {
        let (first, count) = (self.first.load(Ordering::Relaxed), self.address.hosts.len());
        let mut last = None;
        for at in (0..count).map(|step| (first + step) % count) {
            let Some(config) = self.config(at) else { continue };
            self.first.store(at, Ordering::Relaxed);
            match timeout(self.share, config.connect(self.tls.clone())).await {
                Ok(Ok((client, connection))) => {
                    let connection = async { drop(connection.await) };
                    return Ok((client, tokio::spawn(connection)));
                }
                Ok(Err(error)) => last = Some(error),
                Err(_) => {}
            }
            self.first.store((at + 1) % count, Ordering::Relaxed);
        }
        // All were silent: whoever waits for this gives up about now.
        match last {
            Some(error) => Err(error),
            None => pending().await,
        }
    }
}
