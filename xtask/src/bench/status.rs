//! Whole-program figures, beside their targets and what a user would run instead.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process;

use crate::failure::{Failure, Result};
use crate::measure::sample;
use crate::step::{Step, quoted, target_folder};

use super::FOREIGN;
use super::table::{Spread, Table};

const STATUS_WALL_MS: f64 = 30.0;
const STATUS_PEAK_MIB: f64 = 15.0;
const START_WALL_MS: f64 = 10.0;
const START_PEAK_MIB: f64 = 12.0;
const CORE_CRATES: usize = 60;

pub(crate) fn run(runs: usize, check: bool) -> Result<()> {
    let crates = crates_of("gatekit-core")?;
    Step::cargo()?.args(["build", "--release", "--locked", "--package", "local-release"]).run()?;
    let (status, start, peer, floor) = {
        let service = Service::ship()?;
        (
            sample(&service.status_command(service.root()), runs)?,
            sample(&service.status_command(service.folder.join("nothing")), runs)?,
            sample(&service.peer_command(), runs)?,
            sample(&["true".into()], runs)?,
        )
    };
    let (wall, peak) = (Spread::wall_ms(&status), Spread::peak_mib(&status));
    let (start_wall, start_peak) = (Spread::wall_ms(&start), Spread::peak_mib(&start));
    let (peer_wall, peer_peak) = (Spread::wall_ms(&peer), Spread::peak_mib(&peer));

    let mut table = Table::begin(&format!("{runs} runs each"));
    table.row("local-release status, wall ms", wall, "");
    table.row("local-release status, peak MiB", peak, "");
    table.row("where nothing was shipped, wall ms", start_wall, "the harness alone");
    table.row("where nothing was shipped, peak MiB", start_peak, "");
    table.row("readlink and cat, wall ms", peer_wall, "what a user would run instead");
    table.row("readlink and cat, peak MiB", peer_peak, "");
    table.row("true, wall ms", Spread::wall_ms(&floor), "nothing can measure less here");
    table.row("true, peak MiB", Spread::peak_mib(&floor), "");
    println!(
        "status is {:.2} x readlink and cat in wall time, {:.2} x in memory (medians)",
        wall.median / peer_wall.median,
        peak.median / peer_peak.median,
    );
    table.judge(&format!("median wall time < {STATUS_WALL_MS} ms"), wall.median < STATUS_WALL_MS);
    table.judge(&format!("largest peak < {STATUS_PEAK_MIB} MiB"), peak.max < STATUS_PEAK_MIB);
    table.judge(
        &format!("start-up: median < {START_WALL_MS} ms"),
        start_wall.median < START_WALL_MS,
    );
    table.judge(&format!("start-up: peak < {START_PEAK_MIB} MiB"), start_peak.max < START_PEAK_MIB);
    let few = crates < CORE_CRATES;
    table.judge(&format!("gatekit-core has {crates} crates, < {CORE_CRATES}"), few);
    table.end(check)
}

/// As `cargo tree -p PACKAGE -e normal --prefix none | sort -u | wc -l` counts.
fn crates_of(package: &str) -> Result<usize> {
    let tree = Step::cargo()?
        .args(["tree", "--locked", "-p", package, "-e", "normal", "--prefix", "none"])
        .read()?;
    Ok(tree.lines().collect::<BTreeSet<_>>().len())
}

/// A small service under `local-release`, in a folder of its own; dropping it stops the service.
#[derive(Debug)]
struct Service {
    program: PathBuf,
    folder: PathBuf,
}

impl Service {
    fn ship() -> Result<Self> {
        let target = target_folder()?;
        let service = Self {
            program: target.join("release").join("local-release"),
            folder: target.join("bench").join(process::id().to_string()),
        };
        let app = service.folder.join("app");
        fs::create_dir_all(&app)
            .and_then(|()| fs::write(app.join("version"), "1\n"))
            .map_err(|error| Failure::of(app.display(), error))?;

        let port = free_port().map_err(|error| Failure::of("cannot find a free port", error))?;
        let program = quoted(&service.program.to_string_lossy());
        let start = format!("exec {program} demo-service --port {port}");
        let check = format!("http://127.0.0.1:{port}/ready");
        service
            .step("ship")?
            .args([OsString::from("--app"), app.into()])
            .args(["--start", &start, "--check", &check])
            .run()?;
        Ok(service)
    }

    fn root(&self) -> PathBuf {
        self.folder.join(".local-release")
    }

    fn step(&self, command: &str) -> Result<Step> {
        let step = Step::new(&self.program)?.args([command]);
        Ok(FOREIGN.iter().fold(step, |step, name| step.without_env(name)).args(self.root_args()))
    }

    fn root_args(&self) -> [OsString; 2] {
        ["--root".into(), self.root().into()]
    }

    fn status_command(&self, root: PathBuf) -> Vec<OsString> {
        vec![self.program.clone().into(), "status".into(), "--root".into(), root.into()]
    }

    /// What a user would run without gatekit to ask what is live.
    fn peer_command(&self) -> Vec<OsString> {
        let line = r#"readlink "$1/current" && cat "$1/service.json""#;
        vec!["sh".into(), "-c".into(), line.into(), "sh".into(), self.root().into()]
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let stopped = self.step("stop").and_then(Step::run).and_then(|()| {
            fs::remove_dir_all(&self.folder)
                .map_err(|error| Failure::of(self.folder.display(), error))
        });
        if let Err(failure) = stopped {
            eprintln!("xtask: the service of the bench may still run: {}", failure.message);
        }
    }
}

fn free_port() -> std::io::Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr().map(|address| address.port())
}
