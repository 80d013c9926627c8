//! The lock of a target: one row, and what may become of it.

use std::time::Duration;

use gatekit_core::ledger::refusal::Refusal;
use gatekit_core::ledger::{Claim, Head, Hold, Holder, LockEffect, LockState};
use gatekit_core::process::{Liveness, ProcessIdentity};
use gatekit_core::{ClaimId, Fence, RunId, TargetName};
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, named_params, params};

use super::clock::Moment;
use super::error::Fault;

/// The row of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lock {
    /// The number by which the journal knows the target.
    pub(super) no: i64,
    pub(super) name: TargetName,
    pub(super) state: LockState,
    pub(super) fence: Fence,
    pub(super) run: Option<RunId>,
    /// Present while it is held or mutating.
    pub(super) tenure: Option<Tenure>,
    pub(super) head: Head,
    pub(super) along: Option<Along>,
}

/// Along with which target another one is locked, while that has this fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Along {
    pub(super) no: i64,
    pub(super) fence: Fence,
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

/// A statement that reads whole rows, for [`Lock::decode`].
macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT no, name, state, fence, run, ticket, claim, actor, process, lease, end_boot, \
             end_millis, head_seq, head_hash, along, along_fence FROM target ",
            $which
        )
    };
}

/// The columns of [`select`], in its order: to find each by its name takes as long as the query.
mod column {
    pub(super) const NO: usize = 0;
    pub(super) const NAME: usize = 1;
    pub(super) const STATE: usize = 2;
    pub(super) const FENCE: usize = 3;
    pub(super) const RUN: usize = 4;
    pub(super) const TICKET: usize = 5;
    pub(super) const CLAIM: usize = 6;
    pub(super) const ACTOR: usize = 7;
    pub(super) const PROCESS: usize = 8;
    pub(super) const LEASE: usize = 9;
    pub(super) const END_BOOT: usize = 10;
    pub(super) const END_MILLIS: usize = 11;
    pub(super) const HEAD_SEQ: usize = 12;
    pub(super) const HEAD_HASH: usize = 13;
    pub(super) const ALONG: usize = 14;
    pub(super) const ALONG_FENCE: usize = 15;
}

impl Lock {
    /// The row of a target; `None` while nobody has ever written to it.
    pub(super) fn load(conn: &Connection, target: &TargetName) -> Result<Option<Self>, Fault> {
        let sql = select!("WHERE name = ?1");
        Self::query(conn, sql, params![target.as_str()])
    }

    fn query(conn: &Connection, sql: &str, key: &[&dyn ToSql]) -> Result<Option<Self>, Fault> {
        conn.prepare_cached(sql)?
            .query_row(key, |row| Ok(Self::decode(row)))
            .optional()?
            .transpose()
    }

    /// The row of the target along with which this one is locked.
    fn leading(&self, conn: &Connection) -> Result<Option<Self>, Fault> {
        let Some(Along { no, fence }) = self.along else { return Ok(None) };
        let sql = select!("WHERE no = ?1 AND fence = ?2");
        Self::query(conn, sql, params![no, integer(fence.0)])
    }

    /// The rows of the targets that are locked along with this one.
    pub(super) fn along(&self, conn: &Connection) -> Result<Vec<Self>, Fault> {
        let sql = select!("INDEXED BY target_along WHERE along = ?1 AND along_fence = ?2");
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query(params![self.no, integer(self.fence.0)])?;
        let mut along = Vec::new();
        while let Some(row) = rows.next()? {
            along.push(Self::decode(row)?);
        }
        Ok(along)
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
        let (name, state, fence) = (target.clone(), LockState::Free, Fence::default());
        Ok(Self { no, name, state, fence, run: None, tenure: None, head, along: None })
    }

    fn decode(row: &Row<'_>) -> Result<Self, Fault> {
        let state = match text(row, column::STATE)? {
            "free" => LockState::Free,
            "held" => LockState::Held,
            "mutating" => LockState::Mutating,
            "suspect" => LockState::Suspect,
            other => return Err(Fault::Damaged(format!("the lock state `{other}`"))),
        };
        let run = optional_text(row, column::RUN)?.map(|text| parse(text, "run id"));
        let tenure = match state {
            LockState::Held | LockState::Mutating => Some(Tenure {
                ticket: row.get::<_, Option<i64>>(column::TICKET)?.map(number).transpose()?,
                claim: parse(text(row, column::CLAIM)?, "claim id")?,
                actor: row.get(column::ACTOR)?,
                process: process_from(text(row, column::PROCESS)?)?,
                lease: Duration::from_millis(number(row.get(column::LEASE)?)?),
                end: Moment {
                    boot: text(row, column::END_BOOT)?.into(),
                    millis: number(row.get(column::END_MILLIS)?)?,
                },
            }),
            _ => None,
        };
        let along = match row.get::<_, Option<i64>>(column::ALONG)? {
            Some(no) => Some(Along { no, fence: Fence(number(row.get(column::ALONG_FENCE)?)?) }),
            None => None,
        };
        Ok(Self {
            no: row.get(column::NO)?,
            name: parse(text(row, column::NAME)?, "target")?,
            along,
            state,
            fence: Fence(number(row.get(column::FENCE)?)?),
            run: run.transpose()?,
            tenure,
            head: Head {
                seq: number(row.get(column::HEAD_SEQ)?)?,
                hash: parse(text(row, column::HEAD_HASH)?, "hash")?,
            },
        })
    }

