//! What is shipped is what was to be shipped, byte for byte, or nothing.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use gatekit_core::{Candidate, Deployer as _, Effect};
use gatekit_local::{ReleaseDir, code};

use crate::world::{SLEEP, World};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn everything_in_a_tree_arrives() {
    let world = World::new();
    let app = world.app("rich", &[("bin/server", "#!/bin/sh"), ("a/b/c", "deep"), ("secret", "s")]);
    fs::set_permissions(app.join("bin/server"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(app.join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(app.join("empty")).unwrap();
    let odd = OsStr::from_bytes(b"n\xffme%\n");
    fs::write(app.join(odd), "odd").unwrap();
    symlink("../a/b", app.join("bin/link")).unwrap();
    symlink("nowhere", app.join("dangling")).unwrap();
    let deployer = world.deployer("rich", SLEEP);
    world.ship(&deployer).await;

    let current = world.root().join("current");
    assert_eq!(fs::read_to_string(current.join("bin/link/c")).unwrap(), "deep");
    assert_eq!(fs::read_link(current.join("dangling")).unwrap(), OsStr::new("nowhere"));
    assert_eq!(fs::read_to_string(current.join(odd)).unwrap(), "odd");
    assert!(current.join("empty").is_dir());
    assert_eq!(mode(&current.join("bin/server")), 0o755);
    assert_eq!(mode(&current.join("secret")), 0o600, "what was private stays private");
    // A second ship finds it whole, odd names included, and copies nothing.
    let before = world.snapshot();
    let change = world.plan(&deployer).await;
    assert_eq!(change.before, change.wish);
    assert_eq!(world.snapshot(), before);
    assert_eq!(ReleaseDir::artifact(current).unwrap(), change.tree.unwrap());
}

#[tokio::test]
async fn the_id_is_the_content_and_the_command_and_not_the_label() {
    let world = World::new();
    let id = async |app: &str, start: &str, version: Option<&str>| {
        let deployer = world.deployer(app, start).with_version(version.map(str::to_owned));
        world.plan(&deployer).await.wish.release.unwrap()
    };
    world.app("same", &[("file", "one")]);
    let one = id("one", SLEEP, None).await;
    assert_eq!(one, id("same", SLEEP, Some("1.0")).await);
    assert_ne!(one, id("two", SLEEP, None).await);
    assert_ne!(one, id("one", "exec sleep 299", None).await);
    fs::set_permissions(world.path("same/file"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_ne!(one, id("same", SLEEP, None).await, "the executable bit");
    fs::remove_file(world.path("same/file")).unwrap();
    world.app("same", &[("elif", "one")]);
    assert_ne!(one, id("same", SLEEP, None).await, "the name");
}

#[tokio::test]
async fn what_cannot_be_shipped_is_refused_and_nothing_is_written() {
    let world = World::new();
    let refused = async |app: &str| {
        let error = world.deployer(app, SLEEP).plan(&world.plan_cx()).await.unwrap_err();
        assert_eq!(error.effect(), Effect::None);
        assert!(!error.to_failure().next.is_empty(), "{error}: what next?");
        assert!(fs::read_dir(world.root()).unwrap().next().is_none(), "{app}");
        error.code().clone()
    };
    assert_eq!(refused("missing").await, code::SOURCE_MISSING);
    assert_eq!(refused("one/file").await, code::SOURCE_MISSING);
    fs::create_dir_all(world.path("empty/with/dirs")).unwrap();
    assert_eq!(refused("empty").await, code::SOURCE_EMPTY);
    for (name, target) in
        [("absolute", "/etc/passwd"), ("up", "../one/file"), ("loop", "link"), ("deep", "d/../..")]
    {
        let app = world.app(name, &[("file", ""), ("d/file", "")]);
        symlink(target, app.join("link")).unwrap();
        assert_eq!(refused(name).await, code::SYMLINK, "{name}");
    }
    let app = world.app("socket", &[("file", "")]);
    let _listener = UnixListener::bind(app.join("socket")).unwrap();
    assert_eq!(refused("socket").await, code::SPECIAL_FILE);
    let app = world.app("fifo", &[("file", "")]);
    assert!(Command::new("mkfifo").arg(app.join("fifo")).status().unwrap().success());
    assert_eq!(refused("fifo").await, code::SPECIAL_FILE);
    assert_eq!(refused(".").await, code::NESTED);

    for bad in ["", "  ", "a\0b"] {
        let error = ReleaseDir::new(world.root(), world.path("one"), bad).unwrap_err();
        assert_eq!(error.code(), &code::CONFIG);
    }
}

#[tokio::test]
async fn an_unreadable_file_is_refused() {
    let world = World::new();
    fs::set_permissions(world.path("one/file"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(world.path("one/file")).is_ok() {
        eprintln!("not tested: this user may read everything");
        return;
    }
    let error = world.deployer("one", SLEEP).plan(&world.plan_cx()).await.unwrap_err();
    assert_eq!(error.code(), &code::SOURCE_UNREADABLE);
}

#[tokio::test]
async fn another_content_than_the_candidate_names_is_refused() {
    let world = World::new();
    let digest = ReleaseDir::artifact(world.path("one")).unwrap();
    let candidate = Candidate::new().with_artifact("app", digest);
    let cx = world.plan_cx_of(candidate, std::time::Duration::from_secs(9));
    assert!(world.deployer("one", SLEEP).plan(&cx).await.is_ok());
    let error = world.deployer("two", SLEEP).plan(&cx).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (&code::SOURCE_CHANGED, Effect::None));
}

#[tokio::test]
async fn a_change_between_plan_and_copy_is_found_and_leaves_the_old_service_alone() {
    let world = World::new();
    let old = world.ship(&world.deployer("one", SLEEP)).await;
    let deployer = world.deployer("two", SLEEP);
    let cx = world.plan_cx();
    let change = deployer.plan(&cx).await.unwrap().change;
    world.app("two", &[("file", "changed")]);
    let cx = world.hold(&cx).await;
    let error = deployer.apply(&cx, &change, None).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (&code::SOURCE_CHANGED, Effect::None));
    let staging = fs::read_dir(world.root().join("staging")).unwrap();
    assert_eq!(staging.count(), 0, "nothing half-written is left");
    assert_eq!(world.service_json()["token"], *old.receipt.token.unwrap());
    assert_eq!(deployer.releases().unwrap().len(), 1);
}

#[test]
fn a_file_that_is_rewritten_all_the_time_never_ships_torn() {
    let world = World::new();
    let file = world.path("two/file");
    fs::write(&file, vec![0; 1 << 20]).unwrap();
    let done = AtomicBool::new(false);
    let deployer = world.deployer("two", SLEEP);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let file = fs::OpenOptions::new().write(true).open(&file).unwrap();
            for byte in (0..=u8::MAX).cycle().take_while(|_| !done.load(Ordering::Relaxed)) {
                file.write_all_at(&vec![byte; 1 << 20], 0).unwrap();
            }
        });
        let refused = runtime.block_on(async {
            let mut refused = 0;
            for _ in 0..10 {
                if let Err(error) = world.try_ship(&deployer).await {
                    assert_eq!(error.code(), &code::SOURCE_CHANGED);
                    refused += 1;
                }
            }
            refused
        });
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        assert!(refused > 0, "the file was never caught changing");
    });
    for kept in deployer.releases().unwrap() {
        let dir = world.root().join("releases").join(kept.id.as_str());
        let record = fs::read(dir.with_extension("json")).unwrap();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        assert_eq!(record["tree"], *ReleaseDir::artifact(&dir).unwrap().as_str());
    }
}

#[tokio::test]
async fn an_altered_release_is_copied_anew_unless_it_runs() {
    let world = World::new();
    let deployer = world.deployer("one", SLEEP);
    let one = world.ship(&deployer).await.change.wish.release.unwrap();
    let file = world.root().join("releases").join(one.as_str()).join("file");
    fs::write(file.with_file_name("cache"), "of the service").unwrap();
    world.ship(&world.deployer("two", SLEEP)).await;
    world.ship(&deployer).await;
    assert!(file.with_file_name("cache").exists(), "additions are no alteration");
    world.ship(&world.deployer("two", SLEEP)).await;
    fs::write(&file, "altered").unwrap();
    world.ship(&deployer).await;
    assert_eq!(world.current_file(), "one");
    fs::write(&file, "altered").unwrap();
    let error = ReleaseDir::kept(world.root(), one).unwrap().plan(&world.plan_cx()).await;
    assert_eq!(error.unwrap_err().code(), &code::ALTERED);
}

#[tokio::test]
async fn a_full_disk_loses_nothing() {
    let world = World::new();
    let mount = |args: &[&str]| {
        Command::new("mount")
            .args(args)
            .arg(world.root())
            .output()
            .is_ok_and(|o| o.status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=256k", "tmpfs"]) {
        assert!(std::env::var_os("CI").is_none(), "CI skips nothing: mounting must be permitted");
        eprintln!("not tested: no permission to mount");
        return;
    }
    let test = async {
        let old = world.ship(&world.deployer("one", SLEEP)).await;
        fs::write(world.path("two/file"), vec![7; 1 << 20]).unwrap();
        let error = world.try_ship(&world.deployer("two", SLEEP)).await.unwrap_err();
        assert_eq!((error.code(), error.effect()), (&code::DISK_FULL, Effect::None));
        assert!(!error.to_failure().next.is_empty());
        assert_eq!(world.service_json()["token"], *old.receipt.token.unwrap());
        assert_eq!(world.current_file(), "one");
        assert_eq!(fs::read_dir(world.root().join("staging")).unwrap().count(), 0);
        // With no byte left at all not even the fence can be recorded.
        fs::write(world.root().join("filler"), vec![0; 1 << 20]).unwrap_err();
        world.try_ship(&world.stopped()).await.map(|_| ())
    };
    let stopped = test.await;
    world.pids().into_iter().for_each(crate::world::kill);
    let lazily = Command::new("umount").arg("-l").arg(world.root()).status().unwrap();
    assert!(lazily.success());
    // Its fence cannot be recorded: that is refused before anything is touched, or it worked.
    if let Err(error) = stopped {
        assert_eq!((error.code(), error.effect()), (&code::DISK_FULL, Effect::None));
    }
}
