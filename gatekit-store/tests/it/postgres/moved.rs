//! A ledger in a file that is moved to the server.

use std::path::Path;
use std::slice::from_ref;
use std::sync::Arc;
use std::time::Duration;

use gatekit_core::ledger::{
    Acquired, ChainVerifier, Claim, Ledger, LockState, Record, TargetState, WAITER_TTL,
};
use gatekit_core::{Effect, Outcome, Result, RunId, TargetName};
use gatekit_peers::{Proxy, Way};
use gatekit_store::{LedgerMove, Moved, PostgresLedger, PostgresLedgerBuilder, code};
use tokio::sync::Notify;

use super::database::{Database, Via};
use crate::child::dead_process;
use crate::support::*;

/// Released to twice, and waited for.
fn third() -> TargetName {
    TargetName::new("staging/api").unwrap()
}

fn parked(targets: &[TargetName]) -> Claim {
    let claim = Claim::new(targets[0].clone(), RunId::generate(), "parked");
    claim.along(targets[1..].iter().cloned())
}

/// What is in a ledger that was used for a while.
struct History {
    /// Left two targets suspect.
    suspect: Claim,
    /// Parked, first in line first; the second waits for all targets.
    parked: [Claim; 3],
}

async fn used(place: &Place) -> History {
    used_for(place, 3).await
}

/// With so many entries of one run.
async fn used_for(place: &Place, many: usize) -> History {
    let ledger = place.open();
    let staging = Claim::new(third(), RunId::generate(), "somebody");
    for entries in [0, many] {
        let mut claim = staging.clone();
        claim.id = parked(&[third()]).id;
        let held = mutating(&ledger, &claim).await;
        for _ in 0..entries {
            append(&ledger, &held, calling()).await.unwrap();
        }
        append(&ledger, &held, closed(Outcome::Released)).await.unwrap();
    }
    let suspect = both();
    mutating(&ledger, &suspect).await;
    let all = [third(), second(), target()];
    let parked = [parked(&[third()]), parked(&all), parked(&[third()])];
    for claim in &parked {
        ledger.enqueue(claim).await.unwrap();
    }
    // Nobody has recorded yet that the holder is gone.
    place.pass(LEASE * 2);
    History { suspect, parked }
}

async fn moved(place: &Place, to: &Database) -> Result<Moved> {
    LedgerMove::new(place.builder(), builder(&to.url())).run().await
}

fn builder(url: &str) -> PostgresLedgerBuilder {
    PostgresLedger::builder(url).unwrap()
}

async fn records(ledger: &dyn Ledger, target: &TargetName) -> Vec<Record> {
    ledger.read(target, 0, usize::MAX).await.unwrap()
}

async fn head(ledger: &dyn Ledger, target: &TargetName) -> Result<()> {
    let mut verifier = ChainVerifier::new(target.clone(), None);
    records(ledger, target).await.iter().try_for_each(|record| verifier.push(record))?;
    verifier.finish(&ledger.state(target).await?.head).map(drop)
}

fn runs(state: &TargetState) -> Vec<RunId> {
    state.queue.iter().map(|waiter| waiter.run).collect()
}

/// A build that knows nothing of moves writes to version 1 alone.
fn is_closed(place: &Place) -> bool {
    let sql = "PRAGMA user_version";
    place.raw().query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap() > 1
}

#[tokio::test]
async fn a_history_arrives_as_it_is_and_goes_on() {
    for via in [Via::Server, Via::Pooler] {
        let (place, database) = (Place::new(), Database::new(via).await);
        // More records than are read at once.
        let history = used_for(&place, 1100).await;
        let (from, to) = (place.open_read_only().unwrap(), database.ledger().await);
        let other = hold(&to, &parked(&[TargetName::new("other").unwrap()])).await;
        let moved = moved(&place, &database).await.unwrap();
        assert!(!moved.already && is_closed(&place));
        assert_eq!(moved.targets.len(), 3);
        for told in &moved.targets {
            let target = &told.target;
            let before = from.state(target).await.unwrap();
            let after = to.state(target).await.unwrap();
            assert_eq!(records(&from, target).await, records(&to, target).await);
            head(&to, target).await.unwrap();
            assert_eq!(before.head, told.head);
            assert_eq!(told.fence, after.fence);
            assert_eq!(runs(&before), runs(&after));
            assert!(after.queue.iter().all(|waiter| !waiter.alive));
            // The tickets are those of the new ledger.
            let mut same = after;
            same.queue.clone_from(&before.queue);
            assert_eq!(same, before);
            let of_run = async |ledger: &dyn Ledger| {
                ledger.read_run(target, history.suspect.run).await.unwrap()
            };
            assert_eq!(of_run(&from).await, of_run(&to).await);
            let of_kind = async |ledger: &dyn Ledger| {
                ledger.read_kind(target, "closed", None, 10).await.unwrap()
            };
            assert_eq!(of_kind(&from).await, of_kind(&to).await);
        }
        goes_on(&to, &history).await;
        to.renew(&other).await.unwrap();
    }
}

