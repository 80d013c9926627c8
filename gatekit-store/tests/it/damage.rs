//! Files that are no ledger, or no longer one; disks that are full; others that write.

use std::fs;
use std::time::{Duration, Instant};

use gatekit_core::ledger::Ledger;
use gatekit_core::{Code, RunId};
use gatekit_store::code;

use crate::mount::{Mount, run};
use crate::support::*;

/// A closed ledger with that many entries.
async fn filled(place: &Place, entries: usize) -> u64 {
    let ledger = place.open();
    for _ in 0..entries {
        append_open(&ledger, RunId::generate(), queued()).await.unwrap();
    }
    drop(ledger);
    fs::metadata(place.path()).unwrap().len()
}

#[track_caller]
fn neither_opens(place: &Place, code: &Code) {
    let before = fs::read(place.path()).unwrap();
    let error = refused(place.builder().build(), code);
    let path = place.path().display().to_string();
    assert!(error.to_failure().context.iter().any(|(_, value)| *value == path), "{error}");
    refused(place.builder().build_read_only(), code);
    assert!(fs::read(place.path()).unwrap() == before, "the file was altered");
}

#[test]
fn garbage_is_a_damaged_ledger() {
    let place = Place::new();
    for garbage in [b"x".repeat(10), b"hello world\n".repeat(1000), vec![0; 8192]] {
        fs::write(place.path(), garbage).unwrap();
        neither_opens(&place, &code::LEDGER_CORRUPT);
    }
}

#[test]
fn an_empty_file_is_a_new_ledger() {
    let place = Place::new();
    fs::write(place.path(), b"").unwrap();
    assert!(place.open_read_only().is_none());
    assert_eq!(fs::metadata(place.path()).unwrap().len(), 0);
    place.open();
    assert!(place.open_read_only().is_some());
}

#[test]
fn an_emptied_file_beside_a_log_is_a_damaged_ledger() {
    let place = Place::new();
    fs::write(place.path(), b"").unwrap();
    fs::write(place.dir.path().join("ledger.db-wal"), b"entries").unwrap();
    neither_opens(&place, &code::LEDGER_CORRUPT);
}

#[test]
fn the_database_of_another_application_is_foreign() {
    for sql in [
        "CREATE TABLE theirs (x)",
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 1",
        "CREATE TABLE target (x); CREATE TABLE journal (x)",
    ] {
        let place = Place::new();
        place.raw().execute_batch(sql).unwrap();
        neither_opens(&place, &code::LEDGER_FOREIGN);
    }
}

#[tokio::test]
async fn a_truncated_file_is_never_taken_for_a_ledger() {
    let place = Place::new();
    let size = filled(&place, 200).await;
    let whole = fs::read(place.path()).unwrap();
    assert!(size > 60_000);
    let page = u64::try_from(page_bytes(&place)).unwrap();
    for keep in [1, 99, 512, page, page + 1, 2 * page, size / 2, size - page, size - 1] {
        fs::write(place.path(), &whole[..usize::try_from(keep).unwrap()]).unwrap();
        never_silently_wrong(&place, &format!("cut to {keep} of {size}")).await;
    }
}

#[tokio::test]
async fn flipped_bytes_are_never_taken_for_a_ledger() {
    let place = Place::new();
    let size = usize::try_from(filled(&place, 60).await).unwrap();
    let whole = fs::read(place.path()).unwrap();
    let bytes = page_bytes(&place);
    for page in 0..size / bytes {
        let mut flipped = whole.clone();
        flipped[page * bytes..(page + 1) * bytes].iter_mut().for_each(|byte| *byte = !*byte);
        fs::write(place.path(), flipped).unwrap();
        let what = format!("page {page}");
        if page == 0 {
            refused(place.builder().build(), &code::LEDGER_CORRUPT);
        }
        let outcome = outcome(&place).await;
        // Pages of an index or of `meta` have no part in the chain.
        assert!(outcome.as_deref().is_none_or(expected), "{what}: {outcome:?}");
    }
}

fn page_bytes(place: &Place) -> usize {
    let size = place.raw().pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0));
    size.unwrap().try_into().unwrap()
}

async fn never_silently_wrong(place: &Place, what: &str) {
    let outcome = outcome(place).await;
    assert!(outcome.as_deref().is_some_and(expected), "{what}: {outcome:?}");
}

fn expected(code: &str) -> bool {
    ["ledger.corrupt", "log.broken"].contains(&code)
}

/// The code by which a reader of the whole journal is stopped.
async fn outcome(place: &Place) -> Option<String> {
    let read = async {
        let ledger = place.builder().build_read_only()?.expect("there is a file");
        verify(&ledger).await.map(drop)
    };
    read.await.err().map(|error| error.code().to_string())
}

