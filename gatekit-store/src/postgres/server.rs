//! How a statement is sent, waited for, and sent again.

use std::pin::Pin;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use deadpool_postgres::{
    Connect, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod,
};
use gatekit_core::{Effect, Error, Result};
use gatekit_postgres::{Connected, Hosts};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Config, NoTls, Row, Socket};

use super::builder::PostgresLedgerBuilder;
use super::error::{Fault, Passing, Why};

/// A value, and the type that the statement expects of it: named statements, which could be asked for
/// it, do not survive a transaction pooler.
pub(super) type Value<'a> = (&'a (dyn ToSql + Sync), Type);

/// One statement. To send it twice does not do it twice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) doing: &'static str,
    pub(super) sql: &'static str,
    pub(super) values: &'a [Value<'a>],
    /// The values of every attempt but the first.
    again: &'a [Value<'a>],
    /// Whether a person may wait for the answer who has mistyped something.
    hasty: bool,
}

impl Call<'static> {
    pub(super) const fn new(doing: &'static str, sql: &'static str) -> Self {
        Self { doing, sql, values: &[], again: &[], hasty: false }
    }

    pub(super) const fn hasty(self) -> Self {
        Self { hasty: true, ..self }
    }
}

impl<'a> Call<'a> {
    pub(super) const fn with<'b>(self, values: &'b [Value<'b>]) -> Call<'b> {
        Call { doing: self.doing, sql: self.sql, values, again: values, hasty: self.hasty }
    }

    pub(super) const fn again_with(self, again: &'a [Value<'a>]) -> Self {
        Self { again, ..self }
    }
}

/// The servers, as the pool asks them.
struct Pooled<T>(Hosts<T>);

impl<T> Connect for Pooled<T>
where
    T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
    T::Stream: Sync + Send,
    T::TlsConnect: Sync + Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn connect(
        &self,
        _: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<Connected, tokio_postgres::Error>> + Send + '_>> {
        Box::pin(self.0.connect())
    }
}

/// The connections of a handle, and how patient it is.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) options: PostgresLedgerBuilder,
    pool: Pool,
    pub(super) place: String,
}

impl Server {
    /// Connects to nothing yet.
    pub(super) fn new(options: PostgresLedgerBuilder, writes: bool) -> Result<Self> {
        let (address, timeout) = (options.address.clone(), options.call_timeout);
        // The connection is tried with a statement of ours, not with one of the pool's.
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let none = Config::new();
        let manager = match address.connector()? {
            Some(tls) => Manager::from_connect(
                none,
                Pooled(Hosts::new(address, tls, timeout, writes)),
                manager,
            ),
            None => Manager::from_connect(
                none,
                Pooled(Hosts::new(address, NoTls, timeout, writes)),
                manager,
            ),
        };
        let place = options.address.to_string();
        let pool = Pool::builder(manager)
            .max_size(options.connections)
            .build()
            .map_err(|error| Fault::Damaged(error.to_string()).at(&place, "open", Effect::None))?;
        Ok(Self { options, pool, place })
    }

    /// The error of a call that failed before it did anything.
    pub(super) fn error(&self, fault: Fault, doing: &str) -> Error {
        fault.at(&self.place, doing, Effect::None)
    }

    fn has_others(&self) -> bool {
        self.options.address.servers() > 1
    }

    /// The only row of an answer.
    pub(super) async fn one(&self, call: Call<'_>) -> Result<Row, Fault> {
        let rows = self.all(call).await?;
        rows.into_iter().next().ok_or_else(|| Fault::Damaged("an answer without a row".to_owned()))
    }

    /// The rows of an answer. Sends the statement again while the server is away or busy, as long as
    /// the handle is patient.
    pub(super) async fn all(&self, call: Call<'_>) -> Result<Vec<Row>, Fault> {
        let mut attempts = Attempts::new(self, call.doing);
        if call.hasty {
            attempts.patience = attempts.patience.min(HASTY);
        }
        loop {
            let values = if attempts.number == 0 { call.values } else { call.again };
            let attempt = async {
                let lent = self.lend(&mut attempts.sent).await?;
                let answer = lent.client()?.query_typed(call.sql, values).await;
                lent.give_back(answer)
            };
            let answer = timeout(self.options.call_timeout, attempt).await;
            match answer.unwrap_or_else(|_| Err(Fault::too_late())) {
                Err(fault) => attempts.pause(fault).await?,
                Ok(answer) => return Ok(answer),
            }
        }
    }

