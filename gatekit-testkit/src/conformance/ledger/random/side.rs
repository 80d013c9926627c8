//! One of the two ledgers that are driven side by side.

use std::sync::Arc;
use std::time::Duration;

use gatekit_core::ledger::{Acquired, Body, Entry, Guard, Hold, Holder, Ledger, LockState, Record};
use gatekit_core::{Code, Effect, Fence, Result, RunId, TargetName};

use super::super::bench::verify;
use super::super::check::same;
use super::super::subject::Opened;
use super::cast::Cast;
use super::op::{AGENTS, Act, Op, STEP, TARGETS, Under};

/// The targets that are locked along, and their fences.
pub(super) type Along = Vec<(TargetName, usize)>;

/// What a call came to, in words that two ledgers must share: tickets and fences are numbered in the
/// order in which they were first given, because their values are each ledger's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The call was not made.
    Skipped,
    Ticket(usize),
    Granted(usize, Duration, Along),
    /// How many are ahead, which is the oracle's to judge, and who holds.
    Waiting(u64, Option<Holder>),
    Suspect(TargetName, RunId, usize),
    TookOver(usize, Duration, Along),
    Left,
    /// Under which fence.
    Renewed(usize),
    /// Under which fence.
    Released(bool, usize),
    /// The number of the record, and the fence of its guard.
    Appended(u64, usize),
    Refused(Code, Effect),
}

impl Answer {
    /// Whether both ledgers say the same. How many are ahead they may count differently.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Waiting(_, holder), Self::Waiting(_, other)) => holder == other,
            _ => self == other,
        }
    }
}

/// The state of a target in the same words; what is left of a lease is rounded to steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) state: LockState,
    pub(super) fence: usize,
    pub(super) run: Option<RunId>,
    along_with: Option<TargetName>,
    holder: Option<Holder>,
    lease_left: Option<u32>,
    pub(super) queue: Vec<(usize, RunId, String, bool)>,
    pub(super) head: u64,
}

/// A journal entry in the same words, without its time.
pub(super) type Noted = (u64, RunId, String, Option<usize>, Body);

/// A ledger, and what its agents remember of its answers.
#[derive(Debug)]
pub(super) struct Side {
    opened: Box<dyn Opened>,
    handles: [Arc<dyn Ledger>; 2],
    targets: Vec<TargetName>,
    /// By agent and target, newest last.
    holds: Vec<Vec<Hold>>,
    /// By target, in the order they were given.
    fences: [Vec<Fence>; TARGETS],
    tickets: [Vec<u64>; TARGETS],
}

impl Side {
    pub(super) async fn new(opened: Box<dyn Opened>, cast: &Cast) -> Result<Self> {
        let ledger = opened.ledger();
        let other = ledger.reconnect().await?;
        let targets = cast.agents[0].claims.iter().map(|claim| claim.target.clone());
        Ok(Self {
            opened,
            handles: [ledger, other],
            targets: targets.collect(),
            holds: vec![Vec::new(); AGENTS * TARGETS],
            fences: Default::default(),
            tickets: Default::default(),
        })
    }

