//! Who waits on a handle, what each was told, and when the ledger is to be asked for it again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gatekit_core::ClaimId;
use gatekit_core::ledger::{Acquired, Claim, WAITER_TTL};
use gatekit_core::process::{Liveness, ProcessIdentity};
use tokio::sync::Notify;

/// How long a waiter is silent, beside up to a second that is its process's own: they do not march
/// in step. Far enough below [`WAITER_TTL`] for a busy ledger, which may make it late.
pub(super) const BEAT: Duration = Duration::from_millis(6500);

/// How often a waiter looks whether the one that it watches still lives.
const LOOK: Duration = Duration::from_millis(500);

/// How many rings of one bell are answered at once within a second. Further ones have to wait for
/// its end: whoever rings for fun must not keep a waiter busy.
const RINGS: u32 = 8;
const SECOND: Duration = Duration::from_secs(1);

/// What a waiter was told when it last asked.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) claim: Claim,
    pub(super) lease: Duration,
    pub(super) answer: Acquired,
    /// Whom it watches, whether that one lives.
    pub(super) watched: Option<ProcessIdentity>,
}

/// What is due for a waiter.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) told: Told,
    beat: bool,
}

impl Due {
    /// Whether the ledger is to be asked; `false` when a look at whom it watches tells enough.
    pub(super) fn asks(&self) -> bool {
        self.beat
    }

    pub(super) fn watched_is_dead(&self) -> bool {
        self.told.watched.as_ref().is_some_and(|watched| watched.liveness() == Liveness::Dead)
    }
}

/// What is new for a waiter.
#[derive(Debug)]
pub(super) enum News {
    /// Nothing; whom it has to watch may have changed.
    Nothing(Option<ProcessIdentity>),
    /// It has to wait on, but others came, went or moved up.
    OfOthers,
    /// It may be its turn, or nobody's.
    Turn,
}

/// The bells of a handle's waiters.
#[derive(Debug, Default)]
pub(super) struct Bells(Mutex<HashMap<ClaimId, Bell>>);

#[derive(Debug)]
struct Bell {
    news: Arc<Notify>,
    told: Option<Told>,
    /// How many wait for news: without any, nobody asks in the claimant's name.
    waiting: u32,
    likely_to_wait: bool,
    beat_at: Instant,
    look_at: Instant,
    /// When the present second of rings began, and how many there were.
    rings: (Instant, u32),
    used_at: Instant,
}

impl Bell {
    fn new(now: Instant) -> Self {
        Self {
            news: Arc::default(),
            told: None,
            waiting: 0,
            likely_to_wait: false,
            beat_at: now,
            look_at: now,
            rings: (now, 0),
            used_at: now,
        }
    }

    fn set_beat(&mut self, claim: &Claim, now: Instant) {
        let own = Duration::from_millis(u64::from(claim.process.pid % 997));
        self.beat_at = now + BEAT + own;
    }

    fn due_at(&self) -> Option<Instant> {
        let told = self.told.as_ref().filter(|_| self.waiting > 0)?;
        let watches = told.watched.is_some();
        Some(if watches { self.beat_at.min(self.look_at) } else { self.beat_at })
    }

    fn due(&mut self, now: Instant) -> Option<Due> {
        self.due_at().filter(|due| *due <= now)?;
        let told = self.told.clone()?;
        let beat = self.beat_at <= now;
        if beat {
            self.set_beat(&told.claim, now);
        }
        self.look_at = now + LOOK;
        Some(Due { told, beat })
    }

