//! Where the programs are.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::program::{Program, command, run};
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
                let root = installed(&folder.join("postgres"), &POSTGRES)?;
                found.libraries.extend(libraries(&root));
                postgres_on(&[root])
                    .ok_or_else(|| failed("the package of PostgreSQL has no `initdb`"))?
            }
        };
        found.pgbouncer = match on_path("pgbouncer") {
            Some(program) => program,
            None => {
                let root = installed(&folder.join("pgbouncer"), &PGBOUNCER)?;
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

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let beyond = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(beyond).map(|dir| dir.join(program)).find(|it| it.is_file())
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

fn libraries(root: &Path) -> Vec<PathBuf> {
    let beside = fs::read_dir(root.join("usr/lib")).into_iter().flatten();
    beside.filter_map(|entry| Some(entry.ok()?.path())).filter(|it| it.is_dir()).collect()
}

/// Unpacks Debian packages in a folder, once.
fn installed(folder: &Path, packages: &[&str]) -> Result<PathBuf> {
    let root = folder.join("root");
    if root.is_dir() {
        return Ok(root);
    }
    eprintln!("installing {} in {}", packages.join(", "), folder.display());
    let (state, draft) = (folder.join("apt"), folder.join("draft"));
    let _ = fs::remove_dir_all(&draft);
    for dir in [&state.join("lists/partial"), &state.join("cache/archives/partial"), &draft] {
        fs::create_dir_all(dir)?;
    }
    let apt = || {
        let mut apt = Command::new("apt-get");
        // Its own lists, so that it needs neither root nor the machine's.
        for (name, dir) in [("State::lists", "lists"), ("Cache", "cache")] {
            apt.arg("-o").arg(format!("Dir::{name}={}", state.join(dir).display()));
        }
        apt.args(["-q", "-o", "APT::Sandbox::User=root"]).current_dir(folder);
        apt
    };
    run(apt().arg("update"))?;
    run(apt().arg("download").args(packages))?;
    for file in fs::read_dir(folder)? {
        let file = file?.path();
        if file.extension() == Some(OsStr::new("deb")) {
            run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&draft))?;
        }
    }
    fs::rename(&draft, &root)?;
    Ok(root)
}
