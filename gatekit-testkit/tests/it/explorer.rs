//! Every scene of doubles, explored.

use gatekit_testkit::explorer::doubles::{all, in_memory, named};
use gatekit_testkit::explorer::{Explorer, Scene as _, Settles};

fn explore(name: &str) {
    let scene = named(name, &in_memory()).unwrap();
    let explorer = Explorer::new(&scene);
    let exploration = explorer.explore();
    println!("{exploration}");
    if let Some((script, _)) = exploration.failures().first() {
        println!("{}", explorer.replay(script));
    }
    exploration.assert_sound();
}

#[test]
fn one_deploy() {
    explore("one deploy");
}

#[test]
fn singles() {
    let mut sound = true;
    for scene in all(&in_memory()) {
        for settles in [Settles::ByResume, Settles::ByDecision] {
            let explorer = Explorer::new(&scene).settles(settles).singles_only();
            let exploration = explorer.explore();
            println!("{exploration}");
            if let Some((script, _)) = exploration.failures().first() {
                println!("{}", explorer.replay(script));
            }
            sound &= exploration.is_sound();
        }
        let _ = scene.name();
    }
    assert!(sound);
}

#[test]
fn timing() {
    for name in
        ["one deploy", "what has no way back fails verification", "a rollback of two releases"]
    {
        let scene = named(name, &in_memory()).unwrap();
        let explorer = Explorer::new(&scene);
        let begun = std::time::Instant::now();
        for _ in 0..50 {
            let _ = explorer.replay(&"nothing".parse().unwrap());
        }
        println!("{name}: {:?}", begun.elapsed() / 50);
    }
}
