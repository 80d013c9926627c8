//! The service starts once, ends when told, and nobody else is ever signalled.

use std::fs;
use std::time::{Duration, Instant};

use gatekit_core::process::ProcessIdentity;
use gatekit_core::{Deployer as _, Live, Location, Rollout, RunId};
use gatekit_local::code;
use serde_json::json;

use crate::world::{Bystander, SLEEP, World, alive, eventually, kill, session, write_json};

#[tokio::test]
async fn the_service_runs_in_its_release_with_its_log() {
    let world = World::new();
    let start = "echo $GATEKIT_VERSION $GATEKIT_RELEASE; cat file >&2; readlink /proc/$$/fd/0; \
                 exec sleep 300";
    let deployer = world.deployer("one", start).with_version(Some("1.2".to_owned()));
    let id = world.ship(&deployer).await.change.wish.release.unwrap();
    let log = world.root().join(format!("logs/{id}.log"));
    assert_eq!(fs::read_to_string(log).unwrap(), format!("1.2 {id}\none/dev/null\n"));
    let leader = world.leader();
    let cwd = fs::read_link(format!("/proc/{leader}/cwd")).unwrap();
    assert_eq!(cwd, world.root().canonicalize().unwrap().join("releases").join(id.as_str()));
    let live = Live::new(id.as_str(), Some("1.2".to_owned()));
    assert_eq!(deployer.live(&world.plan_cx()).await.unwrap(), Some(live));
    kill(leader);
    eventually("dead", || !alive(leader));
    assert_eq!(deployer.live(&world.plan_cx()).await.unwrap(), None);
}

#[tokio::test]
async fn stopping_ends_the_whole_service_escapees_and_children_without_token_too() {
    let world = World::new();
    let start = "setsid sleep 301 & env -i /bin/sleep 302 & (trap '' TERM; env -i /bin/sleep 303) & \
                 exec sleep 304";
    let shipped = world.ship(&world.deployer("one", start)).await;
    let leader = world.leader();
    let of_session = || session(leader).len();
    eventually("all started", || of_session() >= 3 && world.pids().len() >= 2);
    let stopped = world.stopped().with_grace(Duration::from_millis(400));
    world.ship(&stopped).await;
    assert_eq!((of_session(), world.pids()), (0, vec![]));
    assert_eq!(
        world.locate(&stopped, &shipped.change, None).await.to_string(),
        format!(
            "between: `current` names {}, and no service runs",
            shipped.change.wish.release.unwrap()
        )
    );
}

#[tokio::test]
async fn a_service_is_asked_first_and_killed_after_the_grace() {
    let world = World::new();
    let polite = "trap 'echo asked; exit 0' TERM; while :; do sleep 0.02; done";
    let shipped = world.ship(&world.deployer("one", polite)).await;
    world.ship(&world.stopped()).await;
    let log = format!("logs/{}.log", shipped.change.wish.release.unwrap());
    assert!(fs::read_to_string(world.root().join(log)).unwrap().contains("asked"));

    world.ship(&world.deployer("one", "trap '' TERM; while :; do sleep 0.02; done")).await;
    let began = Instant::now();
    world.ship(&world.stopped().with_grace(Duration::from_millis(500))).await;
    assert!(began.elapsed() >= Duration::from_millis(500), "killed before the grace was over");
    assert!(world.pids().is_empty());
}

#[tokio::test]
async fn a_reused_pid_is_never_signalled() {
    let world = World::new();
    world.ship(&world.deployer("one", SLEEP)).await;
    let bystander = Bystander::new(&[]);
    let mut other = ProcessIdentity::of(bystander.pid()).unwrap();
    other.started = other.started.map(|started| started - 1);
    let mut earlier = other.clone();
    earlier.boot = "an earlier boot".to_owned();
    kill(world.leader());
    eventually("dead", || world.pids().is_empty());
    for identity in [other, earlier] {
        let mut record = world.service_json();
        record["leader"] = serde_json::to_value(identity).unwrap();
        write_json(&world.root().join("service.json"), &record);
        let two = world.deployer("two", SLEEP);
        assert_eq!(world.plan(&two).await.before.runs, None);
        world.ship(&two).await;
        world.ship(&world.stopped()).await;
        assert!(alive(bystander.pid()), "a foreign process was signalled");
    }
}

#[tokio::test]
async fn another_roots_service_is_left_alone() {
    let (here, there) = (World::new(), World::new());
    here.ship(&here.deployer("one", SLEEP)).await;
    there.ship(&there.deployer("one", SLEEP)).await;
    let leader = there.leader();
    here.ship(&here.stopped()).await;
    assert!(alive(leader) && !here.service_json().is_null());
}

