//! The register of what must never happen: each kept patch breaks the code, and the test that guards
//! the invariant is seen to fail.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::servers::Servers;
use crate::step::{Step, target_folder, workspace_root};

/// Where the register and its patches are, from the root of the workspace.
const FOLDER: &str = "xtask/invariants";

/// One row of the register: a way to break an invariant, and the test that notices.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    /// The number of the invariant.
    number: u8,
    package: String,
    test: String,
    patch: String,
}

/// Shows that every guard passes on the code as it is, and fails under its patch. `only` chooses the
/// patches whose names contain it.
pub(crate) fn run(only: Option<&str>) -> Result<()> {
    let root = workspace_root()?;
    let rows: Vec<Row> = read(&root)?
        .into_iter()
        .filter(|row| only.is_none_or(|only| row.patch.contains(only)))
        .collect();
    if rows.is_empty() {
        return Err(Failure::new("no patch of the register has such a name"));
    }
    let scratch = Scratch::of(&root)?;
    for row in &rows {
        if scratch.guard(row)? != Guarded::Passes {
            let why = "does not pass exactly once on the code as it is";
            return Err(Failure::new(format!("`{}` of {} {why}", row.test, row.package)));
        }
    }
    let mut unseen = 0;
    let mut lines = Vec::new();
    for row in &rows {
        let seen = scratch.broken(row)?;
        unseen += usize::from(seen != Guarded::Fails);
        let word = match seen {
            Guarded::Fails => "fails, as it must",
            Guarded::Passes => "PASSES: it guards nothing",
            Guarded::NotRun => "NOT RUN: the broken code does not build",
        };
        lines.push(format!(
            "{:>2}  {:<44} {} {}: {word}",
            row.number, row.patch, row.package, row.test
        ));
    }
    println!("\n{}", lines.join("\n"));
    println!("{} of {} rows hold: the test fails under the patch", rows.len() - unseen, rows.len());
    if unseen > 0 {
        return Err(Failure::new("an invariant is not guarded"));
    }
    Ok(())
}

/// What a guard said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guarded {
    Passes,
    Fails,
    NotRun,
}

/// A copy of the sources to break, with a target directory of its own.
#[derive(Debug)]
struct Scratch {
    folder: PathBuf,
    target: PathBuf,
    patches: PathBuf,
    servers: Servers,
}

impl Scratch {
    /// Copies what git knows of, as it lies in the working tree; what has not changed keeps its time,
    /// so that cargo does not build it again.
    fn of(root: &Path) -> Result<Self> {
        let folder = target_folder()?.join("invariants");
        let scratch = Self {
            target: folder.join("target"),
            folder: folder.join("source"),
            patches: root.join(FOLDER),
            servers: Servers::start()?,
        };
        let listed = Step::new("git")?
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .read()?;
        let names: BTreeSet<&str> = listed.split('\0').filter(|name| !name.is_empty()).collect();
        scratch.forget(&scratch.folder, &names)?;
        for name in names {
            let (from, to) = (root.join(name), scratch.folder.join(name));
            // A file that was deleted and not yet committed.
            let Ok(content) = fs::read(&from) else { continue };
            if fs::read(&to).is_ok_and(|there| there == content) {
                continue;
            }
            to.parent()
                .map_or(Ok(()), fs::create_dir_all)
                .and_then(|()| fs::write(&to, content))
                .map_err(|error| Failure::of(to.display(), error))?;
        }
        Ok(scratch)
    }

