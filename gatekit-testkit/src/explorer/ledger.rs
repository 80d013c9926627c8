//! A ledger that fails where the script says so, and watches what is asked of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::{
    Acquired, Body, Claim, Entry, Guard, Hold, Ledger, Record, TargetState,
};
use gatekit_core::process::ProcessIdentity;
use gatekit_core::{Code, Effect, Error, Result, RunId, TargetName, code};

use super::control::Actor;
use super::script::{Kind, Op};

/// Longer than any lease that an engine accepts.
pub(super) const LAPSE: Duration = Duration::from_secs(25 * 3600);

const GONE: Code = Code::new("ledger.unreachable");
const BUSY: Code = Code::new("ledger.busy");

/// The ledger as one process of a path sees it.
#[derive(Debug)]
pub(super) struct FaultyLedger {
    inner: Arc<dyn Ledger>,
    actor: Actor,
    /// How long the lease of the process is.
    lease: Arc<Mutex<Duration>>,
}

/// What a ledger's method has to do.
enum Way {
    /// What it always does.
    Through,
    /// Nothing: it errs so.
    Err(Error),
    /// What it always does, and then err.
    ThenErr { dies: bool },
}

fn gone(effect: Effect) -> Error {
    Error::new(GONE, "the ledger is out of reach").with_effect(effect)
}

fn busy(effect: Effect) -> Error {
    Error::new(BUSY, "the ledger is busy").with_effect(effect).retry_later()
}

impl FaultyLedger {
    pub(super) fn new(inner: Arc<dyn Ledger>, actor: Actor) -> Self {
        Self { inner, actor, lease: Arc::default() }
    }

    fn alive(&self) -> Result<()> {
        self.actor.look();
        if self.actor.is_dead() { Err(gone(Effect::None)) } else { Ok(()) }
    }

    async fn way(&self, target: &TargetName, kind: Option<Kind>) -> Result<Way> {
        match kind {
            Some(Kind::StopBefore) => {
                self.actor.die();
                return Ok(Way::Err(gone(Effect::None)));
            }
            Some(Kind::Fail) => return Ok(Way::Err(busy(Effect::None))),
            Some(Kind::StopAfter) => return Ok(Way::ThenErr { dies: true }),
            Some(Kind::LoseAnswer) => return Ok(Way::ThenErr { dies: false }),
            Some(Kind::Lapse) => self.actor.control.world().advance(LAPSE),
            Some(Kind::LoseLease) => self.somebody_asks(target).await?,
            Some(Kind::Interrupt) => self.actor.interrupt(1),
            Some(Kind::LetGo) => self.actor.interrupt(2),
            Some(Kind::Repeat | Kind::Intrude | Kind::Freeze) | None => {}
        }
        Ok(Way::Through)
    }

    /// The lease lapses, and somebody else asks for the lock: an untouched target becomes theirs for
    /// a moment, a touched one suspect.
    async fn somebody_asks(&self, target: &TargetName) -> Result<()> {
        self.actor.control.world().advance(LAPSE);
        let claim = Claim::new(target.clone(), RunId::generate(), "somebody");
        self.inner.enqueue(&claim).await?;
        if let Acquired::Granted(hold) = self.inner.acquire(&claim, LAPSE / 2).await? {
            self.actor.control.granted(&hold);
            self.inner.release(&hold).await?;
        }
        self.inner.leave(target, claim.run).await
    }

    /// Takes an answer of the ledger along the way that the script has chosen.
    fn answer<T>(&self, way: &Way, answer: Result<T>) -> Result<T> {
        if let Err(error) = &answer
            && *error.code() == code::LOCK_LOST
        {
            self.actor.hears_of_loss();
        }
        match way {
            Way::ThenErr { dies: true } => {
                self.actor.die();
                Err(gone(Effect::Unknown))
            }
            Way::ThenErr { dies: false } => Err(busy(Effect::Unknown)),
            Way::Through | Way::Err(_) => answer,
        }
    }

    /// Makes a call other than `append`.
    async fn call<T: Send>(
        &self,
        op: Op,
        target: &TargetName,
        make: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.alive()?;
        let kind = self.actor.op(op);
        match self.way(target, kind).await? {
            Way::Err(error) => Err(error),
            way => self.answer(&way, make.await),
        }
    }

    /// The claim as from a machine of its own: nobody can tell whether its process lives.
    fn elsewhere(&self, claim: &Claim) -> Claim {
        let mut claim = claim.clone();
        self.move_away(&mut claim.process);
        claim
    }

