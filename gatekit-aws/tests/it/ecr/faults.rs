//! What goes wrong on the way.

use gatekit_aws::code;
use gatekit_core::{Deployer as _, Effect, Location};
use gatekit_emulators::Trouble;

use super::world::{TAG, World};

const OPERATIONS: [&str; 3] = ["DescribeImages", "BatchGetImage", "PutImage"];

/// Once is nothing: whatever goes wrong with one call, the move arrives, and has one effect each.
#[tokio::test]
async fn one_fault_changes_nothing() {
    for trouble in [
        Trouble::Throttled,
        Trouble::ServerError,
        Trouble::CutAfter,
        Trouble::CutBefore,
        Trouble::Slow,
    ] {
        for operation in OPERATIONS {
            let world = World::new();
            let (old, new) = (world.image("old"), world.image("new"));
            world.set_tag(TAG, &old);
            let mover = world.move_to(&new);
            let run = world.run(&mover);
            let change = run.plan().await.unwrap().change;
            world.inject(operation, trouble, 1);
            let receipt = run.apply(&change).await.unwrap();
            let location = mover.locate(&run.cx, &change, Some(&receipt)).await.unwrap();
            assert_eq!(location, Location::After, "{trouble} {operation}");
            assert_eq!(world.ecr.effects(), 3, "{trouble} {operation}");
            world.inject(operation, trouble, 1);
            run.undo(&change, Some(&receipt)).await.unwrap();
            assert_eq!(world.names(TAG), Some(old), "{trouble} {operation}");
            assert_eq!(world.ecr.effects(), 4, "{trouble} {operation}");
        }
    }
}

/// When it never gets through, the error says what is known, and `locate` says where the tag stands.
#[tokio::test]
async fn a_write_that_never_gets_through_is_told_as_it_is() {
    let never = async |trouble: Trouble, told: gatekit_core::Code, effect: Effect| {
        let world = World::new();
        let (old, new) = (world.image("old"), world.image("new"));
        world.set_tag(TAG, &old);
        let mover = world.move_to(&new);
        let run = world.run(&mover);
        let change = run.plan().await.unwrap().change;
        world.inject("PutImage", trouble, 99);
        let error = run.apply(&change).await.unwrap_err();
        assert_eq!((error.code(), error.effect()), (&told, effect), "{trouble}");
        assert_eq!(run.locate(&change).await, Location::Before, "{trouble}");
        assert_eq!(world.ecr.effects(), 0, "{trouble}");
    };
    tokio::join!(
        never(Trouble::Throttled, code::THROTTLED, Effect::None),
        never(Trouble::ServerError, code::UNAVAILABLE, Effect::Unknown),
        never(Trouble::CutBefore, code::UNREACHABLE, Effect::Unknown),
        never(Trouble::Denied, code::DENIED, Effect::None),
        never(Trouble::Expired, code::CREDENTIALS, Effect::None),
    );
}

/// The answer is lost each time: the tag is read before it is written again, so there is no second
/// write, and no error.
#[tokio::test]
async fn an_answer_that_is_lost_each_time_is_no_second_write() {
    let world = World::new();
    let (old, new) = (world.image("old"), world.image("new"));
    world.set_tag(TAG, &old);
    let mover = world.move_to(&new);
    let run = world.run(&mover);
    let change = run.plan().await.unwrap().change;
    // The two names that keep the images come first: each is written, and found to be there.
    world.inject("PutImage", Trouble::CutAfter, 1);
    run.apply(&change).await.unwrap();
    assert_eq!(world.ecr.effects(), 3);
    let puts = world.calls().iter().filter(|it| *it == "PutImage").count();
    assert_eq!(puts, 4, "one more, that ECR took for a repeated one");
    world.inject("PutImage", Trouble::CutAfter, 99);
    run.undo(&change, None).await.unwrap();
    assert_eq!(world.names(TAG), Some(old));
    assert_eq!(world.ecr.effects(), 4);
}

/// Somebody moves the tag while a write is without an answer: it is not tried again over theirs.
#[tokio::test]
async fn a_write_is_not_tried_again_over_somebody_elses() {
    let world = World::new();
    let [old, new, other] = ["old", "new", "other"].map(|name| world.image(name));
    world.set_tag(TAG, &old);
    let mover = world.move_to(&new);
    let run = world.run(&mover);
    let change = run.plan().await.unwrap().change;
    // The names that keep the images are there already: the next write is that of the tag.
    world.set_tag(&format!("gatekit-{TAG}-{}", run.cx.run()), &new);
    world.set_tag(&format!("gatekit-{TAG}-before-{}", run.cx.run()), &old);
    world.inject("PutImage", Trouble::Slow, 1);
    world.inject("PutImage", Trouble::CutBefore, 99);
    let meanwhile = async {
        while world.calls().iter().filter(|it| *it == "PutImage").count() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        world.set_tag(TAG, &other);
    };
    let (applied, ()) = tokio::join!(run.apply(&change), meanwhile);
    let error = applied.unwrap_err();
    assert_eq!((error.code(), error.effect()), (&code::ECR_TAG_MOVED, Effect::Unknown));
    assert_eq!(world.names(TAG), Some(other));
}

