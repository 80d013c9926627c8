//! Releases to an emulated AWS account, beside what people have without gatekit.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::ValueEnum;
use gatekit_peers::AwsTools;

use crate::failure::{Failure, Result};
use crate::measure::{Sample, sample};
use crate::peers::{self, Peer};
use crate::step::{quoted, target_folder};

use super::figures::{Figures, Programs, option};
use super::server::Server;
use super::table::{Spread, Table, p95};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// What each tool says of each ending, beside what truly serves.
    Truth,
    /// From the end of a rollout to the verdict.
    Lag,
    /// From the third stop for one reason to the verdict, with the reason.
    Failing,
    /// Update, wait and two smokes where all is stable: processor, memory and time.
    Process,
    /// Moving the tag of an image of 200 MiB.
    Tag,
    /// How often AWS is asked.
    Calls,
}

const LAG_S: f64 = 2.0;
const FAILING_POLLS: f64 = 3.0;
/// Of what the command line and curl take.
const CPU_SHARE: f64 = 1.0 / 15.0;
const PEAK_SHARE: f64 = 1.0 / 3.0;
const WALL_SHARE: f64 = 1.0 / 5.0;
const TAG_BYTES: f64 = 10_000.0;
const TAG_RATIO: f64 = 1.0;
const CALLS: f64 = 160.0;
const CALLS_A_SECOND: f64 = 20.0;

/// How many rollouts go on at once in the last row.
const TOGETHER: &str = "40";
/// For how many seconds a peer is waited for that may not end: more than the official action takes for
/// a rollout of half a minute, and what it takes at most.
const PATIENCE: [&str; 2] = ["120", "1900"];

/// Measures those rows, or all.
pub(crate) fn run(rows: &[Row], runs: usize, long: bool, check: bool) -> Result<()> {
    let rows = if rows.is_empty() { Row::value_variants() } else { rows };
    peers::require(&[Peer::new("curl", "smokes are compared with it")])?;
    let programs = Programs::build(&["gatekit-bench", "gatekit-bench-aws", "gatekit-emulators"])?;
    let bench = Bench { programs: &programs, peers: target_folder()?.join("peers"), runs, long };
    let mut table = Table::begin(&format!("{runs} runs each"));
    for row in rows {
        match row {
            Row::Truth => bench.truth(&mut table)?,
            Row::Lag => bench.lag(&mut table)?,
            Row::Failing => bench.failing(&mut table)?,
            Row::Process => bench.process(&mut table)?,
            Row::Tag => bench.tag(&mut table)?,
            Row::Calls => bench.calls(&mut table)?,
        }
    }
    table.end(check)
}

struct Bench<'p> {
    programs: &'p Programs,
    peers: PathBuf,
    runs: usize,
    long: bool,
}

