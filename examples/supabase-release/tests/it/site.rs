//! A project, and a database of its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use gatekit_peers::{Via, new_database};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

/// What a call came to.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) exit: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            exit: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The last line of its output: what it came to.
    pub(crate) fn line(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|_| Value::String(self.stderr.clone()))
    }

    #[track_caller]
    pub(crate) fn expect(self, exit: i32, outcome: &str, code: Option<&str>) -> Value {
        let line = self.line();
        let came = (self.exit, line["outcome"].as_str(), line["code"].as_str());
        assert_eq!(came, (Some(exit), Some(outcome), code), "{line:#}\n{}", self.stderr);
        line
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_supabase-release");

#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) dir: TempDir,
    pub(crate) url: String,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::of(&new_database(Via::Server).unwrap())
    }

    /// One of which the database is that.
    pub(crate) fn of(url: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("supabase/migrations")).unwrap();
        // The server asks for none.
        Self { dir, url: url.replace("gatekit@", "gatekit:CANARY@") }
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join("supabase").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes the migration of that number.
    pub(crate) fn migration(&self, number: u32, sql: &str) {
        self.write(&format!("migrations/{}_m{number}.sql", version(number)), sql);
    }

    pub(crate) fn without_migration(&self, number: u32) {
        let name = format!("supabase/migrations/{}_m{number}.sql", version(number));
        fs::remove_file(self.dir.path().join(name)).unwrap();
    }

    pub(crate) fn program(&self) -> Command {
        self.here(Command::new(PROGRAM))
    }

    /// The program with so many KiB of memory.
    pub(crate) fn limited(&self, kib: u32) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -v {kib} && exec \"$0\" \"$@\""), PROGRAM]);
        self.here(shell)
    }

    fn here(&self, mut command: Command) -> Command {
        command.current_dir(&self.dir).env("SUPABASE_DB_URL", &self.url).env("USER", "ann");
        command.env("GATEKIT_LEDGER", format!("sqlite:{}", self.ledger().display()));
        for unset in ["GATEKIT_ACTOR", "GITHUB_ACTIONS", "SUPABASE_ACCESS_TOKEN", "PGPASSWORD"] {
            command.env_remove(unset);
        }
        command
    }

    pub(crate) fn ledger(&self) -> std::path::PathBuf {
        self.dir.path().join("ledger.db")
    }

    /// With `--output json` and `--allow-plaintext`.
    pub(crate) fn json(&self, words: &[&str]) -> Done {
        Done::of(self.json_command(words).output().unwrap())
    }

    pub(crate) fn json_command(&self, words: &[&str]) -> Command {
        let mut command = self.program();
        command.args(words).args(["--output", "json"]);
        if ["ship", "plan", "list", "repair"].contains(&words[0]) {
            command.arg("--allow-plaintext");
        }
        command
    }

    pub(crate) fn people(&self, words: &[&str]) -> Done {
        Done::of(self.program().args(words).output().unwrap())
    }

    /// Runs statements as somebody else, and gives the first column of the rows of the last.
    pub(crate) fn sql(&self, sql: &str) -> Vec<String> {
        Runtime::new().unwrap().block_on(async {
            let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await.unwrap();
            tokio::spawn(connection);
            let messages = client.simple_query(sql).await.unwrap();
            let rows = messages.iter().filter_map(|it| match it {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            });
            rows.collect()
        })
    }

    pub(crate) fn tables(&self) -> Vec<String> {
        self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    }

    pub(crate) fn applied(&self) -> Vec<String> {
        self.sql("SELECT version FROM supabase_migrations.schema_migrations ORDER BY 1")
    }
}

pub(crate) fn version(number: u32) -> String {
    format!("{}", 20_260_101_000_000_u64 + u64::from(number))
}

/// Whether a file of that folder, or one below, has that text.
pub(crate) fn has_text(dir: &Path, text: &str) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return has_text(&path, text);
        }
        let bytes = fs::read(path).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}
