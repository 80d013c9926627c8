//! Migrations, beside both command lines of Supabase and psql on the same server.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;
use gatekit_peers::{Cluster, Programs as Servers, SupabaseCli, SupabaseVersion};

use crate::failure::{Failure, Result};
use crate::measure::{Sample, once, sample};
use crate::peers::{self, Peer};
use crate::step::{Step, quoted, target_folder};

use super::figures::{Programs, option};
use super::table::{Spread, Table};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// A push that has nothing to do.
    Nothing,
    /// A push of 300 files of two statements.
    Many,
    /// A list of 10,000 migrations.
    List,
    /// Eight pushes of one folder at once.
    Together,
}

const NOTHING_RATIO: f64 = 1.3;
const NOTHING_MIB: f64 = 16.0;
const MANY_RATIO: f64 = 1.0;
const LIST_SHARE: f64 = 1.0 / 5.0;

const FILES: usize = 300;
const LISTED: usize = 10_000;
const AT_ONCE: usize = 8;
/// How many files those eight push.
const SHARED: usize = 10;

/// As durable as a server is unless it is told otherwise.
const SETTINGS: [&str; 1] = ["fsync = on"];

/// Measures those rows, or all.
pub(crate) fn run(rows: &[Row], runs: usize, check: bool) -> Result<()> {
    let rows = if rows.is_empty() { Row::value_variants() } else { rows };
    peers::require(&[
        Peer::new("openssl", "the Go command line connects by TLS alone"),
        Peer::new("env", "the command lines are to find nothing that a user has set"),
    ])?;
    let folder = target_folder()?.join("peers");
    let of = |error| Failure::of("no server to measure", error);
    let servers = Servers::find(&folder).map_err(of)?;
    let cli = SupabaseCli::find(&folder).map_err(|error| Failure::of("no `supabase`", error))?;
    let cli = cli.ok_or_else(|| Failure::new("no npm to install `supabase` by"))?;
    let programs = Programs::build(&["gatekit-bench"])?;
    let home = programs.folder("home")?;
    let (certificate, key) = certified(&home)?;
    let mut cluster = Cluster::start(&servers, &SETTINGS).map_err(of)?;
    cluster.speak_tls(&read(&certificate)?, &read(&key)?).map_err(of)?;
    let bench = Bench { programs: &programs, servers, cli, cluster, certificate, home, runs };
    let mut table = Table::begin(&format!("{runs} runs each"));
    for row in rows {
        match row {
            Row::Nothing => bench.nothing(&mut table)?,
            Row::Many => bench.many(&mut table)?,
            Row::List => bench.list(&mut table)?,
            Row::Together => bench.together(&mut table)?,
        }
    }
    table.end(check)
}

/// A certificate of its own for the server, and its key.
fn certified(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let kind = ["req", "-new", "-x509", "-nodes", "-newkey", "ec", "-days", "2"];
    let of = ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=gatekit"];
    let names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"];
    let step = Step::new("openssl")?.args(kind).args(of).args(names);
    let step = step.args(option("-out", &certificate)).args(option("-keyout", &key));
    if !step.works() {
        return Err(Failure::new("openssl makes no certificate"));
    }
    Ok((certificate, key))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| Failure::of(path.display(), error))
}

struct Bench<'p> {
    programs: &'p Programs,
    servers: Servers,
    cli: SupabaseCli,
    cluster: Cluster,
    certificate: PathBuf,
    /// What the command lines keep is kept there.
    home: PathBuf,
    runs: usize,
}

