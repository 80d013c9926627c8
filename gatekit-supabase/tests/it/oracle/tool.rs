//! What is compared, and what each says of a push.

use std::path::{Path, PathBuf};

use gatekit_core::{Candidate, Outcome, RunReport};
use gatekit_peers::{Shared, SupabaseCli, SupabaseVersion};
use gatekit_supabase::Database;
use gatekit_supabase::migrations::Push;
use tokio::runtime::Builder;

use crate::world::{engine, pipeline, why};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    Cli(SupabaseVersion),
    Gatekit,
}

/// What a tool said of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Applied,
    UpToDate,
    /// Versions that are in no file.
    Orphans(Vec<String>),
    /// Versions of files that are older than what is applied.
    OutOfOrder(Vec<String>),
    /// The server refused a statement, by its number from 0, or what belongs to none.
    Failed {
        file: String,
        statement: Option<usize>,
        sqlstate: String,
    },
    /// Not even tried: a code of gatekit.
    Refused(String),
    Other(String),
}

impl Said {
    /// Whether the server refused a statement, with one of these states.
    pub(crate) fn fails(&self, states: &[&str]) -> bool {
        matches!(self, Self::Failed { sqlstate, .. } if states.contains(&&**sqlstate))
    }
}

/// The command lines, and a folder in which they keep what they keep.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    cli: SupabaseCli,
    home: PathBuf,
}

impl Tools {
    /// Those of this machine; `None` where there is no npm to install them by, but never in CI.
    pub(crate) fn find(home: &Path) -> Option<Self> {
        let folder = Shared::Supabase.place().unwrap();
        if folder.is_empty() {
            assert!(std::env::var("CI").is_err(), "CI needs npm");
            eprintln!("skipped: there is no npm on this machine");
            return None;
        }
        Some(Self { cli: SupabaseCli::at(folder), home: home.to_path_buf() })
    }

    /// Pushes the migrations of a project.
    pub(crate) fn push(&self, tool: Tool, project: &Path, url: &str, all: bool) -> Said {
        match tool {
            Tool::Gatekit => by_gatekit(&project.join("supabase/migrations"), url, all),
            Tool::Cli(version) => {
                let all: &[&str] = if all { &["--include-all"] } else { &[] };
                let (told, good) = self.call(version, project, &["db", "push"], url, all);
                by_cli(&told, good)
            }
        }
    }

    /// The versions that a command line lists, and the time of each.
    pub(crate) fn list(
        &self,
        version: SupabaseVersion,
        project: &Path,
        url: &str,
    ) -> Vec<[String; 3]> {
        let (told, good) = self.call(version, project, &["migration", "list"], url, &[]);
        assert!(good, "{told}");
        let lines = told.lines().filter_map(|line| {
            let cells: Vec<_> = line.split('|').map(|it| it.replace('`', "")).collect();
            let cells: Vec<_> = cells.iter().map(|it| it.trim().to_owned()).collect();
            let is_row = cells.iter().any(|it| it.starts_with(|it: char| it.is_ascii_digit()));
            <[String; 3]>::try_from(cells).ok().filter(|_| is_row)
        });
        lines.collect()
    }

    /// What it said, and whether it succeeded.
    fn call(
        &self,
        version: SupabaseVersion,
        project: &Path,
        verb: &[&str],
        url: &str,
        more: &[&str],
    ) -> (String, bool) {
        let mut command = self.cli.command(version, &self.home);
        command.current_dir(project).args(verb).args(more).arg("--yes");
        // Version 3 works at that for half of its time, and ends before it is of use.
        command.env("BUN_JSC_useDFGJIT", "0");
        match version {
            SupabaseVersion::V3 => command.arg(format!("--remote={url}")),
            SupabaseVersion::Go => command.args(["--db-url", url]),
        };
        let output = command.output().unwrap();
        let [out, err] =
            [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
        (format!("{err}\n{out}"), output.status.success())
    }
}

fn by_cli(told: &str, good: bool) -> Said {
    let digits = |text: &str| -> Vec<String> {
        let words = text.split(|it: char| !it.is_ascii_digit()).filter(|it| !it.is_empty());
        words.map(str::to_owned).collect()
    };
    let after = |what: &str| told.split_once(what).map(|(_, rest)| rest);
    if let Some(rest) = after("migration repair --status reverted ") {
        let ids = rest.split(['\n', '-']).next().unwrap_or_default();
        return Said::Orphans(digits(ids));
    }
    if let Some(rest) = after("Rerun the command with --include-all") {
        let paths =
            rest.lines().filter_map(|line| line.trim().strip_prefix("supabase/migrations/"));
        let versions = paths.filter_map(|it| Some(it.split_once('_')?.0.to_owned()));
        return Said::OutOfOrder(versions.collect());
    }
    if good {
        return if told.contains("database is up to date") {
            Said::UpToDate
        } else {
            Said::Applied
        };
    }
    let applying = told.rsplit_once("Applying migration ").map(|(_, rest)| rest);
    let file = applying.and_then(|rest| rest.split_once("...\n")).map(|(file, _)| file.to_owned());
    let sqlstate = after("(SQLSTATE ").and_then(|rest| rest.get(..5)).map(str::to_owned);
    let statement = after("At statement: ").and_then(|rest| digits(rest).first()?.parse().ok());
    match (file, sqlstate) {
        (Some(file), Some(sqlstate)) => Said::Failed { file, statement, sqlstate },
        _ => Said::Other(told.to_owned()),
    }
}

fn by_gatekit(folder: &Path, url: &str, all: bool) -> Said {
    let database = Database::without_tls(url).unwrap();
    let push = Push::new(database, folder).unwrap();
    let push = if all { push.including_out_of_order() } else { push };
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let shipping = async { engine().ship(&pipeline(push), Candidate::new()).await };
    told(&runtime.block_on(shipping))
}

fn told(report: &RunReport) -> Said {
    match report.outcome {
        Outcome::Released => return Said::Applied,
        Outcome::Unchanged => return Said::UpToDate,
        _ => {}
    }
    let text = why(report);
    let after = |what: &str| text.split_once(what).map(|(_, rest)| rest);
    let versions = || -> Vec<String> {
        let all = after("versions: ").and_then(|rest| rest.split_once(", database"));
        all.map_or("", |(all, _)| all).split(", ").map(str::to_owned).collect()
    };
    let code = report.failure.as_ref().map_or("", |it| it.code.as_str());
    let sqlstate = after("sqlstate: ").and_then(|rest| rest.get(..5)).map(str::to_owned);
    match (code, sqlstate) {
        ("migration.orphaned", _) => Said::Orphans(versions()),
        ("migration.out_of_order", _) => Said::OutOfOrder(versions()),
        (_, Some(sqlstate)) => {
            let file = after("file: ").and_then(|rest| rest.split([',', ')']).next());
            let file = file.and_then(|it| it.rsplit('/').next()).unwrap_or_default().to_owned();
            let statement =
                after("statement: ").and_then(|rest| rest.split(' ').next()?.parse().ok());
            let statement = statement.and_then(|it: usize| it.checked_sub(1));
            Said::Failed { file, statement, sqlstate }
        }
        ("", None) => Said::Other(text),
        (code, None) => Said::Refused(code.to_owned()),
    }
}
