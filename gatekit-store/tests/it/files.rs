//! Where a ledger is, who may open it, and readers that leave no trace.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use gatekit_core::RunId;
use gatekit_core::ledger::{Acquired, Entry, Guard, Ledger as _};
use gatekit_store::{SqliteLedger, code};

use crate::child::{Actor, actor, command};
use crate::support::*;

/// Every file of a directory, byte by byte. The index of a log is left out on request: its readers
/// take locks in it.
fn snapshot(dir: &Path, index: bool) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .map(|(name, path)| {
            let bytes =
                if !index && name.ends_with("-shm") { vec![] } else { fs::read(path).unwrap() };
            (name, bytes)
        })
        .collect()
}

async fn read_everything(ledger: &SqliteLedger) -> u64 {
    state(ledger).await;
    ledger.read_kind(&target(), "queued", None, 10).await.unwrap();
    verify(ledger).await.unwrap().seq
}

#[tokio::test]
async fn a_reader_of_nothing_creates_nothing() {
    let place = Place::new();
    assert!(place.open_read_only().is_none());
    let deep = SqliteLedger::open_read_only(place.dir.path().join("a/b/ledger.db")).unwrap();
    assert!(deep.is_none());
    assert!(snapshot(place.dir.path(), true).is_empty());
}

#[tokio::test]
async fn a_reader_leaves_no_trace() {
    let place = Place::new();
    let ledger = place.open();
    append_open(&ledger, RunId::generate(), queued()).await.unwrap();

    // While a writer has it open.
    let before = snapshot(place.dir.path(), false);
    assert_eq!(before.len(), 3);
    assert_eq!(read_everything(&place.open_read_only().unwrap()).await, 1);
    assert!(snapshot(place.dir.path(), false) == before);

    // While nobody has.
    drop(ledger);
    let before = snapshot(place.dir.path(), true);
    assert_eq!(before.len(), 1);
    let reader = place.open_read_only().unwrap();
    assert_eq!(read_everything(&reader).await, 1);
    assert!(snapshot(place.dir.path(), true) == before);
    drop(reader);
    assert!(snapshot(place.dir.path(), true) == before);

    // After a writer was killed.
    let mut child = actor("suspect", &place.path(), None);
    assert_eq!(child.says(), "ready");
    child.kill();
    child.wait();
    let before = snapshot(place.dir.path(), false);
    assert_eq!(before.len(), 3);
    let reader = place.open_read_only().unwrap();
    assert_eq!(read_everything(&reader).await, 2, "what the log holds is read");
    drop(reader);
    assert!(snapshot(place.dir.path(), false) == before);
}

#[tokio::test]
async fn a_reader_sees_what_writers_do_later() {
    let place = Place::new();
    drop(place.open());
    let reader = place.open_read_only().unwrap();
    assert_eq!(read_everything(&reader).await, 0);
    let again = reader.reconnect().await.unwrap();
    let ledger = place.open();
    append_open(&ledger, RunId::generate(), queued()).await.unwrap();
    assert_eq!(read_everything(&reader).await, 1);
    drop(ledger);
    assert_eq!(read_everything(&reader).await, 1);
    assert_eq!(state(&*again).await.head.seq, 1);
}

/// Ends the readers, also when the writer fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_reader_never_sees_half_of_what_comes_and_goes() {
    let place = Place::new();
    drop(place.open());
    let done = AtomicBool::new(false);
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let reader = place.open_read_only().unwrap();
                let (mut last, mut reads) = (0, 0);
                while !done.load(Ordering::SeqCst) {
                    let records = runtime().block_on(reader.read(&target(), 0, 10_000)).unwrap();
                    let mut verifier = gatekit_core::ledger::ChainVerifier::new(target(), None);
                    records.iter().for_each(|record| verifier.push(record).unwrap());
                    let seq = records.len();
                    assert!(seq >= last, "it went back from {last} to {seq}");
                    (last, reads) = (seq, reads + 1);
                }
                assert!(reads > 10, "{reads}");
            });
        }
        let _done = Done(&done);
        // Each opens, writes, folds the log into the file, and is gone.
        for _ in 0..150 {
            let ledger = place.open();
            for _ in 0..3 {
                runtime().block_on(append_open(&ledger, RunId::generate(), queued())).unwrap();
            }
        }
    });
}