    fn ring(&mut self, now: Instant) {
        let (begun, count) = &mut self.rings;
        if now.duration_since(*begun) >= SECOND {
            (*begun, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        let answered = if *count > RINGS { *begun + SECOND } else { now };
        self.beat_at = self.beat_at.min(answered);
    }
}

impl Bells {
    fn lock(&self) -> MutexGuard<'_, HashMap<ClaimId, Bell>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hangs a bell up before its claimant asks, so that no ring comes too early. Tells whether the
    /// claimant is likely to be told to wait on. Those that nobody has used for long are taken down:
    /// a run that parks says no goodbye.
    pub(super) fn attend(&self, claim: &Claim) -> bool {
        let now = Instant::now();
        let mut bells = self.lock();
        bells.retain(|_, bell| bell.waiting > 0 || now < bell.used_at + WAITER_TTL);
        let bell = bells.entry(claim.id).or_insert_with(|| Bell::new(now));
        bell.used_at = now;
        bell.look_at = now + LOOK;
        bell.set_beat(claim, now);
        if bell.waiting == 0 {
            // What was news is about to be known.
            bell.news = Arc::default();
        }
        std::mem::take(&mut bell.likely_to_wait)
    }

    /// Whether the claimant has asked before.
    pub(super) fn knows(&self, claim: &Claim) -> bool {
        self.lock().contains_key(&claim.id)
    }

    /// Keeps what the claimant was told.
    pub(super) fn tell(&self, told: Told) {
        if let Some(bell) = self.lock().get_mut(&told.claim.id) {
            bell.told = Some(told);
        }
    }

    /// Takes a bell down.
    pub(super) fn forget(&self, claim: &Claim) {
        self.lock().remove(&claim.id);
    }

    /// Begins a wait; `None` for a claimant that was never told to.
    pub(super) fn wait(self: &Arc<Self>, claim: &Claim) -> Option<Waiting> {
        let mut bells = self.lock();
        let bell = bells.get_mut(&claim.id).filter(|bell| bell.told.is_some())?;
        bell.waiting += 1;
        Some(Waiting { bells: Arc::clone(self), claim: claim.id, news: Arc::clone(&bell.news) })
    }

    /// Takes a datagram for a ring if it is one.
    pub(super) fn ring(&self, datagram: &[u8]) {
        let claim: Option<ClaimId> =
            std::str::from_utf8(datagram).ok().and_then(|text| text.parse().ok());
        let Some(claim) = claim else { return };
        if let Some(bell) = self.lock().get_mut(&claim) {
            bell.ring(Instant::now());
        }
    }

    /// When something is due next.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.lock().values().filter_map(Bell::due_at).min()
    }

    /// What is due now; it is due again after the usual time.
    pub(super) fn due(&self) -> Vec<Due> {
        let now = Instant::now();
        self.lock().values_mut().filter_map(|bell| bell.due(now)).collect()
    }

    pub(super) fn note(&self, claim: &Claim, news: News) {
        let mut bells = self.lock();
        let Some(bell) = bells.get_mut(&claim.id) else { return };
        match news {
            News::Nothing(watched) => {
                if let Some(told) = &mut bell.told {
                    told.watched = watched;
                }
            }
            News::OfOthers => {
                bell.likely_to_wait = true;
                bell.news.notify_one();
            }
            News::Turn => bell.news.notify_one(),
        }
    }
}

/// A wait that goes on until it is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    bells: Arc<Bells>,
    claim: ClaimId,
    news: Arc<Notify>,
}