    pub(super) fn save(&self, conn: &Connection) -> Result<(), Fault> {
        let sql = "UPDATE target SET state = :state, fence = :fence, run = :run, ticket = :ticket, \
                   claim = :claim, actor = :actor, process = :process, lease = :lease, \
                   end_boot = :end_boot, end_millis = :end_millis, head_seq = :head_seq, \
                   head_hash = :head_hash, along = :along, along_fence = :along_fence \
                   WHERE no = :no";
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
            ":along": self.along.map(|along| along.no),
            ":along_fence": self.along.map(|along| integer(along.fence.0)),
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
        self.along = None;
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

    /// Makes it what the lock of `leading` is from now on, under a fence of its own.
    pub(super) fn follow(&mut self, leading: &Self) -> Fence {
        (self.state, self.run, self.tenure) = (LockState::Free, None, None);
        self.along = Some(Along { no: leading.no, fence: leading.fence });
        self.fence = self.fence.next();
        self.fence
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

    pub(super) fn refusal(&self) -> Refusal<'_> {
        Refusal {
            target: &self.name,
            state: self.state,
            fence: self.fence,
            run: self.run,
            holder: self.holder(),
        }
    }
}

/// The lock of a target, whosoever's it is: its own, or that of the one along with which it is
/// locked.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) own: Lock,
    leading: Option<Lock>,
}

impl Seen {
    pub(super) fn of(conn: &Connection, own: Lock) -> Result<Self, Fault> {
        Ok(Self { leading: own.leading(conn)?, own })
    }

    pub(super) fn load_or_create(conn: &Connection, target: &TargetName) -> Result<Self, Fault> {
        Self::of(conn, Lock::load_or_create(conn, target)?)
    }

    pub(super) fn lock(&self) -> &Lock {
        self.leading.as_ref().unwrap_or(&self.own)
    }

    pub(super) fn lock_mut(&mut self) -> &mut Lock {
        self.leading.as_mut().unwrap_or(&mut self.own)
    }

    /// The target along with which it is locked.
    pub(super) fn leading(&self) -> Option<&Lock> {
        self.leading.as_ref()
    }

    /// Whether that run holds it under that fence.
    pub(super) fn tenure_under(&self, run: RunId, fence: Fence) -> Option<&Tenure> {
        let own = self.lock().run == Some(run) && self.own.fence == fence;
        self.lock().tenure.as_ref().filter(|_| own)
    }

    pub(super) fn refusal(&self) -> Refusal<'_> {
        Refusal { target: &self.own.name, fence: self.own.fence, ..self.lock().refusal() }
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

/// A column that holds a text.
fn text<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r str, Fault> {
    Ok(row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?)
}

/// A column that holds a text or nothing.
fn optional_text<'r>(row: &'r Row<'_>, column: usize) -> Result<Option<&'r str>, Fault> {
    Ok(row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from)?)
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

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    #[test]
    fn a_row_is_read_by_the_places_of_its_columns() {
        let conn = Connection::open_in_memory().unwrap();
        schema::create(&conn).unwrap();
        let statement = conn.prepare(select!("WHERE no = ?1")).unwrap();
        for (place, name) in [
            (column::NO, "no"),
            (column::NAME, "name"),
            (column::STATE, "state"),
            (column::FENCE, "fence"),
            (column::RUN, "run"),
            (column::TICKET, "ticket"),
            (column::CLAIM, "claim"),
            (column::ACTOR, "actor"),
            (column::PROCESS, "process"),
            (column::LEASE, "lease"),
            (column::END_BOOT, "end_boot"),
            (column::END_MILLIS, "end_millis"),
            (column::HEAD_SEQ, "head_seq"),
            (column::HEAD_HASH, "head_hash"),
            (column::ALONG, "along"),
            (column::ALONG_FENCE, "along_fence"),
        ] {
            assert_eq!(statement.column_index(name).unwrap(), place, "{name}");
        }
        assert_eq!(statement.column_count(), column::ALONG_FENCE + 1);
    }
}
