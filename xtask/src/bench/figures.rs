//! The measuring programs of the package `gatekit-bench`, and what they print.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use crate::failure::{Failure, Result};
use crate::step::{Step, target_folder};

use super::FOREIGN;
use super::table::Spread;

/// The built programs, and a folder to work in that is removed with it.
#[derive(Debug)]
pub(crate) struct Programs {
    release: PathBuf,
    folder: PathBuf,
}

impl Programs {
    pub(crate) fn build(packages: &[&str]) -> Result<Self> {
        let packages = packages.iter().flat_map(|name| ["--package", name]);
        Step::cargo()?.args(["build", "--release", "--locked"]).args(packages).run()?;
        let target = target_folder()?;
        let folder = target.join("bench").join(process::id().to_string());
        Ok(Self { release: target.join("release"), folder })
    }

    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.release.join(program)
    }

    /// A new folder to work in.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).map_err(|error| Failure::of(folder.display(), error))?;
        Ok(folder)
    }

    /// Runs `gatekit-bench` and reads the figures it prints.
    pub(crate) fn measure<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Figures> {
        self.measure_by("gatekit-bench", args)
    }

    /// The same, by another program.
    pub(crate) fn measure_by<S: AsRef<OsStr>>(
        &self,
        program: &str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Figures> {
        let step = Step::new(self.path(program))?.args(args);
        let step = FOREIGN.iter().fold(step, |step, name| step.without_env(name));
        Figures::parse(&step.read()?)
    }

    pub(crate) fn command(&self, program: &str, args: &[&OsStr]) -> Vec<OsString> {
        let args = args.iter().map(|arg| (*arg).to_owned());
        [self.path(program).into_os_string()].into_iter().chain(args).collect()
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        if self.folder.exists()
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            eprintln!("xtask: {}: {error}", self.folder.display());
        }
    }
}

/// Values by name.
#[derive(Debug, PartialEq)]
pub(crate) struct Figures(BTreeMap<String, Vec<f64>>);

impl Figures {
    fn parse(text: &str) -> Result<Self> {
        let mut figures = BTreeMap::<String, Vec<f64>>::new();
        for line in text.lines() {
            let unreadable = || Failure::new(format!("`{line}` is no figure"));
            let (name, value) = line.split_once(' ').ok_or_else(unreadable)?;
            let value = value.parse().map_err(|_| unreadable())?;
            figures.entry(name.to_owned()).or_default().push(value);
        }
        Ok(Self(figures))
    }

    pub(crate) fn all(&self, name: &str) -> Result<&[f64]> {
        let missing = || Failure::new(format!("no figure `{name}` was measured"));
        self.0.get(name).map(Vec::as_slice).ok_or_else(missing)
    }

    pub(crate) fn spread(&self, name: &str) -> Result<Spread> {
        Ok(Spread::of(self.all(name)?.iter().copied()))
    }

    /// What comes after a beginning in the names that have it.
    pub(crate) fn names<'f>(&'f self, beginning: &str) -> Vec<&'f str> {
        self.0.keys().filter_map(|name| name.strip_prefix(beginning)).collect()
    }

    /// The only value of that name.
    pub(crate) fn one(&self, name: &str) -> Result<f64> {
        match self.all(name)? {
            [value] => Ok(*value),
            values => Err(Failure::new(format!("{} figures `{name}`", values.len()))),
        }
    }
}

/// `--name`, and a path behind it.
pub(crate) fn option<'a>(name: &'a str, path: &'a Path) -> [&'a OsStr; 2] {
    [OsStr::new(name), path.as_os_str()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_by_name_and_nothing_else_passes_for_one() {
        let figures = Figures::parse("a 1\nb 2.5\na 3\n").unwrap();
        assert_eq!(figures.all("a").unwrap(), [1.0, 3.0]);
        assert_eq!(figures.one("b").unwrap(), 2.5);
        assert!(figures.one("a").is_err() && figures.spread("c").is_err());
        assert_eq!(Figures::parse("a/x 1\na/y 1\nb 1\n").unwrap().names("a/"), ["x", "y"]);
        assert!(Figures::parse("a").is_err() && Figures::parse("a b").is_err());
    }
}