#[tokio::test]
async fn a_page_damaged_under_an_open_ledger_stops_the_append() {
    let place = Place::new();
    filled(&place, 60).await;
    // Not those of the schema, so that it still opens.
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let (size, mut bytes) = (page_bytes(&place), fs::read(place.path()).unwrap());
    for name in ["target", "journal"] {
        let root: u32 = place.raw().query_row(sql, [name], |row| row.get(0)).unwrap();
        let root = usize::try_from(root).unwrap();
        bytes[(root - 1) * size..root * size].iter_mut().for_each(|byte| *byte = !*byte);
    }
    fs::write(place.path(), bytes).unwrap();
    let ledger = place.open();
    refused(append_open(&ledger, RunId::generate(), queued()).await, &code::LEDGER_CORRUPT);
    refused(ledger.state(&target()).await, &code::LEDGER_CORRUPT);
}

#[tokio::test]
async fn a_row_that_no_ledger_writes_is_damage() {
    for sql in [
        "UPDATE target SET head_hash = 'x'",
        "UPDATE target SET process = '{'",
        "UPDATE target SET run = 'x'",
        "UPDATE target SET end_millis = -1",
        "UPDATE target SET head_seq = 'x'",
    ] {
        let place = Place::new();
        let ledger = place.open();
        let hold = hold(&ledger, &claim()).await;
        place.raw().execute(sql, []).unwrap();
        refused(ledger.state(&target()).await, &code::LEDGER_CORRUPT);
        refused(append(&ledger, &hold, calling()).await, &code::LEDGER_CORRUPT);
    }
}

#[tokio::test]
async fn a_newer_ledger_may_be_read_and_is_never_written() {
    let place = Place::new();
    let ledger = place.open();
    let hold = hold(&ledger, &claim()).await;
    append(&ledger, &hold, calling()).await.unwrap();
    place.raw().execute_batch("PRAGMA user_version = 2; CREATE TABLE more (x)").unwrap();
    refused(append(&ledger, &hold, calling()).await, &code::LEDGER_NEWER);
    assert_eq!(verify(&ledger).await.unwrap().seq, 1);
    drop(ledger);
    refused(place.builder().build(), &code::LEDGER_NEWER);
    let reader = place.open_read_only().unwrap();
    assert_eq!(verify(&reader).await.unwrap().seq, 1);
    assert_eq!(state(&reader).await.run, Some(hold.run));
    place.raw().execute_batch("DROP TABLE waiter").unwrap();
    assert_eq!(reader.read(&target(), 0, 9).await.unwrap().len(), 1, "as far as tables are known");
    refused(reader.state(&target()).await, &code::LEDGER_NEWER);
}

#[tokio::test]
async fn a_full_disk_leaves_no_half_of_an_entry() {
    let place = Place::new();
    drop(place.open());
    let ledger = place.builder().max_pages(30).build().unwrap();
    fill_up(&ledger).await;
    drop(ledger);
    // With room again it goes on where it was.
    let ledger = place.open();
    let seq = state(&ledger).await.head.seq;
    assert_eq!(append_open(&ledger, RunId::generate(), queued()).await.unwrap(), seq + 1);
    verify(&ledger).await.unwrap();
}

async fn fill_up(ledger: &dyn Ledger) {
    let mut last = 0;
    let error = loop {
        match append_open(ledger, RunId::generate(), queued()).await {
            Ok(seq) => last = seq,
            Err(error) => break error,
        }
        assert!(last < 20_000, "it never fills up");
    };
    assert_eq!(error.code(), &code::LEDGER_FULL, "{error}");
    assert_eq!(error.effect(), gatekit_core::Effect::None);
    assert!(last > 0);
    assert_eq!(verify(ledger).await.unwrap().seq, last);
}

/// In addition to the test above, which runs everywhere.
#[tokio::test]
async fn a_file_system_that_is_full_or_read_only_is_told_as_such() {
    let Some(mount) = Mount::new("size=600k") else { return };
    let path = mount.path().join("ledger.db");
    let builder = || gatekit_store::SqliteLedger::builder(&path).durable(true);
    let ledger = builder().build().unwrap();
    fill_up(&ledger).await;
    let head = state(&ledger).await.head;
    refused(
        gatekit_store::SqliteLedger::builder(mount.path().join("other.db")).durable(true).build(),
        &code::LEDGER_FULL,
    );
    let _ = fs::remove_file(mount.path().join("other.db"));
    drop(ledger);

    assert!(run("mount", &["-o", "remount,ro,size=600k"], mount.path()));
    refused(builder().build(), &code::LEDGER_READ_ONLY);
    let new = gatekit_store::SqliteLedger::builder(mount.path().join("a/new.db")).durable(true);
    refused(new.build(), &code::LEDGER_READ_ONLY);
    let reader = builder().build_read_only().unwrap().unwrap();
    assert_eq!(verify(&reader).await.unwrap(), head);
}

#[tokio::test]
async fn a_ledger_kept_busy_by_another_says_so_and_helps_to_retry() {
    let place = Place::new();
    let patience = Duration::from_millis(100);
    let ledger = place.builder().busy_timeout(patience).build().unwrap();
    let raw = place.raw();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    let claim = claim();
    let error = refused(ledger.enqueue(&claim).await, &code::LEDGER_BUSY);
    assert!(error.is_temporary());
    assert!(began.elapsed() >= patience);
    assert!(state(&ledger).await.queue.is_empty(), "reading goes on");
    raw.execute_batch("COMMIT").unwrap();
    ledger.enqueue(&claim).await.unwrap();
}