#[tokio::test]
async fn a_process_between_spawn_and_record_is_found_and_not_doubled() {
    let world = World::new();
    let one = world.deployer("one", SLEEP);
    let change = world.plan(&one).await;
    let cx = world.hold(&world.plan_cx()).await;
    one.apply(&cx, &change, None).await.unwrap();
    let mut record = world.service_json();
    record["leader"] = json!(null);
    write_json(&world.root().join("service.json"), &record);
    let lost = world.pids();
    assert_eq!(lost.len(), 1);
    assert!(matches!(world.locate(&one, &change, None).await, Location::Between(_)));
    let receipt = one.apply(&cx, &change, None).await.unwrap();
    assert_eq!(world.pids(), [world.leader()], "exactly one");
    assert_ne!(world.pids(), lost);
    assert_eq!(world.locate(&one, &change, Some(&receipt)).await, Location::After);
}

#[tokio::test]
async fn a_service_whose_record_is_lost_is_still_found() {
    let world = World::new();
    world.ship(&world.deployer("one", SLEEP)).await;
    let lost = world.pids();
    fs::remove_file(world.root().join("service.json")).unwrap();
    world.ship(&world.deployer("two", SLEEP)).await;
    assert_eq!(world.pids(), [world.leader()]);
    assert_ne!(world.pids(), lost);
}

#[tokio::test]
async fn a_command_that_ends_at_once_fails_with_its_status_and_its_log() {
    let world = World::new();
    for (start, status) in [("no-such-command-here", "127"), ("echo the secret; exit 3", "3")] {
        let deployer = world.deployer("one", start);
        let shipped = world.try_ship(&deployer).await.unwrap();
        let Rollout::Failed(why) = world.observe(&deployer, &shipped).await else { panic!() };
        assert!(why.contains(&format!("(exit status: {status})")), "{why}");
        assert!(why.contains(".log") && !why.contains("secret"), "{why}");
        let located = world.locate(&deployer, &shipped.change, Some(&shipped.receipt)).await;
        assert!(matches!(located, Location::Between(_)), "{located}");
    }
    // A daemon that leaves its starter is no managed service; it is named as such, and stopped.
    let deployer = world.deployer("one", "sleep 300 &");
    let shipped = world.try_ship(&deployer).await.unwrap();
    let Rollout::Failed(why) = world.observe(&deployer, &shipped).await else { panic!() };
    assert!(why.contains("foreground"), "{why}");
    world.ship(&world.stopped()).await;
    assert!(world.pids().is_empty());
}

#[tokio::test]
async fn a_service_that_dies_while_it_settles_has_failed() {
    let world = World::new();
    let deployer = world.deployer("one", "sleep 0.3").with_settle(Duration::from_secs(2));
    let shipped = world.try_ship(&deployer).await.unwrap();
    assert!(matches!(world.observe(&deployer, &shipped).await, Rollout::Failed(_)));
}

#[tokio::test]
async fn a_process_of_the_service_cannot_ship_it() {
    let world = World::new();
    world.ship(&world.deployer("one", SLEEP)).await;
    // As if this very process were the leader.
    let leader = world.leader();
    let mut record = world.service_json();
    record["leader"] = serde_json::to_value(ProcessIdentity::current()).unwrap();
    write_json(&world.root().join("service.json"), &record);
    let error = world.try_ship(&world.stopped()).await.unwrap_err();
    assert_eq!(error.code(), &code::INSIDE);
    assert!(alive(leader), "nobody was signalled");
}

#[tokio::test]
async fn damaged_records_are_named_and_nothing_is_done() {
    let world = World::new();
    let shipped = world.ship(&world.deployer("one", SLEEP)).await;
    let leader = world.leader();
    let path = world.root().join("service.json");
    let good = fs::read(&path).unwrap();
    for (bad, code) in [("{", code::CORRUPT), ("{\"v\": 2}", code::NEWER)] {
        fs::write(&path, bad).unwrap();
        let two = world.deployer("two", SLEEP);
        let error = two.plan(&world.plan_cx()).await.unwrap_err();
        assert_eq!(error.code(), &code);
        assert!(!error.to_failure().next.is_empty());
        let located = world.locate(&two, &shipped.change, None).await;
        assert!(matches!(located, Location::Unknown(_)), "{located}");
    }
    fs::write(&path, good).unwrap();
    fs::remove_file(world.root().join("current")).unwrap();
    fs::create_dir(world.root().join("current")).unwrap();
    let error = world.deployer("two", SLEEP).plan(&world.plan_cx()).await.unwrap_err();
    assert_eq!(error.code(), &code::CORRUPT);
    assert!(alive(leader));
}

#[tokio::test]
async fn nothing_is_claimed_about_a_service_of_another_pid_namespace() {
    let world = World::new();
    let shipped = world.ship(&world.deployer("one", SLEEP)).await;
    let mut record = world.service_json();
    record["leader"]["namespace"] = json!("pid:[1]");
    record["run"] = json!(RunId::generate());
    write_json(&world.root().join("service.json"), &record);
    let two = world.deployer("two", SLEEP);
    assert_eq!(two.plan(&world.plan_cx()).await.unwrap_err().code(), &code::CANNOT_TELL);
    let located = world.locate(&two, &shipped.change, None).await;
    assert!(matches!(located, Location::Unknown(_)));
    let cx = world.hold(&world.plan_cx()).await;
    let error = two.apply(&cx, &shipped.change, None).await.unwrap_err();
    assert_eq!(error.code(), &code::CANNOT_TELL);
}
