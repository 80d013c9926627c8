//! Folders of migrations that are pushed by each tool, into a database of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use gatekit_peers::SupabaseVersion;

use super::differences::{DIFFERENCES, Difference, HISTORY_FIRST, How};
use super::server::{Dump, Server};
use super::tool::{Said, Tool, Tools};

/// One push, and what comes before it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Step {
    /// Files by their paths in the folder; without a text, they are removed.
    pub(crate) files: Vec<(String, Option<Vec<u8>>)>,
    /// What somebody does to the database by hand.
    pub(crate) sql: String,
    /// With files out of order.
    pub(crate) all: bool,
}

/// A folder, pushed once or more.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    /// Which differences, by their names, come up; `None` of a generated one, where any may.
    pub(crate) expected: Option<Vec<(SupabaseVersion, &'static str)>>,
}

/// What there is after a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) said: Said,
    pub(crate) dump: Dump,
    /// The rows of the history.
    pub(crate) history: Vec<String>,
}

/// Where a command line and gatekit differ for the first time.
#[derive(Debug)]
pub(crate) struct Gap<'a> {
    pub(crate) version: SupabaseVersion,
    /// All the files, by their names.
    pub(crate) files: Vec<(String, String)>,
    /// What gatekit had left before the step; `None` of an empty database.
    pub(crate) before: Option<&'a Seen>,
    pub(crate) cli: &'a Seen,
    pub(crate) gatekit: &'a Seen,
}

/// The differences that a case has shown, or what is wrong.
pub(crate) type Verdict = Result<Vec<(SupabaseVersion, &'static Difference)>, String>;

impl Step {
    /// Writes these files.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files =
            files.iter().map(|(name, text)| ((*name).to_owned(), Some(text.as_bytes().to_vec())));
        Self { files: files.collect(), ..Self::default() }
    }

    /// Writes this one, of any bytes.
    pub(crate) fn with(name: &str, text: &[u8]) -> Self {
        Self { files: vec![(name.to_owned(), Some(text.to_vec()))], ..Self::default() }
    }

    /// Removes that file, too.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.files.push((name.to_owned(), None));
        self
    }

    /// After somebody has done that by hand.
    pub(crate) fn after(self, sql: &str) -> Self {
        Self { sql: sql.to_owned(), ..self }
    }

    pub(crate) fn write(&self, folder: &Path) {
        for (name, text) in &self.files {
            let path = folder.join(name);
            let folder = if name.ends_with('/') { Some(&*path) } else { path.parent() };
            std::fs::create_dir_all(folder.unwrap()).unwrap();
            match text {
                Some(_) if name.ends_with('/') => {}
                Some(text) => std::fs::write(&path, text).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
        }
    }
}

