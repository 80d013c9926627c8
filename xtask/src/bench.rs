//! Whole-program figures, beside their targets and what a user would run instead.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process;

use crate::failure::{Failure, Result};
use crate::measure::{Sample, sample};
use crate::step::{Step, quoted, target_folder};

/// What of the caller's environment would make `local-release` use another ledger or other rules.
pub(crate) const FOREIGN: [&str; 2] = ["GATEKIT_LEDGER", "GITHUB_ACTIONS"];

const STATUS_WALL_MS: f64 = 30.0;
const STATUS_PEAK_MIB: f64 = 15.0;
const CORE_CRATES: usize = 60;

pub(crate) fn run(runs: usize, check: bool) -> Result<()> {
    let crates = crates_of("gatekit-core")?;
    Step::cargo()?.args(["build", "--release", "--locked", "--package", "local-release"]).run()?;
    let (status, peer, floor) = {
        let service = Service::ship()?;
        (
            sample(&service.status_command(), runs)?,
            sample(&service.peer_command(), runs)?,
            sample(&["true".into()], runs)?,
        )
    };

    let (wall, peak) = (Spread::wall_ms(&status), Spread::peak_mib(&status));
    let (peer_wall, peer_peak) = (Spread::wall_ms(&peer), Spread::peak_mib(&peer));
    let met = [wall.median < STATUS_WALL_MS, peak.max < STATUS_PEAK_MIB, crates < CORE_CRATES];

    println!(
        "\n{:<32}{:>8}{:>8}{:>8}   target",
        format!("{runs} runs each"),
        "min",
        "median",
        "max"
    );
    row(
        "local-release status, wall ms",
        &wall,
        &format!("median < {STATUS_WALL_MS}: {}", judged(met[0])),
    );
    row(
        "local-release status, peak MiB",
        &peak,
        &format!("max < {STATUS_PEAK_MIB}: {}", judged(met[1])),
    );
    row("readlink and cat, wall ms", &peer_wall, "what a user would run instead");
    row("readlink and cat, peak MiB", &peer_peak, "");
    row("true, wall ms", &Spread::wall_ms(&floor), "nothing can measure less here");
    row("true, peak MiB", &Spread::peak_mib(&floor), "");
    println!(
        "status is {:.2} x readlink and cat in wall time, {:.2} x in memory (medians)",
        wall.median / peer_wall.median,
        peak.median / peer_peak.median,
    );
    println!("gatekit-core: {crates} crates; target < {CORE_CRATES}: {}", judged(met[2]));

    if check && met.contains(&false) {
        return Err(Failure::new("a figure misses its target"));
    }
    Ok(())
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

    fn status_command(&self) -> Vec<OsString> {
        let command = [self.program.clone().into(), "status".into()];
        command.into_iter().chain(self.root_args()).collect()
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

/// Smallest, middle and largest value of one figure.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let (half, last) = (values.len() / 2, values.len().saturating_sub(1));
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(at(half.saturating_sub(1)), at(half))
        } else {
            at(half)
        };
        Self { min: at(0), median, max: at(last) }
    }

    fn wall_ms(samples: &[Sample]) -> Self {
        Self::of(samples.iter().map(|sample| sample.wall.as_secs_f64() * 1e3))
    }

    fn peak_mib(samples: &[Sample]) -> Self {
        Self::of(samples.iter().map(|sample| sample.peak_kib / 1024.0))
    }
}

fn row(name: &str, spread: &Spread, target: &str) {
    let Spread { min, median, max } = spread;
    println!("{name:<32}{min:>8.2}{median:>8.2}{max:>8.2}   {target}");
}

fn judged(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_smallest_middle_and_largest() {
        let odd = Spread::of([3.0, 1.0, 2.0]);
        assert_eq!(odd, Spread { min: 1.0, median: 2.0, max: 3.0 });
        let even = Spread::of([4.0, 1.0, 2.0, 3.0]);
        assert_eq!(even, Spread { min: 1.0, median: 2.5, max: 4.0 });
    }
}