    /// Sends several statements as one message, hence as one transaction.
    pub(super) async fn batch(&self, doing: &'static str, sql: &str) -> Result<(), Fault> {
        let mut attempts = Attempts::new(self, doing);
        loop {
            let attempt = async {
                let lent = self.lend(&mut attempts.sent).await?;
                let answer = lent.client()?.batch_execute(sql).await;
                lent.give_back(answer)
            };
            let answer = timeout(self.options.call_timeout, attempt).await;
            match answer.unwrap_or_else(|_| Err(Fault::too_late())) {
                Err(fault) => attempts.pause(fault).await?,
                Ok(answer) => return Ok(answer),
            }
        }
    }

    pub(super) async fn lend(&self, sent: &mut bool) -> Result<Lent, Fault> {
        let connection = self.pool.get().await.map_err(faulty_pool)?;
        *sent = true;
        Ok(Lent(Some(connection)))
    }
}

/// The attempts at one call.
pub(super) struct Attempts<'s> {
    server: &'s Server,
    doing: &'static str,
    began: Instant,
    pauses: ExponentialBackoff,
    patience: Duration,
    number: usize,
    /// Whether the present one got as far as to ask the server.
    pub(super) sent: bool,
    /// Whether one of them may have done what was asked, unknown to us.
    unknown: bool,
    /// Why the latest failed that was told why.
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl<'s> Attempts<'s> {
    pub(super) fn new(server: &'s Server, doing: &'static str) -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(20))
            .with_max_delay(SLOWEST)
            .with_jitter()
            .without_max_times()
            .build();
        let (began, patience) = (Instant::now(), server.options.patience);
        Self {
            server,
            doing,
            began,
            pauses,
            patience,
            number: 0,
            sent: false,
            unknown: false,
            source: None,
        }
    }

    /// Pauses before the next attempt; errs where there is to be none.
    pub(super) async fn pause(&mut self, fault: Fault) -> Result<(), Fault> {
        let pause = self.pauses.next().unwrap_or(SLOWEST);
        let is_last = self.began.elapsed() + pause >= self.patience;
        let mut passing = match fault {
            Fault::Passing(passing) => passing,
            // It was the one that may be written when the connection was made: there is another now.
            Fault::Sql(error) if self.server.has_others() && is_read_only(&error) && !is_last => {
                Passing { why: Why::Busy, source: Some(error.into()) }
            }
            fault => return Err(if self.unknown { self.in_doubt(fault) } else { fault }),
        };
        self.number += 1;
        if passing.why == Why::Unreachable {
            self.unknown |= std::mem::take(&mut self.sent);
            // What became of this connection has become of the others.
            self.server.pool.retain(|_, _| false);
        }
        if !is_last {
            self.source = passing.source.or(self.source.take());
            tokio::time::sleep(pause).await;
            return Ok(());
        }
        passing.source = passing.source.or(self.source.take());
        let fault = Fault::Passing(passing);
        Err(if self.unknown { self.in_doubt(fault) } else { fault })
    }

    /// What a call fails with of which an earlier attempt may have happened. A refusal says that none
    /// has.
    fn in_doubt(&self, fault: Fault) -> Fault {
        if matches!(fault, Fault::Refused(_) | Fault::OtherFence | Fault::Told(_)) {
            return fault;
        }
        Fault::Told(fault.at(&self.server.place, self.doing, Effect::Unknown))
    }
}

fn is_read_only(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}

/// How long a hasty call is attempted again.
const HASTY: Duration = Duration::from_secs(3);

/// The longest pause between two attempts.
const SLOWEST: Duration = Duration::from_secs(1);

/// A connection that is closed unless it is given back: nobody may wait behind a call that was given
/// up.
pub(super) struct Lent(Option<Object>);

impl Lent {
    pub(super) fn client(&self) -> Result<&Object, Fault> {
        self.0.as_ref().ok_or_else(Fault::too_late)
    }

    /// Keeps the connection, if it is sound.
    pub(super) fn give_back<T>(
        mut self,
        answer: std::result::Result<T, tokio_postgres::Error>,
    ) -> Result<T, Fault> {
        let is_sound =
            |error: &tokio_postgres::Error| error.as_db_error().is_some() && !is_read_only(error);
        if answer.as_ref().err().is_none_or(is_sound) {
            drop(self.0.take());
        }
        answer.map_err(Fault::from)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}

fn faulty_pool(error: PoolError) -> Fault {
    match error {
        PoolError::Backend(error) => error.into(),
        PoolError::Timeout(_) | PoolError::Closed => Fault::too_late(),
        PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            Fault::Damaged(error.to_string())
        }
    }
}
