//! The database that is migrated, and connections to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gatekit_core::{Code, Effect, Error, NextAction, Result, Verb};
use gatekit_postgres::{Address, Hosts, Purpose, Trouble};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{NoTls, SimpleQueryRow};

use crate::code;
use crate::session::{ANSWER, FIRST, Session, Spare};

const DATABASE: Purpose =
    Purpose { name: "database", url: code::DATABASE_URL, tls: code::DATABASE_TLS };

/// The pauses between two tries to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// A database of PostgreSQL, as of a project of Supabase. Connects when it has to; shown without the
/// password.
///
/// A connection that a call has left as it was is kept for the next call, of this one or of a clone, for ten
/// seconds. One that is gone by then is made anew.
///
/// # Example
/// ```no_run
/// # fn example() -> gatekit_core::Result<()> {
/// use gatekit_supabase::Database;
///
/// let database = Database::at("postgres://postgres@db.abcdefghijklmnopqrst.supabase.co:5432/postgres")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Database {
    address: Address,
    spare: Arc<Spare>,
}

impl Database {
    /// The database that a URL names: `postgres://USER@HOST:PORT/DATABASE`, with the password in it, in
    /// `PGPASSWORD`, or in the file that `?password_file=` names. The server proves its name by TLS.
    ///
    /// # Errors
    /// `database.url`; `database.plaintext` when the URL asks for a connection that is not protected.
    pub fn at(url: &str) -> Result<Self> {
        let address = Address::parse(url, &DATABASE)?;
        if address.is_plaintext() {
            let what = "the URL asks for a connection that others can listen to";
            return Err(Error::new(code::DATABASE_PLAINTEXT, what).with_effect(Effect::None));
        }
        Ok(Self::of(address))
    }

    /// The same without protection, unless the URL asks for it by `sslmode`: where nobody else can listen,
    /// as on one machine.
    ///
    /// # Errors
    /// `database.url`.
    pub fn without_tls(url: &str) -> Result<Self> {
        if url.contains("sslmode=") {
            return Ok(Self::of(Address::parse(url, &DATABASE)?));
        }
        let separator = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{separator}sslmode=disable");
        Ok(Self::of(Address::parse(&url, &DATABASE)?))
    }

    fn of(address: Address) -> Self {
        Self { address, spare: Arc::default() }
    }

    /// Refuses to do what was planned for another database, by its [`name`](Self::name).
    pub(crate) fn is_planned(&self, planned: &str) -> Result<()> {
        let given = self.name();
        if given == planned {
            return Ok(());
        }
        Err(Error::new(code::DATABASE_URL, "the change was planned for another database")
            .with_effect(Effect::None)
            .with_context("planned", planned)
            .with_context("given", given)
            .with_next(NextAction::verb(Verb::Resume, &[]).by("operator")))
    }

    /// Host, port and name, whoever asks: without user and password.
    #[must_use]
    pub fn name(&self) -> String {
        self.address.database()
    }

