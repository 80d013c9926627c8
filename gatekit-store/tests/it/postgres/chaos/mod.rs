//! Forty workers that die before and while they change something, a server that is restarted, a
//! pooler that is killed, connections that are cut.

mod judge;
mod witness;
mod worker;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use fastrand::Rng;
use gatekit_core::process::ProcessIdentity;
use gatekit_peers::{Cluster, Pooler, Programs, Proxy, Way};
use gatekit_store::PostgresLedger;
use tempfile::TempDir;
use tokio::time::sleep;
use tokio_postgres::NoTls;

use super::lost::programs;
use judge::Judge;
use witness::epoch;

const WORKERS: usize = 40;

/// How much of it: read from the environment here and nowhere else.
#[derive(Debug, Clone, Copy)]
struct Settings {
    lasts: Duration,
    restarts: u32,
    seed: u64,
}

impl Settings {
    /// # Default
    /// 20 seconds with two restarts, and a seed that was never used before.
    fn from_env() -> Self {
        let number = |name: &str| {
            let text = env::var(name).ok()?;
            Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is no number: `{text}`")))
        };
        let lasts = number("GATEKIT_CHAOS_SECONDS").unwrap_or(20);
        Self {
            lasts: Duration::from_secs(lasts),
            restarts: (lasts / 10).clamp(1, 20).try_into().unwrap(),
            seed: number("GATEKIT_CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000)),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_dies_nothing_is_granted_twice_lost_or_out_of_turn() {
    let settings = Settings::from_env();
    println!("chaos: {settings:?}");
    let mut chaos = Chaos::begin(settings).await;
    chaos.play().await;
    println!("{}", chaos.end().await);
}

/// A worker, and who it is.
struct Worker {
    child: Child,
    /// `None` when it was gone at once.
    process: Option<ProcessIdentity>,
    way: usize,
}

struct Chaos {
    settings: Settings,
    rng: Rng,
    folder: TempDir,
    cluster: Cluster,
    pooler: Pooler,
    proxy: Proxy,
    /// How the workers reach the server: directly, through the pooler, through the proxy.
    urls: [String; 3],
    ledger: PostgresLedger,
    workers: Vec<Worker>,
    judge: Judge,
}

impl Chaos {
    async fn begin(settings: Settings) -> Self {
        let programs: Programs = programs();
        let cluster = Cluster::start(&programs, &["fsync = on"]).unwrap();
        let pooler = Pooler::start(&programs, &cluster).unwrap();
        let direct = format!("{}/postgres?sslmode=disable", cluster.url());
        let proxy = Proxy::before(&direct).await.unwrap();
        let pooled = format!("{}/postgres?sslmode=disable", pooler.url());
        let urls = [direct.clone(), pooled, proxy.url(&direct).unwrap()];
        let ledger = PostgresLedger::builder(&direct).unwrap().build().await.unwrap();
        let mut chaos = Self {
            settings,
            rng: Rng::with_seed(settings.seed),
            folder: TempDir::with_prefix("gatekit-chaos-").unwrap(),
            cluster,
            pooler,
            proxy,
            urls,
            ledger,
            workers: Vec::new(),
            judge: Judge::default(),
        };
        chaos.sql(judge::TABLES).await.unwrap();
        for at in 0..WORKERS {
            let worker = chaos.worker(at % chaos.urls.len());
            chaos.workers.push(worker);
        }
        chaos
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn worker(&mut self, way: usize) -> Worker {
        let seed = self.rng.u64(..);
        let child = worker::spawn(self.folder(), &self.urls[way], seed);
        let process = ProcessIdentity::of(child.id());
        Worker { child, process, way }
    }

    /// On a connection of its own, which nothing has cut yet.
    async fn sql(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(&self.urls[0], NoTls).await?;
        let connection = tokio::spawn(connection);
        let done = client.batch_execute(sql).await;
        connection.abort();
        done
    }

    async fn play(&mut self) {
        let (began, Settings { lasts, restarts, .. }) = (Instant::now(), self.settings);
        // Twice as often in turn: the server, and the pooler.
        let pause = lasts / (2 * restarts + 1);
        let mut done = 0;
        while began.elapsed() < lasts {
            sleep(Duration::from_millis(self.rng.u64(20..100))).await;
            self.bury();
            match self.rng.u8(..48) {
                0..6 => self.kill(),
                6 => self.cut().await,
                7 | 8 => self.proxy.set(Way::LoseAnswer),
                9 => self.proxy.set(Way::Late(Duration::from_millis(self.rng.u64(100..3000)))),
                10 if self.rng.bool() => self.trouble(Way::Closed).await,
                10 => self.trouble(Way::HalfOpen).await,
                _ => {}
            }
            if done < 2 * restarts && began.elapsed() > pause * (done + 1) {
                self.restart(done.is_multiple_of(2)).await;
                done += 1;
            }
        }
        assert_eq!(done, 2 * restarts, "not all the restarts");
    }

    /// Starts a worker for each that is gone.
    fn bury(&mut self) {
        for at in 0..self.workers.len() {
            let Some(status) = self.workers[at].child.try_wait().unwrap() else { continue };
            self.assert_died(status);
            self.workers[at] = self.worker(self.workers[at].way);
        }
    }

    /// A worker dies of a signal; whatever else ends it, it has seen what must not be.
    fn assert_died(&self, status: ExitStatus) {
        use std::os::unix::process::ExitStatusExt as _;
        if status.signal().is_none() {
            let said = std::fs::read_to_string(self.folder().join("said")).unwrap();
            let lines: Vec<_> = said.lines().filter(|line| !line.starts_with("running")).collect();
            panic!("a worker failed:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
    }

    fn kill(&mut self) {
        let at = self.rng.usize(..WORKERS);
        let Worker { child, process, .. } = &mut self.workers[at];
        let at = epoch();
        child.kill().unwrap();
        if let Some(process) = process {
            self.judge.died(process.clone(), at);
        }
    }

    /// Cuts some of the connections, on the server's side.
    async fn cut(&mut self) {
        let sql = "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity \
                   WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() \
                   ORDER BY random() LIMIT 8) AS victim";
        self.sql(sql).await.unwrap();
        self.judge.cuts += 1;
    }

    /// For a while nobody comes through the proxy.
    async fn trouble(&mut self, way: Way) {
        let from = epoch();
        self.proxy.set(way);
        sleep(Duration::from_millis(self.rng.u64(100..2000))).await;
        self.proxy.set(Way::Through);
        self.judge.outage(from);
    }

    async fn restart(&mut self, server: bool) {
        let from = epoch();
        let away = Duration::from_millis(self.rng.u64(..1500));
        let (cluster, pooler) = (&mut self.cluster, &mut self.pooler);
        tokio::task::block_in_place(|| {
            if server {
                cluster.crash().unwrap();
                std::thread::sleep(away);
                cluster.go_on().unwrap();
            } else {
                pooler.crash().unwrap();
                std::thread::sleep(away);
                pooler.go_on().unwrap();
            }
        });
        self.judge.outage(from);
        *if server { &mut self.judge.restarts } else { &mut self.judge.pooler_kills } += 1;
    }

    /// Lets all workers finish, and judges what there is then.
    async fn end(mut self) -> String {
        worker::stop(self.folder());
        let began = Instant::now();
        while !self.workers.is_empty() {
            assert!(began.elapsed() < Duration::from_secs(120), "somebody waits for ever");
            let mut going = Vec::new();
            for mut worker in std::mem::take(&mut self.workers) {
                match worker.child.try_wait().unwrap() {
                    None => going.push(worker),
                    Some(status) if status.success() => {}
                    Some(status) => self.assert_died(status),
                }
            }
            self.workers = going;
            sleep(Duration::from_millis(50)).await;
        }
        let folder = PathBuf::from(self.folder());
        self.judge.verdict(&self.ledger, &self.urls[0], &folder).await
    }
}

impl Drop for Chaos {
    /// Nobody ends the children of a test that failed.
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.child.kill().ok();
            worker.child.wait().ok();
        }
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!(
                "seed {}; kept for inspection: {}",
                self.settings.seed,
                self.folder().display()
            );
        }
    }
}
