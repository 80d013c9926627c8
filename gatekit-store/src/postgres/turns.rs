//! How a waiter learns that its turn has come: one of a handle's waiters asks for all of them, again
//! and again. Whatever a session could be told would be lost behind a transaction pooler.

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
use super::schema::VERSION;
use super::server::{Call, Server};
use super::stand::is_proven_dead;

/// How long the first in line waits between two looks; each one behind it, as much longer.
const PACE: Duration = Duration::from_millis(20);
/// How long anybody waits between two looks.
const SLOWEST: Duration = Duration::from_secs(2);
/// How much of the time is spent on looking, at most: one part in this many.
const SHARE: u32 = 3;
/// How often it is noted that they wait.
const BEAT: Duration = Duration::from_secs(4);
/// How long a waiter relies on that before it asks by itself.
const UNHEARD: Duration = Duration::from_secs(WAITER_TTL.as_secs() / 2);
/// How long anybody waits without asking.
const OVERLOOKED: Duration = Duration::from_secs(30);
/// How much longer a look may take.
const GRACE: Duration = Duration::from_secs(1);
/// After how long a waiter asks how many are ahead by now, while not too many others do.
const NEWS: Duration = Duration::from_secs(2);
/// How many waiters do so in a second.
const NEWS_A_SECOND: f64 = 10.0;

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
    ticket: u64,
    /// Whom the first in line waits for.
    holder: Option<ProcessIdentity>,
    /// When it asked, and when the ledger heard of it last.
    told: Instant,
    heard: Instant,
    due: Instant,
    /// Present while it waits in [`Turns::wait`].
    woken: Option<Arc<Notify>>,
}

/// Who is to be looked for.
type Claimant = (ClaimId, TargetName, RunId);