    /// Does what `op` says. `Err` says how numbers that were given out go back.
    pub(super) async fn perform(&mut self, op: &Op, cast: &Cast) -> Result<Answer, String> {
        let target = op.target;
        let claim = &cast.agents[op.agent].claims[target];
        if cast.is_dead(&claim.process) && !matches!(op.act, Act::Pass(_)) {
            return Ok(Answer::Skipped);
        }
        let ledger = Arc::clone(&self.handles[op.agent % 2]);
        let answer = match &op.act {
            Act::Enqueue => match ledger.enqueue(claim).await {
                Ok(ticket) => Ok(Answer::Ticket(number(&mut self.tickets[target], ticket)?)),
                Err(error) => Err(error),
            },
            Act::Acquire(lease) => match ledger.acquire(claim, STEP * *lease).await {
                Ok(answer) => Ok(self.acquired(op, answer)?),
                Err(error) => Err(error),
            },
            Act::TakeOver(lease) => match ledger.take_over(claim, STEP * *lease).await {
                Ok(hold) => {
                    let (fence, along) = self.given(op, &hold)?;
                    Ok(Answer::TookOver(fence, hold.lease, along))
                }
                Err(error) => Err(error),
            },
            Act::Leave => ledger.leave(&claim.target, claim.run).await.map(|()| Answer::Left),
            Act::Renew(lease) => match self.shown(op, Under::Own) {
                Some(mut hold) => {
                    hold.lease = STEP * *lease;
                    let renewed = ledger.renew(&hold).await;
                    renewed.map(|()| Answer::Renewed(self.rank(target, Some(hold.fence))))
                }
                None => Ok(Answer::Skipped),
            },
            Act::Release(under) => match self.shown(op, *under) {
                Some(hold) => {
                    let released = ledger.release(&hold).await;
                    let fence = self.rank(target, Some(hold.fence));
                    released.map(|released| Answer::Released(released, fence))
                }
                None => Ok(Answer::Skipped),
            },
            Act::Append(body, under, left) => {
                let hold = self.shown(op, *under);
                if hold.is_none() && !matches!(under, Under::Open) {
                    return Ok(Answer::Skipped);
                }
                let fence = hold.as_ref().map(|hold| hold.fence);
                let guard = hold.map_or(Guard::Open, |hold| Guard::Holder {
                    run: hold.run,
                    fence: hold.fence,
                    lease_left: *left,
                });
                let actor = claim.actor.clone();
                let body = Body::clone(body);
                let entry = Entry::new(claim.target.clone(), claim.run, actor, fence, body);
                let record = ledger.append(&claim.target, &entry, guard).await;
                record.map(|record| Answer::Appended(record.seq, self.rank(target, fence)))
            }
            Act::Pass(steps) => {
                self.opened.advance(STEP * *steps);
                Ok(Answer::Skipped)
            }
            Act::Anew | Act::Die => Ok(Answer::Skipped),
        };
        Ok(answer.unwrap_or_else(|error| Answer::Refused(error.code().clone(), error.effect())))
    }

    fn acquired(&mut self, op: &Op, answer: Acquired) -> Result<Answer, String> {
        Ok(match answer {
            Acquired::Granted(hold) => {
                let (fence, along) = self.given(op, &hold)?;
                Answer::Granted(fence, hold.lease, along)
            }
            Acquired::Waiting { ahead, holder } => Answer::Waiting(ahead, holder),
            Acquired::Suspect { target, run, fence } => {
                let number = self.targets.iter().position(|name| *name == target);
                let number = number.ok_or_else(|| format!("nobody ever named `{target}`"))?;
                Answer::Suspect(target, run, self.rank(number, Some(fence)))
            }
            other => return Err(format!("an answer that nobody knows: {other:?}")),
        })
    }

    /// Notes that the agent was given that hold.
    fn given(&mut self, op: &Op, hold: &Hold) -> Result<(usize, Along), String> {
        let mut ranks = Vec::new();
        for target in 0..TARGETS {
            let Some(fence) = hold.fence_of(&self.targets[target]) else { continue };
            let rank = number(&mut self.fences[target], fence)?;
            ranks.push((self.targets[target].clone(), rank));
            let holds = &mut self.holds[op.agent * TARGETS + target];
            if holds.last().is_none_or(|last| last.fence != fence) {
                let target = self.targets[target].clone();
                holds.push(Hold::new(target, hold.run, fence, hold.lease));
            }
        }
        let (own, along): (Along, Along) =
            ranks.into_iter().partition(|(target, _)| *target == hold.target);
        Ok((own.first().map_or(0, |(_, rank)| *rank), along))
    }

