//! The ledger on a PostgreSQL server, beside pgbench on the same one.

use std::ffi::OsStr;
use std::fs;

use clap::ValueEnum;
use gatekit_peers::{Cluster, Programs as Servers};

use crate::failure::{Failure, Result};
use crate::step::{Step, target_folder};

use super::figures::Programs;
use super::table::{Spread, Table};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// Acquiring and releasing a free target, beside pgbench with the same two statements.
    Grant,
    /// 100 waiters for one target, and 10 for each of 1,000.
    Turns,
    /// Appending to a journal of a thousand entries and to one of ten million.
    Append,
}

const GRANT_RATIO: f64 = 1.5;
const HANDOVER_MS: f64 = 100.0;
const APPEND_RATIO: f64 = 1.2;
/// How much the rate of statements may differ after many releases.
const FLAT: f64 = 1.25;

const ENTRIES: u64 = 10_000_000;
const FINISHED: u32 = 2000;

/// As durable as a server is unless it is told otherwise.
const SETTINGS: [&str; 3] = ["fsync = on", "max_wal_size = 4GB", "shared_buffers = 512MB"];

/// Measures those rows, or all.
pub(crate) fn run(rows: &[Row], runs: usize, check: bool) -> Result<()> {
    let rows = if rows.is_empty() { Row::value_variants() } else { rows };
    let of = |error| Failure::of("no server to measure", error);
    let servers = Servers::find(&target_folder()?.join("peers")).map_err(of)?;
    let programs = Programs::build(&super::PACKAGES)?;
    let mut table = Table::begin(&format!("{runs} runs each"));
    for row in rows {
        let cluster = Cluster::start(&servers, &SETTINGS).map_err(of)?;
        let bench = Bench { programs: &programs, servers: &servers, cluster, runs };
        match row {
            Row::Grant => bench.grant(&mut table)?,
            Row::Turns => bench.turns(&mut table)?,
            Row::Append => bench.append(&mut table)?,
        }
    }
    table.end(check)
}

struct Bench<'p> {
    programs: &'p Programs,
    servers: &'p Servers,
    cluster: Cluster,
    runs: usize,
}

impl Bench<'_> {
    fn measure(&self, args: &[&str]) -> Result<super::figures::Figures> {
        let url = format!("{}/postgres?sslmode=disable", self.cluster.url());
        let (task, args) = args.split_first().ok_or_else(|| Failure::new("nothing to measure"))?;
        let args = [*task, "--url", &url].into_iter().chain(args.iter().copied());
        self.programs.measure(args.map(OsStr::new))
    }

    fn grant(&self, table: &mut Table) -> Result<()> {
        let runs = (self.runs * 50).to_string();
        let ours = self.measure(&["grants", "--runs", &runs])?.spread("grant_ms")?;
        let peer = self.pgbench(&runs)?;
        table.row("acquire and release, ms", ours, "");
        table.row("the same two statements, ms", peer, "peer: pgbench, extended protocol");
        super::rows::ratio(table, ours, peer, GRANT_RATIO);
        Ok(())
    }

    /// How long pgbench takes for both statements, each time with a ticket that was taken before.
    fn pgbench(&self, runs: &str) -> Result<Spread> {
        let folder = self.programs.folder("pgbench")?;
        let of = |error| Failure::of("pgbench", error);
        let tickets = format!(
            "SELECT gatekit.enqueue(1, 'bench/peer', '{{}}', 'run-' || run, 'bench', \
             '{PROCESS}', 'claim') FROM generate_series(1, {runs}) run"
        );
        let port = self.cluster.port().to_string();
        let server = ["-h", "127.0.0.1", "-U", "gatekit", "-p", &port];
        let client = |name: &str, args: &[&str]| {
            let mut client = self.servers.client(name);
            client.args(server).args(args).arg("postgres").current_dir(&folder);
            Step::of(client).read()
        };
        client("psql", &["-qAt", "-c", &tickets])?;
        let script = format!(
            "\\set run :run + 1\n\
             SELECT granted_fence AS fence FROM gatekit.acquire(1, 'bench/peer', '{{}}', \
             'run-' || :run, 'bench', '{PROCESS}', 'claim', 60000) \\gset\n\
             SELECT gatekit.release(1, 'bench/peer', 'run-' || :run, :fence, false);\n"
        );
        fs::write(folder.join("script"), script).map_err(of)?;
        let once = ["-n", "-c", "1", "-M", "extended", "-D", "run=0", "-t", runs];
        let log = ["-l", "--log-prefix", "log", "-f", "script"];
        client("pgbench", &[&once[..], &log[..]].concat())?;
        let mut spread = Vec::new();
        for file in fs::read_dir(&folder).map_err(of)? {
            let file = file.map_err(of)?.path();
            if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log.")) {
                let log = fs::read_to_string(&file).map_err(of)?;
                spread.extend(log.lines().filter_map(latency_ms));
            }
        }
        if spread.len().to_string() != runs {
            return Err(Failure::new(format!("pgbench told of {} transactions", spread.len())));
        }
        Ok(Spread::of(spread))
    }

    fn turns(&self, table: &mut Table) -> Result<()> {
        let finished = FINISHED.to_string();
        let mut rates = Vec::new();
        for (targets, waiters, hold, finished, what) in [
            ("1", "100", "50", "0", "100 waiters for one target"),
            ("1", "100", "50", &finished, "the same after 2,000 releases"),
            ("1000", "10", "3000", "0", "10 waiters for each of 1,000 targets"),
        ] {
            let args = ["turns", "--targets", targets, "--waiters", waiters, "--hold", hold];
            let args: Vec<_> = args.into_iter().chain(["--finished", finished]).collect();
            let figures = self.measure(&args)?;
            let (handover, rate) = (figures.spread("handover_ms")?, figures.one("statements")?);
            table.row("hand-over, ms", handover, &format!("{what}, {rate:.0} statements a second"));
            let median = format!("median hand-over < {HANDOVER_MS} ms");
            table.judge(&median, handover.median < HANDOVER_MS);
            table.judge("in the order of arrival", figures.one("overtaken")? == 0.0);
            table.judge("one holder at a time", figures.one("together")? == 0.0);
            rates.push(rate);
        }
        let flat = rates[1] / rates[0];
        let told = format!("{flat:.2} x the statements after {finished} releases, <= {FLAT}");
        table.judge(&told, flat <= FLAT);
        Ok(())
    }

    fn append(&self, table: &mut Table) -> Result<()> {
        let (entries, runs) = (ENTRIES.to_string(), (self.runs * 20).to_string());
        let figures = self.measure(&["appends", "--entries", &entries, "--runs", &runs])?;
        let (short, long) = (figures.spread("short_ms")?, figures.spread("long_ms")?);
        table.row("append after 1,000 entries, ms", short, "");
        table.row("append after 10,000,000 entries, ms", long, "");
        super::rows::ratio(table, long, short, APPEND_RATIO);
        Ok(())
    }
}

/// As long as a real one.
const PROCESS: &str = "{\"boot\":\"6a0b1c8e-53a6-4a3e-9d5e-0a7f6b1d2c3e\",\
    \"namespace\":\"pid:[4026531836]\",\"pid\":12345,\"started\":123456789}";

/// The third column of a line of pgbench's log: the latency of a transaction in microseconds.
fn latency_ms(line: &str) -> Option<f64> {
    let micros: f64 = line.split(' ').nth(2)?.parse().ok()?;
    Some(micros / 1e3)
}