/// The suspect targets are settled by their run, under fences that were never given out; those who were
/// parked get their turns in their order.
async fn goes_on(ledger: &PostgresLedger, history: &History) {
    let left = state(ledger).await;
    let left_along = ledger.state(&second()).await.unwrap();
    for claim in [claim(), lone()] {
        ledger.enqueue(&claim).await.unwrap();
        let answer = ledger.acquire(&claim, LEASE).await.unwrap();
        let run = history.suspect.run;
        let suspect = Acquired::Suspect { target: target(), run, fence: left.fence };
        assert_eq!(answer, suspect);
        ledger.leave(&claim.target, claim.run).await.unwrap();
    }
    let mut later = history.suspect.clone();
    later.id = claim().id;
    let held = ledger.take_over(&later, LEASE).await.unwrap();
    assert!(held.fence > left.fence && held.also[&second()] > left_along.fence);
    append(ledger, &held, closed(Outcome::RolledBack)).await.unwrap();

    let [first, all, last] = &history.parked;
    for claim in [last, all, first] {
        ledger.enqueue(claim).await.unwrap();
    }
    let waits = async |claim: &Claim| {
        let answer = ledger.acquire(claim, LEASE).await.unwrap();
        assert!(matches!(answer, Acquired::Waiting { .. }), "{answer:?}");
    };
    waits(last).await;
    waits(all).await;
    for claim in [first, all, last] {
        let before = ledger.state(&claim.target).await.unwrap().fence;
        let held = granted(ledger.acquire(claim, LEASE).await.unwrap());
        assert!(held.fence > before);
        assert!(ledger.release(&held).await.unwrap());
    }
}

#[tokio::test]
async fn a_ledger_that_was_moved_is_never_written_again() {
    let (place, database) = (Place::new(), Database::new(Via::Server).await);
    let used_before = place.open();
    let waiter = claim();
    used_before.enqueue(&waiter).await.unwrap();
    let held = hold(&used_before, &lone()).await;
    assert!(used_before.release(&held).await.unwrap());
    place.pass(WAITER_TTL * 2);
    let before = state(&used_before).await;
    let to = moved(&place, &database).await.unwrap().to;

    let refusals = [
        used_before.enqueue(&claim()).await.map(drop),
        used_before.enqueue(&waiter).await.map(drop),
        used_before.acquire(&waiter, LEASE).await.map(drop),
        used_before.leave(&target(), waiter.run).await,
        used_before.renew(&held).await,
        used_before.release(&held).await.map(drop),
        used_before.take_over(&waiter, LEASE).await.map(drop),
        append_open(&used_before, waiter.run, queued()).await.map(drop),
        used_before.reconnect().await.map(drop),
        place.builder().build().map(drop),
    ];
    for refusal in refusals {
        let error = refused(refusal, &code::LEDGER_MOVED);
        assert!(error.to_string().contains(&to), "{error}");
        let next = format!("{:?}", error.to_failure().next);
        assert!(next.contains(&format!("--ledger {to}")), "{next}");
    }
    for reader in [&used_before, &place.open_read_only().unwrap()] {
        assert_eq!(state(reader).await, before);
        verify(reader).await.unwrap();
        assert_eq!(reader.moved_to().await.unwrap().as_ref(), Some(&to));
    }
    assert_eq!(Place::new().open().moved_to().await.unwrap(), None);
}

