//! The lock of a target: one row, and what may become of it.

use std::time::Duration;

use gatekit_core::ledger::refusal::Refusal;
use gatekit_core::ledger::{Claim, Head, Hold, Holder, LockEffect, LockState};
use gatekit_core::process::{Liveness, ProcessIdentity};
use gatekit_core::{ClaimId, Fence, RunId, TargetName};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use super::clock::Moment;
use super::error::Fault;

/// The row of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lock {
    /// The number by which the journal knows the target.
    pub(super) no: i64,
    pub(super) state: LockState,
    pub(super) fence: Fence,
    pub(super) run: Option<RunId>,
    /// Present while it is held or mutating.
    pub(super) tenure: Option<Tenure>,
    pub(super) head: Head,
}

/// Who holds a target, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tenure {
    /// The ticket that was granted; `None` after a take-over.
    pub(super) ticket: Option<u64>,
    /// Which claim of the run it was.
    pub(super) claim: ClaimId,
    pub(super) actor: String,
    pub(super) process: ProcessIdentity,
    pub(super) lease: Duration,
    pub(super) end: Moment,
}

impl Lock {
    /// The row of a target; `None` while nobody has ever written to it.
    pub(super) fn load(conn: &Connection, target: &TargetName) -> Result<Option<Self>, Fault> {
        let sql = "SELECT no, state, fence, run, ticket, claim, actor, process, lease, end_boot, \
                   end_millis, head_seq, head_hash FROM target WHERE name = ?1";
        conn.prepare_cached(sql)?
            .query_row([target.as_str()], |row| Ok(Self::decode(row)))
            .optional()?
            .transpose()
    }

    /// The row of a target that is about to be written to.
    pub(super) fn load_or_create(conn: &Connection, target: &TargetName) -> Result<Self, Fault> {
        if let Some(lock) = Self::load(conn, target)? {
            return Ok(lock);
        }
        let head = Head::genesis();
        let sql = "INSERT INTO target (name, state, fence, head_seq, head_hash) \
                   VALUES (?1, 'free', 0, ?2, ?3) RETURNING no";
        let row = params![target.as_str(), integer(head.seq), head.hash.as_str()];
        let no = conn.prepare_cached(sql)?.query_row(row, |row| row.get(0))?;
        let (state, fence) = (LockState::Free, Fence::default());
        Ok(Self { no, state, fence, run: None, tenure: None, head })
    }

    fn decode(row: &Row<'_>) -> Result<Self, Fault> {
        let state = match row.get_ref("state")?.as_str().map_err(rusqlite::Error::from)? {
            "free" => LockState::Free,
            "held" => LockState::Held,
            "mutating" => LockState::Mutating,
            "suspect" => LockState::Suspect,
            other => return Err(Fault::Damaged(format!("the lock state `{other}`"))),
        };
        let run = row.get::<_, Option<String>>("run")?.map(|text| parse(&text, "run id"));
        let tenure = match state {
            LockState::Held | LockState::Mutating => Some(Tenure {
                ticket: row.get::<_, Option<i64>>("ticket")?.map(number).transpose()?,
                claim: parse(&row.get::<_, String>("claim")?, "claim id")?,
                actor: row.get("actor")?,
                process: process_from(&row.get::<_, String>("process")?)?,
                lease: Duration::from_millis(number(row.get("lease")?)?),
                end: Moment {
                    boot: row.get::<_, String>("end_boot")?.into(),
                    millis: number(row.get("end_millis")?)?,
                },
            }),
            _ => None,
        };
        Ok(Self {
            no: row.get("no")?,
            state,
            fence: Fence(number(row.get("fence")?)?),
            run: run.transpose()?,
            tenure,
            head: Head {
                seq: number(row.get("head_seq")?)?,
                hash: parse(&row.get::<_, String>("head_hash")?, "hash")?,
            },
        })
    }

    pub(super) fn save(&self, conn: &Connection) -> Result<(), Fault> {
        let sql = "UPDATE target SET state = :state, fence = :fence, run = :run, ticket = :ticket, \
                   claim = :claim, actor = :actor, process = :process, lease = :lease, \
                   end_boot = :end_boot, end_millis = :end_millis, head_seq = :head_seq, \
                   head_hash = :head_hash WHERE no = :no";
        let tenure = self.tenure.as_ref();
        conn.prepare_cached(sql)?.execute(named_params! {
            ":no": self.no,
            ":state": self.state.as_str(),
            ":fence": integer(self.fence.0),
            ":run": self.run.map(|run| run.to_string()),
            ":ticket": tenure.and_then(|tenure| tenure.ticket).map(integer),
            ":claim": tenure.map(|tenure| tenure.claim.to_string()),
            ":actor": tenure.map(|tenure| tenure.actor.as_str()),
            ":process": tenure.map(|tenure| process_text(&tenure.process)).transpose()?,
            ":lease": tenure.map(|tenure| integer(millis(tenure.lease))),
            ":end_boot": tenure.map(|tenure| &*tenure.end.boot),
            ":end_millis": tenure.map(|tenure| integer(tenure.end.millis)),
            ":head_seq": integer(self.head.seq),
            ":head_hash": self.head.hash.as_str(),
        })?;
        Ok(())
    }

