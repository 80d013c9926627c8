//! What a move costs: a few small calls, and no byte of a layer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gatekit_aws::ecr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::world::{TAG, World, outside};

/// A relay that counts.
#[derive(Debug, Default)]
struct Relay {
    up: AtomicU64,
    down: AtomicU64,
}

impl Relay {
    /// Its own address, for one to `authority`.
    async fn open(self: &Arc<Self>, authority: String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let relay = Arc::clone(self);
        outside().spawn(async move {
            // Of the runtime that reads it.
            let listener = TcpListener::from_std(listener.into_std().unwrap()).unwrap();
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&authority).await.unwrap();
                let ((near_in, near_out), (far_in, far_out)) =
                    (near.into_split(), far.into_split());
                let (up, down) = (Arc::clone(&relay), Arc::clone(&relay));
                tokio::spawn(async move { carry(near_in, far_out, &up.up).await });
                tokio::spawn(async move { carry(far_in, near_out, &down.down).await });
            }
        });
        format!("http://{address}")
    }

    fn taken(&self) -> (u64, u64) {
        (self.up.swap(0, Ordering::SeqCst), self.down.swap(0, Ordering::SeqCst))
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, count: &AtomicU64) {
    let mut buffer = [0; 4096];
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
        count.fetch_add(u64::try_from(read).unwrap(), Ordering::SeqCst);
    }
}

/// An image of 4 MiB moves with less than 10 KB, with all headers and signatures; the manifest comes from
/// the plan of the same run.
#[tokio::test]
async fn no_layer_is_pulled() {
    let world = World::new();
    let images = ["old", "new"].map(|name| world.image_for(name, "amd64", 4 << 20));
    let relay = Arc::new(Relay::default());
    let authority = world.url().trim_start_matches("http://").to_owned();
    let aws = world.aws_at(&relay.open(authority).await);
    let mover = |image: &gatekit_core::Digest| {
        ecr::MoveTag::new(&aws, &world.repository, image.clone()).to(TAG).unwrap()
    };
    world.run(&mover(&images[0])).ship().await;
    let mover = mover(&images[1]);
    let run = world.run(&mover);
    let change = run.plan().await.unwrap().change;
    let planned = relay.taken();
    let before = world.emulator.calls().len();
    run.apply(&change).await.unwrap();
    let (up, down) = relay.taken();
    let calls = world.emulator.calls().split_off(before);
    let bodies: usize = calls.iter().map(|call| call.ask.to_string().len()).sum();
    let names: Vec<_> = calls.iter().map(|call| call.operation.as_str()).collect();
    println!(
        "plan {planned:?}, apply {:?} bytes up and down, {bodies} in bodies: {names:?}",
        (up, down)
    );
    assert_eq!(
        names,
        ["DescribeImages", "PutImage", "DescribeImages", "PutImage", "DescribeImages"]
    );
    assert!(up + down < 10_000, "{up} up, {down} down");
    assert!(up + down > 1000, "the relay counts");
    assert!(!calls.iter().any(|call| call.operation == "GetDownloadUrlForLayer"));
}
