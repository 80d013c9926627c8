//! How a statement is sent, waited for, and sent again.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod};
use gatekit_core::{Effect, Error, Result};
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{NoTls, Row};

use super::builder::PostgresLedgerBuilder;
use super::error::{Fault, Passing, Why};
use super::tls;

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

/// The connections of a handle, and how patient it is.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) options: PostgresLedgerBuilder,
    pool: Pool,
    pub(super) place: String,
}

impl Server {
    /// Connects to nothing yet.
    pub(super) fn new(options: PostgresLedgerBuilder) -> Result<Self> {
        let config = options.address.config.clone();
        // The connection is tried with a statement of ours, not with one of the pool's.
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match tls::connector(&options.address.tls)? {
            Some(tls) => Manager::from_config(config, tls, manager),
            None => Manager::from_config(config, NoTls, manager),
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
                Err(Fault::Passing(passing)) => attempts.pause(passing).await?,
                answer => return answer,
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
                Err(Fault::Passing(passing)) => attempts.pause(passing).await?,
                answer => return answer,
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
        Self { server, doing, began, pauses, patience, number: 0, sent: false, unknown: false }
    }

    /// Pauses before the next attempt; errs where there is to be none.
    pub(super) async fn pause(&mut self, passing: Passing) -> Result<(), Fault> {
        self.number += 1;
        self.unknown |= std::mem::take(&mut self.sent) && passing.why == Why::Unreachable;
        let pause = self.pauses.next().unwrap_or(SLOWEST);
        if self.began.elapsed() + pause < self.patience {
            tokio::time::sleep(pause).await;
            return Ok(());
        }
        let effect = if self.unknown { Effect::Unknown } else { Effect::None };
        Err(Fault::Told(Fault::Passing(passing).at(&self.server.place, self.doing, effect)))
    }
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
        if answer.as_ref().err().is_none_or(|error| error.as_db_error().is_some()) {
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