    /// A session that has answered these statements, and the rows that they gave: the one that was kept, or
    /// else a new one. They MUST be such that it does no harm when they are lost, or done twice.
    ///
    /// # Errors
    /// `database.*`: those of a new one.
    pub(crate) async fn session(
        &self,
        first: &str,
        doing: &str,
        deadline: Instant,
    ) -> Result<(Session, Vec<SimpleQueryRow>)> {
        if let Some(kept) = self.spare.take().await
            && let Ok(Ok(said)) = timeout(FIRST, kept.ask(first)).await
        {
            return Ok((kept, said));
        }
        let mut pause = PAUSES.0;
        loop {
            let session = self.connect(deadline).await?;
            let error = match session.ask(first).await {
                Ok(said) => return Ok((session, said)),
                Err(error) => self.failed(doing, error),
            };
            // A pooler hands out connections that were cut together with the one that was lost.
            if *error.code() != code::DATABASE_UNREACHABLE || Instant::now() + pause >= deadline {
                return Err(error);
            }
            sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Begins to make a connection for the next call, which makes one itself where that fails or takes too long.
    /// `first` is what it is asked, so that the server has looked up already what it looks up once.
    pub(crate) fn connect_ahead(&self, first: &'static str) {
        let database = self.clone();
        tokio::spawn(async move {
            if let Ok(session) = database.try_connect().await
                && matches!(timeout(FIRST, session.ask(first)).await, Ok(Ok(_)))
            {
                database.keep(session);
            }
        });
    }

    /// Keeps a session for the next call. It MUST be as a new one is: outside of a transaction, without locks,
    /// with nothing set, and no statement of a user may have run on it.
    pub(crate) fn keep(&self, session: Session) {
        self.spare.put(session);
    }

    /// Makes a new connection, and tries again while that fails for a while.
    pub(crate) async fn connect(&self, deadline: Instant) -> Result<Session> {
        let mut pause = PAUSES.0;
        loop {
            match self.try_connect().await {
                Err(error) if error.is_temporary() && Instant::now() + pause < deadline => {
                    sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
                connected => return connected,
            }
        }
    }

    async fn try_connect(&self) -> Result<Session> {
        let (address, tls) = (self.address.clone(), self.address.connector()?);
        let connected = match tls {
            Some(tls) => timeout(ANSWER, Hosts::new(address, tls, ANSWER, true).connect()).await,
            None => timeout(ANSWER, Hosts::new(address, NoTls, ANSWER, true).connect()).await,
        };
        let connected = connected.map_err(|_| self.silent("connect"))?;
        let connected = connected.map_err(|error| self.failed("connect", error))?;
        Ok(Session::new(connected))
    }

    /// The error of a server that says nothing.
    pub(crate) fn silent(&self, doing: &str) -> Error {
        self.error(code::DATABASE_UNREACHABLE, "the database does not answer", doing).retry_later()
    }

    /// The error of a statement that failed, or of a connection: nothing was written by it.
    pub(crate) fn failed(&self, doing: &str, source: tokio_postgres::Error) -> Error {
        let trouble = Trouble::of(&source);
        let (code, what) = match trouble {
            Trouble::Unreachable => (code::DATABASE_UNREACHABLE, "the database cannot be reached"),
            Trouble::Busy => (code::DATABASE_BUSY, "the database is too busy"),
            Trouble::Tls { .. } => (code::DATABASE_TLS, "no protected connection can be made"),
            Trouble::Login => (code::DATABASE_LOGIN, "the server does not let this user in"),
            Trouble::Denied => (code::DATABASE_DENIED, "this user may not do that"),
            Trouble::ReadOnly => (code::DATABASE_READ_ONLY, "the database may not be written"),
            Trouble::NoDatabase => (code::DATABASE_MISSING, "the server has no such database"),
            _ => (code::DATABASE_FAILED, "the database failed"),
        };
        let mut error = self.error(code, what, doing);
        if let Trouble::Tls { next, or_plaintext } = trouble {
            let otherwise = "; where nobody else can listen, allow plaintext";
            let next = format!("{next}{}", if or_plaintext { otherwise } else { "" });
            error = error.with_next(NextAction::outside(next));
        }
        if matches!(trouble, Trouble::Unreachable | Trouble::Busy) {
            error = error.retry_later();
        }
        // The error of a server is not kept: its detail quotes rows.
        match source.as_db_error() {
            Some(told) => {
                let code = told.code().code();
                error
                    .with_context("sqlstate", code)
                    .with_context("says", unquoted(code, told.message()))
            }
            None => error.with_source(source),
        }
    }

    fn error(&self, code: Code, what: &str, doing: &str) -> Error {
        Error::new(code, what)
            .with_effect(Effect::None)
            .with_context("database", self.name())
            .with_context("doing", doing)
    }
}

/// What a server says, without the values that it quotes: in errors of data all that is between the first quote and
/// the last, because values may have quotes in them; and elsewhere those that were strings.
pub(crate) fn unquoted(code: &str, says: &str) -> String {
    if let Some((first, last)) = says.find('"').zip(says.rfind('"'))
        && code.starts_with("22")
    {
        let after = if first < last { &says[last..] } else { "" };
        return format!("{}\"…{after}", &says[..first]);
    }
    let parts = says.split('"').enumerate().map(|(number, part)| {
        let is_value = number % 2 == 1 && part.contains(['\'', '$']);
        if is_value { "…" } else { part }
    });
    parts.collect::<Vec<_>>().join("\"")
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.address).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_quotes_of_values_is_not_told() {
        for (code, says, told) in [
            ("42703", "column \"nope\" does not exist", "column \"nope\" does not exist"),
            ("42601", "syntax error at or near \"'pass'\"", "syntax error at or near \"…\""),
            (
                "22P02",
                "invalid input syntax for type integer: \"pass\"",
                "invalid input syntax for type integer: \"…\"",
            ),
            ("22P02", "value \"pa\"ss\" is bad", "value \"…\" is bad"),
            ("22P02", "value \"pass", "value \"…"),
            ("22P02", "for type uuid: \"{\"key\":\"pass\"}\"", "for type uuid: \"…\""),
        ] {
            assert_eq!(unquoted(code, says), told);
        }
    }
}
