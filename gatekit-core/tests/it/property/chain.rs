//! A chain that was altered, reordered or cut does not verify, and it is said from where on.

use arbitrary::{Result, Unstructured};
use gatekit_core::ledger::{ChainVerifier, Entry, Head, Record, link};
use gatekit_core::{Digest, Error, TargetName, code};

use super::input;

/// The bytes make a chain and what somebody does to it, records without any order, and a head.
pub(crate) fn holds(data: &[u8]) {
    is_read_as_it_is_written(&String::from_utf8_lossy(data));
    // Bytes that are too few make no chain.
    let _ = says_what_was_done_to_it(&mut Unstructured::new(data));
    let _ = verifies_only_what_hangs_together(&mut Unstructured::new(data));
}

fn is_read_as_it_is_written(text: &str) {
    match text.parse::<Head>() {
        Ok(head) => assert_eq!(head.to_string().parse::<Head>().unwrap(), head, "{text}"),
        Err(error) => assert_eq!(error.code(), &code::CONFIG_HEAD, "{text}"),
    }
}

fn verify(
    target: &TargetName,
    records: &[Record],
    stored: &Head,
    against: Option<&Head>,
) -> std::result::Result<Head, Error> {
    let mut verifier = ChainVerifier::new(target.clone(), against.cloned());
    for record in records {
        verifier.push(record)?;
    }
    verifier.finish(stored)
}

fn head_of(records: &[Record]) -> Head {
    let last = records.last();
    last.map_or_else(Head::genesis, |last| Head { seq: last.seq, hash: last.hash.clone() })
}

/// Numbers and hashes anew from `from` on: what somebody does who knows how it is made.
fn rehash(records: &mut [Record], from: usize) {
    for at in from..records.len() {
        records[at].seq = u64::try_from(at).unwrap() + 1;
        records[at].prev = head_of(&records[..at]).hash;
        records[at].hash = link(&records[at].prev, &records[at].entry);
    }
}

fn chain(u: &mut Unstructured<'_>, target: &TargetName) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for _ in 0..u.int_in_range(2..=6)? {
        let entry = input::entry(u, target.clone())?.to_json().unwrap();
        records.push(Record { seq: 0, prev: Digest::of(""), hash: Digest::of(""), entry });
    }
    rehash(&mut records, 0);
    Ok(records)
}

fn says_what_was_done_to_it(u: &mut Unstructured<'_>) -> Result<()> {
    let target = input::target(u)?;
    // What is done to it comes out of the same bytes as the chain, before they run out.
    let (what, place, other): (u8, usize, String) = u.arbitrary()?;
    let good = chain(u, &target)?;
    let stored = head_of(&good);
    assert_eq!(verify(&target, &good, &stored, None).unwrap(), stored);
    for length in 0..=good.len() {
        let exported = head_of(&good[..length]);
        verify(&target, &good, &stored, Some(&exported)).unwrap();
    }

    let (k, last) = (place % good.len(), good.len() - 1);
    let number = |index: usize| u64::try_from(index).unwrap() + 1;
    let mut bad = good.clone();
    // The entry that is to be blamed.
    let blamed = match what % 14 {
        0 => {
            bad[k].entry.push(' ');
            k
        }
        1 => {
            bad[k].entry = other;
            k
        }
        2 => {
            bad[k].hash = Digest::of(&other);
            k
        }
        3 => {
            bad[k].prev = Digest::of(&other);
            k
        }
        4 => {
            bad[k].seq = bad[k].seq.wrapping_add(u64::try_from(place).unwrap() | 1);
            k
        }
        // Altered and hashed anew: the next one no longer follows, or the head differs.
        5 => {
            bad[k].entry.push(' ');
            bad[k].hash = link(&bad[k].prev, &bad[k].entry);
            (k + 1).min(last)
        }
        6 => {
            bad.remove(k);
            k
        }
        7 => {
            let first = k.min(last - 1);
            bad.swap(first, first + 1);
            first
        }
        8 => {
            bad.swap(0, last);
            0
        }
        9 => {
            bad.insert(k, good[k].clone());
            k + 1
        }
        // Of another target, and of no build that ever was, each with everything hashed anew.
        10 => {
            let elsewhere = TargetName::new("elsewhere").unwrap();
            let mut entry = Entry::from_json(&good[k].entry).unwrap();
            entry.target = elsewhere;
            bad[k].entry = entry.to_json().unwrap();
            rehash(&mut bad, k);
            k
        }
        11 => {
            bad[k].entry = format!("{{{other}");
            rehash(&mut bad, k);
            k
        }
        // Cut, or rewritten from here on, with the stored head following: only a head that was
        // exported before shows it.
        12 => {
            bad.truncate(k);
            let exported = verify(&target, &bad, &head_of(&bad), None);
            assert_eq!(exported.unwrap(), head_of(&bad));
            return blames(&target, &bad, &head_of(&bad), Some(&stored), number(k));
        }
        _ => {
            bad[k].entry.push(' ');
            rehash(&mut bad, k);
            let rewritten = head_of(&bad);
            assert_eq!(verify(&target, &bad, &rewritten, None).unwrap(), rewritten);
            let exported = head_of(&good[..=k]);
            blames(&target, &bad, &rewritten, Some(&exported), number(k))?;
            return blames(&target, &bad, &rewritten, Some(&stored), number(last));
        }
    };
    blames(&target, &bad, &stored, None, number(blamed))
}