impl Waiting {
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(bell) = self.bells.lock().get_mut(&self.claim) {
            bell.waiting = bell.waiting.saturating_sub(1);
            bell.used_at = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatekit_core::{RunId, TargetName};

    fn waiting() -> (Arc<Bells>, Claim, Waiting) {
        let bells = Arc::new(Bells::default());
        let claim = Claim::new(TargetName::new("t").unwrap(), RunId::generate(), "me");
        assert!(!bells.attend(&claim), "it has not asked before");
        let answer = Acquired::Waiting { ahead: 0, holder: None };
        bells.tell(Told { claim: claim.clone(), lease: SECOND, answer, watched: None });
        let waiting = bells.wait(&claim).unwrap();
        (bells, claim, waiting)
    }

    #[test]
    fn a_ring_makes_a_waiter_ask_at_once_but_not_without_end() {
        let (bells, claim, _waiting) = waiting();
        assert!(bells.due().is_empty());
        let mut asked = 0;
        let begun = Instant::now();
        for _ in 0..10_000 {
            bells.ring(claim.id.to_string().as_bytes());
            asked += bells.due().len();
        }
        let seconds = begun.elapsed().as_secs_f64() + 1.0;
        assert!(asked >= RINGS as usize && (asked as f64) <= seconds * f64::from(RINGS + 1));
        assert!(bells.due_at().unwrap() <= Instant::now() + SECOND, "the rest is not forgotten");
    }

    #[test]
    fn what_is_no_ring_of_a_waiter_here_makes_nobody_ask() {
        let (bells, claim, _waiting) = waiting();
        let due = bells.due_at().unwrap();
        let other = ClaimId::generate().to_string();
        let long = format!("{claim}{claim}", claim = claim.id);
        for datagram in [&b""[..], b"?", b"\xff\xfe", other.as_bytes(), long.as_bytes()] {
            bells.ring(datagram);
        }
        assert_eq!(bells.due_at(), Some(due));
    }

    #[test]
    fn who_never_came_back_has_no_bell_after_a_while() {
        let (bells, claim, waiting) = waiting();
        let other = Claim::new(TargetName::new("t").unwrap(), RunId::generate(), "another");
        let long_ago = Instant::now().checked_sub(WAITER_TTL).unwrap();
        let forget = || bells.lock().get_mut(&claim.id).unwrap().used_at = long_ago;
        forget();
        bells.attend(&other);
        assert!(bells.knows(&claim), "it still waits");
        drop(waiting);
        forget();
        bells.attend(&other);
        assert!(!bells.knows(&claim) && bells.knows(&other));
    }

    #[test]
    fn whatever_its_process_a_waiter_is_silent_for_less_than_a_second_more() {
        let (_, mut claim, _) = waiting();
        let now = Instant::now();
        for pid in [1, 996, 997, 4_194_304] {
            claim.process.pid = pid;
            let mut bell = Bell::new(now);
            bell.set_beat(&claim, now);
            assert!((BEAT..BEAT + SECOND).contains(&(bell.beat_at - now)), "{pid}");
        }
    }

    #[test]
    fn who_watches_the_holder_looks_again_after_a_while() {
        let (bells, claim, _waiting) = waiting();
        let now = Instant::now();
        let answer = Acquired::Waiting { ahead: 0, holder: None };
        let watched = Some(claim.process.clone());
        let told = Told { claim: claim.clone(), lease: SECOND, answer, watched };
        bells.attend(&claim);
        bells.tell(told.clone());
        assert!(bells.due_at().unwrap() >= now + LOOK, "it has just asked");
        let mut bell = Bell { told: Some(told), waiting: 1, ..Bell::new(now) };
        bell.set_beat(&claim, now);
        let due = bell.due(now).unwrap();
        assert!(!due.asks() && !due.watched_is_dead(), "a look is enough");
        assert_eq!(bell.due_at(), Some(now + LOOK));
        assert!(bell.due(now).is_none());
    }

    #[test]
    fn who_has_just_asked_and_is_about_to_wait_keeps_a_bell_when_others_ask() {
        let (bells, claim, waiting) = waiting();
        drop(waiting);
        bells.attend(&Claim::new(TargetName::new("t").unwrap(), RunId::generate(), "another"));
        assert!(bells.wait(&claim).is_some());
    }

    #[test]
    fn nobody_asks_for_who_has_stopped_waiting() {
        let (bells, claim, waiting) = waiting();
        drop(waiting);
        bells.ring(claim.id.to_string().as_bytes());
        assert!(bells.due_at().is_none() && bells.due().is_empty());
        let _again = bells.wait(&claim).unwrap();
        assert_eq!(bells.due().len(), 1, "the ring is remembered");
        bells.forget(&claim);
        assert!(bells.wait(&claim).is_none());
    }
}
