//! A PostgreSQL server and a pooler of its own, and the lines that lead to both, which can be cut.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use gatekit_peers::{Cluster, Pooler, Programs, Via};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_postgres::{Client, Error, NoTls};

pub(super) struct Servers {
    cluster: Cluster,
    pooler: Pooler,
    runtime: Runtime,
    lines: watch::Sender<()>,
    to_server: SocketAddr,
    to_pooler: SocketAddr,
    databases: u32,
}

impl Servers {
    pub(super) fn start() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
        let programs = Programs::find(&folder).unwrap();
        let cluster = Cluster::start(&programs, &[]).unwrap();
        let pooler = Pooler::start(&programs, &cluster).unwrap();
        let runtime = Runtime::new().unwrap();
        let lines = watch::Sender::new(());
        let line = |url: &str| {
            let server = url.rsplit('@').next().unwrap().to_owned();
            runtime.block_on(line_to(server, lines.clone()))
        };
        let (to_server, to_pooler) = (line(&cluster.url()), line(&pooler.url()));
        Self { cluster, pooler, runtime, lines, to_server, to_pooler, databases: 0 }
    }

    /// Makes an empty database, and tells its name.
    pub(super) fn database(&mut self) -> String {
        self.databases += 1;
        let name = format!("chaos_{}", self.databases);
        self.run("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Where the program finds a database, by a line that can be cut.
    pub(super) fn url(&self, via: Via, database: &str) -> String {
        let line = match via {
            Via::Server => self.to_server,
            Via::Pooler => self.to_pooler,
        };
        format!("postgres://gatekit@{line}/{database}")
    }

    pub(super) fn run(&self, database: &str, sql: &str) {
        self.ask(database, async |client| client.batch_execute(sql).await).unwrap();
    }

    /// Asks the server itself, on a connection of one's own.
    pub(super) fn ask<T>(
        &self,
        database: &str,
        ask: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let url = format!("{}/{database}", self.cluster.url());
        self.runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
            let connection = tokio::spawn(connection);
            let answer = ask(&client).await;
            drop(client);
            // Its end is that of whatever it holds.
            connection.await.unwrap().ok();
            answer
        })
    }

    /// Cuts every line: neither side is told why.
    pub(super) fn cut(&self) {
        self.lines.send_replace(());
    }

    /// Ends all processes of the server that work for a database.
    pub(super) fn terminate(&self, database: &str) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.run(database, sql);
    }

    pub(super) fn crash(&mut self) {
        self.cluster.crash().unwrap();
    }

    pub(super) fn go_on(&mut self) {
        self.cluster.go_on().unwrap();
    }

    /// Waits until nobody works at a database any more: what the dead have begun is over then.
    pub(super) fn rest(&self, database: &str) {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND state <> 'idle'";
        let patience = Instant::now() + Duration::from_secs(30);
        loop {
            let busy = self.ask(database, async |client| client.query_one(sql, &[]).await).unwrap();
            if busy.get::<_, i64>(0) == 0 {
                return;
            }
            assert!(Instant::now() < patience, "somebody works on");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // Before its server, to which it would want to connect.
        self.pooler.crash().ok();
    }
}

/// A line of the loopback to a server; each time `cuts` is told something, all its connections end.
async fn line_to(server: String, cuts: watch::Sender<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            tokio::spawn(carry(near, server.clone(), cuts.subscribe()));
        }
    });
    address
}

async fn carry(mut near: TcpStream, server: String, mut cuts: watch::Receiver<()>) {
    // Whoever comes while the server is away finds the line closed.
    let Ok(mut far) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = cuts.changed() => {}
    }
}