    fn move_away(&self, process: &mut ProcessIdentity) {
        process.namespace = format!("process {} of the path", self.actor.number);
    }

    /// A permit was journalled: a third of the lease must be left.
    async fn check_permit(&self, target: &TargetName) -> Result<()> {
        let left = self.inner.state(target).await?.lease_left.unwrap_or_default();
        let lease = *self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        // The clock goes on while all this happens.
        if left < lease / 4 {
            self.actor
                .control
                .wrong(format!("a permit with {left:?} left of a lease of {lease:?}"));
        }
        Ok(())
    }

    /// The lock was granted.
    fn granted(&self, hold: &Hold) {
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = hold.lease;
        self.actor.control.granted(hold);
    }
}

#[async_trait]
impl Ledger for FaultyLedger {
    async fn reconnect(&self) -> Result<Arc<dyn Ledger>> {
        self.alive()?;
        let inner = self.inner.reconnect().await?;
        let lease = Arc::clone(&self.lease);
        Ok(Arc::new(Self { inner, actor: self.actor.clone(), lease }))
    }

    async fn enqueue(&self, claim: &Claim) -> Result<u64> {
        let own = self.elsewhere(claim);
        self.call(Op::Enqueue, &claim.target, self.inner.enqueue(&own)).await
    }

    async fn acquire(&self, claim: &Claim, lease: Duration) -> Result<Acquired> {
        let own = self.elsewhere(claim);
        let make = async {
            let acquired = self.inner.acquire(&own, lease).await;
            if let Ok(Acquired::Granted(hold)) = &acquired {
                self.granted(hold);
            }
            acquired
        };
        self.call(Op::Acquire, &claim.target, make).await
    }

    async fn wait_for_turn(&self, claim: &Claim, longest: Duration) {
        self.inner.wait_for_turn(claim, longest).await;
    }

    async fn leave(&self, target: &TargetName, run: RunId) -> Result<()> {
        self.call(Op::Leave, target, self.inner.leave(target, run)).await
    }

    /// Renewals go by the clock: they are no sites, but share the fate of the process.
    async fn renew(&self, hold: &Hold) -> Result<()> {
        self.alive()?;
        self.answer(&Way::Through, self.inner.renew(hold).await)
    }

    async fn release(&self, hold: &Hold) -> Result<bool> {
        self.call(Op::Release, &hold.target, self.inner.release(hold)).await
    }

    async fn take_over(&self, claim: &Claim, lease: Duration) -> Result<Hold> {
        let own = self.elsewhere(claim);
        let make = async {
            let hold = self.inner.take_over(&own, lease).await?;
            self.granted(&hold);
            Ok(hold)
        };
        self.call(Op::TakeOver, &claim.target, make).await
    }

    async fn append(&self, target: &TargetName, entry: &Entry, guard: Guard) -> Result<Record> {
        self.alive()?;
        let held = matches!(guard, Guard::Holder { .. });
        let kind = self.actor.append(&entry.body, held);
        let way = self.way(target, kind).await?;
        if let Way::Err(error) = way {
            return Err(error);
        }
        let mut entry = entry.clone();
        if let Body::Opened { process, .. } | Body::Continued { process } = &mut entry.body {
            self.move_away(process);
        }
        let appended = self.inner.append(target, &entry, guard).await;
        if appended.is_ok() {
            self.actor.control.appended(&entry.body, entry.fence, matches!(way, Way::Through));
            if let Body::Calling { .. } = entry.body {
                self.check_permit(target).await?;
            }
        }
        if kind == Some(Kind::Freeze) {
            self.actor.freeze().await;
        }
        self.answer(&way, appended)
    }

    async fn state(&self, target: &TargetName) -> Result<TargetState> {
        self.call(Op::State, target, self.inner.state(target)).await
    }

    async fn read(&self, target: &TargetName, after: u64, limit: usize) -> Result<Vec<Record>> {
        self.call(Op::Read, target, self.inner.read(target, after, limit)).await
    }

    async fn read_run(&self, target: &TargetName, run: RunId) -> Result<Vec<Record>> {
        self.call(Op::ReadRun, target, self.inner.read_run(target, run)).await
    }

    async fn read_kind(
        &self,
        target: &TargetName,
        kind: &'static str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.call(Op::ReadKind, target, self.inner.read_kind(target, kind, before, limit)).await
    }
}
