//! Where the programs are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::install::{debian, on_path};
use crate::program::{Program, command};
use crate::{Result, failed};

/// The programs of the servers.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `initdb`, `postgres`, `psql` and `pgbench`.
    postgres: PathBuf,
    pgbouncer: PathBuf,
    /// Where the libraries are of what was installed in a folder.
    libraries: Vec<PathBuf>,
}

/// The Debian packages of PgBouncer, with what it needs beyond a system that has PostgreSQL.
const PGBOUNCER: [&str; 3] = ["pgbouncer", "libevent-2.1-7", "libc-ares2"];
/// Those of PostgreSQL, found by their beginning.
const POSTGRES: [&str; 3] = ["postgresql-15", "postgresql-client-15", "libpq5"];

impl Programs {
    /// Finds the programs on `PATH` and where Debian keeps them, and installs what is missing in
    /// `folder`, where they are found the next time.
    ///
    /// # Errors
    /// One is missing and cannot be installed: only Debian's packages are.
    pub fn find(folder: &Path) -> Result<Self> {
        let mut found =
            Self { postgres: PathBuf::new(), pgbouncer: PathBuf::new(), libraries: Vec::new() };
        found.postgres = match postgres_on(&[]) {
            Some(bin) => bin,
            None => {
                let root = debian(&folder.join("postgres"), &POSTGRES)?;
                found.libraries.extend(libraries(&root));
                postgres_on(&[root])
                    .ok_or_else(|| failed("the package of PostgreSQL has no `initdb`"))?
            }
        };
        found.pgbouncer = match on_path("pgbouncer") {
            Some(program) => program,
            None => {
                let root = debian(&folder.join("pgbouncer"), &PGBOUNCER)?;
                found.libraries.extend(libraries(&root));
                root.join("usr/sbin/pgbouncer")
            }
        };
        Ok(found)
    }

    /// A client of PostgreSQL, to be run as whoever calls: `psql` or `pgbench`.
    #[must_use]
    pub fn client(&self, name: &str) -> Command {
        command(&self.postgres.join(name), &self.libraries)
    }

    /// One of PostgreSQL's programs.
    pub(crate) fn postgres(&self, name: &str) -> Program {
        Program::new(&self.postgres.join(name), &self.libraries)
    }

    pub(crate) fn pgbouncer(&self) -> Program {
        Program::new(&self.pgbouncer, &self.libraries)
    }
}

/// The folder of PostgreSQL's programs: on `PATH`, or the newest that Debian keeps beside each other.
fn postgres_on(roots: &[PathBuf]) -> Option<PathBuf> {
    if roots.is_empty()
        && let Some(initdb) = on_path("initdb")
    {
        // A link to it says nothing of where the others are.
        return fs::canonicalize(initdb).ok()?.parent().map(Path::to_path_buf);
    }
    let system = [PathBuf::from("/")];
    let roots = if roots.is_empty() { &system[..] } else { roots };
    let versions =
        roots.iter().filter_map(|root| fs::read_dir(root.join("usr/lib/postgresql")).ok());
    let mut found: Vec<_> = versions
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|version| version.join("bin/initdb").is_file())
        .filter_map(|version| Some((version.file_name()?.to_str()?.parse::<u32>().ok()?, version)))
        .collect();
    found.sort();
    found.pop().map(|(_, version)| version.join("bin"))
}

/// Where what was installed in a folder keeps its libraries.
pub(crate) fn libraries(root: &Path) -> Vec<PathBuf> {
    let beside = ["usr/lib", "lib"].into_iter().filter_map(|it| fs::read_dir(root.join(it)).ok());
    beside.flatten().filter_map(|entry| Some(entry.ok()?.path())).filter(|it| it.is_dir()).collect()
}