fn blames(
    target: &TargetName,
    records: &[Record],
    stored: &Head,
    against: Option<&Head>,
    entry: u64,
) -> Result<()> {
    let failure = verify(target, records, stored, against).unwrap_err().to_failure();
    assert_eq!(failure.code, code::LOG_BROKEN);
    assert_eq!(failure.context[0].1, entry.to_string(), "{failure}");
    Ok(())
}

/// Records and heads of any kind: what verifies is a chain from the first entry to the stored head,
/// and the exported one is in it.
fn verifies_only_what_hangs_together(u: &mut Unstructured<'_>) -> Result<()> {
    let target = input::target(u)?;
    let (damaged, off, exported) = u.arbitrary::<(bool, bool, bool)>()?;
    let mut records = chain(u, &target)?;
    for record in records.iter_mut().filter(|_| damaged) {
        match u.int_in_range(0..=15)? {
            0 => record.seq = u.arbitrary()?,
            1 => record.prev = Digest::of(u.arbitrary::<u8>()?.to_string()),
            2 => record.hash = Digest::of(u.arbitrary::<u8>()?.to_string()),
            3 => record.entry = u.arbitrary()?,
            _ => {}
        }
    }
    let stored = if off { any_head(u, &records)? } else { head_of(&records) };
    let against = if exported { Some(any_head(u, &records)?) } else { None };
    let Ok(head) = verify(&target, &records, &stored, against.as_ref()) else { return Ok(()) };
    assert_eq!((head, &stored), (head_of(&records), &head_of(&records)));
    let mut prev = Head::genesis();
    let mut heads = vec![prev.clone()];
    for record in &records {
        assert_eq!((record.seq, &record.prev), (prev.seq + 1, &prev.hash));
        prev = Head { seq: record.seq, hash: link(&record.prev, &record.entry) };
        assert_eq!(record.hash, prev.hash);
        assert_eq!(Entry::from_json(&record.entry).unwrap().target, target);
        heads.push(prev.clone());
    }
    assert!(against.is_none_or(|known| heads.contains(&known)), "it was never part of the chain");
    Ok(())
}

fn any_head(u: &mut Unstructured<'_>, records: &[Record]) -> Result<Head> {
    let mut head = head_of(&records[..u.int_in_range(0..=records.len())?]);
    match u.int_in_range(0..=5)? {
        0 => head.seq = u.arbitrary()?,
        1 => head.hash = Digest::of(u.arbitrary::<u8>()?.to_string()),
        _ => {}
    }
    Ok(head)
}
