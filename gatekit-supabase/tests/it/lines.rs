//! What is asked of the server after a connection was lost, or a push interrupted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use gatekit_core::{Candidate, Outcome};
use gatekit_supabase::Database;
use gatekit_supabase::migrations::Push;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::world::{World, end, engine, pipeline, why};

/// How a connection begins that asks to cancel what another one does.
const CANCEL: [u8; 4] = 80_877_102_u32.to_be_bytes();

/// A way to a server that can be cut.
struct Line {
    url: String,
    cuts: watch::Sender<()>,
    /// How many of the next connections end at the first question.
    stale: Arc<AtomicU32>,
    /// How many connections have asked to cancel.
    cancels: Arc<AtomicU32>,
}

impl Line {
    async fn open(url: &str) -> Self {
        let (before, rest) = url.split_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{before}@{}/{database}", listener.local_addr().unwrap());
        let (cuts, stale, cancels) = (watch::Sender::new(()), Arc::default(), Arc::default());
        let line = Self { url, cuts, stale, cancels };
        let (cuts, server) = (line.cuts.clone(), server.to_owned());
        let (stale, cancels) = (Arc::clone(&line.stale), Arc::clone(&line.cancels));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&server).await.unwrap();
                let one_less = |count: u32| count.checked_sub(1);
                let update = stale.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
                let mut cut = cuts.subscribe();
                let carried = carry(near, far, update.is_ok(), Arc::clone(&cancels));
                tokio::spawn(async move {
                    tokio::select! {
                        () = carried => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        line
    }

    /// Cuts all connections, and the next one at its first question: as a pooler has them ready.
    fn cut(&self) {
        self.stale.store(1, Ordering::SeqCst);
        self.cuts.send_replace(());
    }

    fn push(&self, world: &World) -> Push {
        Push::new(Database::without_tls(&self.url).unwrap(), world.folder()).unwrap()
    }
}

async fn carry(mut near: TcpStream, mut far: TcpStream, is_stale: bool, cancels: Arc<AtomicU32>) {
    let mut first = [0; 1 << 10];
    let length = near.read(&mut first).await.unwrap();
    if first[4..8] == CANCEL {
        cancels.fetch_add(1, Ordering::SeqCst);
    }
    far.write_all(&first[..length]).await.unwrap();
    if is_stale {
        let mut welcome = [0; 1 << 10];
        let length = far.read(&mut welcome).await.unwrap();
        near.write_all(&welcome[..length]).await.unwrap();
        near.readable().await.unwrap();
        return;
    }
    // Whoever goes first, the other is told.
    copy_bidirectional(&mut near, &mut far).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_of_a_file_is_asked_again_when_the_next_connection_is_lost_too() {
    let world = World::new();
    world.file(1, "create table a (); select pg_sleep(30);");
    let line = Line::open(&world.url).await;
    let running = engine().ship(&pipeline(line.push(&world)), Candidate::new());
    world.works_at("select pg_sleep").await;
    line.cut();
    let report = running.await;
    assert_eq!(line.stale.load(Ordering::SeqCst), 0, "no connection was lost");
    assert_eq!(end(&report), (Outcome::RolledBack, "database.unreachable"), "{}", why(&report));
    assert_eq!(world.tables().await, Vec::<String>::new());
}

/// That request does not wait for an answer, and a `PgBouncer` of 1.18 or 1.19 may end by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_does_not_ask_by_the_protocol_to_cancel() {
    let world = World::new();
    world.file(1, "create table a (); select pg_sleep(30);");
    let line = Line::open(&world.url).await;
    let running = engine().ship(&pipeline(line.push(&world)), Candidate::new());
    let interrupter = running.interrupter();
    world.works_at("select pg_sleep").await;
    interrupter.interrupt();
    let report = running.await;
    assert_eq!(end(&report), (Outcome::RolledBack, "run.interrupted"), "{}", why(&report));
    assert_eq!(line.cancels.load(Ordering::SeqCst), 0);
    assert_eq!(world.tables().await, Vec::<String>::new());
}
