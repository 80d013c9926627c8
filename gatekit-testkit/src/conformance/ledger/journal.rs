//! The chain of entries, and how it is read.

use std::time::Duration;

use gatekit_core::ledger::{Body, Entry, GENESIS, Guard, Head, Record, link};
use gatekit_core::{RunId, code};

use super::bench::{Bench, LEASE, entry, name};
use super::bodies::{applying, bodies, calling, left, queued};
use super::check::{must, ok, refused, same, there};
use super::subject::Subject;

/// The stored string is the exact one that was hashed, whatever is in it, and every record follows
/// the one before.
pub async fn the_exact_string_is_hashed_and_kept(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let odd = ["", "Zoë \"quoted\" \\ 'single' %_?", "\u{0}\n\r\t\u{1b}[31m", "\u{202e}😀\u{feff}"];
    let large = "é".repeat(1 << 19);
    let mut written: Vec<Record> = Vec::new();
    for text in odd.into_iter().chain([large.as_str()]) {
        let body = Body::Parked { stage: None, why: text.to_owned() };
        let entry = Entry::new(bench.target.clone(), RunId::generate(), text, None, body);
        let record = ok(bench.ledger.append(&bench.target, &entry, Guard::Open).await);
        same(
            "the entry is kept as the string that was hashed",
            &record.entry,
            &ok(entry.to_json()),
        );
        same("the string reads as the entry that was appended", ok(record.decode()), entry);
        written.push(record);
    }
    for body in bodies().into_iter().filter(Body::is_open) {
        written.push(ok(bench.append_open(RunId::generate(), body).await));
    }
    let mut prev = GENESIS.clone();
    for (record, seq) in written.iter().zip(1..) {
        same("records are numbered from 1, without gaps", record.seq, seq);
        same("a record follows the one before it", &record.prev, &prev);
        same("a hash is `sha256(prev ‖ entry)`", &record.hash, &link(&prev, &record.entry));
        prev = record.hash.clone();
    }
    same("what is read is what `append` answered", bench.verify().await, written.clone());
    let last = there("the chain has records", written.last());
    let head = Head { seq: last.seq, hash: last.hash.clone() };
    same("`state` names the end of the chain", bench.state().await.head, head);
}

/// An entry belongs to the target, the run and the fence that it is written under.
pub async fn an_entry_names_its_target_run_and_fence(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let hold = bench.hold(&bench.claim()).await;
    let (run, fence) = (hold.run, Some(hold.fence));
    let guard = Guard::Holder { run, fence: hold.fence, lease_left: Duration::ZERO };
    for (target, guard, fence) in [("other", guard, fence), ("other", Guard::Open, None)] {
        let stray = entry(&name(target), run, fence, queued());
        let answer = bench.ledger.append(&bench.target, &stray, guard).await;
        refused("`ledger.entry` when an entry names another target", answer, &code::LEDGER_ENTRY);
        let other = ok(bench.ledger.state(&stray.target).await);
        same("a refused entry leaves no trace", other.head.seq, 0);
    }
    let misfits = [
        entry(&bench.target, RunId::generate(), fence, calling()),
        entry(&bench.target, run, Some(hold.fence.next()), calling()),
        entry(&bench.target, run, None, calling()),
    ];
    let names = "`ledger.guard` when an entry names another run or fence than its guard";
    for misfit in misfits {
        let answer = bench.ledger.append(&bench.target, &misfit, guard).await;
        refused(names, answer, &code::LEDGER_GUARD);
    }
    let fenced = entry(&bench.target, run, fence, queued());
    let answer = bench.ledger.append(&bench.target, &fenced, Guard::Open).await;
    refused("an entry that comes without the lock names no fence", answer, &code::LEDGER_GUARD);
    same("a refused entry leaves no trace", bench.state().await.head, Head::genesis());
}

/// `lock.lease_short` when less of the lease is left than the guard asks for.
pub async fn a_write_needs_enough_of_the_lease(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let hold = bench.mutating(&bench.claim()).await;
    let (needed, second) = (LEASE / 3, Duration::from_secs(1));
    ok(bench.append_with(&hold, calling(), needed).await);
    bench.opened.advance(LEASE - needed - second * 5);
    ok(bench.append_with(&hold, calling(), needed).await);
    bench.opened.advance(second * 5);
    let short = "`lock.lease_short` when less of the lease is left than is asked for";
    for body in [calling(), left()] {
        let answer = bench.append_with(&hold, body, needed).await;
        let error = refused(short, answer, &code::LOCK_LEASE_SHORT);
        must("a lease that is renewed is worth a retry", error.is_temporary(), &error);
    }
    same("a refused entry leaves no trace", bench.state().await.head.seq, 3);
    ok(bench.ledger.renew(&hold).await);
    ok(bench.append_with(&hold, calling(), needed).await);
    bench.opened.advance(LEASE * 2);
    let zero = bench.append_with(&hold, calling(), Duration::ZERO).await;
    must("zero does not ask", zero.is_ok(), &zero);
    let lapsed = bench.append_with(&hold, calling(), second).await;
    refused(short, lapsed, &code::LOCK_LEASE_SHORT);
}

/// `read`, `read_run` and `read_kind` give what was asked for, in their order, within their limits.
pub async fn reads_are_in_order_and_within_their_limits(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let (a, b) = (RunId::generate(), RunId::generate());
    for run in [a, b, a, b, a] {
        ok(bench.append_open(run, queued()).await);
    }
    ok(bench.append_open(b, left()).await);
    let hold = bench.hold(&bench.claim()).await;
    ok(bench.append(&hold, applying()).await);
    let target = &bench.target;
    let other = ok(bench.ledger.reconnect().await);
    for ledger in [&bench.ledger, &other] {
        let read = "`read` gives up to `limit` records after `after`, in order";
        for (after, limit, expected) in [
            (0, 0, vec![]),
            (0, 2, vec![1, 2]),
            (2, 100, vec![3, 4, 5, 6, 7]),
            (6, usize::MAX, vec![7]),
            (7, 1, vec![]),
            (u64::MAX, 5, vec![]),
        ] {
            same(read, seqs(&ok(ledger.read(target, after, limit).await)), expected);
        }
        let run = "`read_run` gives all records of one run, in order";
        same(run, seqs(&ok(ledger.read_run(target, a).await)), vec![1, 3, 5]);
        same(run, seqs(&ok(ledger.read_run(target, b).await)), vec![2, 4, 6]);
        same(run, seqs(&ok(ledger.read_run(target, hold.run).await)), vec![7]);
        same(run, seqs(&ok(ledger.read_run(target, RunId::generate()).await)), vec![]);
        let kind =
            "`read_kind` gives up to `limit` records of a kind before `before`, newest first";
        for (wanted, before, limit, expected) in [
            ("queued", None, 2, vec![5, 4]),
            ("queued", Some(4), 100, vec![3, 2, 1]),
            ("queued", Some(1), 100, vec![]),
            ("queued", Some(u64::MAX), 1, vec![5]),
            ("queued", None, 0, vec![]),
            ("left", None, usize::MAX, vec![6]),
            ("applying", Some(8), 1, vec![7]),
            ("stuck", None, 100, vec![]),
        ] {
            same(kind, seqs(&ok(ledger.read_kind(target, wanted, before, limit).await)), expected);
        }
    }
    for body in bodies() {
        let known = ok(bench.ledger.read_kind(target, body.kind(), None, 1).await);
        let wanted = known.iter().all(|record| record.entry.contains(body.kind()));
        must("`read_kind` gives records of that kind alone", wanted, &known);
    }
}

fn seqs(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.seq).collect()
}
