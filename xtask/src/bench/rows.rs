//! The core of gatekit: runs, journals, queues and checks, each beside its peer in the same call.

use std::ffi::{OsStr, OsString};

use clap::ValueEnum;

use crate::failure::Result;
use crate::measure::sample;
use crate::peers::{self, Peer};

use super::figures::{Figures, Programs, option};
use super::server::Server;
use super::table::{Spread, Table};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// A run of 10 gates and 3 deploys that do nothing, beside as many bare commits of SQLite.
    Ship,
    /// Appending to a journal of one entry and to one of 100,000.
    Append,
    /// 100 processes that wait for one lock, beside flock(1) and polling every 15 seconds.
    Queue,
    /// Verification of a journal of a million entries, beside sha256sum over the same bytes.
    Verify,
    /// A smoke gate over 1,000 URLs, beside `curl --parallel`.
    Smoke,
}

const SHIP_RATIO: f64 = 1.5;
const SHIP_COMMITS: f64 = 60.0;
const APPEND_RATIO: f64 = 1.25;
const HANDOVER_MS: f64 = 50.0;
const WAITING_PERCENT: f64 = 1.0;
const VERIFY_RATIO: f64 = 3.0;
/// How much the peak of a journal ten times as long may be above that of the short one.
const FLAT: f64 = 1.1;
const SMOKE_RATIO: f64 = 1.0;

const ENTRIES: [u64; 2] = [100_000, 1_000_000];
const URLS: usize = 1000;

impl Row {
    fn peers(self) -> &'static [Peer] {
        match self {
            Self::Ship | Self::Append => &[],
            Self::Queue => const { &[Peer::new("flock", "the queue is compared with it")] },
            Self::Verify => const { &[Peer::new("sha256sum", "verification is compared with it")] },
            Self::Smoke => const { &[Peer::new("curl", "the smoke gate is compared with it")] },
        }
    }

    fn measure(self, programs: &Programs, runs: usize, table: &mut Table) -> Result<()> {
        match self {
            Self::Ship => ship(programs, runs, table),
            Self::Append => append(programs, runs, table),
            Self::Queue => queue(programs, table),
            Self::Verify => verify(programs, runs, table),
            Self::Smoke => smoke(programs, runs, table),
        }
    }
}

/// Measures those rows, or all.
pub(crate) fn run(rows: &[Row], runs: usize, check: bool) -> Result<()> {
    let rows = if rows.is_empty() { Row::value_variants() } else { rows };
    let peers: Vec<Peer> = rows.iter().flat_map(|row| row.peers()).copied().collect();
    peers::require(&peers)?;
    let programs = Programs::build(&super::PACKAGES)?;
    let mut table = Table::begin(&format!("{runs} runs each"));
    for row in rows {
        row.measure(&programs, runs, &mut table)?;
    }
    table.end(check)
}

/// Judges how often the peer's time ours is, by the medians.
pub(super) fn ratio(table: &mut Table, ours: Spread, peer: Spread, most: f64) {
    let ratio = ours.median / peer.median;
    table.judge(&format!("{ratio:.2} x the peer's median, <= {most}"), ratio <= most);
}

fn ship(programs: &Programs, runs: usize, table: &mut Table) -> Result<()> {
    let folder = programs.folder("ship")?;
    // A run takes milliseconds, and its share of a busy disk's moods evens out over many.
    let runs = (runs * 10).to_string();
    let figures = programs.measure(
        [OsStr::new("ship"), OsStr::new("--runs"), OsStr::new(&runs)]
            .into_iter()
            .chain(option("--dir", &folder)),
    )?;
    let commits = figures.one("commits")?;
    let (ours, peer) = (figures.spread("ship_ms")?, figures.spread("commits_ms")?);
    table.row("run of 10 gates and 3 deploys, ms", ours, "");
    table.row(&format!("{commits} bare commits, ms"), peer, "peer: SQLite, WAL, synchronous=FULL");
    ratio(table, ours, peer, SHIP_RATIO);
    table.judge(&format!("{commits} commits, <= {SHIP_COMMITS}"), commits <= SHIP_COMMITS);
    Ok(())
}

fn append(programs: &Programs, runs: usize, table: &mut Table) -> Result<()> {
    let folder = programs.folder("append")?;
    // One append is short, and the disk moody.
    let runs = (runs * 10).to_string();
    let figures = programs.measure(
        [OsStr::new("append"), OsStr::new("--runs"), OsStr::new(&runs)]
            .into_iter()
            .chain(option("--dir", &folder)),
    )?;
    let (short, long) = (figures.spread("short_ms")?, figures.spread("long_ms")?);
    table.row("append after 1 entry, ms", short, "");
    table.row("append after 100,000 entries, ms", long, "");
    ratio(table, long, short, APPEND_RATIO);
    Ok(())
}