impl Bench<'_> {
    fn measure(&self, task: &str, args: &[&OsStr]) -> Result<Figures> {
        let folder = self.programs.folder(task)?;
        let peers = option("--peers", &self.peers);
        let of = peers.into_iter().chain(option("--dir", &folder)).chain([OsStr::new(task)]);
        self.programs.measure_by("gatekit-bench-aws", of.chain(args.iter().copied()))
    }

    fn truth(&self, table: &mut Table) -> Result<()> {
        let patience = PATIENCE[usize::from(self.long)];
        let figures = self.measure("truth", &["--patience", patience].map(OsStr::new))?;
        for (tool, what) in [
            ("gatekit", "gatekit"),
            ("cli", "aws ecs update-service, wait services-stable"),
            ("action", "amazon-ecs-deploy-task-definition 2.6.3"),
        ] {
            let of = |verdict: &str| figures.names(&format!("{tool}_{verdict}/"));
            let all = figures.names(&format!("{tool}_s/")).len();
            if all == 0 {
                println!("{what}: could not be had, and is left out");
                continue;
            }
            println!("{what}, {all} endings:");
            for (verdict, means) in [
                ("right", "told as they are"),
                ("false_success", "told as successes, and something else serves"),
                ("early_success", "told as successes before the release served"),
                ("false_failure", "told as failures of what ends well"),
                ("none", &format!("without a verdict after {patience} s")),
            ] {
                let cases = of(verdict);
                println!("  {:>3} {means}: {}", cases.len(), cases.join(", "));
            }
            if tool == "gatekit" {
                let right = of("right").len() == all;
                table.judge("no false success, none too early, no false failure", right);
            }
        }
        Ok(())
    }

    fn lag(&self, table: &mut Table) -> Result<()> {
        let rollouts = (self.runs * 10).to_string();
        let args = ["--rollouts", &rollouts, "--real", &self.runs.to_string()];
        let figures = self.measure("lag", &args.map(OsStr::new))?;
        for (name, what) in [
            ("gatekit_virtual_s", "end to verdict, gatekit, s"),
            ("gatekit_real_s", "the same in real time, s"),
            ("cli_real_s", "aws ecs wait services-stable, s"),
            ("waiter_s", "the waiter of the Rust SDK, s"),
        ] {
            let p95 = p95(figures.all(name)?);
            table.row(what, figures.spread(name)?, &format!("p95 {p95:.2}"));
            if name.starts_with("gatekit") {
                table.judge(&format!("p95 {p95:.2} s, <= {LAG_S} s"), p95 <= LAG_S);
            }
        }
        Ok(())
    }

    fn failing(&self, table: &mut Table) -> Result<()> {
        let rollouts = (self.runs * 5).to_string();
        let mut args = vec!["--rollouts", &rollouts];
        args.extend(self.long.then_some("--long"));
        let args: Vec<_> = args.into_iter().map(OsStr::new).collect();
        let figures = self.measure("failing", &args)?;
        let polls = figures.spread("polls")?;
        table.row("third stop to verdict, gatekit, polls", polls, "");
        table.row("third stop to verdict, gatekit, s", figures.spread("after_s")?, "");
        if self.long {
            let told = if figures.one("cli_told")? > 0.0 { "with" } else { "without" };
            let cli = figures.spread("cli_s")?;
            table.row("aws ecs wait services-stable, s", cli, &format!("{told} the reason"));
        } else {
            println!("aws ecs wait services-stable takes ten minutes: `--long` waits for it");
        }
        let most = polls.max;
        table.judge(&format!("{most} polls, <= {FAILING_POLLS}"), most <= FAILING_POLLS);
        let told = figures.all("told")?.iter().all(|it| *it > 0.0);
        table.judge("always with the reason", told);
        Ok(())
    }

    fn process(&self, table: &mut Table) -> Result<()> {
        let of = |error| Failure::of("no `aws`", error);
        let cli = AwsTools::find(&self.peers).map_err(of)?.cli();
        let account = ["--scenario", "ok", "--speed", "100000", "--port", "0"];
        let account = Server::start(&self.programs.path("aws-emulator"), &account)?;
        let server = Server::start(&self.programs.path("gatekit-bench"), &["serve"])?;
        let base = format!("http://{}", server.said("listens ")?);
        let endpoint = account.said("")?;

        let ours = |ledger: &[&OsStr]| {
            let program = self.programs.path("aws-release").into_os_string();
            let task = ["force", "--base-url", &base].map(OsString::from);
            let ledger = ledger.iter().map(|&arg| arg.to_owned());
            let ours = [program].into_iter().chain(ledger).chain(task);
            sample(&within(endpoint, ours), self.runs)
        };
        let file = self.programs.folder("process")?.join("ledger.db");
        let (memory, sqlite) = (ours(&[])?, ours(&option("--ledger", &file))?);
        let aws = quoted(&cli.to_string_lossy());
        let line = format!(
            "{aws} ecs update-service --cluster demo --service web --force-new-deployment \
             && {aws} ecs wait services-stable --cluster demo --services web \
             && curl --silent --fail {base}/health && curl --silent --fail {base}/ready"
        );
        let peer = ["sh", "-c", &line].map(OsString::from);
        let peer = sample(&within(endpoint, peer), self.runs)?;
        for (what, spread, share) in [
            ("processor ms", Spread::cpu_ms as fn(&[Sample]) -> Spread, CPU_SHARE),
            ("peak MiB", Spread::peak_mib, PEAK_SHARE),
            ("wall ms", Spread::wall_ms, WALL_SHARE),
        ] {
            let (ours, durable, peer) = (spread(&memory), spread(&sqlite), spread(&peer));
            table.row(&format!("update, wait, 2 smokes: {what}"), ours, "ledger in memory");
            table.row(&format!("  with a ledger on the disk: {what}"), durable, "SQLite");
            table.row(&format!("  aws and curl: {what}"), peer, "");
            let times = peer.median / ours.median;
            let told = format!("1/{times:.1} of the peer's median, <= 1/{:.0}", share.recip());
            table.judge(&told, ours.median <= peer.median * share);
        }
        Ok(())
    }

    fn tag(&self, table: &mut Table) -> Result<()> {
        let (program, runs) = (self.programs.path("aws-release"), self.runs.to_string());
        let program = option("--program", &program);
        let args: Vec<_> = program.into_iter().chain(["--runs", &runs].map(OsStr::new)).collect();
        let figures = self.measure("tag", &args)?;
        let bytes = figures.spread("gatekit_bytes")?;
        let (ours, skopeo) = (figures.spread("gatekit_ms")?, figures.spread("skopeo_ms")?);
        let apply = figures.spread("apply_bytes")?;
        table.row("move a tag of 200 MiB, bytes", apply, "with all headers, both ways");
        table.row("  the whole run, bytes", bytes, "planned twice, observed, located");
        table.row("skopeo copy, bytes", figures.spread("skopeo_bytes")?, "");
        table.row("pull, tag, push, bytes", figures.spread("pulled_bytes")?, "skopeo and a folder");
        table.row("move a tag of 200 MiB, ms", ours, "whole program");
        table.row("skopeo copy, ms", skopeo, "whole program");
        table.row("pull, tag, push, ms", figures.spread("pulled_ms")?, "");
        table.judge(&format!("{} bytes, <= {TAG_BYTES}", apply.max), apply.max <= TAG_BYTES);
        super::rows::ratio(table, ours, skopeo, TAG_RATIO);
        Ok(())
    }

    fn calls(&self, table: &mut Table) -> Result<()> {
        let runs = self.runs.to_string();
        let args = ["--rollouts", &runs, "--services", TOGETHER];
        let figures = self.measure("calls", &args.map(OsStr::new))?;
        let each = figures.spread("together_each_s")?;
        for (name, what) in [
            ("calls", "calls in a rollout of 5 minutes"),
            ("blue_green_calls", "  blue/green, with a pause"),
            ("failing_calls", "  one that fails and is rolled back"),
        ] {
            let calls = figures.spread(name)?;
            table.row(what, calls, "");
            table.judge(&format!("{} calls, <= {CALLS}", calls.max), calls.max <= CALLS);
        }
        let all = figures.one("together_s")?;
        let note = format!("the last verdict {all:.0} s after all began together");
        table.row("40 at once: DescribeServices in a second", each, &note);
        let told = format!("{} DescribeServices in a second, < {CALLS_A_SECOND}", each.max);
        table.judge(&told, each.max < CALLS_A_SECOND);
        Ok(())
    }
}

/// A command that finds the emulated account, and nothing that the user of this machine has set.
fn within(endpoint: &str, command: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let own = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_"));
    let unset = own.flat_map(|(name, _)| [OsString::from("-u"), name]);
    let set = [
        format!("AWS_ENDPOINT_URL={endpoint}"),
        "AWS_ACCESS_KEY_ID=test".to_owned(),
        "AWS_SECRET_ACCESS_KEY=test".to_owned(),
        "AWS_DEFAULT_REGION=us-east-1".to_owned(),
        "AWS_REGION=us-east-1".to_owned(),
        "AWS_CONFIG_FILE=/dev/null".to_owned(),
        "AWS_SHARED_CREDENTIALS_FILE=/dev/null".to_owned(),
        "AWS_EC2_METADATA_DISABLED=true".to_owned(),
    ];
    let set = set.into_iter().map(OsString::from);
    [OsString::from("env")].into_iter().chain(unset).chain(set).chain(command).collect()
}
