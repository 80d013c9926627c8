//! The hash chain of a target's journal: it shows what was altered, reordered or removed.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use super::entry::{Entry, Record};
use crate::code;
use crate::digest::{Digest, Hasher};
use crate::error::{Error, NextAction, Result};
use crate::id::TargetName;

/// The hash before the first entry: 64 zeros.
pub static GENESIS: LazyLock<Digest> = LazyLock::new(Digest::zeros);

/// The hash of `entry` after `prev`: `printf '%s%s' "$prev" "$entry" | sha256sum`.
#[must_use]
pub fn link(prev: &Digest, entry: &str) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(prev.as_str());
    hasher.update(entry);
    hasher.finish()
}

/// The end of a chain. Kept elsewhere, it shows later that no tail was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of the last entry; 0 for an empty chain.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
}

impl Head {
    /// The head of an empty chain.
    #[must_use]
    pub fn genesis() -> Self {
        Self { seq: 0, hash: GENESIS.clone() }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl FromStr for Head {
    type Err = Error;

    /// # Errors
    /// `config.head` unless `text` is `SEQ:HASH`.
    fn from_str(text: &str) -> Result<Self> {
        text.split_once(':')
            .and_then(|(seq, hash)| Some(Self { seq: seq.parse().ok()?, hash: hash.parse().ok()? }))
            .ok_or_else(|| {
                Error::new(
                    code::CONFIG_HEAD,
                    format!("`{}` is not `SEQ:HASH`", text.escape_debug()),
                )
            })
    }
}

/// Checks a chain record by record, in constant memory.
#[derive(Debug)]
pub struct ChainVerifier {
    target: TargetName,
    head: Head,
    against: Option<Head>,
}

impl ChainVerifier {
    /// A verifier of that target's chain from its first record; with `against` it also proves that
    /// the chain still contains that exported head.
    #[must_use]
    pub fn new(target: TargetName, against: Option<Head>) -> Self {
        Self { target, head: Head::genesis(), against }
    }

    /// Checks the next record.
    ///
    /// # Errors
    /// `log.broken`, naming the record, when it is not the one that follows.
    pub fn push(&mut self, record: &Record) -> Result<()> {
        let expected = self.head.seq + 1;
        if record.seq != expected {
            return Err(broken(expected, &format!("removed or reordered: {} follows", record.seq)));
        }
        if record.prev != self.head.hash {
            return Err(broken(record.seq, "it does not follow the entry before it"));
        }
        if record.hash != link(&record.prev, &record.entry) {
            return Err(broken(record.seq, "altered: its text does not match its hash"));
        }
        match Entry::from_json(&record.entry) {
            Ok(entry) if entry.target == self.target => {}
            Ok(entry) => {
                return Err(broken(record.seq, &format!("it belongs to `{}`", entry.target)));
            }
            Err(error) => return Err(broken(record.seq, &error.to_string())),
        }
        self.head = Head { seq: record.seq, hash: record.hash.clone() };
        if let Some(known) = &self.against
            && known.seq == record.seq
            && known.hash != record.hash
        {
            return Err(broken(record.seq, "rewritten: its hash differs from the exported head"));
        }
        Ok(())
    }

    /// The head of what was checked.
    ///
    /// # Errors
    /// `log.broken` when the chain ends before the exported head, or before `stored`, the head that
    /// the ledger itself names.
    pub fn finish(self, stored: &Head) -> Result<Head> {
        for known in [Some(stored), self.against.as_ref()].into_iter().flatten() {
            if known.seq > self.head.seq {
                let what = format!("cut off: the chain ends at {}", self.head.seq);
                return Err(broken(self.head.seq + 1, &what));
            }
        }
        if *stored != self.head {
            return Err(broken(self.head.seq, "the ledger names another head"));
        }
        // Every other exported head was compared with the entry of its number.
        let genesis = Head::genesis();
        if self.against.is_some_and(|known| known.seq == genesis.seq && known != genesis) {
            return Err(broken(genesis.seq, "the exported head is not that of an empty chain"));
        }
        Ok(self.head)
    }
}

fn broken(seq: u64, what: &str) -> Error {
    Error::new(code::LOG_BROKEN, format!("the journal is broken at entry {seq}: {what}"))
        .with_context("entry", seq)
        .with_next(
            NextAction::outside(
                "keep a copy of the ledger, compare it with an exported head and find who wrote to it",
            )
            .by("operator"),
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RunId;
    use crate::ledger::Body;

    fn chain(length: u64) -> (TargetName, Vec<Record>) {
        let target = TargetName::new("t").unwrap();
        let mut head = Head::genesis();
        let records = (1..=length)
            .map(|ticket| {
                let body = Body::Queued { ticket };
                let entry = Entry::new(target.clone(), RunId::generate(), "me", None, body);
                let entry = entry.to_json().unwrap();
                let hash = link(&head.hash, &entry);
                let prev = std::mem::replace(&mut head, Head { seq: ticket, hash: hash.clone() });
                Record { seq: ticket, prev: prev.hash, hash, entry }
            })
            .collect();
        (target, records)
    }

    #[test]
    fn an_exported_head_is_read_back() {
        let head = Head { seq: 7, hash: GENESIS.clone() };
        assert_eq!(head.to_string(), format!("7:{}", *GENESIS));
        assert_eq!(head.to_string().parse::<Head>().unwrap(), head);
    }

    fn verify(
        target: &TargetName,
        records: &[Record],
        stored: &Head,
        against: Option<Head>,
    ) -> Result<Head> {
        let mut verifier = ChainVerifier::new(target.clone(), against);
        for record in records {
            verifier.push(record)?;
        }
        verifier.finish(stored)
    }

    fn head_of(records: &[Record]) -> Head {
        records
            .last()
            .map_or_else(Head::genesis, |last| Head { seq: last.seq, hash: last.hash.clone() })
    }

    /// What `printf '%s%s' "$prev" "$entry" | sha256sum` prints for the first entry of a chain.
    #[test]
    fn anybody_can_compute_the_hash_of_an_entry() {
        let hash = link(&GENESIS, r#"{"seq":"é"}"#);
        let printed = "85dc3b500be0aeed5360702fb334f31d150e495d701df53b1e117d733413be93";
        assert_eq!(hash.as_str(), printed);
        assert_ne!(link(&hash, r#"{"seq":"é"}"#), hash, "it depends on the entry before");
    }

    #[test]
    fn an_untouched_chain_verifies_and_so_does_an_empty_one() {
        let (target, records) = chain(5);
        let head = head_of(&records);
        assert_eq!(verify(&target, &records, &head, Some(head_of(&records[..3]))).unwrap(), head);
        assert_eq!(verify(&target, &[], &Head::genesis(), None).unwrap(), Head::genesis());
    }

    #[test]
    fn says_which_entry_was_altered_reordered_or_removed() {
        let (target, records) = chain(5);
        let head = head_of(&records);
        let blames = |records: &[Record], stored: &Head| {
            let failure = verify(&target, records, stored, None).unwrap_err().to_failure();
            assert_eq!(failure.code, code::LOG_BROKEN);
            failure.context[0].1.clone()
        };
        let mut altered = records.clone();
        altered[2].entry = altered[2].entry.replace("me", "you");
        assert_eq!(blames(&altered, &head), "3");
        let mut rehashed = altered.clone();
        rehashed[2].hash = link(&rehashed[2].prev, &rehashed[2].entry);
        assert_eq!(blames(&rehashed, &head), "4", "the next one no longer follows");
        let mut removed = records.clone();
        removed.remove(1);
        assert_eq!(blames(&removed, &head), "2");
        let mut reordered = records.clone();
        reordered.swap(1, 2);
        assert_eq!(blames(&reordered, &head), "2");
        assert_eq!(blames(&records[..4], &head), "5", "a cut tail that the ledger still names");
    }

    #[test]
    fn only_an_exported_head_shows_a_cut_tail_or_a_rewritten_chain() {
        let (target, records) = chain(5);
        let exported = head_of(&records);
        let cut = &records[..3];
        assert!(verify(&target, cut, &head_of(cut), None).is_ok());
        assert!(verify(&target, cut, &head_of(cut), Some(exported.clone())).is_err());
        let (_, rewritten) = chain(5);
        assert!(verify(&target, &rewritten, &head_of(&rewritten), None).is_ok());
        assert!(verify(&target, &rewritten, &head_of(&rewritten), Some(exported)).is_err());
        let nowhere = Head { seq: 0, hash: link(&GENESIS, "") };
        assert!(verify(&target, cut, &head_of(cut), Some(nowhere.clone())).is_err());
        assert!(verify(&target, &[], &Head::genesis(), Some(nowhere)).is_err());
    }
}