#[tokio::test]
async fn who_holds_a_target_or_waits_for_one_is_not_passed_by() {
    let database = Database::new(Via::Server).await;
    let place = Place::new();
    let ledger = place.open();
    let mine = both();
    ledger.enqueue(&mine).await.unwrap();
    let in_use = async |doing: &str| {
        let error = refused(moved(&place, &database).await, &code::LEDGER_IN_USE);
        let text = error.to_string();
        for part in [mine.run.to_string(), target().to_string(), doing.to_owned()] {
            assert!(text.contains(&part), "{text}");
        }
        assert!(error.is_temporary() && !is_closed(&place), "{error}");
        assert_eq!(state(&database.ledger().await).await, TargetState::untouched());
    };
    in_use("waits for the target").await;
    let held = granted(ledger.acquire(&mine, LEASE).await.unwrap());
    in_use("holds the target").await;
    append(&ledger, &held, applying()).await.unwrap();
    in_use("holds the target").await;
    append(&ledger, &held, closed(Outcome::Released)).await.unwrap();
    moved(&place, &database).await.unwrap();
}

/// One that had touched nothing frees its target; one that had leaves it suspect.
#[tokio::test]
async fn a_holder_that_is_dead_is_recorded_by_the_move() {
    let (place, database) = (Place::new(), Database::new(Via::Server).await);
    let ledger = place.open();
    let dead = |mut claim: Claim| {
        claim.process = dead_process();
        claim
    };
    let (untouched, touched) = (dead(lone()), dead(claim()));
    hold(&ledger, &untouched).await;
    mutating(&ledger, &touched).await;
    ledger.enqueue(&dead(claim())).await.unwrap();
    let to = database.ledger().await;
    moved(&place, &database).await.unwrap();
    for ledger in [&to as &dyn Ledger, &place.open_read_only().unwrap()] {
        let freed = ledger.state(&second()).await.unwrap();
        assert_eq!((freed.state, freed.fence.0), (LockState::Free, 1));
        let left = state(ledger).await;
        assert_eq!((left.state, left.run), (LockState::Suspect, Some(touched.run)));
        assert_eq!(left.queue.len(), 1);
    }
    // Also for whoever could not tell by now that they are dead.
    let sql = "SELECT count(*) FROM target WHERE process IS NOT NULL";
    let held: i64 = place.raw().query_row(sql, (), |row| row.get(0)).unwrap();
    assert_eq!(held, 0);
}

#[tokio::test]
async fn a_chain_that_is_not_whole_is_not_moved() {
    let (place, database) = (Place::new(), Database::new(Via::Server).await);
    used(&place).await;
    let raw = place.raw();
    raw.execute_batch("DROP TRIGGER journal_update").unwrap();
    let sql = "UPDATE journal SET entry = replace(entry, 'somebody', 'nobody') \
               WHERE place = (SELECT max(place) FROM journal)";
    assert_eq!(raw.execute(sql, ()).unwrap(), 1);
    raw.execute_batch(
        "CREATE TRIGGER journal_update BEFORE UPDATE ON journal \
         BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END",
    )
    .unwrap();
    let error = moved(&place, &database).await.unwrap_err();
    assert_eq!(*error.code(), gatekit_core::code::LOG_BROKEN);
    assert!(!is_closed(&place));
    assert_eq!(state(&database.ledger().await).await, TargetState::untouched());
}

#[tokio::test]
async fn a_move_that_is_made_again_is_checked_and_told_again() {
    let (place, database) = (Place::new(), Database::new(Via::Server).await);
    let history = used(&place).await;
    let to = database.ledger().await;
    let first = moved(&place, &database).await.unwrap();
    goes_on(&to, &history).await;
    let again = moved(&place, &database).await.unwrap();
    assert!(again.already && !first.already);
    assert_eq!((again.to, again.targets), (first.to, first.targets));

    let sql = "ALTER TABLE gatekit.journal DISABLE TRIGGER append_only; \
               UPDATE gatekit.journal SET entry = replace(entry, 'somebody', 'nobody') \
               WHERE seq = 1";
    database.raw().await.batch_execute(sql).await.unwrap();
    let error = moved(&place, &database).await.unwrap_err();
    assert_eq!(*error.code(), gatekit_core::code::LOG_BROKEN, "it is read back each time");
}

