//! What may happen in an interleaving.

use std::fmt;
use std::time::Duration;

use gatekit_core::Outcome;
use gatekit_core::ledger::Body;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::sample::select;

use super::super::bodies::{applying, bodies, calling, closed, left, queued, stuck};

/// Two agents act for each run: a run that is resumed has two claims.
pub(super) const AGENTS: usize = 6;
pub(super) const RUNS: usize = AGENTS / 2;
pub(super) const TARGETS: usize = 3;

/// What time goes by. Every lease, and [`WAITER_TTL`](gatekit_core::ledger::WAITER_TTL), is a
/// multiple of it, and every other limit is half a step beside: real time that passes meanwhile
/// changes no answer, as long as it is less than half a step.
pub(super) const STEP: Duration = Duration::from_secs(5);

/// What somebody does to one target, before it is known who that is.
#[derive(Debug, Clone)]
pub(super) struct Draw {
    pub(super) who: Who,
    pub(super) target: usize,
    pub(super) act: Act,
}

/// Who acts: what is drawn blindly would mostly come to nothing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Who {
    Agent(usize),
    /// Whoever was granted the target last.
    Last,
    /// The other agent of that run.
    Partner,
    /// One of those who asked for a ticket.
    Queued(usize),
}

/// What one agent does to one target.
#[derive(Clone)]
pub(super) struct Op {
    pub(super) agent: usize,
    pub(super) target: usize,
    pub(super) act: Act,
}

#[derive(Debug, Clone)]
pub(super) enum Act {
    Enqueue,
    /// The lease, in steps.
    Acquire(u32),
    Leave,
    Append(Box<Body>, Under, Duration),
    Renew(u32),
    Release(Under),
    TakeOver(u32),
    /// The agent begins anew, with claims that it never made before; in a new process if its own died.
    Anew,
    /// The agent's process is killed.
    Die,
    /// Steps that go by.
    Pass(u32),
}

/// Which hold an agent shows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Under {
    /// None.
    Open,
    /// The last one it was given.
    Own,
    /// The one before.
    Former,
    /// Its own, with the next fence.
    Forged,
    /// The last one that this agent was given.
    Of(usize),
}

impl From<&Op> for Draw {
    fn from(op: &Op) -> Self {
        Self { who: Who::Agent(op.agent), target: op.target, act: op.act.clone() }
    }
}

impl Op {
    pub(super) fn run(&self) -> usize {
        self.agent / 2
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.act {
            Act::Pass(steps) => return write!(f, "{:?} go by", STEP * *steps),
            Act::Die => return write!(f, "agent {} is killed", self.agent),
            Act::Anew => return write!(f, "agent {} begins anew", self.agent),
            _ => {}
        }
        write!(f, "agent {} of run {}, target {}: ", self.agent, self.run(), self.target)?;
        match &self.act {
            Act::Append(body, under, left) => {
                write!(f, "append `{}` under {under:?}", body.kind())?;
                if let Body::Closed { outcome, .. } = &**body {
                    write!(f, " ({})", outcome.as_str())?;
                }
                if left.is_zero() { Ok(()) } else { write!(f, " with {left:?} of the lease left") }
            }
            Act::Acquire(lease) => write!(f, "acquire for {:?}", STEP * *lease),
            Act::TakeOver(lease) => write!(f, "take over for {:?}", STEP * *lease),
            Act::Renew(lease) => write!(f, "renew for {:?}", STEP * *lease),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Sequences of up to `longest` calls; most of them about one target, unless one is locked `along`.
pub(super) fn sequences(longest: usize, along: bool) -> impl Strategy<Value = Vec<Draw>> {
    let target = prop_oneof![if along { 1 } else { 9 } => Just(0), 1 => 0..TARGETS];
    let draw = (target, call()).prop_map(|(target, (who, act))| Draw { who, target, act });
    vec(draw, 1..=longest)
}

fn call() -> impl Strategy<Value = (Who, Act)> {
    let any = || (0..AGENTS).prop_map(Who::Agent);
    let last = || Just(Who::Last);
    let holder = || prop_oneof![4 => last(), 1 => any()];
    let waiter = || prop_oneof![6 => (0..RUNS).prop_map(Who::Queued), 1 => last(), 1 => any()];
    let heir = || prop_oneof![3 => Just(Who::Partner), 1 => last(), 1 => any()];
    let lease = || select(vec![1_u32, 2, 6]);
    let short = || select(vec![Duration::ZERO, Duration::ZERO, STEP / 2, STEP + STEP / 2]);
    let append = |body, under, left| Act::Append(Box::new(body), under, left);
    prop_oneof![
        6 => (any(), Just(Act::Enqueue)),
        10 => (waiter(), lease().prop_map(Act::Acquire)),
        1 => (any(), Just(Act::Leave)),
        12 => (last(), (body(), Just(Under::Own), short()).prop_map(move |(b, u, l)| append(b, u, l))),
        5 => (any(), (body(), under(), short()).prop_map(move |(b, u, l)| append(b, u, l))),
        3 => (holder(), lease().prop_map(Act::Renew)),
        2 => (holder(), under().prop_map(Act::Release)),
        4 => (heir(), lease().prop_map(Act::TakeOver)),
        1 => (holder(), Just(Act::Anew)),
        1 => (holder(), Just(Act::Die)),
        5 => (last(), (1_u32..4).prop_map(Act::Pass)),
    ]
}

fn under() -> impl Strategy<Value = Under> {
    prop_oneof![
        12 => Just(Under::Own),
        3 => Just(Under::Open),
        2 => Just(Under::Former),
        1 => Just(Under::Forged),
        2 => (0..AGENTS).prop_map(Under::Of),
    ]
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        6 => Just(applying()),
        2 => Just(calling()),
        3 => Just(closed(Outcome::Released)),
        2 => Just(closed(Outcome::Refused)),
        2 => Just(left()),
        1 => Just(stuck()),
        2 => Just(queued()),
        3 => select(bodies()),
    ]
}