impl Bench<'_> {
    /// A project with that many files of two statements.
    fn project(&self, name: &str, files: usize, text: fn(usize) -> String) -> Result<PathBuf> {
        let project = self.programs.folder(name)?;
        let folder = project.join("supabase/migrations");
        let of = |error| Failure::of(folder.display(), error);
        fs::create_dir_all(&folder).map_err(of)?;
        for number in 0..files {
            let file = format!("{}_n{number}.sql", 20_260_101_000_000 + number);
            fs::write(folder.join(file), text(number)).map_err(of)?;
        }
        Ok(project)
    }

    fn psql(&self, database: &str, sql: &str) -> Result<String> {
        let url = format!("{}/{database}", self.cluster.url());
        let mut psql = self.servers.client("psql");
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "--dbname", &url, "--command", sql]);
        let output = psql.output().map_err(|error| Failure::of("psql", error))?;
        if !output.status.success() {
            return Err(Failure::new(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// A new and empty database of that name.
    fn empty(&self, database: &str) -> Result<()> {
        self.psql("postgres", &format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"))?;
        self.psql("postgres", &format!("CREATE DATABASE {database}")).map(drop)
    }

    /// Where a database is for who wants the server to prove its name.
    fn url(&self, database: &str) -> String {
        let certificate = self.certificate.display();
        format!("{}/{database}?sslmode=verify-full&sslrootcert={certificate}", self.cluster.url())
    }

    fn ours(&self, task: &[&OsStr], project: &Path, database: &str) -> Vec<OsString> {
        let (url, folder) = (self.url(database), project.join("supabase/migrations"));
        let place = [OsStr::new("--url"), OsStr::new(&url)];
        let args: Vec<_> =
            task.iter().copied().chain(place).chain(option("--folder", &folder)).collect();
        self.programs.command("supabase-migrations", &args)
    }

    /// A command line of Supabase, as one command.
    fn cli(
        &self,
        by: SupabaseVersion,
        verb: [&str; 2],
        project: &Path,
        database: &str,
    ) -> Vec<OsString> {
        let url = format!("{}/{database}", self.cluster.url());
        let mut command = self.cli.command(by, &self.home);
        command.args(verb).arg("--yes");
        match by {
            SupabaseVersion::V3 => command.arg(format!("--remote={url}")),
            SupabaseVersion::Go => command.args(["--db-url", &url]),
        };
        let mut words = vec![OsString::from("env"), "-C".into(), project.into()];
        words.extend(line(&command));
        words
    }

    /// psql, as one command.
    fn client(&self, args: &[&str], database: &str) -> Vec<OsString> {
        let mut command = self.servers.client("psql");
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1"]).args(args);
        command.args(["--dbname", &self.url(database)]);
        [OsString::from("env")].into_iter().chain(line(&command)).collect()
    }

    /// Pushes all that a project has.
    fn push(&self, project: &Path, database: &str) -> Result<()> {
        once(&self.ours(&[OsStr::new("push")], project, database)).map(drop)
    }

    fn nothing(&self, table: &mut Table) -> Result<()> {
        let project = self.project("nothing", FILES, two_statements)?;
        self.empty("nothing")?;
        self.push(&project, "nothing")?;
        let ledger = self.home.join("ledger.db");
        let push = OsStr::new("push");
        let durable = [push, OsStr::new("--ledger"), ledger.as_os_str()];
        let ask = "SELECT version FROM supabase_migrations.schema_migrations ORDER BY version";
        let all = [
            self.ours(&[push], &project, "nothing"),
            self.ours(&durable, &project, "nothing"),
            self.client(&["--command", ask], "nothing"),
            self.cli(SupabaseVersion::Go, ["db", "push"], &project, "nothing"),
            self.cli(SupabaseVersion::V3, ["db", "push"], &project, "nothing"),
        ];
        let told = [
            ("push, nothing to do", "ledger in memory"),
            ("  with a ledger on the disk", "SQLite"),
            ("  psql", "the versions alone"),
            ("  supabase 2.99.0, Go", ""),
            ("  supabase 3.1.0", ""),
        ];
        // They are short.
        let samples = self.in_turn(&all, self.runs * 3, || Ok(()))?;
        for ((what, note), of) in told.iter().zip(&samples) {
            table.row(&format!("{what}: wall ms"), Spread::wall_ms(of), note);
            table.row(&format!("{what}: peak MiB"), Spread::peak_mib(of), "");
        }
        let [ours, _, psql, ..] = &samples;
        super::rows::ratio(table, Spread::wall_ms(ours), Spread::wall_ms(psql), NOTHING_RATIO);
        let peak = Spread::peak_mib(ours).max;
        table.judge(&format!("{peak:.1} MiB at most, <= {NOTHING_MIB} MiB"), peak <= NOTHING_MIB);
        Ok(())
    }

    fn many(&self, table: &mut Table) -> Result<()> {
        let project = self.project("many", FILES, two_statements)?;
        let loops = self.client(&["-1", "--file", "\"$file\""], "many");
        let loops: Vec<_> = loops.iter().map(|it| it.to_string_lossy()).collect();
        let words =
            loops.iter().map(|it| if it.contains("$file") { it.to_string() } else { quoted(it) });
        let words: Vec<_> = words.collect();
        let folder = quoted(&project.join("supabase/migrations").to_string_lossy());
        let script = format!("for file in {folder}/*; do {} || exit 1; done", words.join(" "));
        let psql: Vec<_> = ["sh", "-c", &script].map(OsString::from).to_vec();
        let ours = self.ours(&[OsStr::new("push")], &project, "many");
        let go = self.cli(SupabaseVersion::Go, ["db", "push"], &project, "many");
        let prepare = || self.empty("many");
        // Disks have moods, which last for some runs: what is nearly as fast comes right before and after it.
        let near = self.in_turn(&[ours.clone(), go], self.runs * 3, prepare)?;
        let far = self.in_turn(&[ours, psql], self.runs.div_ceil(2), prepare)?;
        let [[ours, go], [beside, psql]] =
            [near, far].map(|pair| pair.map(|it| Spread::wall_ms(&it)));
        table.row("push of 300 files, ms", ours, "2 statements each");
        table.row("  supabase 2.99.0, Go, ms", go, "");
        table.row("  psql -1 -f of each, ms", psql, "without a history");
        super::rows::ratio(table, ours, go, MANY_RATIO);
        super::rows::ratio(table, beside, psql, MANY_RATIO);
        Ok(())
    }

    /// Runs commands in turn, each after the same preparation: what else the machine does, and checkpoints of the
    /// server, is for all of them. The first run of each does not count. Their number is to be a prime: then
    /// each comes after each other one as often.
    fn in_turn<const N: usize>(
        &self,
        commands: &[Vec<OsString>; N],
        runs: usize,
        prepare: impl Fn() -> Result<()>,
    ) -> Result<[Vec<Sample>; N]> {
        let mut samples = [const { Vec::new() }; N];
        for run in 0..=runs {
            let stride = 1 + run % (N - 1);
            for at in (0..N).map(|place| (run + place * stride) % N) {
                prepare()?;
                let sample = once(&commands[at])?;
                if run > 0 {
                    samples[at].push(sample);
                }
            }
        }
        Ok(samples)
    }

    fn list(&self, table: &mut Table) -> Result<()> {
        let project = self.project("list", LISTED, two_statements)?;
        self.empty("list")?;
        let of = "supabase_migrations.schema_migrations";
        let last = LISTED - 1;
        let text = two_statements(0).replace('\'', "''");
        let rows = format!(
            "CREATE SCHEMA supabase_migrations; CREATE TABLE {of} (version text NOT NULL PRIMARY KEY, \
             statements text[], name text); INSERT INTO {of} SELECT (20260101000000 + i)::text, \
             ARRAY['{text}'], 'n' || i FROM generate_series(0, {last}) i"
        );
        self.psql("list", &rows)?;
        let ours = sample(&self.ours(&[OsStr::new("list")], &project, "list"), self.runs)?;
        let list = ["migration", "list"];
        let v3 = sample(&self.cli(SupabaseVersion::V3, list, &project, "list"), self.runs)?;
        let go = sample(&self.cli(SupabaseVersion::Go, list, &project, "list"), self.runs)?;
        for (what, of) in [
            ("list of 10,000 migrations", &ours),
            ("  supabase 3.1.0", &v3),
            ("  supabase 2.99.0, Go", &go),
        ] {
            table.row(&format!("{what}: wall ms"), Spread::wall_ms(of), "");
            table.row(&format!("{what}: peak MiB"), Spread::peak_mib(of), "");
        }
        let (ours, v3) = (Spread::wall_ms(&ours).median, Spread::wall_ms(&v3).median);
        let told = format!("1/{:.1} of version 3 (medians), <= 1/5", v3 / ours);
        table.judge(&told, ours <= v3 * LIST_SHARE);
        Ok(())
    }

    fn together(&self, table: &mut Table) -> Result<()> {
        let project = self.project("together", SHARED, |number| {
            format!("select pg_sleep(0.05); insert into counts values ({number});\n")
        })?;
        let ours = self.ours(&[OsStr::new("push")], &project, "together");
        let v3 = self.cli(SupabaseVersion::V3, ["db", "push"], &project, "together");
        let go = self.cli(SupabaseVersion::Go, ["db", "push"], &project, "together");
        for (what, command) in [
            ("8 pushes of one folder at once", &ours),
            ("  supabase 3.1.0", &v3),
            ("  supabase 2.99.0, Go", &go),
        ] {
            self.empty("together")?;
            self.psql("together", "CREATE TABLE counts (file int)")?;
            let said = at_once(command)?;
            let count = "SELECT count(*) || ' times ' || count(DISTINCT file) FROM counts";
            let applied = self.psql("together", count)?;
            println!("{what}: {}; files applied: {applied}", said.join(", "));
            if *command == ours {
                let once = applied == format!("{SHARED} times {SHARED}");
                let clear = ["Released", "Unchanged", "Refused"];
                let is_clear = said.iter().all(|it| clear.iter().any(|clear| it.ends_with(clear)));
                table.judge("every file once, 8 clear outcomes", once && is_clear);
            }
        }
        Ok(())
    }
}

/// Runs eight of them at once, and tells how each ended: by its exit code, and what it said last.
fn at_once(command: &[OsString]) -> Result<Vec<String>> {
    let of = |error| Failure::of("a push that is one of several", error);
    let (program, args) = command.split_first().ok_or_else(|| Failure::new("nothing to run"))?;
    let start = |_| {
        let mut one = Command::new(program);
        one.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        one.spawn().map_err(of)
    };
    let children: Result<Vec<_>> = (0..AT_ONCE).map(start).collect();
    let ends = children?.into_iter().map(|child| {
        let output = child.wait_with_output().map_err(of)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let code = output.status.code().map_or_else(|| "-".to_owned(), |code| code.to_string());
        Ok(format!("{code} {}", said.lines().last().unwrap_or_default()).trim_end().to_owned())
    });
    ends.collect()
}

/// Two statements, as migrations have them.
fn two_statements(number: usize) -> String {
    format!(
        "create table t{number} (id int primary key, name text not null default 'it''s; one');\n\
         create index on t{number} (name);\n"
    )
}

/// A command behind `env`, with what it sets and unsets.
fn line(command: &Command) -> Vec<OsString> {
    let unset = command.get_envs().filter(|(_, value)| value.is_none());
    let unset = unset.flat_map(|(name, _)| [OsString::from("-u"), name.to_owned()]);
    let set = command.get_envs().filter_map(|(name, value)| {
        let mut word = name.to_owned();
        word.push("=");
        word.push(value?);
        Some(word)
    });
    let words = [command.get_program()].into_iter().chain(command.get_args());
    unset.chain(set).chain(words.map(OsStr::to_owned)).collect()
}
