//! Several statements as one.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::Row;

use super::error::Fault;
use super::server::{Attempts, Call, Lent, Server};

/// A transaction on a connection of its own, which ends with it unless it is committed. A pooler, too,
/// keeps to one connection for as long as it lasts.
pub(super) struct Transaction {
    lent: Lent,
    patience: Duration,
}

/// How long a statement may take that carries many rows.
const LONG: Duration = Duration::from_secs(60);

impl Transaction {
    pub(super) async fn begin(server: &Server, attempts: &mut Attempts<'_>) -> Result<Self, Fault> {
        let patience = server.options.call_timeout;
        let lent = timeout(patience, server.lend(&mut attempts.sent)).await;
        let lent = lent.unwrap_or_else(|_| Err(Fault::too_late()))?;
        let tx = Self { lent, patience: patience.max(LONG) };
        tx.command("BEGIN").await?;
        Ok(tx)
    }

    pub(super) async fn all(&self, call: Call<'_>) -> Result<Vec<Row>, Fault> {
        let answer = self.lent.client()?.query_typed(call.sql, call.values);
        let answer = timeout(self.patience, answer).await;
        Ok(answer.map_err(|_| Fault::too_late())??)
    }

    pub(super) async fn commit(self) -> Result<(), Fault> {
        self.command("COMMIT").await?;
        self.lent.give_back(Ok(()))
    }

    async fn command(&self, sql: &str) -> Result<(), Fault> {
        let answer = timeout(self.patience, self.lent.client()?.batch_execute(sql)).await;
        Ok(answer.map_err(|_| Fault::too_late())??)
    }
}
