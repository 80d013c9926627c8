//! How a ledger on a server is opened.

use std::fmt;
use std::time::Duration;

use gatekit_core::Result;
use gatekit_postgres::{Address, Purpose};

use super::ledger::PostgresLedger;
use crate::code;

const LEDGER: Purpose = Purpose { name: "ledger", url: code::LEDGER_URL, tls: code::LEDGER_TLS };

/// How to open a [`PostgresLedger`].
#[derive(Debug, Clone)]
#[must_use = "it opens nothing before `build`"]
pub struct PostgresLedgerBuilder {
    pub(super) address: Address,
    pub(super) connections: usize,
    pub(super) call_timeout: Duration,
    pub(super) patience: Duration,
    /// Whether only a server will do that may be written, also for reading.
    pub(super) current: bool,
}

impl PostgresLedgerBuilder {
    pub(super) fn new(url: &str) -> Result<Self> {
        Ok(Self {
            address: Address::parse(url, &LEDGER)?,
            connections: 4,
            call_timeout: Duration::from_secs(5),
            patience: Duration::from_secs(15),
            current: false,
        })
    }

    /// How many connections a handle opens at most, and its clones with it.
    ///
    /// # Default
    /// 4.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// How long one attempt at a call may take, with the connection that it may need.
    ///
    /// # Default
    /// 5 s.
    pub fn call_timeout(mut self, call_timeout: Duration) -> Self {
        self.call_timeout = call_timeout;
        self
    }

    /// How long a call is attempted again while the server cannot be reached, restarts or is busy: no
    /// call does anything twice. Well below the shortest lease that is used.
    ///
    /// # Default
    /// 15 s.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Opens the ledger for reading and writing, and creates the schema `gatekit` where there is none.
    ///
    /// # Errors
    /// `ledger.url`, `ledger.tls`, `ledger.unreachable`, `ledger.login`, `ledger.denied`,
    /// `ledger.newer`, `ledger.foreign`, `ledger.read_only`, `ledger.busy`.
    pub async fn build(self) -> Result<PostgresLedger> {
        PostgresLedger::open_for_writing(self).await
    }

    /// Opens the ledger for reading; `None` when the database has no schema `gatekit`. Works on a
    /// standby, which may be behind, on the ledger of a newer build as far as its tables are known, and
    /// for a user who may do no more. Every call that would write errs with `ledger.read_only`.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub async fn build_read_only(self) -> Result<Option<PostgresLedger>> {
        PostgresLedger::open_for_reading(self).await
    }

    /// As [`build_read_only`](Self::build_read_only), but asks no standby: for whoever decides by what
    /// the ledger says.
    ///
    /// # Errors
    /// `ledger.read_only` where there are only standbys, and as [`build`](Self::build).
    pub async fn build_current(mut self) -> Result<Option<PostgresLedger>> {
        self.current = true;
        PostgresLedger::open_for_reading(self).await
    }
}

impl fmt::Display for PostgresLedgerBuilder {
    /// Its URL, without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