/// What is cut off in each of these ways leaves a file that nobody writes and a server that grants
/// nothing; the same call completes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_was_cut_off_is_completed_by_the_same_call() {
    for (via, way) in
        [(Via::Server, Way::Closed), (Via::Pooler, Way::Closed), (Via::Server, Way::HalfOpen)]
    {
        let (place, database) = (Place::new(), Database::new(via).await);
        let history = used(&place).await;
        let proxy = Arc::new(Proxy::before(&database.url()).await.unwrap());
        let to = builder(&proxy.url(&database.url()).unwrap()).patience(Duration::from_millis(200));
        let (begun, at) = (Arc::new(Notify::new()), Arc::clone(&proxy));
        let told = Arc::clone(&begun);
        let cut = LedgerMove::new(place.builder(), to).on_progress(move |_, _| {
            at.set(way);
            told.notify_one();
        });
        if way == Way::Closed {
            let error = cut.run().await.unwrap_err();
            let come = (error.code(), error.effect());
            assert_eq!(come, (&code::LEDGER_UNREACHABLE, Effect::Unknown));
        } else {
            // Killed: nobody hears of it any more.
            let running = tokio::spawn(cut.run());
            begun.notified().await;
            running.abort();
            assert!(running.await.unwrap_err().is_cancelled());
        }
        assert!(is_closed(&place));
        let to = database.ledger().await;
        nothing_is_granted(&database, &history).await;
        assert!(!moved(&place, &database).await.unwrap().already);
        goes_on(&to, &history).await;
        for target in [target(), second(), third()] {
            head(&to, &target).await.unwrap();
        }
    }
}

/// A file that were closed first could be sent nowhere.
#[tokio::test]
async fn what_the_server_cannot_hold_is_told_before_anything_is_closed() {
    let (place, database) = (Place::new(), Database::new(Via::Server).await);
    let waiting = Claim::new(target(), RunId::generate(), "some\0body");
    place.open().enqueue(&waiting).await.unwrap();
    place.pass(WAITER_TTL * 2);
    refused(moved(&place, &database).await, &code::LEDGER_IO);
    assert!(!is_closed(&place));
    assert_eq!(state(&database.ledger().await).await, TargetState::untouched());
}

/// What the closed file alone knows would never arrive.
#[tokio::test]
async fn a_move_that_was_cut_off_is_completed_by_no_other_copy() {
    let (place, database) = (Place::new(), Database::new(Via::Server).await);
    let history = used(&place).await;
    let copy = copy_of(&place);
    append_open(&place.open(), claim().run, queued()).await.unwrap();
    let proxy = Arc::new(Proxy::before(&database.url()).await.unwrap());
    let to = builder(&proxy.url(&database.url()).unwrap()).patience(Duration::from_millis(200));
    let at = Arc::clone(&proxy);
    let cut = LedgerMove::new(place.builder(), to).on_progress(move |_, _| at.set(Way::Closed));
    cut.run().await.unwrap_err();
    assert!(is_closed(&place));
    refused(moved(&copy, &database).await, &code::LEDGER_CONFLICT);
    assert!(!is_closed(&copy));
    nothing_is_granted(&database, &history).await;
    assert!(!moved(&place, &database).await.unwrap().already);
}

/// Or nobody could ever release to the targets from there.
#[tokio::test]
async fn a_file_that_cannot_be_closed_leaves_nothing_announced() {
    let place = Place::new();
    used(&place).await;
    let (first, second) = (Database::new(Via::Server).await, Database::new(Via::Server).await);
    let raw = place.raw();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let from = place.builder().busy_timeout(Duration::from_millis(100));
    let busy = LedgerMove::new(from, builder(&first.url())).run().await;
    refused(busy, &code::LEDGER_BUSY);
    raw.execute_batch("ROLLBACK").unwrap();
    assert_eq!(state(&first.ledger().await).await, TargetState::untouched());
    hold(&first.ledger().await, &claim()).await;
    assert!(!moved(&place, &second).await.unwrap().already);
}

/// That other call may close the file at any moment: then the server must know what is to arrive.
#[tokio::test]
async fn what_another_call_relies_on_is_not_taken_back() {
    let (place, database) = (Place::new(), Database::new(Via::Server).await);
    let history = used(&place).await;
    let raw = place.raw();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Both announce the same, and neither can close the file yet.
    let call = |patience| {
        let from = place.builder().busy_timeout(Duration::from_millis(patience));
        LedgerMove::new(from, builder(&database.url())).run()
    };
    let first = tokio::spawn(call(600));
    tokio::time::sleep(Duration::from_millis(200)).await;
    refused(call(100).await, &code::LEDGER_BUSY);
    refused(first.await.unwrap(), &code::LEDGER_BUSY);
    raw.execute_batch("ROLLBACK").unwrap();
    nothing_is_granted(&database, &history).await;
    assert!(!moved(&place, &database).await.unwrap().already);
}

