//! Whose answer it is.

use std::env;
use std::fs;
use std::net::{SocketAddr, TcpListener};

use gatekit_local::Answer;

use crate::world::{World, alive, eventually, kill};

/// Not a test: what the service of the tests below runs. It listens and says where.
#[test]
fn listen() {
    let Some(file) = env::var_os("GATEKIT_TEST_PORT_FILE") else { return };
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    fs::write(file, listener.local_addr().unwrap().to_string()).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(300));
}

fn listening(world: &World) -> String {
    let (file, binary) = (world.path("port"), env::current_exe().unwrap());
    format!(
        "GATEKIT_TEST_PORT_FILE={} exec {} --exact probe::listen --nocapture",
        file.display(),
        binary.display()
    )
}

#[tokio::test]
async fn only_the_services_own_socket_is_ours() {
    let world = World::new();
    let deployer = world.deployer("one", &listening(&world));
    let probe = deployer.service();
    let nowhere: SocketAddr = ([127, 0, 0, 1], 1).into();
    assert!(matches!(probe.answers(nowhere), Answer::Dead(_)));
    let shipped = world.ship(&deployer).await;
    eventually("listens", || fs::read_to_string(world.path("port")).is_ok_and(|p| !p.is_empty()));
    let ours: SocketAddr = fs::read_to_string(world.path("port")).unwrap().parse().unwrap();
    let (leader, release) = (world.leader(), shipped.change.wish.release.unwrap());
    assert_eq!(probe.answers(ours), Answer::Ours { pid: leader, release: release.clone() });
    assert_eq!(probe.answers(nowhere), Answer::Nobody);

    let stranger = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let own = Some(std::process::id());
    assert_eq!(probe.answers(stranger.local_addr().unwrap()), Answer::Stranger { pid: own });
    // Beside ours on the same port, and more specific than a wildcard would be.
    if let Ok(beside) = TcpListener::bind(("::", ours.port())) {
        assert_eq!(probe.answers(ours), Answer::Stranger { pid: own });
        drop(beside);
    }
    let remote = ([192, 0, 2, 1], ours.port()).into();
    assert!(matches!(probe.answers(remote), Answer::Unknown(_)));

    kill(leader);
    eventually("dead", || !alive(leader));
    assert!(matches!(probe.answers(ours), Answer::Dead(_)));
}