    /// Deletes what an earlier copy had and this one has not.
    fn forget(&self, folder: &Path, names: &BTreeSet<&str>) -> Result<()> {
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                self.forget(&path, names)?;
            } else if let Ok(name) = path.strip_prefix(&self.folder)
                && !names.contains(&*name.to_string_lossy())
            {
                fs::remove_file(&path).map_err(|error| Failure::of(path.display(), error))?;
            }
        }
        Ok(())
    }

    /// Applies the row's patch, asks its guard, and takes the patch back.
    fn broken(&self, row: &Row) -> Result<Guarded> {
        self.patch(row, false)?;
        let seen = self.guard(row);
        self.patch(row, true)?;
        seen
    }

    fn patch(&self, row: &Row, back: bool) -> Result<()> {
        let direction: &[&str] = if back { &["--reverse"] } else { &[] };
        // The copy lies below a repository, to which git would apply the patch.
        Step::new("git")?
            .at(&self.folder)
            .env("GIT_CEILING_DIRECTORIES", &self.folder)
            .env("GIT_DIR", self.folder.join("no-repository"))
            .args(["apply"])
            .args(direction)
            .args([self.patches.join(&row.patch)])
            .run()
    }

    fn guard(&self, row: &Row) -> Result<Guarded> {
        let cargo = || -> Result<Step> {
            let step = Step::cargo()?.at(&self.folder).env("CARGO_TARGET_DIR", &self.target);
            let step = step.args(["test", "--locked", "--tests", "--all-features"]);
            Ok(self.servers.known_to(step.args(["--package", &row.package])))
        };
        if !cargo()?.args(["--no-run"]).works() {
            return Ok(Guarded::NotRun);
        }
        let said = cargo()?.args(["--no-fail-fast", "--", "--exact", &row.test]).said()?;
        let came = |word: &str| {
            let line = format!("test {} ... {word}", row.test);
            said.lines().filter(|said| *said == line).count()
        };
        // A panic may be printed between the name and the word: the summary tells it too.
        let failed = came("FAILED") + said.lines().filter(|line| line.trim() == row.test).count();
        Ok(match (came("ok"), failed) {
            (1, 0) => Guarded::Passes,
            (_, failed) if failed > 0 => Guarded::Fails,
            _ => Guarded::NotRun,
        })
    }
}

fn read(root: &Path) -> Result<Vec<Row>> {
    let path = root.join(FOLDER).join("README.md");
    let text = fs::read_to_string(&path).map_err(|error| Failure::of(path.display(), error))?;
    text.lines().filter_map(parse).collect()
}

/// A row `| 1 | how it is broken | `package` `test` | [x.patch](x.patch) |`; other lines are prose.
fn parse(line: &str) -> Option<Result<Row>> {
    let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
    let number = cells.first()?.parse().ok()?;
    let bad = || Failure::new(format!("a row of the register cannot be read: {line}"));
    let row = || {
        let (guard, patch) = (cells.get(2)?, cells.get(3)?);
        let mut quoted = guard.split('`').skip(1).step_by(2);
        let (package, test) = (quoted.next()?.to_owned(), quoted.next()?.to_owned());
        let patch = patch.split_once('[')?.1.split_once(']')?.0.to_owned();
        Some(Row { number, package, test, patch })
    };
    Some(row().ok_or_else(bad))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> (PathBuf, Vec<Row>) {
        let root = workspace_root().unwrap();
        let rows = read(&root).unwrap();
        (root, rows)
    }

    #[test]
    fn every_patch_is_in_the_register_and_still_applies() {
        let (root, rows) = rows();
        let kept: BTreeSet<String> = fs::read_dir(root.join(FOLDER))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".patch"))
            .collect();
        let listed: BTreeSet<String> = rows.iter().map(|row| row.patch.clone()).collect();
        assert_eq!(kept, listed);
        assert_eq!(rows.len(), rows.iter().collect::<BTreeSet<_>>().len(), "a row is there twice");
        for patch in listed {
            let patch = root.join(FOLDER).join(patch);
            let check = Step::new("git").unwrap().args(["apply", "--check"]).args([&patch]);
            assert!(check.works(), "{} does not apply any more", patch.display());
        }
    }

    #[test]
    fn every_invariant_is_broken_at_least_once() {
        let broken: BTreeSet<u8> = rows().1.iter().map(|row| row.number).collect();
        assert_eq!(broken, (1..=10).collect());
    }

    #[test]
    fn a_row_is_read_and_prose_is_not() {
        let line = "| 3 | no permit | `gatekit-core` `a::b` | [x.patch](x.patch) |";
        let row = parse(line).unwrap().unwrap();
        assert_eq!((row.number, &*row.package, &*row.test), (3, "gatekit-core", "a::b"));
        assert_eq!(row.patch, "x.patch");
        assert!(parse("| | invariant | test | patch |").is_none());
        assert!(parse("| 3 | nothing else |").unwrap().is_err());
    }
}