#[tokio::test]
async fn a_reader_refuses_to_write() {
    let place = Place::new();
    let ledger = place.open();
    let claim = claim();
    let hold = hold(&ledger, &claim).await;
    let reader = place.open_read_only().unwrap();
    let no = &code::LEDGER_READ_ONLY;
    refused(reader.enqueue(&claim).await, no);
    refused(reader.acquire(&claim, LEASE).await, no);
    refused(reader.leave(&target(), claim.run).await, no);
    refused(reader.renew(&hold).await, no);
    refused(reader.release(&hold).await, no);
    refused(reader.take_over(&claim, LEASE).await, no);
    refused(append(&reader, &hold, calling()).await, no);
    let entry = gatekit_core::ledger::Entry::new(target(), claim.run, "me", None, queued());
    refused(reader.append(&target(), &entry, Guard::Open).await, no);
}

#[test]
fn a_file_that_was_marked_read_only_is_not_written_even_by_root() {
    let place = Place::new();
    drop(place.open());
    fs::set_permissions(place.path(), Permissions::from_mode(0o444)).unwrap();
    let before = snapshot(place.dir.path(), true);
    refused(place.builder().build(), &code::LEDGER_READ_ONLY);
    assert!(place.open_read_only().is_some());
    assert!(snapshot(place.dir.path(), true) == before);
}