/// For which move a target is kept.
async fn kept_for(database: &Database, target: &TargetName) -> RunId {
    let sql = "SELECT run FROM gatekit.target WHERE name = $1";
    let row = database.raw().await.query_one(sql, &[&target.as_str()]).await.unwrap();
    row.get::<_, String>(0).parse().unwrap()
}

async fn nothing_is_granted(database: &Database, history: &History) {
    let ledger = &database.ledger().await;
    refused(append_open(ledger, claim().run, queued()).await, &code::LEDGER_ARRIVING);
    for target in [target(), second(), third()] {
        refused(ledger.state(&target).await, &code::LEDGER_ARRIVING);
        let other = TargetName::new("other").unwrap();
        for claim in [parked(from_ref(&target)), parked(&[other, target.clone()])] {
            ledger.enqueue(&claim).await.unwrap();
            let error = ledger.acquire(&claim, LEASE).await.unwrap_err();
            assert_eq!(*error.code(), code::LEDGER_ARRIVING);
            let told = format!("{error:?}");
            assert!(told.contains(target.as_str()), "{told}");
            ledger.leave(&claim.target, claim.run).await.unwrap();
        }
        // Not even for whom it is kept.
        let mut taker = parked(from_ref(&target));
        taker.run = kept_for(database, &target).await;
        refused(ledger.take_over(&taker, LEASE).await, &code::LEDGER_ARRIVING);
    }
    refused(ledger.take_over(&history.suspect, LEASE).await, &code::LEDGER_ARRIVING);
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found_to_have_happened() {
    for via in [Via::Server, Via::Pooler] {
        let (place, database) = (Place::new(), Database::new(via).await);
        let history = used(&place).await;
        let proxy = Arc::new(Proxy::before(&database.url()).await.unwrap());
        let (to, at) = (builder(&proxy.url(&database.url()).unwrap()), Arc::clone(&proxy));
        let lost = LedgerMove::new(place.builder(), to)
            .on_progress(move |_, _| at.set(Way::LoseCommit(0)));
        assert_eq!(lost.run().await.unwrap().targets.len(), 3);
        assert!(proxy.is_through(), "no answer was lost");
        goes_on(&database.ledger().await, &history).await;
    }
}

#[tokio::test]
async fn a_target_with_another_history_is_not_overwritten() {
    let (place, database) = (Place::new(), Database::new(Via::Server).await);
    used(&place).await;
    let to = database.ledger().await;
    let elsewhere = claim();
    let conflict = async || {
        let error = refused(moved(&place, &database).await, &code::LEDGER_CONFLICT);
        assert!(error.to_string().contains("production/api"), "{error}");
        assert!(!is_closed(&place));
        // Nor is any other target announced.
        assert_eq!(to.state(&third()).await.unwrap(), TargetState::untouched());
    };
    to.enqueue(&elsewhere).await.unwrap();
    conflict().await;
    let held = granted(to.acquire(&elsewhere, LEASE).await.unwrap());
    conflict().await;
    assert!(to.release(&held).await.unwrap());
    conflict().await;
    append_open(&to, elsewhere.run, queued()).await.unwrap();
    conflict().await;
    assert_eq!(verify(&to).await.unwrap().seq, 1);
}

#[tokio::test]
async fn a_ledger_goes_to_one_place_alone() {
    let place = Place::new();
    used(&place).await;
    let (first, second) = (Database::new(Via::Server).await, Database::new(Via::Server).await);
    let to = moved(&place, &first).await.unwrap().to;
    let error = refused(moved(&place, &second).await, &code::LEDGER_MOVED);
    assert!(error.to_string().contains(&to), "{error}");
    assert_eq!(state(&second.ledger().await).await, TargetState::untouched());
    assert!(!to.contains('@'), "nobody ships as the owner: {to}");
}

/// A copy of the file, made before the move.
#[tokio::test]
async fn a_file_out_of_a_backup_is_closed_too_unless_it_was_used() {
    let (place, database) = (Place::new(), Database::new(Via::Server).await);
    let history = used(&place).await;
    let to = database.ledger().await;
    let copies = [copy_of(&place), copy_of(&place), copy_of(&place)];
    moved(&place, &database).await.unwrap();
    goes_on(&to, &history).await;

    let [idle, granted, written] = copies;
    assert!(moved(&idle, &database).await.unwrap().already);
    assert!(is_closed(&idle));

    let ledger = granted.open();
    for _ in 0..4 {
        let held = hold(&ledger, &parked(&[third()])).await;
        assert!(ledger.release(&held).await.unwrap());
    }
    // Chains tell nothing of grants.
    place.pass(WAITER_TTL * 2);
    refused(moved(&granted, &database).await, &code::LEDGER_CONFLICT);
    let open = written.open();
    append_open(&open, claim().run, queued()).await.unwrap();
    refused(moved(&written, &database).await, &code::LEDGER_CONFLICT);
    assert!(!is_closed(&granted) && !is_closed(&written));
}

fn copy_of(place: &Place) -> Place {
    let copy = Place { clock: Arc::clone(&place.clock), ..Place::new() };
    place.raw().execute("VACUUM INTO ?1", [path(&copy.path())]).unwrap();
    copy
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn it_takes_the_owner_of_the_schema() {
    const ROLES: &str = include_str!("../../../src/postgres/schema/roles.sql");
    let (place, database) = (Place::new(), Database::empty(Via::Server).await);
    used(&place).await;
    let owner = database.role("LOGIN PASSWORD 'sesame' CREATEROLE").await;
    let raw = database.raw().await;
    let grant = format!("GRANT CREATE ON DATABASE {} TO {owner}", database.name());
    raw.batch_execute(&grant).await.unwrap();
    let moved_by = async |user: &str| {
        let url = database.url().replace("gatekit@", &format!("{user}:sesame@"));
        LedgerMove::new(place.builder(), builder(&url)).run().await
    };
    let to = database.url().replace("gatekit@", &format!("{owner}:sesame@"));
    drop(builder(&to).build().await.unwrap());
    raw.batch_execute(ROLES).await.unwrap();
    let runner = database.role("LOGIN PASSWORD 'sesame' IN ROLE gatekit_runner").await;
    let error = refused(moved_by(&runner).await, &code::LEDGER_DENIED);
    assert!(format!("{:?}", error.to_failure().next).contains("owner"), "{error}");
    assert!(!is_closed(&place));
    assert_eq!(moved_by(&owner).await.unwrap().targets.len(), 3);
}

#[tokio::test]
async fn there_is_nothing_to_move_where_there_is_no_ledger() {
    let (place, database) = (Place::new(), Database::empty(Via::Server).await);
    refused(moved(&place, &database).await, &code::LEDGER_MISSING);
    assert!(!place.path().exists());
    let there = builder(&database.url()).build_read_only().await.unwrap();
    assert!(there.is_none(), "none is made");
}

/// The file is open until the server knows what is to come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_after_the_first_look_arrives_too() {
    let (place, database) = (Place::new(), Database::new(Via::Server).await);
    used(&place).await;
    let raw = database.raw().await;
    raw.batch_execute("BEGIN; LOCK TABLE gatekit.meta IN EXCLUSIVE MODE").await.unwrap();
    let running = LedgerMove::new(place.builder(), builder(&database.url())).run();
    let running = tokio::spawn(running);
    let waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'gatekit.meta'::regclass";
    while raw.query_opt(waits, &[]).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let fourth = TargetName::new("staging/db").unwrap();
    let late = Claim::new(fourth.clone(), RunId::generate(), "late");
    let open = place.open();
    append_open(&open, late.run, queued()).await.unwrap();
    let held = hold(&open, &late).await;
    assert!(open.release(&held).await.unwrap());
    raw.batch_execute("COMMIT").await.unwrap();

    assert_eq!(running.await.unwrap().unwrap().targets.len(), 4);
    let (from, to) = (place.open_read_only().unwrap(), database.ledger().await);
    for target in [target(), second(), third(), fourth] {
        let (before, after) = (from.state(&target).await, to.state(&target).await);
        let (before, after) = (before.unwrap(), after.unwrap());
        assert_eq!((before.head, before.fence), (after.head, after.fence));
    }
}

/// It may keep what this build knows nothing of.
#[tokio::test]
async fn a_ledger_of_a_newer_build_is_not_moved() {
    let (place, database) = (Place::new(), Database::new(Via::Server).await);
    used(&place).await;
    place.raw().pragma_update(None, "user_version", 2).unwrap();
    refused(moved(&place, &database).await, &code::LEDGER_NEWER);
    assert_eq!(state(&database.ledger().await).await, TargetState::untouched());
}