    /// The hold that the agent shows.
    fn shown(&self, op: &Op, under: Under) -> Option<Hold> {
        let of = |agent: usize, back: usize| {
            self.holds[agent * TARGETS + op.target].iter().rev().nth(back).cloned()
        };
        match under {
            Under::Open => None,
            Under::Own => of(op.agent, 0),
            Under::Former => of(op.agent, 1),
            Under::Of(agent) => of(agent, 0),
            Under::Forged => of(op.agent, 0).map(|mut hold| {
                hold.fence = hold.fence.next();
                hold
            }),
        }
    }

    /// The number of a fence; 0 before the first grant.
    fn rank(&self, target: usize, fence: Option<Fence>) -> usize {
        match fence {
            None | Some(Fence(0)) => 0,
            Some(fence) => rank(&self.fences[target], &fence),
        }
    }

    pub(super) async fn told(&self, target: usize) -> Result<Told> {
        let state = self.handles[0].state(&self.targets[target]).await?;
        let queue = state.queue.into_iter().map(|waiter| {
            let ticket = rank(&self.tickets[target], &waiter.ticket);
            (ticket, waiter.run, waiter.actor, waiter.alive)
        });
        Ok(Told {
            state: state.state,
            fence: self.rank(target, Some(state.fence)),
            run: state.run,
            along_with: state.along_with,
            holder: state.holder,
            lease_left: state.lease_left.map(steps),
            queue: queue.collect(),
            head: state.head.seq,
        })
    }

    /// The journal, if its chain verifies and every way to read it tells the same.
    pub(super) async fn journal(&self, target: usize) -> Result<Vec<Noted>> {
        let (ledger, name) = (&*self.handles[1], &self.targets[target]);
        let records = verify(ledger, name).await?;
        let entries: Vec<Entry> = records.iter().map(Record::decode).collect::<Result<_>>()?;
        for entry in &entries {
            let kind = entry.body.kind();
            let by_run = ledger.read_run(name, entry.run).await?;
            let by_kind = ledger.read_kind(name, kind, None, usize::MAX).await?;
            let of = |wanted: &dyn Fn(&Entry) -> bool| -> Vec<&Record> {
                let all = records.iter().zip(&entries);
                all.filter(|(_, entry)| wanted(entry)).map(|(record, _)| record).collect()
            };
            same(
                "`read_run` gives all records of one run, in order",
                by_run.iter().collect(),
                of(&|other| other.run == entry.run),
            );
            same(
                "`read_kind` gives all records of one kind, newest first",
                by_kind.iter().rev().collect(),
                of(&|other| other.body.kind() == kind),
            );
        }
        Ok(records
            .iter()
            .zip(entries)
            .map(|(record, entry)| {
                let body = match entry.body {
                    Body::Resumed { old, new } => Body::Resumed {
                        old: Fence(self.rank(target, Some(old)) as u64),
                        new: Fence(self.rank(target, Some(new)) as u64),
                    },
                    body => body,
                };
                let fence = entry.fence.map(|fence| self.rank(target, Some(fence)));
                (record.seq, entry.run, entry.actor, fence, body)
            })
            .collect())
    }
}

/// The number of what was given; what is new must be greater than all before.
fn number<T: Copy + Ord + std::fmt::Debug>(given: &mut Vec<T>, one: T) -> Result<usize, String> {
    if !given.contains(&one) {
        if given.last().is_some_and(|last| one < *last) {
            return Err(format!("tickets and fences only grow: {one:?} was given after {given:?}"));
        }
        given.push(one);
    }
    Ok(rank(given, &one))
}

/// From 1, in the order they were given; [`usize::MAX`] for what never was.
fn rank<T: PartialEq>(given: &[T], one: &T) -> usize {
    given.iter().position(|known| known == one).map_or(usize::MAX, |place| place + 1)
}

fn steps(left: Duration) -> u32 {
    (left.as_secs_f64() / STEP.as_secs_f64()).round() as u32
}
