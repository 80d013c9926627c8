//! What a failure means.

use std::error::Error as _;
use std::io;

use rustls::{CertificateError as Certificate, Error as Distrust};
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

/// What a failed connection or statement means for whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// The server was not reached, or went away: whether it did what it was asked is not known if it
    /// had been asked.
    Unreachable,
    /// The server was reached, has done nothing, and may the next time.
    Busy,
    /// No protected connection can come about.
    Tls {
        /// What to do about it.
        next: &'static str,
        /// Whether doing without protection is another way, where nobody else can listen.
        or_plaintext: bool,
    },
    /// The server does not let this user in.
    Login,
    /// This user may not do that.
    Denied,
    /// The server is a standby, or its database is read-only.
    ReadOnly,
    /// The server has no such database.
    NoDatabase,
    /// The server's disk is full.
    DiskFull,
    /// The database cannot hold a character of what it was given.
    Unstorable,
    /// Something that only whoever asked can tell: see the SQLSTATE.
    Other,
}

impl Trouble {
    /// What that error means.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        match error.as_db_error() {
            Some(told) => Self::told(told),
            None => Self::untold(error),
        }
    }

    fn told(error: &DbError) -> Self {
        if let Some(trouble) = at_pooler(error) {
            return trouble;
        }
        let code = error.code();
        let is = |codes: &[SqlState]| codes.contains(code);
        // It is shutting down, starting up, or has lost a process.
        let is_away = is(&[
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::IDLE_SESSION_TIMEOUT,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN,
            // What poolers have no code for: also that they have lost the server in the middle of a call.
            SqlState::INTERNAL_ERROR,
        ]);
        let is_busy = is(&[
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::QUERY_CANCELED,
            SqlState::OUT_OF_MEMORY,
        ]);
        let class = code.code().get(..2).unwrap_or_default();
        match class {
            _ if is_away || class == "08" => Self::Unreachable,
            _ if is_busy => Self::Busy,
            "28" => Self::Login,
            _ if is(&[SqlState::INSUFFICIENT_PRIVILEGE]) => Self::Denied,
            _ if is(&[SqlState::READ_ONLY_SQL_TRANSACTION]) => Self::ReadOnly,
            _ if is(&[SqlState::INVALID_CATALOG_NAME]) => Self::NoDatabase,
            _ if is(&[SqlState::DISK_FULL]) => Self::DiskFull,
            _ if is(&[
                SqlState::UNTRANSLATABLE_CHARACTER,
                SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            ]) =>
            {
                Self::Unstorable
            }
            _ => Self::Other,
        }
    }

    fn untold(error: &Error) -> Self {
        if let Some(distrust) = distrust(error) {
            return trusting(distrust);
        }
        let is_late = is_of_kind(error, "timeout waiting for server");
        if error.is_closed() || is_late || io_error(error).is_some() {
            return Self::Unreachable;
        }
        if is_of_kind(error, "error performing TLS handshake") {
            // It speaks none.
            return Self::Tls { next: "switch TLS on in the server", or_plaintext: true };
        }
        let is_login = ["authentication error", "invalid configuration"];
        let is_login = is_login.iter().any(|it| is_of_kind(error, it));
        if is_login { Self::Login } else { Self::Other }
    }
}

/// What PgBouncer says, in words alone, that the server would say by a code of its own.
fn at_pooler(error: &DbError) -> Option<Trouble> {
    if *error.code() != SqlState::PROTOCOL_VIOLATION {
        return None;
    }
    let says = |words: &str| error.message().contains(words);
    if says("no such database") {
        return Some(Trouble::NoDatabase);
    }
    let is_login = ["authentication failed", "no such user", "login failed", "SASL"];
    is_login.into_iter().any(says).then_some(Trouble::Login)
}

fn io_error(error: &Error) -> Option<&io::Error> {
    error.source().and_then(|source| source.downcast_ref())
}

/// Why client and server do not trust each other: rustls puts its own errors into those of the system.
fn distrust(error: &Error) -> Option<&Distrust> {
    io_error(error).and_then(io::Error::get_ref).and_then(|inner| inner.downcast_ref())
}

/// Whether an error of no server and of no system is of that kind, which is told in no other way.
fn is_of_kind(error: &Error, kind: &str) -> bool {
    error.to_string().starts_with(kind)
}

fn trusting(distrust: &Distrust) -> Trouble {
    let next = match distrust {
        Distrust::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "name the host in the URL as the server's certificate names it",
        Distrust::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "renew the server's certificate; see that the clock here is right"
        }
        Distrust::InvalidCertificate(_) => {
            let next = "name the authority of the server's certificate by `?sslrootcert=FILE`";
            return Trouble::Tls { next, or_plaintext: true };
        }
        _ => "see the cause: certificate and key, of the server or by `?sslcert=` and `?sslkey=`",
    };
    Trouble::Tls { next, or_plaintext: false }
}