    /// [`save`](Self::save), where nothing but the head has changed.
    pub(super) fn save_head(&self, conn: &Connection) -> Result<(), Fault> {
        let sql = "UPDATE target SET head_seq = ?2, head_hash = ?3 WHERE no = ?1";
        let row = params![self.no, integer(self.head.seq), self.head.hash.as_str()];
        conn.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    /// Takes the lock from a holder whose lease has lapsed or who is proven dead; tells whether it
    /// did.
    pub(super) fn reap(&mut self, now: &Moment) -> bool {
        let gone = self.tenure.as_ref().is_some_and(|tenure| {
            tenure.left(now).is_zero() || tenure.process.liveness() == Liveness::Dead
        });
        if gone {
            self.apply(LockEffect::GiveUp);
        }
        gone
    }

    /// Does to the lock what an entry under it asks for.
    pub(super) fn apply(&mut self, effect: LockEffect) {
        let next = match (effect, self.state) {
            (LockEffect::Touch, LockState::Held) => LockState::Mutating,
            (LockEffect::GiveUp, LockState::Held) => LockState::Free,
            (LockEffect::GiveUp, LockState::Mutating) => LockState::Suspect,
            (LockEffect::Free, _) => LockState::Free,
            _ => return,
        };
        self.state = next;
        if next == LockState::Free {
            self.run = None;
        }
        if next != LockState::Mutating {
            self.tenure = None;
        }
    }

    /// Makes the claimant the holder, under a fence greater than any before.
    pub(super) fn grant(
        &mut self,
        state: LockState,
        claim: &Claim,
        ticket: Option<u64>,
        lease: Duration,
        now: &Moment,
    ) -> Hold {
        self.state = state;
        self.fence = self.fence.next();
        self.run = Some(claim.run);
        let lease = kept(lease);
        self.tenure = Some(Tenure {
            ticket,
            claim: claim.id,
            actor: claim.actor.clone(),
            process: claim.process.clone(),
            lease,
            end: now.after(lease),
        });
        Hold::new(claim.target.clone(), claim.run, self.fence, lease)
    }

    /// The tenure, if that very claim holds the lock. Another claim of the same run does not: two
    /// processes must never share a fence.
    pub(super) fn tenure_of(&mut self, claim: &Claim) -> Option<&mut Tenure> {
        let run = self.run;
        self.tenure.as_mut().filter(|tenure| run == Some(claim.run) && tenure.claim == claim.id)
    }

    /// The tenure, if that run holds the lock under that fence.
    pub(super) fn tenure_under(&mut self, run: RunId, fence: Fence) -> Option<&mut Tenure> {
        let own = self.run == Some(run) && self.fence == fence;
        self.tenure.as_mut().filter(|_| own)
    }

    pub(super) fn holder(&self) -> Option<Holder> {
        let tenure = self.tenure.as_ref()?;
        Some(Holder::new(self.run?, tenure.actor.clone(), tenure.process.pid))
    }

    pub(super) fn refusal<'a>(&self, target: &'a TargetName) -> Refusal<'a> {
        Refusal {
            target,
            state: self.state,
            fence: self.fence,
            run: self.run,
            holder: self.holder(),
        }
    }
}

impl Tenure {
    pub(super) fn left(&self, now: &Moment) -> Duration {
        now.until(&self.end, self.lease)
    }
}

/// A lease as it is stored: the claim must be told the same lease when it asks again.
pub(super) fn kept(lease: Duration) -> Duration {
    Duration::from_millis(integer(millis(lease)).unsigned_abs())
}

pub(super) fn process_text(process: &ProcessIdentity) -> Result<String, Fault> {
    serde_json::to_string(process).map_err(|error| Fault::Damaged(error.to_string()))
}

pub(super) fn process_from(text: &str) -> Result<ProcessIdentity, Fault> {
    serde_json::from_str(text)
        .map_err(|error| Fault::Damaged(format!("a process that cannot be read: {error}")))
}

pub(super) fn parse<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| Fault::Damaged(format!("the {what} `{}`", text.escape_debug())))
}

/// A stored number, none of which is negative.
pub(super) fn number(stored: i64) -> Result<u64, Fault> {
    u64::try_from(stored).map_err(|_| Fault::Damaged(format!("the number {stored}")))
}

/// A number as SQLite keeps it; those beyond are further than any ledger counts.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