/// Permissions do not stop root, so the child becomes somebody else then.
fn humble(place: &Place, role: &str) -> String {
    let exe = place.dir.path().join("tests");
    if !exe.exists() {
        fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
    }
    fs::set_permissions(place.dir.path(), Permissions::from_mode(0o755)).unwrap();
    let mut command = command(&exe, role, &place.dir.path().join("state/ledger.db"));
    command.current_dir("/");
    if fs::metadata(place.dir.path()).unwrap().uid() == 0 {
        command.uid(65_534).gid(65_534);
    }
    let mut child = Actor::spawn(&mut command);
    let said = child.says();
    assert!(child.wait());
    said
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_can_be_read_from() {
    let place = Place::new();
    let state = place.dir.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, Permissions::from_mode(0o555)).unwrap();
    assert!(humble(&place, "open_durable").starts_with("ledger.read_only"), "nothing there yet");
    assert_eq!(humble(&place, "read"), "none");

    fs::set_permissions(&state, Permissions::from_mode(0o755)).unwrap();
    let ledger = SqliteLedger::builder(state.join("ledger.db")).durable(true).build().unwrap();
    append_open(&ledger, RunId::generate(), queued()).await.unwrap();
    let head = crate::support::state(&ledger).await.head.to_string();
    drop(ledger);
    // The file itself may be written: that is not enough.
    fs::set_permissions(state.join("ledger.db"), Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(&state, Permissions::from_mode(0o555)).unwrap();
    let before = snapshot(&state, true);
    assert!(humble(&place, "open_durable").starts_with("ledger.read_only"));
    assert_eq!(humble(&place, "read"), head);
    assert!(snapshot(&state, true) == before);

    fs::set_permissions(state.join("ledger.db"), Permissions::from_mode(0o200)).unwrap();
    if fs::metadata(&state).unwrap().uid() == 0 {
        let said = humble(&place, "read");
        assert!(said.contains("ledger") && said.contains("path"), "{said}");
    }
    fs::set_permissions(&state, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_path_that_is_no_file_is_told_as_such() {
    let place = Place::new();
    fs::create_dir(place.path()).unwrap();
    refused(place.builder().build(), &code::LEDGER_IO);
    refused(place.builder().build_read_only(), &code::LEDGER_IO);
    let below_a_file = place.dir.path().join("file/ledger.db");
    fs::write(place.dir.path().join("file"), b"x").unwrap();
    refused(SqliteLedger::builder(below_a_file).durable(true).build(), &code::LEDGER_IO);
}

/// Its connection would go on in a file that nobody else sees.
#[tokio::test]
async fn who_holds_a_target_notices_that_the_file_is_gone() {
    for replaced in [false, true] {
        let place = Place::new();
        let ledger = place.open();
        let held = hold(&ledger, &claim()).await;
        let permit = Guard::Holder { run: held.run, fence: held.fence, lease_left: LEASE / 3 };
        let fence = Some(held.fence);
        let entry = Entry::new(target(), held.run, "somebody", fence, applying());
        ledger.append(&target(), &entry, permit).await.unwrap();
        ledger.renew(&held).await.unwrap();
        for suffix in ["", "-wal", "-shm"] {
            let path = place.path().into_os_string().into_string().unwrap() + suffix;
            fs::rename(&path, path.clone() + ".away").unwrap();
        }
        if replaced {
            hold(&place.open(), &claim()).await;
        }
        refused(ledger.renew(&held).await, &code::LEDGER_MISSING);
        refused(ledger.append(&target(), &entry, permit).await, &code::LEDGER_MISSING);
    }
}

#[test]
fn a_ledger_that_is_not_to_be_created_is_missing() {
    let place = Place::new();
    refused(place.builder().create(false).build(), &code::LEDGER_MISSING);
    assert!(snapshot(place.dir.path(), true).is_empty());
    drop(place.open());
    place.builder().create(false).build().unwrap();
}

#[tokio::test]
async fn a_ledger_that_vanished_does_not_come_back_empty() {
    let place = Place::new();
    let ledger = place.open();
    let reader = place.open_read_only().unwrap();
    fs::remove_file(place.path()).unwrap();
    refused(ledger.reconnect().await, &code::LEDGER_MISSING);
    refused(reader.state(&target()).await, &code::LEDGER_MISSING);
    assert!(!place.path().exists());
}

#[tokio::test]
async fn a_link_and_odd_characters_lead_to_the_same_ledger() {
    let place = Place::new();
    let odd = place.dir.path().join("a b?mode=memory#%20'x");
    let link = place.dir.path().join("link");
    symlink(&odd, &link).unwrap();
    let open = |path: &Path| SqliteLedger::builder(path).durable(true).build().unwrap();
    let direct = open(&odd);
    assert!(odd.is_file());
    hold(&direct, &claim()).await;
    let second = claim();
    let linked = open(&link);
    linked.enqueue(&second).await.unwrap();
    let answer = linked.acquire(&second, LEASE).await.unwrap();
    assert!(matches!(answer, Acquired::Waiting { holder: Some(_), .. }), "{answer:?}");
    for path in [&odd, &link] {
        let reader = SqliteLedger::open_read_only(path).unwrap().unwrap();
        assert_eq!(state(&reader).await.queue.len(), 1);
    }
}

fn child_with(role: &str, path: &Path, envs: &[(&str, &str)]) -> String {
    let mut command = command(&std::env::current_exe().unwrap(), role, path);
    command.env_remove("GITHUB_ACTIONS").env_remove("XDG_STATE_HOME");
    command.envs(envs.iter().copied());
    Actor::spawn(&mut command).says()
}

#[test]
fn an_ephemeral_runner_is_refused_unless_declared_durable() {
    let place = Place::new();
    let path = place.dir.path().join("sub/ledger.db");
    let runner = [("GITHUB_ACTIONS", "true")];
    assert!(child_with("open", &path, &runner).starts_with("ledger.ephemeral"));
    assert!(!path.parent().unwrap().exists(), "nothing was created");
    assert_eq!(child_with("read", &path, &runner), "none", "reading harms nobody");
    assert_eq!(child_with("open_durable", &path, &runner), "ok");
    assert_eq!(child_with("open", &path, &[]), "ok");
}

#[test]
fn the_default_place_follows_the_xdg_specification() {
    let asked = |envs: &[(&str, &str)]| child_with("default_path", Path::new("/"), envs);
    let state = [("XDG_STATE_HOME", "/s"), ("HOME", "/h")];
    assert_eq!(asked(&state), "/s/gatekit/ledger.db");
    for ignored in ["", "relative"] {
        let home = [("XDG_STATE_HOME", ignored), ("HOME", "/h")];
        assert_eq!(asked(&home), "/h/.local/state/gatekit/ledger.db");
    }
}