/// Somebody moves the tag right after it was moved: that is no success, and it is not fought over.
#[tokio::test]
async fn a_tag_that_is_taken_at_once_is_no_success() {
    let world = World::new();
    let [old, new, other] = ["old", "new", "other"].map(|name| world.image(name));
    world.set_tag(TAG, &old);
    let mover = world.move_to(&new);
    let run = world.run(&mover);
    let change = run.plan().await.unwrap().change;
    world.set_tag(&format!("gatekit-{TAG}-{}", run.cx.run()), &new);
    world.set_tag(&format!("gatekit-{TAG}-before-{}", run.cx.run()), &old);
    // The answers come slowly: there is time after the write.
    world.inject("PutImage", Trouble::Slow, 2);
    let meanwhile = async {
        while world.names(TAG).as_ref() != Some(&new) {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        world.set_tag(TAG, &other);
    };
    let (applied, ()) = tokio::join!(run.apply(&change), meanwhile);
    let error = applied.unwrap_err();
    assert_eq!((error.code(), error.effect()), (&code::ECR_TAG_MOVED, Effect::Done));
    assert_eq!(world.names(TAG), Some(other));
}

/// A description may be older than the write: it is read again. One that stays old is not believed.
#[tokio::test]
async fn a_description_that_is_old_is_read_again() {
    for (stale, is_seen) in [(2, true), (99, false)] {
        let world = World::new();
        let (old, new) = (world.image("old"), world.image("new"));
        world.set_tag(TAG, &old);
        let mover = world.move_to(&new);
        let run = world.run(&mover);
        let change = run.plan().await.unwrap().change;
        world.ecr.set_stale(stale);
        let applied = run.apply(&change).await;
        if is_seen {
            applied.unwrap();
        } else {
            let error = applied.unwrap_err();
            assert_eq!((error.code(), error.effect()), (&code::ECR_CANNOT_TELL, Effect::Unknown));
        }
    }
}

/// Each try needs a permit of its own: who has lost the lock since does not try again.
#[tokio::test]
async fn a_write_is_not_tried_again_without_the_lock() {
    for kept in [false, true] {
        let world = World::new();
        let (old, new) = (world.image("old"), world.image("new"));
        world.set_tag(TAG, &old);
        let mover = world.move_to(&new);
        let run = world.run(&mover);
        let change = run.plan().await.unwrap().change;
        if kept {
            world.set_tag(&format!("gatekit-{TAG}-{}", run.cx.run()), &new);
            world.set_tag(&format!("gatekit-{TAG}-before-{}", run.cx.run()), &old);
            // ECR takes the first for a repeated one.
            world.inject("PutImage", Trouble::Slow, 1);
        }
        world.inject("PutImage", Trouble::Throttled, 1);
        let cx = run.hold().await;
        let lost = async {
            while !world.emulator.calls().iter().any(|it| it.trouble == Some(Trouble::Throttled)) {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            run.free(&cx).await;
        };
        let (applied, ()) = tokio::join!(mover.apply(&cx, &change, None), lost);
        let error = applied.unwrap_err();
        assert_eq!((error.code().as_str(), error.effect()), ("lock.lost", Effect::None), "{kept}");
        assert_eq!(world.names(TAG), Some(old));
        assert_eq!(world.ecr.effects(), 0);
    }
}

/// Nothing can be undone for a caller who may not remove a tag; and nothing is lost by trying.
#[tokio::test]
async fn a_tag_that_may_not_be_removed_stays() {
    let world = World::new();
    let image = world.image("image");
    let mover = world.move_to(&image);
    let run = world.run(&mover);
    let (change, receipt) = run.ship().await;
    world.inject("BatchDeleteImage", Trouble::Denied, 1);
    let error = run.undo(&change, Some(&receipt)).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (&code::DENIED, Effect::None));
    assert_eq!(world.names(TAG), Some(image));
    world.inject("BatchDeleteImage", Trouble::CutAfter, 1);
    run.undo(&change, Some(&receipt)).await.unwrap();
    assert_eq!(run.locate(&change).await, Location::Before);
}

/// Whatever happens in between, an image does not lose its last tag.
#[tokio::test]
async fn an_image_does_not_lose_its_last_tag() {
    let world = World::new();
    let image = world.image("image");
    let mover = world.move_to(&image);
    let run = world.run(&mover);
    let (change, receipt) = run.ship().await;
    let before = world.calls().len();
    // The first look comes slowly, and is old when it has come.
    world.inject("DescribeImages", Trouble::Slow, 1);
    let meanwhile = async {
        while world.calls().len() == before {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        world.ecr.take_tag(&world.repository, &format!("gatekit-{TAG}-{}", run.cx.run()));
    };
    let (undone, ()) = tokio::join!(run.undo(&change, Some(&receipt)), meanwhile);
    let error = undone.unwrap_err();
    assert_eq!((error.code(), error.effect()), (&code::ECR_LAST_TAG, Effect::None));
    assert!(world.has(&image) && world.names(TAG) == Some(image));
    run.undo(&change, Some(&receipt)).await.unwrap();
}

/// A silent service is not waited for forever; what it did is found.
#[tokio::test]
async fn a_silent_service_is_given_up() {
    let world = World::new();
    let (old, new) = (world.image("old"), world.image("new"));
    world.set_tag(TAG, &old);
    let mover = world.move_to_within(&new, std::time::Duration::from_millis(300));
    let run = world.run(&mover);
    let change = run.plan().await.unwrap().change;
    world.inject("PutImage", Trouble::Silent, 3);
    world.inject("DescribeImages", Trouble::Silent, 1);
    run.apply(&change).await.unwrap();
    assert_eq!(world.names(TAG), Some(new));
    assert_eq!(world.ecr.effects(), 3);
}