fn queue(programs: &Programs, table: &mut Table) -> Result<()> {
    let of = |with: &str| -> Result<Figures> {
        let folder = programs.folder(&format!("queue-{with}"))?;
        programs.measure(
            ["queue", "--with", with].map(OsStr::new).into_iter().chain(option("--dir", &folder)),
        )
    };
    let (ours, flock, poll) = (of("gatekit")?, of("flock")?, of("poll")?);
    let order = |figures: &Figures| -> Result<String> {
        Ok(format!("{} overtaken", figures.one("overtaken")?))
    };
    let handover = ours.spread("handover_ms")?;
    table.row("hand-over, 100 processes on a ledger, ms", handover, &order(&ours)?);
    table.row("hand-over, flock, ms", flock.spread("handover_ms")?, &order(&flock)?);
    let polled = poll.spread("handover_ms")?;
    table.row("hand-over, polling every 15 s, ms", polled, &order(&poll)?);
    let (waiting, polling) = (ours.one("waiting_percent")?, poll.one("waiting_percent")?);
    println!("waiting costs {waiting:.2} % of a core, polling {polling:.2} %, flock nothing");
    println!("polling takes {:.0} x as long (medians)", polled.median / handover.median);
    table.judge(&format!("median hand-over < {HANDOVER_MS} ms"), handover.median < HANDOVER_MS);
    table.judge(&format!("waiting < {WAITING_PERCENT} % of a core"), waiting < WAITING_PERCENT);
    table.judge("in the order of arrival", ours.one("overtaken")? == 0.0);
    table.judge("one holder at a time", ours.one("together")? == 0.0);
    Ok(())
}

fn verify(programs: &Programs, runs: usize, table: &mut Table) -> Result<()> {
    let runs = runs.min(5);
    let folder = programs.folder("verify")?;
    let mut peaks = Vec::new();
    for entries in ENTRIES {
        let ledger = folder.join(format!("{entries}.db"));
        let bytes = folder.join(format!("{entries}.bytes"));
        let count = entries.to_string();
        programs.measure(
            ["journal", "--entries", &count]
                .map(OsStr::new)
                .into_iter()
                .chain(option("--ledger", &ledger))
                .chain(option("--bytes", &bytes)),
        )?;
        let url = format!("sqlite:{}", ledger.display());
        let args = ["log", "--verify", "--ledger", &url].map(OsStr::new);
        let command = programs.command("local-release", &args);
        let ours = sample(&command, runs)?;
        let peer = sample(&[OsString::from("sha256sum"), bytes.into()], runs)?;
        let (wall, peak) = (Spread::wall_ms(&ours), Spread::peak_mib(&ours));
        let peer = Spread::wall_ms(&peer);
        table.row(&format!("log --verify, {entries} entries, ms"), wall, "");
        table.row(&format!("log --verify, {entries} entries, MiB"), peak, "");
        table.row("sha256sum of the same bytes, ms", peer, "");
        ratio(table, wall, peer, VERIFY_RATIO);
        peaks.push(peak.median);
    }
    let flat = peaks[1] <= peaks[0] * FLAT;
    table.judge(&format!("a peak as with a tenth of it, <= {FLAT} x (medians)"), flat);
    Ok(())
}

fn smoke(programs: &Programs, runs: usize, table: &mut Table) -> Result<()> {
    let server = Server::start(&programs.path("gatekit-bench"), &["serve"])?;
    let base = format!("http://{}", server.said("listens ")?);
    let urls = URLS.to_string();
    let args = ["smoke", "--base", &base, "--urls", &urls].map(OsStr::new);
    let ours = sample(&programs.command("gatekit-bench", &args), runs)?;
    let all = format!("{base}/[0-{}]", URLS - 1);
    let curl = ["curl", "--silent", "--no-progress-meter", "--fail", "--fail-early", "--parallel"];
    let rest = ["--output", "/dev/null", &all];
    let command: Vec<OsString> = curl.iter().chain(&rest).map(OsString::from).collect();
    let peer = sample(&command, runs)?;
    let (ours, peer) = (Spread::wall_ms(&ours), Spread::wall_ms(&peer));
    table.row("smoke of 1,000 URLs, ms", ours, "whole program, 50 at once, connections kept");
    table.row("curl --parallel, ms", peer, "whole program, connections kept");
    ratio(table, ours, peer, SMOKE_RATIO);
    Ok(())
}
