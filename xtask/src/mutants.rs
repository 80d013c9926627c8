//! Mutation testing of the engine and the ledgers: a seeded share of all mutants, and what survives.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::step::{Step, target_folder, workspace_root};

/// The release of cargo-mutants that is installed when there is none.
const VERSION: &str = "27.1.0";

/// What is mutated.
const MUTATED: [&str; 3] =
    ["gatekit-core/src/engine/**", "gatekit-core/src/ledger/**", "gatekit-store/src/sqlite/**"];

/// Whose tests have to notice. The compile-fail tests take a minute and look at the builder only;
/// those of wrong doubles look at the suites.
const TESTED: &str = "gatekit-core,gatekit-store,gatekit-testkit";
const NOTICING: &str = "not test(compile_fail) and not test(/^(wrong|broken)_/)";

/// How many mutants a run tests at least.
const AT_LEAST: usize = 200;

/// Of those that could be built and tested, less than one in so many may survive.
const ONE_IN: usize = 10;

/// Where the survivors that are known are listed, with the reason why they may live.
const KNOWN: &str = "xtask/mutants/README.md";

/// Tests one share of all mutants: consecutive seeds give other shares, until all were tested.
pub(crate) fn run(seed: usize, jobs: u8) -> Result<()> {
    let program = installed()?;
    let all = mutants(&program)?.args(["--list"]).read()?.lines().count();
    // Rounded down, so that no share is smaller than asked for.
    let shares = (all / AT_LEAST).max(1);
    let share = seed % shares;
    let share_of = ["--shard", &format!("{share}/{shares}"), "--sharding", "round-robin"];
    let asked = mutants(&program)?.args(share_of).args(["--list"]).read()?.lines().count();
    let output = target_folder()?.join("mutants");
    fs::create_dir_all(&output).map_err(|error| Failure::of(output.display(), error))?;
    println!("{all} mutants in {shares} shares: share {share}");
    // What an earlier run found must not be judged, should this one come to nothing.
    let found = output.join("mutants.out");
    match fs::remove_dir_all(&found) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(Failure::of(found.display(), error));
        }
        _ => {}
    }
    // It ends unsuccessfully as soon as one survives: which ones those are is judged below.
    mutants(&program)?
        .args(share_of)
        .args(["--test-package", TESTED, "--test-tool", "nextest", "--profile", "mutants"])
        .args(["--jobs", &jobs.to_string(), "--no-shuffle", "--minimum-test-timeout", "60"])
        .args(["--colors", "never", "--output"])
        .args([&output])
        .args(["--", "--profile", "mutants", "-E", NOTICING])
        .end()?;
    judge(&found, asked, &workspace_root()?.join(KNOWN))
}

fn mutants(program: &Path) -> Result<Step> {
    // As cargo calls its subcommands.
    let step = Step::new(program)?.args(["mutants"]);
    Ok(MUTATED.iter().fold(step, |step, glob| step.args(["--file", glob])))
}

/// The cargo-mutants on the path, else one under the target directory.
fn installed() -> Result<PathBuf> {
    if Step::new("cargo-mutants")?.args(["mutants", "--version"]).works() {
        return Ok("cargo-mutants".into());
    }
    let root = target_folder()?.join("tools");
    let program = root.join("bin").join("cargo-mutants");
    if !program.is_file() {
        Step::cargo()?
            .args(["install", "cargo-mutants", "--locked", "--version", VERSION, "--root"])
            .args([&root])
            .run()?;
    }
    Ok(program)
}

fn judge(found: &Path, asked: usize, known: &Path) -> Result<()> {
    let names = |name: &str| -> Result<Vec<String>> {
        let path = found.join(name);
        let text = fs::read_to_string(&path).map_err(|error| Failure::of(path.display(), error))?;
        Ok(text.lines().map(place_free).collect())
    };
    let survivors = names("missed.txt")?;
    let (caught, endless) = (names("caught.txt")?.len(), names("timeout.txt")?.len());
    let unviable = names("unviable.txt")?.len();
    let tested = caught + endless + survivors.len();
    let known = fs::read_to_string(known).map_err(|error| Failure::of(known.display(), error))?;
    let reasons = reasons(&known);
    let mut unexplained = 0;
    for survivor in &survivors {
        let reason = reasons.get(survivor);
        unexplained += usize::from(reason.is_none());
        println!("survives: {survivor}: {}", reason.unwrap_or(&"NO REASON IS LISTED"));
    }
    println!(
        "{tested} mutants tested: {caught} caught, {endless} ran too long, {} survive ({:.1} %), \
         {unexplained} of them without a reason; {} could not be built",
        survivors.len(),
        100.0 * ratio(survivors.len(), tested),
        unviable,
    );
    if tested + unviable != asked {
        let (done, what) = (tested + unviable, "mutants of this share were looked at");
        return Err(Failure::new(format!("{done} of {asked} {what}: it was cut short")));
    }
    if tested == 0 || survivors.len() * ONE_IN >= tested || unexplained > 0 {
        return Err(Failure::new("too many mutants survive, or some without a reason"));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts of mutants are small")]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

/// `file:12:5: what is replaced` without the place, which moves with every edit.
fn place_free(line: &str) -> String {
    let mut parts = line.splitn(4, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(file), Some(_), Some(_), Some(what)) => format!("{file}:{what}"),
        _ => line.to_owned(),
    }
}

/// The rows `` | `mutant` | reason | `` of the list; a bar in the name of a mutant is written `\|`.
fn reasons(list: &str) -> BTreeMap<String, &str> {
    list.lines()
        .filter_map(|line| {
            let (mutant, reason) = line.strip_prefix("| `")?.split_once("` | ")?;
            Some((mutant.replace(r"\|", "|"), reason.trim_end_matches('|').trim()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_survivor_is_known_by_what_is_replaced_wherever_it_stands() {
        let line = "gatekit-core/src/engine/run.rs:12:5: replace Run::touched -> bool with true";
        let name = place_free(line);
        assert_eq!(name, "gatekit-core/src/engine/run.rs: replace Run::touched -> bool with true");
        let list = format!("| mutant | reason |\n|---|---|\n| `{name}` | nobody minds |\n");
        assert_eq!(reasons(&list).get(&name), Some(&"nobody minds"));
        assert_eq!(reasons(r"| `a: delete B \| C` | so |").get("a: delete B | C"), Some(&"so"));
    }
}