impl Turns {
    fn waiting(&self) -> MutexGuard<'_, HashMap<ClaimId, Waiting>> {
        // Nothing is left half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a claimant was told.
    pub(super) fn told(
        &self,
        claim: &Claim,
        ticket: u64,
        ahead: u64,
        holder: Option<ProcessIdentity>,
    ) {
        let now = Instant::now();
        let waiting = Waiting {
            leading: claim.target.clone(),
            run: claim.run,
            ticket,
            holder,
            told: now,
            heard: now,
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
        let woken = Arc::new(Notify::new());
        if !self.listen(claim.id, Some(Arc::clone(&woken))) {
            // It was told nothing yet, and may ask at once.
            return sleep(longest.min(PACE)).await;
        }
        let _listening = Listening { turns: self, claim: claim.id };
        // Should it be overlooked, which nobody knows how, it finds out by itself.
        let end = Instant::now() + longest.min(jittered(OVERLOOKED));
        while let Some(heard) = self.heard(claim.id) {
            // Whoever asks again in time keeps its turn, even if nobody could look.
            let unheard = heard + jittered(UNHEARD);
            if unheard.min(end) <= Instant::now() {
                return;
            }
            // A look is not cut off, which would cost a connection, unless it takes too long.
            let until = unheard + GRACE;
            tokio::select! {
                biased;
                () = woken.notified() => return,
                () = sleep_until(end.min(until)) => {}
                () = self.look_out(server, unheard) => {}
            }
        }
    }

    /// When the ledger heard of a claimant last, if that waits.
    fn heard(&self, claim: ClaimId) -> Option<Instant> {
        self.waiting().get(&claim).map(|it| it.heard)
    }

    /// Notes how a claimant is woken; tells whether it is known to wait.
    fn listen(&self, claim: ClaimId, woken: Option<Arc<Notify>>) -> bool {
        self.waiting().get_mut(&claim).map(|waiting| waiting.woken = woken).is_some()
    }

    /// Looks for all who wait, until then; but first waits until nobody else does.
    async fn look_out(&self, server: &Server, until: Instant) {
        let _looking = self.looking.lock().await;
        let mut looked = Instant::now();
        while Instant::now() < until {
            sleep_until(self.next_due().min(until)).await;
            let began = Instant::now();
            let news = (NEWS_A_SECOND * (began - looked).as_secs_f64()).ceil();
            looked = began;
            // What is wrong is for whoever asks to be told.
            let mut told = self.look(server, news).await;
            if told.is_ok() && self.longest_unheard() >= BEAT {
                told = self.beat(server).await;
            }
            if told.is_err() {
                sleep(jittered(SLOWEST)).await;
            }
            sleep(began.elapsed() * (SHARE - 1)).await;
        }
    }

    /// How long ago the ledger heard of somebody.
    fn longest_unheard(&self) -> Duration {
        let waiting = self.waiting();
        let heard = waiting.values().filter(|it| it.woken.is_some()).map(|it| it.heard).min();
        heard.map(|heard| heard.elapsed()).unwrap_or_default()
    }

    /// When somebody has to be looked for.
    fn next_due(&self) -> Instant {
        let waiting = self.waiting();
        let due = foremost(&waiting).map(|(_, it)| it.due).min();
        due.unwrap_or_else(|| Instant::now() + PACE)
    }

    /// Who is to be looked for now.
    fn due(&self) -> Vec<Claimant> {
        let (soon, waiting) = (Instant::now() + PACE / 2, self.waiting());
        foremost(&waiting)
            .filter(|(_, it)| it.due <= soon)
            .map(|(id, it)| (id, it.leading.clone(), it.run))
            .collect()
    }

    /// Looks once for all who are due, and lets up to so many others ask.
    async fn look(&self, server: &Server, mut news: f64) -> Result<(), Fault> {
        let due = self.due();
        let mut sights = HashMap::new();
        if !due.is_empty() {
            let (leaders, runs) = names(&due);
            let sql = "SELECT place, ahead, is_open FROM gatekit.sights($1, $2)";
            let values = &[(&leaders as _, Type::TEXT_ARRAY), (&runs as _, Type::TEXT_ARRAY)];
            for row in server.all(Call::new("look at its queues", sql).with(values)).await? {
                let (place, ahead): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
                sights.insert(place, (ahead.unsigned_abs(), row.try_get::<_, bool>(2)?));
            }
        }
        let mut waiting = self.waiting();
        for (place, (id, ..)) in (1..).zip(&due) {
            let Some(waiter) = waiting.get_mut(id) else { continue };
            // Whoever is not seen has left, or was granted: it is told when it asks.
            let (ahead, is_open) = sights.get(&place).copied().unwrap_or((0, true));
            waiter.due = Instant::now() + pace(ahead);
            let is_dead = || waiter.holder.as_ref().is_some_and(is_proven_dead);
            if ahead == 0 && (is_open || is_dead()) {
                waiter.wake();
            }
        }
        for waiter in waiting.values().filter(|it| it.told.elapsed() >= NEWS) {
            if news < 1.0 {
                break;
            }
            news -= f64::from(u8::from(waiter.wake()));
        }
        Ok(())
    }

    /// Notes that all of them wait.
    async fn beat(&self, server: &Server) -> Result<(), Fault> {
        let now = Instant::now();
        let all: Vec<Claimant> = self
            .waiting()
            .iter()
            .filter(|(_, it)| it.woken.is_some())
            .map(|(id, it)| (*id, it.leading.clone(), it.run))
            .collect();
        let (leaders, runs) = names(&all);
        let values = &[
            (&VERSION as _, Type::INT4),
            (&leaders as _, Type::TEXT_ARRAY),
            (&runs as _, Type::TEXT_ARRAY),
        ];
        let sql = "SELECT gatekit.beat($1, $2, $3)";
        server.one(Call::new("note who waits", sql).with(values)).await?;
        let mut waiting = self.waiting();
        for (id, ..) in all {
            if let Some(waiter) = waiting.get_mut(&id) {
                waiter.heard = now;
            }
        }
        Ok(())
    }
}

impl Waiting {
    /// Ends its wait; tells whether it does wait.
    fn wake(&self) -> bool {
        self.woken.as_ref().map(|woken| woken.notify_one()).is_some()
    }
}

/// The first of this handle in the line of each target: nobody behind can be first before it.
fn foremost(waiting: &HashMap<ClaimId, Waiting>) -> impl Iterator<Item = (ClaimId, &Waiting)> {
    let mut first: HashMap<&TargetName, (ClaimId, &Waiting)> = HashMap::new();
    for (id, it) in waiting.iter().filter(|(_, it)| it.woken.is_some()) {
        let found = first.entry(&it.leading).or_insert((*id, it));
        if it.ticket < found.1.ticket {
            *found = (*id, it);
        }
    }
    first.into_values()
}

/// What the server calls them.
fn names(claimants: &[Claimant]) -> (Vec<&str>, Vec<String>) {
    claimants.iter().map(|(_, leading, run)| (leading.as_str(), run.to_string())).unzip()
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