impl Case {
    /// Lets each tool push it, and judges where they differ.
    pub(crate) fn judge(&self, server: &Server, tools: &Tools, project: &Path) -> Verdict {
        let gatekit: Vec<_> = self.pushed(server, tools, project, Tool::Gatekit).collect();
        let (mut found, mut wrong) = (Vec::new(), String::new());
        for version in SupabaseVersion::ALL {
            let cli = self.pushed(server, tools, project, Tool::Cli(version));
            match self.compare(version, cli, &gatekit) {
                Ok(differences) => found.extend(differences.into_iter().map(|it| (version, it))),
                Err(told) => wrong += &told,
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let names = found.iter().map(|(version, it)| (*version, it.name));
        // Whatever else differs, this comes with it where a first file fails.
        let names: BTreeSet<_> = names.filter(|(_, name)| *name != HISTORY_FIRST).collect();
        match &self.expected {
            Some(expected) if names != expected.iter().copied().collect() => {
                Err(format!("expected {expected:?}, and there are {names:?}"))
            }
            _ => Ok(found),
        }
    }

    /// Step by step, until the two part.
    fn compare(
        &self,
        version: SupabaseVersion,
        cli: impl Iterator<Item = Seen>,
        gatekit: &[Seen],
    ) -> Result<Vec<&'static Difference>, String> {
        let mut found = Vec::new();
        for (at, (mut theirs, ours)) in cli.zip(gatekit).enumerate() {
            for difference in DIFFERENCES.iter().filter(|it| it.of.contains(&version)) {
                if let How::Adjusts(adjust) = difference.how
                    && adjust(&mut theirs, ours)
                {
                    found.push(difference);
                }
            }
            if theirs == *ours {
                continue;
            }
            let before = at.checked_sub(1).and_then(|at| gatekit.get(at));
            let files = self.files(at + 1);
            let gap = Gap { version, files, before, cli: &theirs, gatekit: ours };
            found.push(gap.explained().ok_or_else(|| gap.told())?);
            break;
        }
        Ok(found)
    }

    /// What there is after each step, which is taken when it is asked for.
    fn pushed(
        &self,
        server: &Server,
        tools: &Tools,
        project: &Path,
        tool: Tool,
    ) -> impl Iterator<Item = Seen> {
        let (database, folder) = (server.database(), project.join("supabase/migrations"));
        let _ = std::fs::remove_dir_all(project);
        std::fs::create_dir_all(project).unwrap();
        self.steps.iter().map(move |step| {
            step.write(&folder);
            if !step.sql.is_empty() {
                database.run(&step.sql);
            }
            let said = tools.push(tool, project, &database.url(), step.all);
            let history = database.history().unwrap_or_default();
            Seen { said, dump: database.dump(), history }
        })
    }

    /// The files of the first so many steps.
    fn files(&self, steps: usize) -> Vec<(String, String)> {
        let mut files = BTreeMap::new();
        for (name, text) in self.steps.iter().take(steps).flat_map(|it| &it.files) {
            match text {
                Some(text) => {
                    files.insert(name.clone(), String::from_utf8_lossy(text).into_owned())
                }
                None => files.remove(name),
            };
        }
        files.into_iter().collect()
    }

    /// Keeps the folder of a case that failed, as it was at each step.
    pub(crate) fn keep(&self, seed: Option<u64>) -> PathBuf {
        let name = seed.map_or_else(|| self.name.replace(' ', "-"), |seed| format!("seed-{seed}"));
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracle").join(name);
        let _ = std::fs::remove_dir_all(&kept);
        for number in 1..=self.steps.len() {
            let folder = kept.join(format!("step-{number}"));
            self.steps.iter().take(number).for_each(|step| step.write(&folder));
        }
        kept
    }
}

impl Gap<'_> {
    fn explained(&self) -> Option<&'static Difference> {
        let mut of = DIFFERENCES.iter().filter(|it| it.of.contains(&self.version));
        of.find(|it| matches!(it.how, How::Parts(is) if is(self)))
    }

    /// Whether gatekit has touched nothing in this step.
    fn is_untouched(&self) -> bool {
        match self.before {
            Some(before) => {
                Seen { said: self.gatekit.said.clone(), ..before.clone() } == *self.gatekit
            }
            None => {
                let Dump { rest, history, progress } = &self.gatekit.dump;
                history.is_empty() && progress.is_empty() && !rest.contains("CREATE")
            }
        }
    }

    /// Whether a file has that text, in whatever case.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.files.iter().any(|(_, sql)| sql.to_lowercase().contains(text))
    }

    /// Whether gatekit refused with that code, and touched nothing.
    pub(crate) fn refuses(&self, code: &str) -> bool {
        self.gatekit.said == Said::Refused(code.to_owned()) && self.is_untouched()
    }

    /// The same, where the command line said such a thing: unless there are more files, of which an earlier one
    /// may have had it say another, or a string before that the Go version does not see the end of.
    pub(crate) fn refuses_and(&self, code: &str, is: impl Fn(&Said) -> bool) -> bool {
        let is_torn = self.version == SupabaseVersion::Go
            && self.cli.said.fails(&["42601"])
            && self.has("\\'");
        self.refuses(code) && (self.files.len() > 1 || is_torn || is(&self.cli.said))
    }

    /// Whether the server refused a statement of the command line, with one of these states, in a file of such
    /// a text, in which gatekit came further.
    pub(crate) fn cli_stops(&self, states: &[&str], is: impl Fn(&str) -> bool) -> bool {
        let Said::Failed { file, statement, .. } = &self.cli.said else { return false };
        let version = file.split('_').next().unwrap_or_default();
        let row = format!("[\"{version}\",");
        let applied = |seen: &Seen| seen.history.iter().any(|it| it.starts_with(&row));
        let is_further = match &self.gatekit.said {
            Said::Failed { file: ours, statement: at, sqlstate } if ours == file => {
                at > statement || (at == statement && !states.contains(&&**sqlstate))
            }
            _ => applied(self.gatekit),
        };
        let is_so = is_further && !applied(self.cli) && self.cli.said.fails(states);
        is_so && self.text(file).is_some_and(|sql| is(&sql))
    }

    /// Whether the server refused the same to both, in a file of such a text of which gatekit keeps what is done.
    pub(crate) fn keeps_a_part(&self, is: impl Fn(&str) -> bool) -> bool {
        let Said::Failed { file, .. } = &self.gatekit.said else { return false };
        let is_alike =
            self.cli.said == self.gatekit.said && self.cli.history == self.gatekit.history;
        is_alike
            && !self.gatekit.dump.progress.is_empty()
            && self.text(file).is_some_and(|sql| is(&sql))
    }

    /// Whether a part of a file was done before, from which gatekit goes on.
    pub(crate) fn goes_on(&self) -> bool {
        let is_underway = |seen: &Seen| !seen.dump.progress.is_empty();
        let is_so = match (&self.cli.said, &self.gatekit.said) {
            (_, Said::Applied) => !is_underway(self.gatekit),
            (
                Said::Failed { file, statement, .. },
                Said::Failed { file: ours, statement: at, .. },
            ) => file == ours && statement <= at,
            _ => false,
        };
        is_so && self.before.is_some_and(is_underway)
    }

    /// Whether the server refused a statement of gatekit with that state, in a file of such a text.
    pub(crate) fn gatekit_fails(&self, state: &str, is: impl Fn(&str) -> bool) -> bool {
        match &self.gatekit.said {
            Said::Failed { file, sqlstate, .. } if sqlstate == state => {
                self.text(file).is_some_and(|sql| is(&sql))
            }
            _ => false,
        }
    }

    /// The text of a file in lower case.
    fn text(&self, name: &str) -> Option<String> {
        let file = self.files.iter().find(|(file, _)| file == name)?;
        Some(file.1.to_lowercase())
    }

    fn told(&self) -> String {
        let mut told =
            vec![format!("{:?} differs, and no difference is listed for it", self.version)];
        let (cli, ours) = (self.cli, self.gatekit);
        for (who, seen, other) in [("cli", cli, ours), ("gatekit", ours, cli)] {
            told.push(format!("  {who} said {:?}", seen.said));
            told.extend(seen.history.iter().map(|row| format!("  {who} has {row}")));
            for (mine, theirs) in seen.dump.parts().into_iter().zip(other.dump.parts()) {
                let alone = mine.lines().filter(|line| !theirs.contains(line));
                told.extend(alone.map(|line| format!("  {who} alone has {line}")));
            }
        }
        for (name, text) in &self.files {
            let beginning: String = text.chars().take(2000).collect();
            told.push(format!("  {name}: {beginning:?}"));
        }
        told.join("\n") + "\n"
    }
}
