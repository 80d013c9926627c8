//! How a waiter learns that its turn has come: by asking, less often the more are ahead of it, and
//! once for all waiters of a handle. Whatever a session can be told is lost behind a transaction
//! pooler.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gatekit_core::ledger::{Claim, WAITER_TTL};
use gatekit_core::process::ProcessIdentity;
use gatekit_core::{ClaimId, RunId, TargetName};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::types::Type;

use super::error::Fault;
use super::server::{Call, Server};
use super::stand::is_proven_dead;

/// How long the first in line waits between two looks; each one behind it, as much longer.
const PACE: Duration = Duration::from_millis(20);
/// How long anybody waits between two looks.
const SLOWEST: Duration = Duration::from_secs(2);
/// How much of the time is spent on looking, at most: one part in this many.
const SHARE: u32 = 5;
/// How often a waiter is told that others have come or gone.
const NEWS: Duration = Duration::from_secs(1);

/// The waiters of a handle.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: Mutex<HashMap<ClaimId, Waiting>>,
    /// Held by the one waiter that looks for all of them.
    looking: tokio::sync::Mutex<()>,
}

/// A claimant that was told to wait.
#[derive(Debug)]
struct Waiting {
    leading: TargetName,
    run: RunId,
    ahead: u64,
    /// Whom the first in line waits for.
    holder: Option<ProcessIdentity>,
    told: Instant,
    due: Instant,
    /// Present while it waits in [`Turns::wait`].
    woken: Option<Arc<Notify>>,
}

impl Turns {
    fn waiting(&self) -> MutexGuard<'_, HashMap<ClaimId, Waiting>> {
        // Nothing is left half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a claimant was told.
    pub(super) fn told(&self, claim: &Claim, ahead: u64, holder: Option<ProcessIdentity>) {
        let now = Instant::now();
        let waiting = Waiting {
            leading: claim.target.clone(),
            run: claim.run,
            ahead,
            holder,
            told: now,
            due: now + pace(ahead),
            woken: None,
        };
        self.waiting().insert(claim.id, waiting);
    }

    /// Forgets a run that waits no more.
    pub(super) fn forget(&self, leading: &TargetName, run: RunId) {
        self.waiting().retain(|_, it| it.run != run || it.leading != *leading);
    }

    /// Waits until it may be worth asking again.
    pub(super) async fn wait(&self, server: &Server, claim: &Claim, longest: Duration) {
        // Whoever asks again in time keeps its turn, even if nobody could look.
        let longest = longest.min(jittered(WAITER_TTL / 3));
        let woken = Arc::new(Notify::new());
        if !self.listen(claim.id, Some(Arc::clone(&woken))) {
            // It was told nothing yet, and may ask at once.
            return sleep(longest.min(PACE)).await;
        }
        let _listening = Listening { turns: self, claim: claim.id };
        tokio::select! {
            biased;
            () = woken.notified() => {}
            () = sleep(longest) => {}
            () = self.look_out(server) => {}
        }
    }

    /// Notes how a claimant is woken; tells whether it is known to wait.
    fn listen(&self, claim: ClaimId, woken: Option<Arc<Notify>>) -> bool {
        self.waiting().get_mut(&claim).map(|waiting| waiting.woken = woken).is_some()
    }

    /// When somebody has to be looked for.
    fn next_due(&self) -> Instant {
        let due = self.waiting().values().filter(|it| it.woken.is_some()).map(|it| it.due).min();
        due.unwrap_or_else(|| Instant::now() + PACE)
    }

    /// Looks for all who wait, for as long as it is polled; or waits until nobody else does.
    async fn look_out(&self, server: &Server) {
        let _looking = self.looking.lock().await;
        loop {
            sleep_until(self.next_due()).await;
            let began = Instant::now();
            // What is wrong is for whoever asks to be told.
            if self.look(server).await.is_err() {
                sleep(jittered(SLOWEST)).await;
            }
            sleep(began.elapsed() * (SHARE - 1)).await;
        }
    }

    /// Looks once for all who are due.
    async fn look(&self, server: &Server) -> Result<(), Fault> {
        let soon = Instant::now() + PACE / 2;
        let due: Vec<_> = self
            .waiting()
            .iter()
            .filter(|(_, it)| it.woken.is_some() && it.due <= soon)
            .map(|(id, it)| (*id, it.leading.clone(), it.run.to_string()))
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let leadings: Vec<_> = due.iter().map(|(_, leading, _)| leading.as_str()).collect();
        let runs: Vec<_> = due.iter().map(|(_, _, run)| run.as_str()).collect();
        let sql = "SELECT place, ahead, is_open FROM gatekit.sights($1, $2)";
        let values = &[(&leadings as _, Type::TEXT_ARRAY), (&runs as _, Type::TEXT_ARRAY)];
        let rows = server.all(Call::new("look at its queues", sql).with(values)).await?;
        let mut sights = HashMap::new();
        for row in rows {
            let place: i64 = row.try_get(0)?;
            let ahead: i64 = row.try_get(1)?;
            sights.insert(place, (ahead.unsigned_abs(), row.try_get::<_, bool>(2)?));
        }
        let mut waiting = self.waiting();
        for (place, (id, ..)) in (1..).zip(&due) {
            let Some(waiter) = waiting.get_mut(id) else { continue };
            // Whoever is not seen has left, or was granted: it is told when it asks.
            let (ahead, is_open) = sights.get(&place).copied().unwrap_or((0, true));
            let now = Instant::now();
            waiter.due = now + pace(ahead);
            let is_turn =
                ahead == 0 && (is_open || waiter.holder.as_ref().is_some_and(is_proven_dead));
            let is_news = ahead != waiter.ahead && now - waiter.told >= NEWS;
            if let (true, Some(woken)) = (is_turn || is_news, &waiter.woken) {
                woken.notify_one();
            }
        }
        Ok(())
    }
}

/// A claimant that waits, for as long as this lives.
struct Listening<'t> {
    turns: &'t Turns,
    claim: ClaimId,
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.turns.listen(self.claim, None);
    }
}

/// How long it is to the next look of a waiter with so many ahead.
fn pace(ahead: u64) -> Duration {
    let place = u32::try_from(ahead).unwrap_or(u32::MAX).saturating_add(1);
    jittered(PACE.saturating_mul(place).min(SLOWEST))
}

/// Somewhat less, so that those who began together do not ask together.
fn jittered(time: Duration) -> Duration {
    time.mul_f64(fastrand::f64().mul_add(0.25, 0.75))
}
