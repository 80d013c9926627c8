//! The command lines of Supabase as an oracle: the same folders through them and through gatekit, each into
//! a database of its own.

mod alone;
mod by_hand;
mod case;
mod differences;
mod generate;
mod in_turn;
mod server;
mod tool;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use tempfile::TempDir;

use self::case::{Case, Verdict};
use self::differences::{DIFFERENCES, Difference};
use self::server::Server;
use self::tool::Tools;

/// How many cases are judged at once.
const AT_ONCE: usize = 2;

/// Judges all of them, and tells of each; `None` where there is no command line.
fn judged(cases: &[(Option<u64>, Case)]) -> Option<Vec<Verdict>> {
    let home = TempDir::new().unwrap();
    let tools = Tools::find(home.path())?;
    let server = Server::start();
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let project = TempDir::new().unwrap();
                while let Some((at, case)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    cases.get(at).map(|(_, case)| (at, case))
                } {
                    let verdict = case.judge(&server, &tools, &project.path().join("project"));
                    verdicts.lock().unwrap_or_else(PoisonError::into_inner).push((at, verdict));
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
    verdicts.sort_by_key(|(at, _)| *at);
    Some(verdicts.into_iter().map(|(_, verdict)| verdict).collect())
}

/// What is wrong, case by case.
fn wrong(cases: &[(Option<u64>, Case)], verdicts: &[Verdict]) -> Vec<String> {
    let wrong = cases.iter().zip(verdicts).filter_map(|((seed, case), verdict)| {
        let told = verdict.as_ref().err()?;
        Some(format!("{}: {told}kept in {}", case.name, case.keep(*seed).display()))
    });
    wrong.collect()
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |it| it.parse().unwrap())
}

#[test]
fn what_is_known_to_be_awkward_differs_only_where_it_is_listed() {
    let cases: Vec<_> = by_hand::cases().into_iter().map(|case| (None, case)).collect();
    let Some(verdicts) = judged(&cases) else { return };
    let wrong = wrong(&cases, &verdicts);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let seen: BTreeSet<_> =
        verdicts.iter().flatten().flatten().map(|(by, it)| (it.name, *by)).collect();
    for difference in DIFFERENCES {
        for by in difference.of {
            let Difference { name, cli, gatekit, .. } = difference;
            assert!(
                seen.contains(&(*name, *by)),
                "{name} of {by:?} does not come up: {cli}; {gatekit}"
            );
        }
    }
}

/// `cargo xtask oracle supabase` goes on with others.
#[test]
fn folders_at_random_differ_only_where_it_is_listed() {
    let (folders, first) = (number("GATEKIT_ORACLE_FOLDERS", 30), number("GATEKIT_ORACLE_SEED", 1));
    let seeds = first..first.saturating_add(folders);
    let cases: Vec<_> = seeds.map(|seed| (Some(seed), generate::case(seed))).collect();
    let Some(verdicts) = judged(&cases) else { return };
    let mut counts = BTreeMap::new();
    for (by, difference) in verdicts.iter().flatten().flatten() {
        *counts.entry((difference.name, by)).or_insert(0) += 1;
    }
    println!("{folders} folders from seed {first} on, with these differences:\n{counts:#?}");
    let wrong = wrong(&cases, &verdicts);
    assert!(wrong.is_empty(), "{} of {folders}:\n{}", wrong.len(), wrong.join("\n"));
}
